// @ts-check
// Every Debian package that this project uses on this machine, named here and nowhere else; tools/watch.mjs holds the tests
// to it. (What goes into the virtual machine of the system tests is in test/system/packages.ts.)

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
  /** What the client and the daemon start. */
  run: ["bubblewrap", "mount", "tar", "util-linux"],
  /** For `isolate --net=private`. */
  network: ["nftables", "passt"],
  /** For `isolate template create`, whatever its source. */
  template: ["apt", "bzip2", "debian-archive-keyring", "gzip", "mmdebstrap", "xz-utils", "zstd"],
  /** For `npm run package`, beside `build`. */
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
  /** For `npm run test:system`, which installs them itself: they are many. */
  system: [
    "debian-archive-keyring",
    "e2fsprogs",
    "mmdebstrap",
    "openssh-client",
    "qemu-system-x86",
    "tar",
    "util-linux",
  ],
  /** What `npm run bench` compares with; `npm run bench -- --setup` installs it, and nothing needs it. */
  peers: ["podman", "runc", "schroot", "systemd-container", "uidmap"],
};

/** For `npm run package -- --arch ARCH`, beside `build` and `package`. */
export const crossPackages = { arm64: ["g++-aarch64-linux-gnu", "qemu-user"] };

/** Node modules that hold compiled code, which no bundle can take in. */
export const nativeModules = ["better-sqlite3", "koffi", "sd-notify"];

export const groupNames = Object.keys(packages);
/** Without those that are installed only when they are named. */
export const usualGroups = groupNames.filter((name) => name !== "peers" && name !== "system");
