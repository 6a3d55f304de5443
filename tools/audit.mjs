#!/usr/bin/env node
// @ts-check
// `node tools/audit.mjs`: fails where the registry knows of a vulnerability in a package that users get. A registry that
// gives no answer, as mirrors do, is a note: what was not found out is no finding, and `npm run check` works without a
// network. ISOLATE_AUDIT=required makes it a failure, for those who make a release.
import { execFileSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * npm's own report, of `npm audit --json`: its version 2, or why there is none.
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
    // It ends with 1 both for a finding and without an answer.
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
    console.error("Run `npm audit fix`, or take a version that is not vulnerable into package.json.");
    process.exitCode = 1;
  }
} else {
  const why = (message || error?.summary || "it gave no reason").split("\n")[0];
  const required = process.env.ISOLATE_AUDIT === "required";
  console.error(
    `${required ? "cannot pass" : "note"}: the packages are not audited, npm's registry did not answer: ${why}`,
  );
  if (required) process.exitCode = 1;
}
