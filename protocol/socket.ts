/** Where the daemon listens by default. */
export const defaultSocket = "/run/isolate/isolated.sock";
