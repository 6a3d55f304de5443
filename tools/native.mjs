// @ts-check
// Some modules are compiled for one ABI of Node (process.versions.modules), which changes with each major version. The
// package must work after an upgrade of Node, so it has one build for each line with long-term support. The modules
// load with `bindings`, which takes the matching build from lib/binding.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { quietly } from "./prepare.mjs";

/**
 * Node's major version to ABI, from nodejs.org/dist/index.json. Node 26 is the newest that better-sqlite3 12 supports.
 */
export const nodeLines = new Map([
  [20, "115"],
  [22, "127"],
  [24, "137"],
  [26, "147"],
]);

/** Returns the dpkg relation that exactly these lines satisfy: deb-version(7), conjunctions of alternatives. */
export function nodeRelation() {
  const majors = [...nodeLines.keys()];
  const parts = [`nodejs (>= ${majors[0]})`];
  majors.forEach((major, index) => {
    const next = majors[index + 1];
    parts.push([`nodejs (<< ${major + 1}~)`, ...(next ? [`nodejs (>= ${next})`] : [])].join(" | "));
  });
  return parts.join(", ");
}

const modules = [
  {
    name: "better-sqlite3",
    parts: ["package.json", "binding.gyp", "deps", "src", "lib"],
    script: "build-release",
    object: "better_sqlite3.node",
    use: "new (require('better-sqlite3'))(':memory:')",
  },
  {
    name: "sd-notify",
    parts: ["package.json", "binding.gyp", "index.js", "notify.cc", "noop.cc"],
    script: "install",
    object: "notify.node",
    use: "require('sd-notify').sendState('')",
  },
];

/**
 * Builds these modules of `root`/node_modules for every line, in `cache`. Returns a list of { name, abi, object, file
 * }. The headers come from the npm package of that Node, which also tests the build, in an emulator if necessary.
 * @param {string} root @param {string} cache @param {{ node: string, emulator: string[], env: Record<string, string> }}
 * target
 */
export async function buildNative(root, cache, target) {
  const wanted = modules.flatMap((module) => {
    const source = join(root, "node_modules", module.name);
    const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
    return [...nodeLines].map(([major, abi]) => {
      const file = join(cache, `${module.name}-${version}-abi${abi}-${target.node}.node`);
      return { ...module, source, major, abi, file };
    });
  });
  mkdirSync(cache, { recursive: true });
  const missing = wanted.filter(({ file }) => !existsSync(file));
  // Two at a time: the largest module is a single C file, which make cannot split.
  const next = async () => {
    for (let one = missing.shift(); one; one = missing.shift()) await build(cache, target, one);
  };
  await Promise.all([next(), next()]);
  return wanted.map(({ name, abi, object, file }) => ({ name, abi, object, file }));
}

async function build(cache, target, { name, parts, script, object, use, source, major, abi, file }) {
  const work = mkdtempSync(join(cache, `node${major}-`));
  try {
    console.log(`compiling ${name} for Node ${major}, ${target.node}`);
    await quietly("npm", ["pack", "--silent", "--pack-destination", work, `node-linux-${target.node}@${major}`]);
    const [archive = ""] = readdirSync(work);
    await quietly("tar", ["-C", work, "-xzf", join(work, archive), "package/include", "package/bin/node"]);
    const module = join(work, "node_modules", name);
    for (const part of parts) cpSync(join(source, part), join(module, part), { recursive: true });
    for (const helper of ["bindings", "file-uri-to-path"])
      cpSync(join(source, "..", helper), join(work, "node_modules", helper), { recursive: true });
    const node = { nodedir: join(work, "package"), target: versionIn(work), arch: target.node };
    const settings = Object.fromEntries(Object.entries(node).map(([key, value]) => [`npm_config_${key}`, value]));
    const env = { ...process.env, ...target.env, ...settings };
    await quietly("npm", ["--prefix", module, "run", script], { env });
    const trial =
      "if (process.versions.modules !== process.argv[1]) throw new Error('another ABI: ' + process.versions.modules);" +
      use;
    const [program, ...words] = [...target.emulator, join(work, "package/bin/node"), "-e", trial, abi];
    await quietly(program, words, { cwd: work });
    renameSync(join(module, "build/Release", object), file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Returns the exact version of Node from its headers. */
function versionIn(work) {
  const text = readFileSync(join(work, "package/include/node/node_version.h"), "utf8");
  const number = (part) => new RegExp(`^#define NODE_${part}_VERSION (\\d+)$`, "m").exec(text)?.[1];
  return [number("MAJOR"), number("MINOR"), number("PATCH")].join(".");
}
