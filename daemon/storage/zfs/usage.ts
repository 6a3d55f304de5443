/** What the datasets use, by one zfs(8) command for each storage pool, however many datasets there are. */
import type { TemplateName } from "../../../protocol/names.ts";
import type { StorageDriver } from "../driver.ts";
import { getMarksBelow, listSpace } from "./args.ts";
import { ofThoseThere, someAnswered, type Zfs } from "./command.ts";
import { clonesOf, parseProperties, parseSpace } from "./parse.ts";
import { storageError } from "./refusal.ts";

export function createUsage({ zfs, store }: { zfs: Zfs; store: string }): Pick<StorageDriver, "usage" | "space"> {
  type Command = (datasets: readonly string[]) => string[];
  /** What a pool that does not answer has is left out. */
  const asked = async (command: Command, templates: readonly TemplateName[]): Promise<string> =>
    someAnswered(await ofThoseThere(zfs, command, parentsOf(templates))).output;

  return {
    async usage(templates) {
      try {
        const properties = parseProperties(await asked(getMarksBelow, templates));
        const clones = clonesOf(store, properties);
        return {
          clones: new Map(clones.flatMap(({ id, bytes }) => (bytes === null ? [] : [[id, bytes]]))),
          templates: new Map(
            templates.flatMap((template) => {
              const used = properties.get(template)?.get("used");
              return used === undefined ? [] : [[template, Number(used)]];
            }),
          ),
        };
      } catch (error) {
        throw storageError("count the bytes in use", error);
      }
    },
    async space(templates) {
      try {
        return parseSpace(await asked(listSpace, templates));
      } catch (error) {
        throw storageError("ask for the space", error);
      }
    },
  };
}

/** A clone is its template's sibling, so the rest of the host is not scanned. */
function parentsOf(templates: readonly TemplateName[]): string[] {
  return [...new Set(templates.map((template) => template.slice(0, template.lastIndexOf("/"))))];
}
