/** What a part of the desktop adds to a sandbox. Each file here turns what the session has into one of these. */
import type { Mount } from "../../engines/spec.ts";

export interface Shown {
  /** Their targets are in the engine's own /tmp and /dev, so that nothing is made in the root. */
  readonly mounts: readonly Mount[];
  readonly environment: Readonly<Record<string, string>>;
  /** To be kept open as long as the sandbox is there. */
  readonly held?: number;
}

/** All of them as one. */
export function together(parts: readonly Shown[]): Shown {
  const held = parts.map((part) => part.held).find((descriptor) => descriptor !== undefined);
  return {
    mounts: parts.flatMap(({ mounts }) => mounts),
    environment: Object.assign({}, ...parts.map(({ environment }) => environment)) as Record<string, string>,
    ...(held === undefined ? {} : { held }),
  };
}
