/** Shows the caller's X display in a sandbox: one socket, and a cookie in a file of this run. */

import type { Shown } from "../../../run/shown.ts";
import { type Display, socketOf } from "./display.ts";

export interface ScreenFacts {
  readonly display: Display;
  /** Its number inside. */
  readonly number: number;
  /** A descriptor from which an authority file (`xauthority.ts`) can be read; `undefined` if the server needs none. */
  readonly xauthority: number | undefined;
  /** A connection that keeps the cookie valid. */
  readonly held: number | undefined;
}

const xauthorityPath = "/dev/isolate-xauthority";

export function showScreen({ display, number, xauthority, held }: ScreenFacts): Shown {
  const { host, screen } = display;
  return {
    mounts: [
      ...(host === undefined
        ? [
            {
              kind: "bind",
              from: socketOf(display),
              source: "file",
              to: socketOf({ number }),
              readOnly: true, // connecting works without write access
            } as const,
          ]
        : []),
      ...(xauthority === undefined ? [] : [{ kind: "data", descriptor: xauthority, to: xauthorityPath } as const]),
    ],
    environment: {
      DISPLAY: `${host ?? ""}:${number}${screen}`,
      ...(xauthority === undefined ? {} : { XAUTHORITY: xauthorityPath }),
    },
    ...(held === undefined ? {} : { held }),
  };
}
