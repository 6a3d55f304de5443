/** `isolate template ls`, `snapshot` and `rm`; `create` has its own file. */

import type { Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { size } from "./quantities.ts";

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
