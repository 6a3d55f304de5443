#!/usr/bin/env node
// @ts-check
// `npm run package [-- --arch ARCH]`: makes dist/isolate_VERSION_ARCH.deb, for this machine's architecture or another.
// Uses only dpkg's programs: debhelper would have nothing to configure or compile.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { crossArchitectures, crossTarget } from "./cross.mjs";
import { notices } from "./licences.mjs";
import { buildNative, nodeRelation } from "./native.mjs";
import { crossPackages, packages } from "./packages.mjs";
import { NotPrepared, prepare, quietly } from "./prepare.mjs";
import { clientPrograms } from "./programs.mjs";
import { cache } from "./sources.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const { version, description, author, man } = JSON.parse(readFileSync(at("package.json"), "utf8"));
const maintainer = `${author} <isolate@example.org>`;
const built = new Date(process.env.SOURCE_DATE_EPOCH ? Number(process.env.SOURCE_DATE_EPOCH) * 1000 : Date.now());

const pages = man.map((path) => basename(path));

async function main() {
  const here = output("dpkg", ["--print-architecture"]);
  const arch = wantedArchitecture(here);
  await prepare({ groups: ["build", "package"], more: arch === here ? [] : crossPackages[arch] });
  console.log("building");
  await quietly(process.execPath, [at("tools/build.mjs")]);
  await quietly(process.execPath, [at("dist/js/tools/docs/main.js"), at("dist/docs")]);
  await quietly("mandoc", ["-T", "lint", "-W", "warning", ...pages.map((page) => at("dist/docs", page))]);
  const target = arch === here ? nativeTarget(here) : await crossTarget(root, arch);
  const native = await buildNative(root, cache, target);

  const stage = at("dist/package");
  rmSync(stage, { recursive: true, force: true });
  const put = stager(stage);
  putPrograms(put, target, native);
  putDocuments(put);
  putUnits(put);
  // Not the client: Bun appends the program to the executable's sections, and stripping would remove it.
  const objects = filesOf(stage).filter((path) => /\.node$|\/isolate-(init|monitor|network|seccomp)$/.test(path));
  await quietly(target.strip, ["--strip-unneeded", ...objects.map((path) => join(stage, path))]);
  putControl(put, stage, target);

  // It gets its name only when it is complete and lintian has accepted it.
  const name = `isolate_${version}_${arch}.deb`;
  const file = at("dist", name);
  const unchecked = at("dist/unchecked", name);
  mkdirSync(dirname(unchecked), { recursive: true });
  console.log("packing");
  await quietly("dpkg-deb", ["--root-owner-group", "-Zxz", "-z1", "--build", stage, unchecked]);
  await quietly("lintian", ["--fail-on", "error", unchecked]);
  renameSync(unchecked, file);
  console.log(`${relative(process.cwd(), file)}, ${Math.round(statSync(file).size / 1e6)} MB`);
}

function wantedArchitecture(here) {
  const { values, positionals } = parseArgs({ options: { arch: { type: "string" } }, strict: false });
  const strange = [...positionals, ...Object.keys(values).filter((name) => name !== "arch")];
  if (strange.length > 0 || values.arch === true)
    throw new NotPrepared(`cannot make the package: usage: npm run package [-- --arch ${crossArchitectures}]`);
  const { arch = here } = values;
  if (arch === here || (here === "amd64" && crossArchitectures.includes(arch))) return arch;
  throw new NotPrepared(
    `cannot make a package for '${arch}' on ${here}: make it on such a machine; amd64 can make one for ${crossArchitectures}`,
  );
}

/** The results of `npm run build` and this machine's tools; see tools/cross.mjs. */
const nativeTarget = (debian) => ({
  debian,
  node: process.arch,
  bin: at("dist/bin"),
  modules: at("node_modules"),
  libraries: [],
  emulator: [],
  strip: "strip",
  env: {},
});

