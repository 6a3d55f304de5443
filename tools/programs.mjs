// @ts-check
// What `npm run build` puts into dist/bin for those who run sandboxes, with modes. They belong together: each looks for the
// others beside itself.
export const clientPrograms = new Map([
  ["isolate", 0o755],
  ["isolate-client", 0o755],
  // Not to be read: the kernel then lets nobody trace it, whatever they are inside (ptrace(2), PR_SET_DUMPABLE).
  ["isolate-init", 0o711],
  ["isolate-monitor", 0o755],
  ["isolate-network", 0o755],
  ["isolate-seccomp", 0o755],
]);

/** The module that each of our bundles begins with. */
export const entries = { daemon: "daemon/main.ts", client: "client/full/main.ts", starter: "client/starter/main.ts" };
