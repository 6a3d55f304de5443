#!/usr/bin/env node
// @ts-check
// The licences of everything that is compiled or bundled into the programs. `node tools/licences.mjs` fails if one is
// not allowed here; `node tools/licences.mjs FILE` writes the notices that accompany the programs.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { nativeModules } from "./packages.mjs";
import { entries } from "./programs.mjs";
import { unpacked } from "./sources.mjs";

/**
 * A part, its licences, and the file that names them. @typedef {{ name: string, licences: string[], where: string }}
 * Part
 */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (/** @type {string[]} */ ...parts) => join(root, ...parts);
const text = (/** @type {string} */ file) => readFileSync(file, "utf8").trim();
const muslCopyright = "/usr/share/doc/musl-dev/copyright";

/** Each allows shipping a program under the MIT licence if its notice is included. */
const allowed = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT",
  "Unlicense",
  // Debian's terms for files of musl:
  "permissive",
  "public-domain",
]);

/**
 * Pure. Returns a sentence for each part whose licence is not allowed. One of several alternatives (`A OR B`) must be
 * allowed, and every licence of a list.
 * @param {readonly Part[]} parts
 * @returns {string[]}
 */
export function refusals(parts) {
  return parts.flatMap(({ name, licences, where }) => {
    const refused = licences.filter((licence) => !isAllowed(licence));
    if (licences.length > 0 && refused.length === 0) return [];
    const what = licences.length === 0 ? "names no licence" : `has the licence ${refused.join(", ")}`;
    return [
      `cannot pass: ${name} ${what} (${where}), which tools/licences.mjs does not allow: remove the part, or allow it there`,
    ];
  });
}

/** Checks an SPDX expression. Debian writes BSD-2-clause. @param {string} expression @returns {boolean} */
function isAllowed(expression) {
  const simple = expression.replace(/^\((.*)\)$/, "$1");
  return simple
    .split(" OR ")
    .some((one) => one.split(" AND ").every((each) => allowed.has(each.replace(/-clause$/, "-Clause"))));
}

/** @returns {Part[]} */
function parts() {
  return [...npmParts(), bunPart(), quickjsPart(), muslPart()];
}

/** Everything that `npm install isolate` installs, which includes the bundled modules. @returns {Part[]} */
function npmParts() {
  /** @type {Record<string, { dev?: boolean, optional?: boolean, license?: string }>} */
  const locked = JSON.parse(text(at("package-lock.json"))).packages;
  return Object.entries(locked).flatMap(([path, { dev, license }]) =>
    path === "" || dev
      ? []
      : [
          {
            name: path.replace(/^.*node_modules\//, ""),
            licences: license ? [license] : [],
            where: "package-lock.json",
          },
        ],
  );
}

/**
 * The runtime in isolate-client. Its part JavaScriptCore is under the LGPL: the notices say where its source is and how
 * to link another one (https://bun.sh/docs/project/license). No other part may be under the LGPL. @returns {Part}
 */
function bunPart() {
  const file = "node_modules/bun/package.json";
  const { license } = JSON.parse(text(at(file)));
  return { name: "bun", licences: license ? [license] : [], where: file };
}

/** @returns {Part} */
function quickjsPart() {
  const where = join(unpacked("quickjs", at("dist/obj")), "LICENSE");
  const isMit = /^Permission is hereby granted, free of charge, to any person/m.test(text(where));
  return { name: "QuickJS", licences: isMit ? ["MIT"] : [], where: where.replace(`${root}/`, "") };
}

/** Debian lists the licence of each file. The build scripts are not part of a program. @returns {Part} */
function muslPart() {
  const named = text(muslCopyright).matchAll(/^License: *(.+)$/gm);
  return {
    name: "musl",
    licences: [...new Set([...named].map(([, licence = ""]) => licence.trim()))],
    where: muslCopyright,
  };
}

/**
 * Returns the licences of everything that is bundled in the programs. Debian policy 12.5: licences that every system
 * has are named, not repeated; elsewhere they are included `inFull`. @param {{ inFull: boolean }} form
 */
export function notices({ inFull }) {
  const common = (/** @type {string} */ name) => {
    const file = `/usr/share/common-licenses/${name}`;
    return inFull ? text(file) : `The text is in ${file}.`;
  };
  const { license } = JSON.parse(text(at("package.json")));
  const names = new Set([...bundledModules(), ...nativeModules, "bindings", "file-uri-to-path"]);
  const sections = [
    `isolate: ${license}\n\n${text(at("LICENSE"))}`,
    `The command isolate contains the engine QuickJS, https://bellard.org/quickjs:\n\n${text(join(unpacked("quickjs", at("dist/obj")), "LICENSE"))}`,
    `isolate, isolate-init, isolate-monitor, isolate-network and isolate-seccomp contain parts of the C library musl,\n` +
      `https://musl.libc.org:\n\n${text(muslCopyright)}`,
    "isolate-client contains the runtime Bun, https://bun.sh, under the MIT licence; its parts and their licences are\n" +
      "listed at https://bun.sh/docs/project/license. One of them is JavaScriptCore of WebKit, under the GNU Library\n" +
      "General Public License, version 2: its source, and how to link another one, are at\n" +
      `https://github.com/oven-sh/webkit and https://github.com/oven-sh/bun.\n\n${common("LGPL-2")}`,
    ...[...names].sort().map((name) => moduleNotice(name, common)),
  ];
  return `${sections.join(`\n\n${"-".repeat(78)}\n\n`)}\n`;
}

/** @param {string} name @param {(name: string) => string} common */
function moduleNotice(name, common) {
  const { license = "see below" } = JSON.parse(text(at("node_modules", name, "package.json")));
  const file = readdirSync(at("node_modules", name)).find((one) => /^(licen[cs]e|copying)/i.test(one));
  const full = file === undefined ? "" : text(at("node_modules", name, file));
  return `${name}: ${license}\n\n${license === "Apache-2.0" ? common(license) : full}`;
}

/**
 * Returns the modules in the daemon and the client. A bundle that is not minified names each file's origin before it.
 */
function bundledModules() {
  const bundle = (/** @type {string} */ entry, /** @type {string} */ target) =>
    execFileSync(at("node_modules/.bin/bun"), ["build", entry, `--target=${target}`, ...external], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 2 ** 26,
      stdio: ["ignore", "pipe", "pipe"],
    });
  const external = nativeModules.flatMap((name) => ["--external", name]);
  const code = bundle(entries.daemon, "node") + bundle(entries.client, "bun");
  return [...code.matchAll(/^\/\/ node_modules\/((?:@[^/]+\/)?[^/]+)/gm)].map(([, name = ""]) => name);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [file] = process.argv.slice(2);
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, notices({ inFull: true }));
  } else {
    const refused = refusals(parts());
    for (const sentence of refused) console.error(sentence);
    process.exitCode = refused.length > 0 ? 1 : 0;
  }
}
