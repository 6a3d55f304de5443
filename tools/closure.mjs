// @ts-check
// Computes which installed Debian packages tools/packages.mjs accounts for, and which programs of this machine belong
// to other packages.
import { execFileSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * An installed package. Any one of its alternatives satisfies an entry of `depends`.
 * @typedef {{ name: string, base: boolean, depends: string[][], provides: string[] }} Package
 */

/** An executable file, and the package that contains it, if any. @typedef {{ path: string, of?: string }} Program */

/** CONTRIBUTING.md requires these; apt installs the rest. Node and npm may come from elsewhere. */
const prerequisites = ["apt", "git"];
const isNode = (/** @type {string} */ name) => /^(nodejs|npm|node-.*)$/.test(name);

/**
 * Pure. Returns the names of the packages that are present whenever `named` are: the base system, and all dependencies.
 * @param {readonly Package[]} installed
 * @param {readonly string[]} named
 * @returns {Set<string>}
 */
export function closure(installed, named) {
  const byName = new Map(installed.map((one) => [one.name, one]));
  const providers = new Map();
  for (const { name, provides } of installed)
    for (const virtual of provides) providers.set(virtual, [...(providers.get(virtual) ?? []), name]);
  const found = new Set();
  const base = installed.filter((one) => one.base || isNode(one.name)).map((one) => one.name);
  const waiting = [...base, ...prerequisites, ...named];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const one = byName.get(name);
    if (one === undefined || found.has(name)) continue;
    found.add(name);
    // Node's packages depend on the compilers; that must not hide that isolate needs the compilers itself.
    if (isNode(name)) continue;
    for (const alternatives of one.depends) {
      const real = alternatives.find((each) => byName.has(each));
      waiting.push(...(real ? [real] : alternatives.flatMap((each) => providers.get(each) ?? [])));
    }
  }
  return found;
}

/**
 * Pure. Parses the output of dpkg-query for `format`.
 * @param {string} listing
 * @returns {Package[]}
 */
export function parseInstalled(listing) {
  const names = (/** @type {string} */ text) => text.split(",").map((each) => each.replace(/[\s(:].*$/s, ""));
  return listing.split("\n").flatMap((line) => {
    const [name = "", status, essential, priority, depends = "", provides = ""] = line.split("\t");
    if (status !== "installed") return [];
    const relations = depends.split(",").filter((each) => each.trim() !== "");
    return {
      name,
      base: essential === "yes" || priority === "required",
      depends: relations.map((each) => each.split("|").flatMap((one) => names(one.trim()))),
      provides: names(provides.replace(/,\s+/g, ",")).filter((each) => each !== ""),
    };
  });
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: these are placeholders of dpkg-query(1).
const format = "${Package}\t${db:Status-Status}\t${Essential}\t${Priority}\t${Pre-Depends},${Depends}\t${Provides}\n";

/**
 * Returns the programs of this machine that do not belong to the closure of `named`.
 * @param {readonly string[]} named
 * @returns {Program[]}
 */
export function otherPrograms(named) {
  const installed = parseInstalled(output("dpkg-query", ["-W", "-f", format]));
  const ours = closure(installed, named);
  const others = installed.map(({ name }) => name).filter((name) => !ours.has(name));
  const standIns = standInsFor(new Set(filesOf([...ours]).keys()));
  const owned = [...filesOf(others)].map(([path, of]) => ({ path, of }));
  return [...owned, ...localPrograms()].filter(({ path }) => !standIns.has(path) && isProgram(path));
}

/**
 * @param {readonly string[]} packages
 * @returns {Map<string, string>} path -> package
 */
function filesOf(packages) {
  const files = new Map();
  const wanted = new Set(packages);
  const lists = "/var/lib/dpkg/info";
  for (const file of readdirSync(lists).filter((name) => name.endsWith(".list"))) {
    const name = file.replace(/(:[^.]*)?\.list$/, "");
    if (!wanted.has(name)) continue;
    for (const path of readFileSync(join(lists, file), "utf8").split("\n")) if (path) files.set(path, name);
  }
  return files;
}

/**
 * Returns the programs that update-alternatives(1) has put in the place of one of `ours`: if awk is gawk here, a
 * machine without gawk has another awk. @param {ReadonlySet<string>} ours @returns {Set<string>}
 */
function standInsFor(ours) {
  const directory = "/var/lib/dpkg/alternatives";
  return new Set(
    readdirSync(directory).flatMap((name) => {
      const candidates = readFileSync(join(directory, name), "utf8")
        .split("\n")
        .filter((line) => line.startsWith("/"));
      return candidates.some((path) => ours.has(path)) ? candidates.filter((path) => !ours.has(path)) : [];
    }),
  );
}

/**
 * Returns programs installed by hand, except Node, which is allowed, and links to packages' files. @returns {Program[]}
 */
function localPrograms() {
  const node = realpathSync(process.execPath);
  const known = ["/bin/", "/sbin/", "/lib/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/share/"];
  const others = [...known, node, join(dirname(dirname(node)), "lib/node_modules/")];
  return ["/usr/local/bin", "/usr/local/sbin"].flatMap((directory) =>
    namesIn(directory)
      .map((name) => target(join(directory, name)))
      .filter((path) => !others.some((start) => path.startsWith(start)))
      .map((path) => ({ path })),
  );
}

/** @param {string} directory @returns {string[]} */
function namesIn(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** @param {string} path */
function target(path) {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** Links do not count: their targets are listed too. @param {string} path */
function isProgram(path) {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && (status.mode & 0o111) !== 0;
}

/** @param {string} program @param {string[]} args */
const output = (program, args) => execFileSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 26 });
