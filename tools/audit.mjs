#!/usr/bin/env node
// @ts-check
// `node tools/audit.mjs`: fails if the registry knows a vulnerability in a package that users get. If the registry does
// not answer, as with mirrors, that is only a note, so that `npm run check` works without a network. For a release,
// ISOLATE_AUDIT=required makes it a failure.
import { execFileSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The report of `npm audit --json`, version 2, or the reason why there is none.
 * @typedef {{ title: string, url: string }} Advisory
 * @typedef {{ name: string, severity: string, range: string, via: (string | Advisory)[] }} Vulnerability
 * @typedef {{ vulnerabilities?: Record<string, Vulnerability>, message?: string, error?: { summary?: string } }} Report
 */

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @returns {Report} */
function audit() {
  try {
    const words = ["audit", "--omit=dev", "--json", "--loglevel=silent"];
    return JSON.parse(execFileSync("npm", words, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch (error) {
    // The exit code is 1 both for a finding and without an answer.
    const { stdout, message } = /** @type {Error & { stdout?: string }} */ (error);
    return stdout ? JSON.parse(stdout) : { message };
  }
}

const { vulnerabilities, message, error } = audit();
if (vulnerabilities) {
  for (const { name, severity, range, via } of Object.values(vulnerabilities)) {
    const causes = via.map((one) => (typeof one === "string" ? `by ${one}` : `${one.title}, ${one.url}`));
    console.error(`cannot pass: ${`${name} ${range}`.trim()} is vulnerable (${severity}): ${causes.join("; ")}`);
  }
  if (Object.keys(vulnerabilities).length > 0) {
    console.error("Run `npm audit fix`, or require a version without the vulnerability in package.json.");
    process.exitCode = 1;
  }
} else {
  const why = (message || error?.summary || "it gave no reason").split("\n")[0];
  const required = process.env.ISOLATE_AUDIT === "required";
  console.error(
    `${required ? "cannot pass" : "note"}: the packages are not audited: npm's registry did not answer: ${why}`,
  );
  if (required) process.exitCode = 1;
}
