// Sources that the compiled programs are made of: as Debian's archive has them, from this machine's own mirror.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** All of Debian 13, and the hashes that its index has: a file of that name is this one or is refused. */
export const sources = {
  /** The engine of the command `isolate`. */
  quickjs: {
    version: "2025.04.26",
    archive: "quickjs_2025.04.26.orig.tar.xz",
    sha256: "ec81da5b3249ed648dbc7df4a1654988910e66a118d9b71cb63534216efcfbbe",
  },
  /** The C library of all of them. */
  musl: {
    version: "1.2.5",
    archive: "musl_1.2.5.orig.tar.gz",
    sha256: "a9a118bbe84d8764da0ea0d28b3ab3fae8477fc7e4085d90102b8596fc7c75e4",
  },
};

/** What was fetched or compiled for a build is kept between checkouts; losing it costs minutes. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "isolate-build");

/** Unpacks it below `directory` where it is not yet, and gives where it is. Throws with a sentence. */
export function unpacked(name, directory) {
  const source = join(directory, `${name}-${sources[name].version}`);
  if (existsSync(source)) return source;
  const fresh = `${source}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  // As new as they are here: make compares them with what an older version has left.
  execFileSync("tar", ["-C", fresh, "--strip-components=1", "--touch", "-xf", fetched(name)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  renameSync(fresh, source);
  return source;
}

function fetched(name) {
  const { archive, sha256 } = sources[name];
  const kept = join(cache, archive);
  if (existsSync(kept) && hashOf(kept) === sha256) return kept;
  mkdirSync(cache, { recursive: true });
  for (const address of addresses(`${name[0]}/${name}/${archive}`)) {
    try {
      // apt's own means: its proxies, its methods, and the hash looked at.
      const download = ["download-file", address, kept, `SHA256:${sha256}`];
      execFileSync("/usr/lib/apt/apt-helper", download, { stdio: "ignore" });
      return kept;
    } catch {
      // the next one may have it
    }
  }
  throw new Error(
    `cannot get ${archive}: none of this machine's apt sources has it. Put it, of SHA-256 ${sha256}, in ${cache}`,
  );
}

/** Debian keeps them in one section of the archive, Ubuntu in another. */
function addresses(place) {
  const repositories = targets()
    .split("\n")
    .filter((line) => /^(https?|file|copy):/.test(line));
  return [...new Set(repositories)].flatMap((base) =>
    ["main", "universe"].map((section) => `${base.replace(/\/$/, "")}/pool/${section}/${place}`),
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

const hashOf = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
