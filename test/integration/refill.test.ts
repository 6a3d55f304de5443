/** `isolate -r` against a server that acts as a daemon that stops, and then as the next daemon. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { IsolateError } from "../../protocol/errors.ts";
import { run } from "../support/process.ts";
import { program } from "../support/project.ts";

const pool = {
  ...{ template: "p/t", driver: "zfs", missing: false, snapshot: null, size: 0, creating: 0, ready: 0, leased: 0 },
  ...{ retired: 1, failed: 1, lastError: null, bytes: null, written: null, countedAt: null },
};

async function answered(answers: readonly { status: number; body: object }[]) {
  const directory = mkdtempSync(join(tmpdir(), "isolate-refill-"));
  const socket = join(directory, "socket");
  const left = [...answers];
  const server = createServer((_, response) => {
    const { status, body } = left.shift() ?? { status: 500, body: {} };
    const text = JSON.stringify(body);
    response.writeHead(status, { "content-length": Buffer.byteLength(text), connection: "close" }).end(text);
  });
  try {
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    return { ...(await run([program("isolate"), "-r", "p/t", "0"], { env: { ISOLATE_SOCKET: socket } })), left };
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
}

const stopping = { status: 503, body: new IsolateError("draining", {}).body() };

test("waits for a daemon that is being restarted, and reports what is left", async () => {
  const { code, stdout, stderr, left } = await answered([
    stopping,
    stopping,
    { status: 200, body: { ...pool, notes: ["cannot destroy the clone 'c'"] } },
  ]);
  expect({ code, left }).toEqual({ code: 0, left: [] });
  expect(stdout).toContain("p/t");
  expect(stderr).toContain("isolate: cannot destroy the clone 'c'\n");
});

test("reports any other refusal", async () => {
  const refused = new IsolateError("no-snapshot", { template: "p/t" });
  const { code, stderr } = await answered([{ status: 409, body: refused.body() }]);
  expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining(refused.message) });
});
