// @ts-check
// musl, the C library of the compiled programs: with it a program starts in a third of the time and uses a third of the
// memory, compared with the GNU C library. It is from Debian's package musl-dev; elsewhere the environment's MUSL names
// the directory with its include/ and lib/.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/** Linux headers that the programs need and musl lacks, one from each directory. */
const kernelHeaders = ["linux/version.h", "asm/unistd.h", "asm-generic/errno.h"];

/**
 * Returns a directory below `directory` with `include`, `lib` and `kernel` for the compiler in the environment's CC:
 * from MUSL, or from the musl-dev that is installed or unpacked in `system`. Each musl has its own name, so that make
 * recompiles for another one. Throws an error with a sentence. @param {string} directory @param {string} [system]
 */
export function muslFor(directory, system = "/") {
  const compiler = process.env.CC || "cc";
  const triplet = `${output(compiler, ["-dumpmachine"]).trim().replace(/-.*/, "")}-linux-musl`;
  const given = process.env.MUSL;
  const place = (/** @type {string} */ name) => (given ? join(given, name) : join(system, "usr", name, triplet));
  const [include, lib] = [place("include"), place("lib")];
  const library = join(lib, "libc.a");
  if (!existsSync(library)) {
    throw new Error(
      `cannot link with musl: there is no ${library}\n` +
        "Install the Debian package musl-dev, or set MUSL to a directory with musl's include/ and lib/",
    );
  }
  const made = join(directory, `musl-${createHash("sha256").update(readFileSync(library)).digest("hex").slice(0, 16)}`);
  mkdirSync(directory, { recursive: true });
  for (const old of readdirSync(directory).filter((name) => name.startsWith("musl-")))
    rmSync(join(directory, old), { recursive: true });
  mkdirSync(join(made, "kernel"), { recursive: true });
  symlinkSync(include, join(made, "include"));
  symlinkSync(lib, join(made, "lib"));
  linkKernel(compiler, join(made, "kernel"));
  return made;
}

/** Returns the headers that this compiler would use. @param {string} compiler @param {string} to */
function linkKernel(compiler, to) {
  const input = kernelHeaders.map((header) => `#include <${header}>\n`).join("");
  const found = output(compiler, ["-E", "-M", "-"], { input }).split(/[\s\\]+/);
  for (const header of kernelHeaders) {
    const path = found.find((file) => file.endsWith(`/${header}`));
    if (path === undefined) throw new Error(`${compiler} finds no <${header}>: install linux-libc-dev`);
    symlinkSync(dirname(path), join(to, dirname(header)));
  }
}

/** @param {string} program @param {string[]} args @param {{ input?: string }} [options] */
function output(program, args, options = {}) {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["pipe", "pipe", "pipe"], ...options });
  } catch (error) {
    const { stderr, message } = /** @type {Error & { stderr?: string }} */ (error);
    throw new Error(`cannot compile: ${program} failed: ${stderr || message}`);
  }
}
