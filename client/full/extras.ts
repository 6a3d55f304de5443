/** Implements the extras of `run/context.ts`, which need child processes, connections and timers. */

export { probeSession } from "./desktop/share.ts";
export { makeCallersUserns, makeUserns } from "./ids/own-userns.ts";
export { probeContainerHost } from "./lxc/host.ts";
export { runContainer } from "./lxc/run.ts";
export { preparePrivateNetwork } from "./network/private.ts";