/** Functions that each put one thing at a path of the target. */
function stager(stage) {
  const make = (path) => {
    const target = join(stage, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    return target;
  };
  return {
    file(path, content, mode = 0o644) {
      writeFileSync(make(path), content);
      chmodSync(join(stage, path), mode);
    },
    copy(path, source, mode = 0o644) {
      cpSync(source, make(path), { dereference: true });
      chmodSync(join(stage, path), mode);
    },
    link: (path, to) => symlinkSync(to, make(path)),
    directory: (path) => mkdirSync(join(stage, path), { recursive: true }),
    gzip(path, content) {
      this.file(`${path}.gz`, gzipSync(content, { level: 9 }));
    },
  };
}

function putPrograms(put, { node, bin, modules: compiled }, native) {
  const own = "usr/lib/isolate";
  for (const [name, mode] of clientPrograms) put.copy(`${own}/${name}`, join(bin, name), mode);
  // The distribution's Node, even if another one is first in PATH.
  const daemon = readFileSync(at("dist/bin/isolated"), "utf8").replace(
    /^#!\/usr\/bin\/env -S (\S+=\S+) node /,
    "#!/usr/bin/env -S $1 /usr/bin/node ",
  );
  put.file(`${own}/isolated`, daemon, 0o755);
  put.file(`${own}/package.json`, `${JSON.stringify({ name: "isolate", version, type: "module" })}\n`);
  put.link("usr/bin/isolate", "../lib/isolate/isolate");
  put.link("usr/sbin/isolated", "../lib/isolate/isolated");

  const modules = `${own}/node_modules`;
  const copyModule = (name, fits, from = at("node_modules")) => {
    for (const path of filesOf(join(from, name)).filter(fits))
      put.copy(`${modules}/${name}/${path}`, join(from, name, path));
  };
  const isScript = (path) => /(^|\/)package\.json$|\.[cm]?js$/.test(path);
  copyModule("better-sqlite3", (path) => path === "package.json" || /^lib\/.*\.js$/.test(path));
  copyModule("bindings", isScript);
  copyModule("file-uri-to-path", (path) => path === "package.json" || path === "index.js");
  copyModule("koffi", (path) => isScript(path) && !/^vendor\/|^cnoke\.|trampolines/.test(path)); // not the files of its build
  const koffi = `@koromix/koffi-linux-${node}`;
  copyModule(koffi, (path) => isScript(path) || path === `linux_${node}/koffi.node`, compiled);
  copyModule("sd-notify", (path) => path === "package.json" || path === "index.js");
  for (const { name, abi, object, file } of native)
    put.copy(`${modules}/${name}/lib/binding/node-v${abi}-linux-${node}/${object}`, file);
}

function putDocuments(put) {
  const docs = (name) => readFileSync(at("dist/docs", name));
  put.file("etc/isolate/isolated.toml", docs("isolated.toml"));
  for (const page of pages) put.gzip(`usr/share/man/man${page.at(-1)}/${page}`, docs(page));
  put.copy("usr/share/lintian/overrides/isolate", at("tools/debian/lintian-overrides"));
  put.file("usr/share/bash-completion/completions/isolate", docs("completion.bash"));
  put.file("usr/share/zsh/vendor-completions/_isolate", docs("completion.zsh"));
  put.file("usr/share/fish/vendor_completions.d/isolate.fish", docs("completion.fish"));
  const doc = "usr/share/doc/isolate";
  put.file(`${doc}/copyright`, notices({ inFull: false }));
  put.file(`${doc}/README.md`, readFileSync(at("README.md")));
  put.file(`${doc}/SECURITY.md`, readFileSync(at("SECURITY.md")));
  for (const name of readdirSync(at("docs"))) put.copy(`${doc}/docs/${name}`, at("docs", name));
  put.gzip(`${doc}/NEWS.md`, readFileSync(at("CHANGELOG.md")));
  const date = built.toUTCString().replace("GMT", "+0000");
  const entry = `isolate (${version}) unstable; urgency=medium\n\n  * See NEWS.md.gz.\n\n -- ${maintainer}  ${date}\n`;
  put.gzip(`${doc}/changelog`, entry);
}

function putUnits(put) {
  for (const name of readdirSync(at("systemd"))) {
    if (name.endsWith(".sysusers")) put.copy("usr/lib/sysusers.d/isolate.conf", at("systemd", name));
    else if (name.endsWith(".tmpfiles")) put.copy("usr/lib/tmpfiles.d/isolate.conf", at("systemd", name));
    else put.copy(`usr/lib/systemd/system/${name}`, at("systemd", name));
  }
}

function putControl(put, stage, target) {
  const all = filesOf(stage);
  const programs = all.filter((path) => /\.node$|\/isolate-client$/.test(path) && path.startsWith("usr/lib/isolate"));
  const depends = [
    ...sharedLibraries(stage, programs, target),
    nodeRelation(),
    ...notEssential(packages.run),
    "systemd | systemd-standalone-sysusers | systemd-sysusers",
    "systemd | systemd-standalone-tmpfiles | systemd-tmpfiles",
    "init-system-helpers (>= 1.54~)",
  ];
  const control = [
    "Package: isolate",
    `Version: ${version}`,
    `Architecture: ${target.debian}`,
    `Maintainer: ${maintainer}`,
    `Installed-Size: ${Math.ceil(all.reduce((sum, path) => sum + statSync(join(stage, path)).size, 0) / 1024)}`,
    `Depends: ${depends.join(", ")}`,
    `Recommends: ${notEssential([...packages.template, ...packages.network]).join(", ")}`,
    "Suggests: zfsutils-linux (>= 2.2), lxc, uidmap",
    "Section: admin",
    "Priority: optional",
    `Description: ${description[0].toLowerCase()}${description.slice(1)}`,
    " isolate -z TEMPLATE COMMAND runs a command in a complete, disposable Linux",
    " filesystem: a fresh clone of a template. Inside, the command runs as root; on",
    " the host, it runs as the caller. A daemon keeps clones ready, on ZFS or on",
    " overlayfs.",
    "",
  ];
  put.file("DEBIAN/control", control.join("\n"));
  put.file("DEBIAN/conffiles", "/etc/isolate/isolated.toml\n");
  const sums = output("md5sum", all, { cwd: stage });
  put.file("DEBIAN/md5sums", `${sums}\n`);
  for (const name of ["postinst", "prerm", "postrm"]) put.copy(`DEBIAN/${name}`, at("tools/debian", name), 0o755);
}

/** `dpkg-shlibdeps` finds the package of each library, and the version that introduced its symbols. */
function sharedLibraries(stage, programs, { debian, libraries }) {
  const work = at("dist/shlibdeps");
  mkdirSync(join(work, "debian"), { recursive: true });
  writeFileSync(join(work, "debian/control"), "Source: isolate\n\nPackage: isolate\nArchitecture: any\n");
  // Symbols of node itself are not in a library.
  const unpacked = libraries.map((directory) => `-S${directory}`);
  const args = ["-O", "--ignore-missing-info", ...unpacked, ...programs.map((path) => join(stage, path))];
  const env = { ...process.env, DEB_HOST_ARCH: debian };
  const found = output("dpkg-shlibdeps", args, { cwd: work, env, stdio: ["ignore", "pipe", "ignore"] });
  rmSync(work, { recursive: true });
  return found.replace(/^shlibs:Depends=/, "").split(", ");
}

/** Debian policy 3.5: essential packages must not be named. */
function notEssential(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: these are placeholders of dpkg-query(1).
  const lines = output("dpkg-query", ["-W", "-f", "${Package} ${Essential}\n"]).split("\n");
  const essential = new Set(lines.filter((line) => line.endsWith(" yes")).map((line) => line.split(" ")[0]));
  return names.filter((name) => !essential.has(name));
}

/** Regular files below a directory, sorted. */
function filesOf(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((path) => !path.startsWith("DEBIAN/"))
    .sort();
}

/**
 * @param {string} program @param {string[]} args @param {import("node:child_process").ExecFileSyncOptions} [options]
 */
function output(program, args, options = {}) {
  try {
    return String(execFileSync(program, args, options)).trim();
  } catch (error) {
    const { stderr, message } = /** @type {Error & { stderr?: string }} */ (error);
    throw new NotPrepared(`cannot make the package: ${basename(program)} failed: ${stderr || message}`);
  }
}

main().catch((error) => {
  if (!(error instanceof NotPrepared)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
