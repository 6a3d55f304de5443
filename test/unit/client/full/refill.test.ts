/** `isolate -r` against servers that stand for a daemon that stops and for the next one. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { createApi } from "../../../../client/full/api.ts";
import { refill } from "../../../../client/full/commands/refill.ts";
import { createPrint } from "../../../../client/run/report/print.ts";
import { IsolateError } from "../../../../protocol/errors.ts";

const pool = {
  ...{ template: "p/t", driver: "zfs", missing: false, snapshot: null, size: 0, creating: 0, ready: 0, leased: 0 },
  ...{ retired: 1, failed: 1, lastError: null, bytes: null, written: null, countedAt: null },
};
const request = { template: "p/t", size: "0", fresh: false, reclaimOnly: false };

async function answered(answers: readonly { status: number; body: object }[]) {
  const directory = mkdtempSync(join(tmpdir(), "isolate-refill-"));
  const left = [...answers];
  const server = createServer((_, response) => {
    const { status, body } = left.shift() ?? { status: 500, body: {} };
    response.writeHead(status).end(JSON.stringify(body));
  });
  const said = ["", "", ""];
  const write = (descriptor: 1 | 2, text: string): void => {
    said[descriptor] += text;
  };
  try {
    await new Promise<void>((resolve) => server.listen(join(directory, "socket"), resolve));
    const print = createPrint({ write, isTerminal: () => false, environment: {} });
    await refill(request, createApi(join(directory, "socket")), print, "normal");
    return { out: said[1], err: said[2], left };
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
}

const stopping = { status: 503, body: new IsolateError("draining", {}).body() };

test("waits for a daemon that is being restarted, and says what is left", async () => {
  const { out, err, left } = await answered([
    stopping,
    stopping,
    { status: 200, body: { ...pool, notes: ["cannot destroy the clone 'c'"] } },
  ]);
  expect(left).toEqual([]);
  expect(out).toContain("p/t");
  expect(err).toContain("isolate: cannot destroy the clone 'c'\n");
});

test("another refusal is told", async () => {
  const refused = new IsolateError("no-snapshot", { template: "p/t" });
  await expect(answered([{ status: 409, body: refused.body() }])).rejects.toThrow(refused.message);
});
