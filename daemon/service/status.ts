/** The line that `systemctl status isolated` shows. Pure. */
import type { Pool } from "../../protocol/schema.ts";

export type PoolStatus = Pick<Pool, "template" | "size" | "ready" | "leased" | "failed">;

/** `problem`: why the configuration could not be reloaded. */
export function describeStatus(pools: readonly PoolStatus[], problem: string | undefined): string {
  const short = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
  const counts = new Map<string, number>();
  for (const { template } of pools) counts.set(short(template), (counts.get(short(template)) ?? 0) + 1);
  const isShared = (name: string): boolean => (counts.get(short(name)) ?? 0) > 1;
  const each = pools.map(({ template, ready, size, leased, failed }) => {
    const parts = [`${ready}/${size} ready ${isShared(template) ? template : short(template)}`];
    if (leased > 0) parts.push(`${leased} leased`);
    if (failed > 0) parts.push(`${failed} failed`);
    return parts.join(", ");
  });
  const text = each.length === 0 ? "no templates yet" : each.join("; ");
  return (problem === undefined ? text : `${text}; not reloaded: ${problem}`).replace(/\s*\n\s*/g, " ");
}
