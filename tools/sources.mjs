// @ts-check
// Sources that the compiled programs are made of and that no Debian package brings in a form that we can use.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * What an archive is called, what it holds, and where it can be had: in that folder of a Debian archive's pool, or at an
 * address of its author's.
 * @typedef {{ name: string, sha256: string, pool: string } | { name: string, sha256: string, address: string }} Archive
 */

/** Each archive will do; one with another hash is refused. */
export const sources = {
  /** The engine of the command `isolate`. */
  quickjs: {
    title: "QuickJS",
    version: "2025.04.26",
    /** @type {readonly Archive[]} */
    archives: [
      {
        name: "quickjs_2025.04.26.orig.tar.xz",
        sha256: "ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe",
        pool: "q/quickjs",
      },
      {
        name: "quickjs-2025-04-26.tar.xz",
        sha256: "2f20074c25166ef6f781f381c50d57b502cb85d470d639abccebbef7954c83bf",
        address: "https://bellard.org/quickjs",
      },
    ],
  },
};

/** What was fetched or compiled for a build is kept between checkouts; losing it costs minutes. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "isolate-build");

/**
 * Unpacks a source below `directory` unless it is there already, and returns its path. Throws with a sentence.
 * @param {keyof typeof sources} name
 * @param {string} directory
 */
export function unpacked(name, directory) {
  const source = join(directory, `${name}-${sources[name].version}`);
  if (existsSync(source)) return source;
  const archive = fetched(name);
  const fresh = `${source}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  // As new as they are here: make compares them with what an older version has left.
  execFileSync("tar", ["-C", fresh, "--strip-components=1", "--touch", "-xf", archive], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  renameSync(fresh, source);
  return source;
}

/**
 * Returns the path of an archive: from the directory ISOLATE_SOURCES, from the cache, from a mirror of this machine's apt,
 * or from its author, whichever has one first.
 * @param {keyof typeof sources} name
 */
function fetched(name) {
  const { title, version, archives } = sources[name];
  const given = process.env.ISOLATE_SOURCES;
  const found = (given ? givenArchive(given, archives) : undefined) ?? keptArchive(archives) ?? download(archives);
  if (found) return found;
  const looked = archives.map((one) =>
    "pool" in one
      ? `no mirror of this machine's apt has ${one.name}`
      : `${one.address} did not answer with ${one.name}`,
  );
  const wanted = archives.map((one) => `${one.name} (SHA-256 ${one.sha256})`).join("\nor ");
  throw new Error(
    `cannot get the source of ${title} ${version}: ${looked.join(", and ")}\n` +
      `Get one of these elsewhere, and name its directory in ISOLATE_SOURCES:\n${wanted}`,
  );
}

/** @param {string} directory @param {readonly Archive[]} archives */
function givenArchive(directory, archives) {
  for (const { name, sha256 } of archives) {
    const file = join(directory, name);
    if (!existsSync(file)) continue;
    const hash = hashOf(file);
    if (hash === sha256) return file;
    throw new Error(`cannot use ${file} of ISOLATE_SOURCES: its SHA-256 is ${hash}, and ${sha256} was expected`);
  }
  const names = archives.map(({ name }) => name).join(" nor ");
  throw new Error(`cannot use ISOLATE_SOURCES: ${directory} holds neither ${names}`);
}

/** @param {readonly Archive[]} archives */
function keptArchive(archives) {
  const kept = archives.find(
    ({ name, sha256 }) => existsSync(join(cache, name)) && hashOf(join(cache, name)) === sha256,
  );
  return kept && join(cache, kept.name);
}

/** @param {readonly Archive[]} archives */
function download(archives) {
  mkdirSync(cache, { recursive: true });
  for (const archive of archives) {
    const kept = join(cache, archive.name);
    for (const address of addresses(archive)) {
      try {
        // apt's own means: its proxies, its methods, and the hash looked at.
        const words = ["download-file", address, kept, `SHA256:${archive.sha256}`];
        execFileSync("/usr/lib/apt/apt-helper", words, { stdio: "ignore" });
        if (hashOf(kept) === archive.sha256) return kept;
      } catch {
        // the next one may have it
      }
    }
  }
  return undefined;
}

/** Debian keeps it in one section of its archive, Ubuntu in another. @param {Archive} archive */
function addresses(archive) {
  if ("address" in archive) return [`${archive.address}/${archive.name}`];
  const repositories = targets()
    .split("\n")
    .flatMap((line) => (/^(https?|file|copy):/.test(line) ? [line.replace(/^file:/, "copy:").replace(/\/$/, "")] : []));
  return [...new Set(repositories)].flatMap((base) =>
    ["main", "universe"].map((section) => `${base}/pool/${section}/${archive.pool}/${archive.name}`),
  );
}

function targets() {
  try {
    const words = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
    return execFileSync("apt-get", words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return ""; // a machine without apt
  }
}

/** @param {string} file */
const hashOf = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
