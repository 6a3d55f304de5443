// @ts-check
// musl, the C library that the compiled programs are linked with: a program of theirs starts in a third of the time that
// one of the GNU C library takes, and keeps a third of the memory. It is Debian's own, of the package musl-dev; elsewhere the
// environment's MUSL names the directory that has its include/ and lib/.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/** Headers of Linux' own that those need that musl has none of, one of each directory. */
const kernelHeaders = ["linux/version.h", "asm/unistd.h", "asm-generic/errno.h"];

/**
 * Returns a directory below `directory` with `include`, `lib` and `kernel`, for the compiler in the environment's CC, of
 * the musl that MUSL names, or of the musl-dev installed or unpacked in `system`. Another musl has another name, so that make compiles for it again.
 * Throws with a sentence.
 * @param {string} directory
 * @param {string} [system]
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
        "Install the Debian package musl-dev, or name in MUSL a directory whose include/ and lib/ hold musl",
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

/** Those that this compiler would use. @param {string} compiler @param {string} to */
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
