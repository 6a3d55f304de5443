/** `isolate pool`. */
import type { Pool } from "../../../protocol/schema.ts";
import type { Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { bytesAsOf } from "./quantities.ts";

export async function pool(api: Api, print: Print, json: boolean): Promise<void> {
  const pools = await api.call("pools", {});
  if (json) print.json(pools);
  else if (pools.length === 0) print.info("there is no pool yet: to make one, run as root: isolate -r TEMPLATE N");
  else printPools(pools, print);
}

export function printPools(pools: readonly Pool[], print: Print): void {
  const heads = [
    "TEMPLATE",
    "DRIVER",
    "SNAPSHOT",
    "SIZE",
    "CREATING",
    "READY",
    "LEASED",
    "RETIRED",
    "FAILED",
    "BYTES",
    "WRITTEN",
    "LAST ERROR",
  ];
  const now = Date.now();
  print.table(
    heads,
    pools.map((it) => [
      it.template,
      it.driver,
      it.snapshot,
      it.size,
      it.creating,
      it.ready,
      it.leased,
      it.retired,
      it.failed,
      bytesAsOf(it.bytes, it.countedAt, now),
      bytesAsOf(it.written, it.countedAt, now),
      it.lastError,
    ]),
  );
}
