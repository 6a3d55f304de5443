// @ts-check
// Sources of the compiled programs that no Debian package contains in a usable form.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * The name, the hash and the origin of an archive: a folder in the pool of a Debian archive, or its author's address.
 * @typedef {{ name: string, sha256: string, pool: string } | { name: string, sha256: string, address: string }} Archive
 */

/** The archives of each source are equivalent; an archive with another hash is refused. */
export const sources = {
  /** The JavaScript engine of the command `isolate`. */
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

/** Fetched and compiled files are kept between checkouts; rebuilding them takes minutes. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "isolate-build");

/**
 * Unpacks a source below `directory` unless it is there already, and returns its path. Throws an error with a sentence.
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
  // With the current time: make compares the files with the results of an older version.
  execFileSync("tar", ["-C", fresh, "--strip-components=1", "--touch", "-xf", archive], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  renameSync(fresh, source);
  return source;
}

/**
 * Returns the path of an archive: from the directory ISOLATE_SOURCES, from the cache, from a mirror of this machine's
 * apt, or from its author, in this order. @param {keyof typeof sources} name
 */
function fetched(name) {
  const { title, version, archives } = sources[name];
  const given = process.env.ISOLATE_SOURCES;
  const found = (given ? givenArchive(given, archives) : undefined) ?? keptArchive(archives) ?? download(archives);
  if (found) return found;
  const looked = archives.map((one) =>
    "pool" in one ? `no mirror of this machine's apt has ${one.name}` : `${one.address} did not return ${one.name}`,
  );
  const wanted = archives.map((one) => `${one.name} (SHA-256 ${one.sha256})`).join("\nor ");
  throw new Error(
    `cannot get the source of ${title} ${version}: ${looked.join(", and ")}\n` +
      `Get one of these elsewhere, and set ISOLATE_SOURCES to its directory:\n${wanted}`,
  );
}

/** @param {string} directory @param {readonly Archive[]} archives */
function givenArchive(directory, archives) {
  for (const { name, sha256 } of archives) {
    const file = join(directory, name);
    if (!existsSync(file)) continue;
    const hash = hashOf(file);
    if (hash === sha256) return file;
    throw new Error(`cannot use ${file} from ISOLATE_SOURCES: its SHA-256 is ${hash} instead of ${sha256}`);
  }
  const names = archives.map(({ name }) => name).join(" nor ");
  throw new Error(`cannot use ISOLATE_SOURCES: ${directory} contains neither ${names}`);
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
        // With apt's proxies and methods; apt checks the hash.
        const words = ["download-file", address, kept, `SHA256:${archive.sha256}`];
        execFileSync("/usr/lib/apt/apt-helper", words, { stdio: "ignore" });
        if (hashOf(kept) === archive.sha256) return kept;
      } catch {
        // the next mirror may have it
      }
    }
  }
  return undefined;
}

/** Debian and Ubuntu keep it in different sections of their archives. @param {Archive} archive */
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
    return ""; // no apt here
  }
}

/** @param {string} file */
const hashOf = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
