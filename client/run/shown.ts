/** The parts of the desktop that a sandbox shows. Each probe of the session returns a `Shown`. */
import type { Mount } from "../../engines/spec.ts";

export interface Shown {
  /** Their targets are in the engine's /tmp and /dev, so that nothing is made in the root. */
  readonly mounts: readonly Mount[];
  readonly environment: Readonly<Record<string, string>>;
  /** A descriptor to keep open as long as the sandbox exists. */
  readonly held?: number;
}

/** Joins the parts. */
export function together(parts: readonly Shown[]): Shown {
  const held = parts.map((part) => part.held).find((descriptor) => descriptor !== undefined);
  return {
    mounts: parts.flatMap(({ mounts }) => mounts),
    environment: Object.assign({}, ...parts.map(({ environment }) => environment)) as Record<string, string>,
    ...(held === undefined ? {} : { held }),
  };
}
