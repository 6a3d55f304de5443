/** The space that datasets use, from one zfs(8) command for all of them. */
import type { TemplateName } from "../../../protocol/names.ts";
import type { Accounting } from "../driver.ts";
import { getMarksBelow, listSpace } from "./args.ts";
import { ofThoseThere, type Zfs } from "./command.ts";
import { clonesOf, parseProperties, parseSpace } from "./parse.ts";
import { storageError } from "./refusal.ts";

export function createUsage({ zfs, store }: { zfs: Zfs; store: string }): Accounting {
  return {
    async usage(templates) {
      try {
        const properties = parseProperties(await ofThoseThere(zfs, getMarksBelow, parentsOf(templates)));
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
        return parseSpace(await ofThoseThere(zfs, listSpace, parentsOf(templates)));
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
