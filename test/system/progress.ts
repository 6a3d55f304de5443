/** Prints a short line per step, with the seconds since the start: the guest is slow, and silence looks like a hang. */
export type Progress = (step: string) => void;

export function createProgress(write: (line: string) => void, now: () => number): Progress {
  const start = now();
  return (step) => write(`[${((now() - start) / 1000).toFixed(1).padStart(6)} s] ${step}\n`);
}
