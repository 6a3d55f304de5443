/** What the client needs of its host. Pure. */
import { atLeast, check, type Judge } from "./check.ts";
import { asRoot, install, setSysctl } from "./fix.ts";

export const kernel: Judge = ({ kernel: release }) => {
  const { ok, note, fail } = check("kernel");
  if (atLeast(release, 5, 19)) return [ok(`Linux ${release} maps the ids of mounts, of an overlay's layers too`)];
  if (atLeast(release, 5, 12)) {
    return [note(`Linux ${release} maps the ids of ZFS's mounts; templates of the overlay store need 5.19`)];
  }
  return [
    fail(
      `Linux ${release} cannot map the ids of a mount, which needs 5.12, and 5.19 for the overlay store; boot a newer kernel`,
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
    return [fail("users may not make them", root(setSysctl("kernel.unprivileged_userns_clone = 1")))];
  }
  if (sandbox === undefined) return [unchecked("cannot be tried without bwrap")];
  if (sandbox.ok) return [ok("an ordinary user's bare sandbox starts")];
  if (host.appArmorRestricts) {
    return [
      fail(
        `AppArmor takes their rights away from programs without a profile (${sandbox.said})`,
        root(setSysctl("kernel.apparmor_restrict_unprivileged_userns = 0")),
      ),
    ];
  }
  const where = inContainer ? "; this is a container, and its manager has to allow it" : "";
  return [fail(`an ordinary user's bare sandbox does not start: ${sandbox.said}${where}`)];
};

export const seccomp: Judge = ({ seccompActions }) => {
  const { ok, fail } = check("seccomp");
  return seccompActions.includes("errno")
    ? [ok("the kernel filters system calls")]
    : [fail("the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER); boot one that has")];
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
      fail(`${path} is set-user-id, and then takes no user namespace of ours`, asRoot(`chmod u-s ${path}`, caller.uid)),
    ];
  }
  if (version === undefined) return [fail(`${path} does not say its version`)];
  if (!atLeast(version, 0, 8)) return [fail(`bubblewrap ${version} is too old: 0.8 or newer is needed`)];
  if (!atLeast(version, 0, 12)) {
    return [
      note(
        `bubblewrap ${version} follows links of the root (CVE-2026-87766, fixed in 0.12); isolate resolves them itself`,
      ),
    ];
  }
  return [ok(`bubblewrap ${version}`)];
};

export const abstractSockets: Judge = ({ network: { scopesSockets } }) => {
  const { ok, note } = check("abstract sockets");
  return scopesSockets
    ? [ok("the kernel closes the host's to a run with -n")]
    : [note("a run with -n reaches the host's: Landlock of Linux 6.12 or newer would close them, or --net=private")];
};

export const privateNetwork: Judge = ({ network: { programs, tun }, distribution, caller }) => {
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
  if (!tun)
    return [note("--net=private needs /dev/net/tun, open to you", asRoot("chmod 666 /dev/net/tun", caller.uid))];
  if (!programs.includes("pasta"))
    return [note("by slirp4netns: IPv4 alone, and no nameserver at an address of the host's own; passt has both")];
  return [ok("by pasta")];
};

export const helpers: Judge = ({ helpers: all }) =>
  all.map(({ name, path, looked }) => {
    const { ok, fail } = check(name);
    return path === undefined ? fail(`it is not at ${looked.join(" or ")}: install isolate again, whole`) : ok(path);
  });
