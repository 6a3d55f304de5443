// @ts-check
// Every Debian package that this project uses on this machine; no other file names packages, and tools/watch.mjs checks
// the tests for others. (Packages for the virtual machine of the system tests are in test/system/packages.ts.)

/** Debian 12, Debian 13 and Ubuntu 24.04 use the same names. */
export const packages = {
  /** For `npm ci`, which compiles better-sqlite3 and sd-notify, and for `npm run build`. */
  build: [
    "ca-certificates",
    "gcc",
    "g++",
    "libc6-dev",
    "libseccomp-dev",
    "libsystemd-dev",
    "make",
    "musl-dev",
    "pkg-config",
    "python3",
    "xz-utils",
  ],
  /** Programs that the client and the daemon start. */
  run: ["bubblewrap", "mount", "tar", "util-linux"],
  /** For `isolate --net=private`. */
  network: ["nftables", "passt"],
  /** For `isolate template create` with any source. */
  template: ["apt", "bzip2", "debian-archive-keyring", "gzip", "mmdebstrap", "xz-utils", "zstd"],
  /** For `npm run package`, in addition to `build`. */
  package: ["binutils", "dpkg-dev", "lintian", "mandoc"],
  /** For `npm test` and `npm run bench`. */
  test: [
    "attr",
    "curl",
    "e2fsprogs",
    "fish",
    "hyperfine",
    "iproute2",
    "lxc",
    "procps",
    "pulseaudio",
    "pulseaudio-utils",
    "slirp4netns",
    "strace",
    "systemd",
    "tmux",
    "x11-apps",
    "x11-utils",
    "x11-xserver-utils",
    "xauth",
    "xdotool",
    "xvfb",
    "zsh",
  ],
  /** For `npm run test:system`, which installs them itself because they are many. */
  system: [
    "debian-archive-keyring",
    "e2fsprogs",
    "mmdebstrap",
    "openssh-client",
    "qemu-system-x86",
    "tar",
    "util-linux",
  ],
  /** Programs of others that the documentation names, for `npm run test:network`. */
  documents: ["podman"],
  /** Programs that `npm run bench` compares with; optional, installed by `npm run bench -- --setup`. */
  peers: ["podman", "runc", "schroot", "systemd-container", "uidmap"],
};

/** For `npm run package -- --arch ARCH`, in addition to `build` and `package`. */
export const crossPackages = { arm64: ["g++-aarch64-linux-gnu", "qemu-user"] };

/** Node modules with compiled code, which cannot be bundled. */
export const nativeModules = ["better-sqlite3", "koffi", "sd-notify"];

export const groupNames = Object.keys(packages);
/** All groups except those that are installed only by name. */
export const usualGroups = groupNames.filter((name) => !["documents", "peers", "system"].includes(name));
