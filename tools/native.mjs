// better-sqlite3 is compiled for one ABI of Node (process.versions.modules), which changes with each of Node's major
// versions. A package that is to outlive its distribution's Node holds one build for each line with long-term support;
// `bindings`, by which better-sqlite3 finds its own, takes the one that fits from lib/binding.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { quietly } from "./prepare.mjs";

/** Major version of Node -> ABI, from nodejs.org/dist/index.json. Node 26 is the newest that better-sqlite3 12 knows. */
export const nodeLines = new Map([
  [20, "115"],
  [22, "127"],
  [24, "137"],
  [26, "147"],
]);

/** The relation of dpkg that exactly these lines fulfil: deb-version(7), conjunctions of alternatives. */
export function nodeRelation() {
  const majors = [...nodeLines.keys()];
  const parts = [`nodejs (>= ${majors[0]})`];
  majors.forEach((major, index) => {
    const next = majors[index + 1];
    parts.push([`nodejs (<< ${major + 1}~)`, ...(next ? [`nodejs (>= ${next})`] : [])].join(" | "));
  });
  return parts.join(", ");
}

/**
 * Builds better-sqlite3 of `root`/node_modules for every line, in `cache`, and gives ABI -> file. The headers come with
 * the npm package of that Node; each build is tried by that very Node.
 */
export async function buildSqlite(root, cache, arch) {
  const source = join(root, "node_modules/better-sqlite3");
  const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  const built = new Map();
  const missing = [];
  for (const [major, abi] of nodeLines) {
    const file = join(cache, `better-sqlite3-${version}-abi${abi}-${arch}.node`);
    built.set(abi, file);
    if (!existsSync(file)) missing.push({ major, abi, file });
  }
  mkdirSync(cache, { recursive: true });
  // Two at a time: each is one large C file, which make cannot divide.
  const next = async () => {
    for (let one = missing.shift(); one; one = missing.shift()) await build(source, cache, arch, one);
  };
  await Promise.all([next(), next()]);
  return built;
}

async function build(source, cache, arch, { major, abi, file }) {
  const work = mkdtempSync(join(cache, `node${major}-`));
  try {
    console.log(`compiling better-sqlite3 for Node ${major}`);
    await quietly("npm", ["pack", "--silent", "--pack-destination", work, `node-linux-${arch}@${major}`]);
    const [archive] = readdirSync(work);
    await quietly("tar", ["-C", work, "-xzf", join(work, archive), "package/include", "package/bin/node"]);
    const module = join(work, "node_modules/better-sqlite3");
    for (const part of ["package.json", "binding.gyp", "deps", "src", "lib"])
      cpSync(join(source, part), join(module, part), { recursive: true });
    for (const name of ["bindings", "file-uri-to-path"])
      cpSync(join(source, "..", name), join(work, "node_modules", name), { recursive: true });
    const env = { ...process.env, npm_config_nodedir: join(work, "package"), npm_config_target: targetOf(work) };
    await quietly("npm", ["--prefix", module, "run", "build-release"], { env });
    const script =
      "if (process.versions.modules !== process.argv[1]) throw new Error('another ABI: ' + process.versions.modules);" +
      "new (require('better-sqlite3'))(':memory:')";
    await quietly(join(work, "package/bin/node"), ["-e", script, abi], { cwd: work });
    renameSync(join(module, "build/Release/better_sqlite3.node"), file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The exact version of the Node whose headers these are. */
function targetOf(work) {
  const text = readFileSync(join(work, "package/include/node/node_version.h"), "utf8");
  const number = (part) => new RegExp(`^#define NODE_${part}_VERSION (\\d+)$`, "m").exec(text)?.[1];
  return [number("MAJOR"), number("MINOR"), number("PATCH")].join(".");
}
