/** Where the daemon listens unless told otherwise. */
export const defaultSocket = "/run/isolate/isolated.sock";
