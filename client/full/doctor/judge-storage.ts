/** Checks of ZFS, the overlay store, the templates and the free space. Pure. */
import { atLeast, check, type Judge } from "./check.ts";
import { asRoot, install } from "./fix.ts";

export const zfs: Judge = (facts) => {
  const { ok, note, fail, unchecked } = check("zfs");
  const { daemon: found, zfs: host, caller, distribution } = facts;
  const said = found.answers ? found.health.storage.find(({ driver }) => driver === "zfs") : undefined;
  const templates = found.answers
    ? found.pools.filter(({ driver }) => driver === "zfs").map(({ template }) => template)
    : [];
  if (!host.commands || host.module === undefined) {
    const loaded = host.commands ? "its kernel module is not loaded" : "it is not installed";
    const command = host.commands ? "modprobe zfs" : install("zfs", distribution);
    const fix = command && asRoot(command, caller.uid);
    if (templates.length > 0) return [fail(`${loaded}, and ${templates.join(", ")} need it`, fix)];
    return [note(`${loaded}: templates go to the overlay store`, fix)];
  }
  if (!atLeast(host.module, 2, 2)) return [note(`OpenZFS ${host.module} lacks ID-mapped mounts, which need 2.2`)];
  if (said?.wrong) {
    return [
      note(
        `it works now, but did not when the daemon started (${said.wrong}); restart the daemon`,
        asRoot("systemctl restart isolated.service", caller.uid),
      ),
    ];
  }
  if (host.pools === undefined) return [unchecked("not checked: needs root", asRoot("isolate doctor", caller.uid))];
  const used = new Set(templates.map((template) => template.split("/")[0]));
  const ill = host.pools.filter(({ name, health }) => used.has(name) && health !== "ONLINE");
  return [
    ok(
      templates.length === 0
        ? `OpenZFS ${host.module.trim()}`
        : `OpenZFS ${host.module.trim()}; ready clones keep their storage pool and its keys busy; to free both: isolate -r TEMPLATE 0`,
    ),
    ...ill.map(({ name, health }) =>
      health === "DEGRADED"
        ? note(`the pool ${name} is degraded but works; see`, `zpool status -v ${name}`)
        : fail(`the pool ${name} is ${health.toLowerCase()}; see`, `zpool status -v ${name}`),
    ),
    ...host.pools
      .filter(({ name, capacity }) => used.has(name) && capacity >= 90)
      .map(({ name, capacity }) =>
        note(`the pool ${name} is ${capacity} % full, which slows ZFS down; see`, `zfs list -o space -r ${name}`),
      ),
  ];
};

/** Linux file systems with FS_ALLOW_IDMAP, mount_setattr(2). */
const mappable = ["ext4", "xfs", "btrfs", "f2fs", "tmpfs", "bcachefs", "zfs"];

export const overlay: Judge = ({ daemon: found, overlayKnown, stateFileSystem, caller }) => {
  const { ok, note, fail, unchecked } = check("overlay store");
  const said = found.answers ? found.health.storage.find(({ driver }) => driver === "overlay") : undefined;
  if (found.answers && said) {
    if (said.wrong === null) return [ok("ID-mapped overlays work; the daemon tested them")];
    const message = said.fix ? `${said.wrong}; ${said.fix}` : said.wrong;
    return [found.pools.some(({ driver }) => driver === "overlay") ? fail(message) : note(message)];
  }
  if (!overlayKnown) return [note("the kernel does not support overlayfs", asRoot("modprobe overlay", caller.uid))];
  if (stateFileSystem && !mappable.includes(stateFileSystem.type)) {
    const { path, type } = stateFileSystem;
    return [
      note(`${path} is on ${type}, which may not support ID-mapped mounts: put state_dir on another file system`),
    ];
  }
  return [unchecked("not checked: the daemon tests it when it starts")];
};

export const templates: Judge = ({ daemon: found }) => {
  const { ok, note, fail, unchecked } = check("templates");
  if (!found.answers) return [unchecked("not checked: needs the daemon")];
  if (found.pools.length === 0)
    return [fail("there is no template; create one", "sudo isolate template create debian --debian trixie")];
  const judged = found.pools.map(({ template, missing, snapshot, lastError, ready, size }) => {
    if (missing) {
      const says = `${template}: its storage has no such template; if it was destroyed or renamed, remove its pool:`;
      return fail(says, `sudo isolate -r ${quoted(template)} 0`);
    }
    if (snapshot === null && lastError === null)
      return note(`${template}: the daemon is still looking up its snapshots`);
    if (snapshot === null)
      return fail(`${template}: ${lastError}`, `sudo isolate template snapshot ${quoted(template)}`);
    if (lastError !== null && ready === 0 && size > 0)
      return fail(`${template}: ${lastError}`, `sudo isolate -r ${quoted(template)} ${size}`);
    if (lastError !== null) return note(`${template}: ${lastError}`);
    return ok(`${template}: ${ready} of ${size} clones ready, from ${snapshot}`);
  });
  const withMore = found.templates.filter(({ below = [] }) => below.length > 0);
  return [
    ...judged,
    ...withMore.map(({ template, below }) =>
      note(`${template}: the datasets below it are not in its clones: ${below.join(", ")}`),
    ),
  ];
};

/** As a word of a shell. */
function quoted(name: string): string {
  return /^[A-Za-z0-9_.:/-]+$/.test(name) ? name : `'${name}'`;
}

const mebibyte = 2 ** 20;

export const space: Judge = ({ daemon: found }) => {
  const { ok, note, fail, unchecked } = check("space");
  if (!found.answers) return [unchecked("not checked: needs the daemon")];
  return found.health.space.map(({ place, free, total }) => {
    const message = `${place}: ${Math.floor(free / mebibyte)} MiB free of ${Math.floor(total / mebibyte)}`;
    const see = place.includes("/") ? `zfs list -o space -r ${place}` : "isolate pool";
    if (free < 16 * mebibyte) return fail(`${message}; see what uses it`, see);
    if (free < 1024 * mebibyte || free < total / 50) return note(`${message}; see what uses it`, see);
    return ok(message);
  });
};
