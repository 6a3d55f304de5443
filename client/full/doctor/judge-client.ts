/** Checks of the host features that the client needs. Pure. */
import { atLeast, check, type Judge } from "./check.ts";
import { asRoot, install, setSysctl } from "./fix.ts";

export const kernel: Judge = ({ kernel: release }) => {
  const { ok, note, fail } = check("kernel");
  if (atLeast(release, 5, 19)) return [ok(`Linux ${release} supports ID-mapped mounts, including overlay layers`)];
  if (atLeast(release, 5, 12)) {
    return [note(`Linux ${release} supports ID-mapped ZFS mounts; templates of the overlay store need 5.19`)];
  }
  return [
    fail(
      `Linux ${release} lacks ID-mapped mounts, which need 5.12, or 5.19 for the overlay store; boot a newer kernel`,
    ),
  ];
};

export const userNamespaces: Judge = ({ sandbox, userNamespaces: host, inContainer, caller }) => {
  const { ok, fail, unchecked } = check("user namespaces");
  const root = (command: string): string => asRoot(command, caller.uid);
  if (host.most === 0) {
    return [fail("user.max_user_namespaces is 0", root(setSysctl("user.max_user_namespaces = 15000")))];
  }
  if (host.unprivileged === false) {
    return [fail("users may not create them", root(setSysctl("kernel.unprivileged_userns_clone = 1")))];
  }
  if (sandbox === undefined) return [unchecked("not checked: needs bwrap")];
  if (sandbox.ok) return [ok("a test sandbox starts as an ordinary user")];
  if (host.appArmorRestricts) {
    return [
      fail(
        `AppArmor restricts them for programs without a profile (${sandbox.said})`,
        root(setSysctl("kernel.apparmor_restrict_unprivileged_userns = 0")),
      ),
    ];
  }
  const where = inContainer ? "; this is a container, and its manager must allow user namespaces" : "";
  return [fail(`a test sandbox does not start as an ordinary user: ${sandbox.said}${where}`)];
};

export const seccomp: Judge = ({ seccompActions }) => {
  const { ok, fail } = check("seccomp");
  return seccompActions.includes("errno")
    ? [ok("the kernel supports system call filters")]
    : [fail("the kernel lacks seccomp filters (CONFIG_SECCOMP_FILTER); boot a kernel that has them")];
};

export const bwrap: Judge = ({ bwrap: found, distribution, caller }) => {
  const { ok, note, fail } = check("bwrap");
  if (!found) {
    const command = install("bubblewrap", distribution);
    return [fail("bubblewrap is not installed", command && asRoot(command, caller.uid))];
  }
  const { path, version, setuid } = found;
  if (setuid) {
    return [
      fail(
        `${path} is set-user-id, and therefore cannot join a user namespace`,
        asRoot(`chmod u-s ${path}`, caller.uid),
      ),
    ];
  }
  if (version === undefined) return [fail(`${path} does not report its version`)];
  if (!atLeast(version, 0, 8)) return [fail(`bubblewrap ${version} is too old: 0.8 or newer is needed`)];
  if (!atLeast(version, 0, 12)) {
    return [
      note(
        `bubblewrap ${version} follows links of the root filesystem (CVE-2026-87766, fixed in 0.12); isolate works around it`,
      ),
    ];
  }
  return [ok(`bubblewrap ${version}`)];
};

export const abstractSockets: Judge = ({ network: { scopesSockets } }) => {
  const { ok, note } = check("abstract sockets");
  return scopesSockets
    ? [ok("the kernel blocks the host's abstract sockets in a run with -n")]
    : [note("a run with -n can reach the host's abstract sockets: use --net=private, or boot Linux 6.12 or newer")];
};

export const privateNetwork: Judge = ({ network: { programs, tun, defaultRoute }, distribution, caller }) => {
  const { ok, note } = check("private network");
  const wanted = [
    ...(programs.includes("nft") ? [] : (["nftables"] as const)),
    ...(programs.some((program) => program !== "nft") ? [] : (["passt"] as const)),
  ];
  if (wanted.length > 0) {
    const commands = wanted.flatMap((one) => install(one, distribution) ?? []);
    const fix = commands.map((command) => asRoot(command, caller.uid)).join(" && ");
    return [note(`--net=private needs ${wanted.join(" and ")}`, fix === "" ? undefined : fix)];
  }
  if (!tun) return [note("--net=private needs access to /dev/net/tun", asRoot("chmod 666 /dev/net/tun", caller.uid))];
  if (!programs.includes("pasta"))
    return [note("slirp4netns supports IPv4 only, and no nameserver at an address of the host; passt supports both")];
  if (defaultRoute) return [ok("pasta is installed")];
  if (programs.includes("slirp4netns"))
    return [note("isolate uses slirp4netns, with IPv4 only: the host has no default route, which pasta may need")];
  const command = install("slirp4netns", distribution);
  return [
    note(
      "the host has no default route, which pasta may need; slirp4netns does not",
      command && asRoot(command, caller.uid),
    ),
  ];
};

export const helpers: Judge = ({ helpers: all }) =>
  all.map(({ name, path, looked }) => {
    const { ok, fail } = check(name);
    return path === undefined ? fail(`not found at ${looked.join(" or ")}: reinstall isolate`) : ok(path);
  });
