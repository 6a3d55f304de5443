/** What the starter leaves to the whole client: it takes processes, connections and a clock to wait by. */

export { probeSession } from "./desktop/session.ts";
export { probeContainerHost } from "./lxc/host.ts";
export { runContainer } from "./lxc/run.ts";
export { preparePrivateNetwork } from "./network/private.ts";
export { makeUserns } from "./own-userns.ts";
