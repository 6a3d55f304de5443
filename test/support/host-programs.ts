/** Copies programs of this machine, with their libraries and the loader, so that any root filesystem can run them. */
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { must } from "./process.ts";

/** Returns a function that makes the command for a program, if `directory` is visible at `inside`. */
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
