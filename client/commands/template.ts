/** `isolate template ls`, `snapshot` and `rm`; `create` is a file of its own. */
import type { Api } from "../api.ts";
import type { Print } from "../print.ts";

export async function listTemplates(api: Api, print: Print, json: boolean): Promise<void> {
  const templates = await api.call("templates", {});
  if (json) return print.json(templates);
  print.table(
    ["TEMPLATE", "DRIVER", "SNAPSHOT", "CREATED", "SIZE"],
    templates.map(({ template, driver, snapshot, created, bytes }) => [
      template,
      driver,
      snapshot,
      created,
      bytes === null ? null : size(bytes),
    ]),
  );
}

export async function snapshotTemplate(template: string, api: Api, print: Print): Promise<void> {
  const { snapshot } = await api.call("snapshotTemplate", { query: { template } });
  print.out(`${snapshot}\n`);
}

export async function removeTemplate(template: string, api: Api, print: Print): Promise<void> {
  await api.call("removeTemplate", { query: { template } });
  print.info(`removed ${template}`);
}

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
