/** The way to the daemon, and what it lets this caller have. Pure. */

import type { Health } from "../../../protocol/schema.ts";
import { check, type Judge } from "./check.ts";
import type { Facts } from "./facts.ts";
import { asRoot } from "./fix.ts";

export const group: Judge = ({ group: { name, gid }, caller }) => {
  const { ok, fail } = check("group");
  if (caller.uid === 0) return [ok("root needs none")];
  if (gid === undefined) return [fail(`there is no group '${name}'`, asRoot(`groupadd --system ${name}`, caller.uid))];
  if (caller.groups.includes(gid)) return [ok(`${caller.name} is in '${name}'`)];
  if (caller.groupsAtLogin.includes(gid)) {
    return [
      fail(`${caller.name} is in '${name}', but not yet in this login: log out and in again, or`, `newgrp ${name}`),
    ];
  }
  return [
    fail(
      `${caller.name} is not in '${name}'; log in again after`,
      asRoot(`usermod -aG ${name} ${caller.name}`, caller.uid),
    ),
  ];
};

const wantedIds = 65535;

export const subordinateIds: Judge = ({ subordinate: { uids, gids }, caller }) => {
  const { ok, note } = check("subordinate ids");
  const enough = (counts: readonly number[]): boolean => counts.some((count) => count >= wantedIds);
  if (caller.uid !== 0 && enough(uids) && enough(gids)) return [ok("ids 1 to 65535 inside are of your own ranges")];
  if (caller.uid === 0 || (uids.length === 0 && gids.length === 0))
    return [ok("ids inside are of a range that the daemon gives")];
  const lacking = [...(enough(uids) ? [] : ["/etc/subuid"]), ...(enough(gids) ? [] : ["/etc/subgid"])];
  return [
    note(`no range of ${wantedIds} ids for ${caller.name} in ${lacking.join(" and ")}: the daemon gives one instead`),
  ];
};

export const givenIds: Judge = ({ daemon: found }) => {
  const { ok, fail } = check("given ids");
  // A daemon of an earlier version says nothing of them.
  const ids = found.answers ? (found.health.ids as Health["ids"] | undefined) : undefined;
  if (!ids) return [];
  if (ids.wrong !== null) return [fail(`${ids.wrong}${ids.fix === null ? "" : `; ${ids.fix}`}`)];
  return [ok(`those from ${ids.base} on, which users without a range get, are no account's`)];
};

export const units: Judge = ({ units: found, daemon, caller }) => {
  const { ok, note, fail } = check("units");
  const root = (command: string): string => asRoot(command, caller.uid);
  const socket = found?.find(({ name }) => name === "isolated.socket");
  const bad = daemon.answers ? note : fail;
  if (!found || !socket) return [note("systemd does not run here: isolated has to be started some other way")];
  if (socket.load === "not-found") {
    const message = "isolated.socket is not installed";
    return [
      bad(daemon.answers ? `${message}; the daemon was started by hand` : `${message}: install isolate's package`),
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
    return [note("unit files have changed since they were read", root("systemctl daemon-reload"))];
  if (socket.file !== "enabled") {
    return [
      note("isolated.socket listens, but will not after the next boot", root("systemctl enable isolated.socket")),
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
    // Of a socket that is out of reach the group's check says the rest.
    return [fail(code === "socket-forbidden" || hint === "" ? message : `${message}; ${hint}`)];
  }
  if (found.health.version !== clientVersion) {
    const message = `it is version ${found.health.version} and this client ${clientVersion}; it runs the new one after`;
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
  if (held >= leasesPerUser)
    return [fail(`you hold ${held} clones, which is the limit; end some of them`, "isolate ps")];
  return [ok(`you hold ${held} of at most ${leasesPerUser} clones`)];
};
