// @ts-check
// The programs that `npm run build` puts into dist/bin for users, with their modes. Each looks for the others next to
// itself.
export const clientPrograms = new Map([
  ["isolate", 0o755],
  ["isolate-client", 0o755],
  // Not readable: then the kernel lets nobody trace it, not even root inside (ptrace(2), PR_SET_DUMPABLE).
  ["isolate-init", 0o711],
  ["isolate-monitor", 0o755],
  ["isolate-network", 0o755],
  ["isolate-seccomp", 0o755],
]);

/** The entry module of each bundle. */
export const entries = { daemon: "daemon/main.ts", client: "client/full/main.ts", starter: "client/starter/main.ts" };
