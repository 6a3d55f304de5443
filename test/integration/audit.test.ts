/** tools/audit.mjs, with our own registry on the loopback. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { type Outcome, run } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";

let registry: Server | undefined;
afterEach(() => {
  registry?.close();
});

/** The registry's answer to each request for advisories. */
async function audit(status: number, advisories: object, env: Record<string, string> = {}): Promise<Outcome> {
  registry = createServer((request, response) => {
    const asked = request.method === "POST" && request.url?.startsWith("/-/npm/v1/security/");
    request.resume().on("end", () => {
      response.writeHead(asked ? status : 404, { "content-type": "application/json" });
      response.end(JSON.stringify(asked ? advisories : {}));
    });
  });
  await new Promise<void>((resolve) => registry?.listen(0, "127.0.0.1", resolve));
  const { port } = registry.address() as AddressInfo;
  const settings = { npm_config_registry: `http://127.0.0.1:${port}/`, npm_config_fetch_retries: "0" };
  return run([process.execPath, join(projectRoot, "tools/audit.mjs")], { env: { ...settings, ...env } });
}

const advisory = {
  id: 1,
  url: "https://advisories.invalid/1",
  title: "it answers too much",
  severity: "low",
  vulnerable_versions: "<9999",
  cwe: [],
  cvss: { score: 0, vectorString: null },
};

test("passes and prints nothing if there is no advisory", async () => {
  expect(await audit(200, {})).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("fails and names the advisory, of any severity, if it concerns a package that users get", async () => {
  const { code, stderr } = await audit(200, { fastify: [advisory] });
  expect(stderr).toMatch(
    /^cannot pass: fastify is vulnerable \(low\): it answers too much, https:\/\/advisories\.invalid\/1$/m,
  );
  expect(code).toBe(1);
});

test("passes if the advisory concerns a development package", async () => {
  expect(await audit(200, { jest: [advisory] })).toMatchObject({ code: 0, stderr: "" });
});

test("prints a note if the registry does not answer, and fails if an audit is required", async () => {
  const why = /: the packages are not audited: npm's registry did not answer: 405 /;
  const noted = await audit(405, {});
  expect(noted).toMatchObject({ code: 0, stderr: expect.stringMatching(why) });
  expect(noted.stderr).toMatch(/^note: /);
  registry?.close();
  const required = await audit(405, {}, { ISOLATE_AUDIT: "required" });
  expect(required).toMatchObject({ code: 1, stderr: expect.stringMatching(why) });
  expect(required.stderr).toMatch(/^cannot pass: /);
});
