/** Snapshot names that sort by time. */

/** Nanoseconds since 1970 as `20261121T223344.123456789Z`. */
export function stamp(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000_000n) * 1000).toISOString().slice(0, 19).replace(/[-:]/g, "");
  return `${seconds}.${(nanoseconds % 1_000_000_000n).toString().padStart(9, "0")}Z`;
}

/** Never returns a stamp twice, nor an earlier one after a later one, even if the clock is set back. */
export function createStamps(now: () => number): { next(): string } {
  let last = 0n;
  return {
    next() {
      const time = BigInt(Math.trunc(now())) * 1_000_000n;
      last = time > last ? time : last + 1n;
      return stamp(last);
    },
  };
}
