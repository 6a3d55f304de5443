/** Checks of the connection to the daemon, and of this caller's rights and limits. Pure. */

import type { Health } from "../../../protocol/schema.ts";
import { check, type Judge } from "./check.ts";
import type { Facts } from "./facts.ts";
import { asRoot } from "./fix.ts";

export const group: Judge = ({ group: { name, gid }, caller }) => {
  const { ok, fail } = check("group");
  if (caller.uid === 0) return [ok("not needed by root")];
  if (gid === undefined)
    return [fail(`there is no group '${name}'; create it`, asRoot(`groupadd --system ${name}`, caller.uid))];
  if (caller.groups.includes(gid)) return [ok(`${caller.name} is in '${name}'`)];
  if (caller.groupsAtLogin.includes(gid)) {
    return [fail(`${caller.name} is in '${name}', but not yet in this login; log in again, or run`, `newgrp ${name}`)];
  }
  return [
    fail(
      `${caller.name} is not in '${name}'; run this, then log in again`,
      asRoot(`usermod -aG ${name} ${caller.name}`, caller.uid),
    ),
  ];
};

const wantedIds = 65535;

export const subordinateIds: Judge = ({ subordinate: { uids, gids }, caller }) => {
  const { ok, note } = check("subordinate ids");
  const enough = (counts: readonly number[]): boolean => counts.some((count) => count >= wantedIds);
  if (caller.uid !== 0 && enough(uids) && enough(gids))
    return [ok("IDs 1-65535 in the sandbox are mapped to your own ranges")];
  if (caller.uid === 0 || (uids.length === 0 && gids.length === 0))
    return [ok("IDs in the sandbox are mapped to a range that the daemon allocates")];
  const lacking = [...(enough(uids) ? [] : ["/etc/subuid"]), ...(enough(gids) ? [] : ["/etc/subgid"])];
  return [
    note(
      `no range of ${wantedIds} IDs for ${caller.name} in ${lacking.join(" and ")}: the daemon allocates one instead`,
    ),
  ];
};

export const givenIds: Judge = ({ daemon: found }) => {
  const { ok, fail } = check("given ids");
  // The daemon of an earlier version does not report them.
  const ids = found.answers ? (found.health.ids as Health["ids"] | undefined) : undefined;
  if (!ids) return [];
  if (ids.wrong !== null) return [fail(`${ids.wrong}${ids.fix === null ? "" : `; ${ids.fix}`}`)];
  return [ok(`no account has the IDs from ${ids.base} on, for users without a range in /etc/subuid`)];
};

export const units: Judge = ({ units: found, daemon, caller }) => {
  const { ok, note, fail } = check("units");
  const root = (command: string): string => asRoot(command, caller.uid);
  const socket = found?.find(({ name }) => name === "isolated.socket");
  const bad = daemon.answers ? note : fail;
  if (!found || !socket) return [note("systemd does not run here: start the daemon by hand, as root: isolated")];
  if (socket.load === "not-found") {
    const message = "isolated.socket is not installed";
    return [
      bad(daemon.answers ? `${message}; the daemon was started by hand` : `${message}: install the package isolate`),
    ];
  }
  if (socket.load === "masked") return [bad("isolated.socket is masked", root("systemctl unmask isolated.socket"))];
  const failed = found.find(({ active }) => active === "failed");
  if (failed) {
    const why = `see journalctl -u ${failed.name}; then`;
    return [
      bad(
        `${failed.name} has failed; ${why}`,
        root(`systemctl reset-failed ${failed.name} && ${root("systemctl start isolated.socket")}`),
      ),
    ];
  }
  if (socket.active !== "active")
    return [bad("isolated.socket does not listen", root("systemctl enable --now isolated.socket"))];
  if (found.some(({ needsReload }) => needsReload))
    return [note("unit files have changed since systemd read them", root("systemctl daemon-reload"))];
  if (socket.file !== "enabled") {
    return [
      note("isolated.socket listens, but will not start at the next boot", root("systemctl enable isolated.socket")),
    ];
  }
  return [ok("isolated.socket listens")];
};

export const daemon: Judge = (facts) => {
  const { ok, note, fail } = check("daemon");
  const { daemon: found, socket, clientVersion, caller } = facts;
  if (!found.answers) {
    const { code, message, hint } = found;
    if (code === "not-running") return [fail(message, asRoot(startOf(facts), caller.uid))];
    // If the socket is forbidden, the check of the group names the fix.
    return [fail(code === "socket-forbidden" || hint === "" ? message : `${message}; ${hint}`)];
  }
  if (found.health.version !== clientVersion) {
    const message = `it is version ${found.health.version} and this client ${clientVersion}; restart it`;
    return [note(message, asRoot("systemctl restart isolated.service", caller.uid))];
  }
  return [ok(`version ${found.health.version} answers at ${socket}`)];
};

function startOf({ units: found }: Facts): string {
  const installed = found?.some(({ name, load }) => name === "isolated.socket" && load === "loaded");
  return installed ? "systemctl enable --now isolated.socket" : "isolated";
}

export const limits: Judge = ({ daemon: found }) => {
  const { ok, fail } = check("limit");
  if (!found.answers) return [];
  const { held, leasesPerUser } = found.health.limits;
  if (held >= leasesPerUser) return [fail(`you hold ${held} clones, the limit; end some sandboxes`, "isolate ps")];
  return [ok(`you hold ${held} of at most ${leasesPerUser} clones`)];
};
