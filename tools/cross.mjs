// @ts-check
// For `npm run package -- --arch ARCH`: builds for another architecture. Its libraries (Debian packages) and the npm
// packages that only it needs are unpacked in a directory of the build. Nothing is installed, and dpkg's architectures
// do not change.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NotPrepared, quietly } from "./prepare.mjs";

/** Debian's names to those of Node, GNU and Bun. */
const architectures = new Map([["arm64", { node: "arm64", gnu: "aarch64-linux-gnu", bun: "aarch64" }]]);

export const crossArchitectures = [...architectures.keys()];

/** Libraries of the modules, and those that Node's builds require since 26; apt adds their dependencies. */
const libraries = ["libatomic1", "libstdc++6", "libsystemd-dev"];
/** The C library of the compiled programs, without its dependency: a compiler that runs on that architecture. */
const alone = ["musl-dev"];

/**
 * Builds the programs. Returns the input of the package for `debian`: `bin` has the programs, `modules` the npm
 * packages of that architecture, `libraries` the unpacked packages for dpkg-shlibdeps(1); `emulator` is the command
 * that starts its programs here, and `env` is for compilers. @param {string} root @param {string} debian
 */
export async function crossTarget(root, debian) {
  const names = architectures.get(debian);
  if (!names)
    throw new NotPrepared(`cannot build for ${debian}: the architectures are ${crossArchitectures.join(", ")}`);
  const { node, gnu, bun } = names;
  const at = (...parts) => join(root, "dist", debian, ...parts);
  rmSync(at(), { recursive: true, force: true });
  const modules = at("node_modules");
  await npmModule(root, modules, `@koromix/koffi-linux-${node}`);
  await npmModule(root, modules, `@oven/bun-linux-${bun}`);
  const archives = await download(debian, at("apt"));
  mkdirSync(at("packages"));
  for (const archive of archives) {
    await quietly("dpkg-deb", ["--extract", archive, at("sysroot")]);
    await quietly("dpkg-deb", ["--raw-extract", archive, at("packages", archive.replace(/^.*\/([^_]*).*$/, "$1"))]);
  }
  const runtime = join(modules, `@oven/bun-linux-${bun}/bin/bun`);
  await quietly(
    process.execPath,
    [
      join(root, "tools/build.mjs"),
      "--out",
      at("bin"),
      "--target",
      `bun-linux-${node}`,
      "--runtime",
      runtime,
      "--system",
      at("sysroot"),
    ],
    { env: { ...process.env, CC: `${gnu}-gcc` } },
  );
  const [program, ...words] = [`qemu-${gnu.replace(/-.*/, "")}`, "-L", at("sysroot")];
  await quietly(program, [...words, at("bin/isolate"), "--version"]);
  const [include, lib] = [at("sysroot/usr/include"), at("sysroot/usr/lib", gnu)];
  return {
    debian,
    node,
    bin: at("bin"),
    modules,
    libraries: readdirSync(at("packages")).map((name) => at("packages", name)),
    emulator: [program, ...words],
    strip: `${gnu}-strip`,
    env: { CC: `${gnu}-gcc`, CXX: `${gnu}-g++`, CPPFLAGS: `-isystem ${include}`, LDFLAGS: `-L${lib}` },
  };
}

/** Gets an optional package that `npm ci` omits here. It must match the lock. */
async function npmModule(root, modules, name) {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`] ?? {};
  if (!integrity) throw new NotPrepared(`cannot use ${name}: package-lock.json has no entry for it`);
  const target = join(modules, name);
  mkdirSync(target, { recursive: true });
  const packed = await quietly("npm", [
    "pack",
    "--json",
    "--loglevel=error",
    "--pack-destination",
    target,
    `${name}@${version}`,
  ]);
  const [{ filename, integrity: got }] = JSON.parse(packed);
  if (got !== integrity)
    throw new NotPrepared(`cannot use ${name}@${version}: its integrity differs from package-lock.json`);
  await quietly("tar", ["-C", target, "--strip-components=1", "-xzf", join(target, filename)]);
}

/**
 * Downloads with apt from this machine's sources, with separate lists and a separate cache. Returns the archives'
 * paths.
 */
async function download(debian, directory) {
  for (const name of ["state/lists/partial", "cache/archives/partial"])
    mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, "state/status"), "");
  const settings = {
    "APT::Architecture": debian,
    "APT::Architectures": debian,
    "Dir::State": join(directory, "state"),
    "Dir::State::status": join(directory, "state/status"),
    "Dir::Cache": join(directory, "cache"),
  };
  const apt = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await quietly("apt-get", [...apt, "update"]);
  const install = ["install", "--download-only", "--no-install-recommends", "-y", ...libraries];
  await quietly("apt-get", [...apt, ...install]);
  const archives = join(directory, "cache/archives");
  await quietly("apt-get", [...apt, "download", ...alone], { cwd: archives });
  return readdirSync(archives)
    .filter((name) => name.endsWith(".deb"))
    .map((name) => join(archives, name));
}
