// @ts-check
// For `npm run package -- --arch ARCH`: what belongs to the other architecture and is no program of this machine's. Its
// libraries, as Debian packages, and what npm installs there alone are unpacked in a directory of the build's own;
// nothing of it is installed, and dpkg's architectures stay as they are.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NotPrepared, quietly } from "./prepare.mjs";

/** Debian's name -> Node's, GNU's and Bun's. */
const architectures = new Map([["arm64", { node: "arm64", gnu: "aarch64-linux-gnu", bun: "aarch64" }]]);

export const crossArchitectures = [...architectures.keys()];

/** What the modules are linked with, and what Node's own builds want since 26; their dependencies come along. */
const libraries = ["libatomic1", "libstdc++6", "libsystemd-dev"];
/** What our programs are linked with. It depends on a compiler that runs over there, which is left away. */
const alone = ["musl-dev"];

/**
 * Builds the programs, and says how the package for `debian` goes on: `bin` has them, `modules` npm's own of that
 * architecture, `libraries` the unpacked packages for dpkg-shlibdeps(1), `emulator` are the words that start its programs
 * here, and `env` is for compilers.
 * @param {string} root
 * @param {string} debian
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

/** An optional package of the lock that `npm ci` leaves out here. It is what the lock says, or there is none. */
async function npmModule(root, modules, name) {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`] ?? {};
  if (!integrity) throw new NotPrepared(`cannot use ${name}: package-lock.json does not say what it is`);
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
    throw new NotPrepared(`cannot use ${name}@${version}: package-lock.json has another integrity`);
  await quietly("tar", ["-C", target, "--strip-components=1", "-xzf", join(target, filename)]);
}

/** By apt from this machine's own sources, with lists and a cache beside the machine's. Gives the archives' paths. */
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
