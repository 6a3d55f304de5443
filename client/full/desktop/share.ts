/** Probes what the caller's session offers a sandbox, before anything is spent on the run. */

import type { BaseIds } from "../../../protocol/ids.ts";
import type { RunContext } from "../../run/context.ts";
import type { RunRequest } from "../../run/options/requests.ts";
import { inherited } from "../../run/options/role.ts";
import { type Shown, together } from "../../run/shown.ts";
import type { Session } from "./session.ts";

/** An id that nobody has: below the ids that `own-userns.ts` and the daemon use for root's sandboxes. */
const stranger = 0x6fff0000;

/** Throws `cannot-share`. */
export async function probeSession(
  request: RunRequest,
  ids: BaseIds | undefined,
  { libc, environment, rootCalls: calls, print }: Pick<RunContext, "libc" | "environment" | "rootCalls" | "print">,
): Promise<Shown> {
  const uid = libc.uid();
  const { screen, sound, network } = request;
  const connect = libc.connectUnix;
  const warn = inherited(request.role) === undefined ? print.warn : () => undefined; // an earlier process has said it
  const session: Session = { environment, uid, ids, libc, warn, connect, connectAsSandbox: connect };
  if (uid === 0) {
    session.connectAsSandbox = (path) => {
      // Other users may not be able to reach its directory.
      const socket = libc.openPath(path);
      try {
        return calls.asUser(ids?.uid ?? stranger, ids?.gid ?? stranger, () =>
          libc.connectUnix(`/proc/self/fd/${socket}`),
        );
      } finally {
        libc.close(socket);
      }
    };
  }
  return together([
    ...(screen ? [(await import("./x11/screen.ts")).probeScreen(screen, request, session)] : []),
    ...(sound ? [(await import("./sound/sound.ts")).probeSound(network, session)] : []),
  ]);
}
