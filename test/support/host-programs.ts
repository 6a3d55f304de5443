/** Programs of this machine in a directory that any root can run them from: with their libraries, and what loads those. */
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { must } from "./process.ts";

/** Gives what runs one of them where `directory` is at `inside`. */
export async function copyPrograms(
  directory: string,
  inside: string,
  programs: readonly string[],
): Promise<(program: string) => string> {
  mkdirSync(directory);
  let loader = "";
  for (const program of programs) {
    const path = (await must(["which", program])).trim();
    copyFileSync(path, join(directory, program));
    for (const [, library = ""] of (await must(["ldd", path])).matchAll(/(?:^\s*|=> )(\/\S+)/gm)) {
      copyFileSync(library, join(directory, basename(library)));
      if (basename(library).startsWith("ld-")) loader = basename(library);
    }
  }
  return (program) => `${inside}/${loader} --library-path ${inside} ${inside}/${program}`;
}
