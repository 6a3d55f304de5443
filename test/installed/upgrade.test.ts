/** A newer package while sandboxes run, a database that is too new, and the package's removal. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually, must, run } from "../support/process.ts";
import {
  asUser,
  clones,
  configFile,
  database,
  isActive,
  packageFile,
  pool,
  property,
  size,
  systemctl,
  template,
  whole,
} from "./host.ts";
import { alive, begin } from "./sandboxes.ts";

const daemon = "isolated.service";
let directory: string;
let newer: string;

/** The same package with a higher version. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "isolate-upgrade-"));
  newer = join(directory, "isolate_newer.deb");
  const tree = join(directory, "tree");
  await must(["dpkg-deb", "-R", packageFile(), tree], { patience: 120_000 });
  const control = join(tree, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^Version: (.*)$/m, "Version: $1+newer"));
  await must(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, newer], { patience: 120_000 });
  rmSync(tree, { recursive: true });
}, 3_600_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Returns the database's version, or sets it first. Uses the package's module, since the daemon is stopped. */
async function schemaVersion(version?: number): Promise<number> {
  const change = version === undefined ? "" : `d.pragma("user_version = ${version}");`;
  const read = 'console.log(d.pragma("user_version", { simple: true })); d.close()';
  const open = `const d = new (require("/usr/lib/isolate/node_modules/better-sqlite3"))("${database}");`;
  return Number(await must(["node", "-e", `${open}${change}${read}`]));
}

test("sandboxes survive an upgrade, and the new daemon reclaims them", async () => {
  await whole();
  const running = await begin(3);
  const before = await property(daemon, "MainPID");
  await must(["apt-get", "install", "-y", newer], { patience: 120_000 });
  expect(await must(["dpkg-query", "-s", "isolate"])).toMatch(/^Version: .*\+newer$/m);
  expect(await property(daemon, "MainPID")).not.toBe(before);
  expect(await property("isolated.socket", "ActiveState")).toBe("active");
  expect(readFileSync(configFile, "utf8")).toContain(template);
  expect(await running.end()).toEqual([alive, alive, alive]);
  await whole();
});

test("refuses a database of a newer version with an error, and does not change it", async () => {
  await systemctl("stop", daemon);
  const known = await schemaVersion();
  await schemaVersion(99);
  const bytes = readFileSync(database);
  try {
    expect((await run(["systemctl", "start", daemon], { patience: 60_000 })).code).not.toBe(0);
    const log = await must(["journalctl", "-q", "-o", "cat", "-u", daemon, "-n", "50"]);
    expect(log).toMatch(
      /isolated: cannot start: the database \S+ is of a newer isolate \(version 99, this one knows \d+\)/,
    );
    expect(log).toContain("install that newer version again");
  } finally {
    await run(["systemctl", "stop", daemon]);
  }
  expect(readFileSync(database).equals(bytes)).toBe(true);
  await schemaVersion(known);
  await systemctl("start", daemon);
  await whole();
});

test("a downgrade to a version that knows the database continues with it", async () => {
  await must(["apt-get", "install", "-y", "--allow-downgrades", packageFile()], { patience: 120_000 });
  expect(await isActive(daemon)).toBe(true);
  await whole();
});

test("removal: none of its services run, a sandbox continues, and every dataset and setting stays", async () => {
  const running = await begin(1);
  await eventually("the pool is full", async () => (await pool()).ready === size);
  const before = await clones();
  await must(["apt-get", "remove", "-y", "isolate"], { patience: 120_000 });
  expect(existsSync("/usr/bin/isolate")).toBe(false);
  expect(await isActive("isolated.socket")).toBe(false);
  expect(await running.end()).toEqual([alive]);
  expect(await clones()).toEqual(before);
  expect(existsSync(configFile) && existsSync(database)).toBe(true);
});

test("reinstallation: the service continues where it was", async () => {
  await must(["apt-get", "install", "-y", packageFile()], { patience: 120_000 });
  await systemctl("start", "isolated.socket");
  expect((await asUser(`isolate -z ${template} id`)).code).toBe(0);
  await whole();
  expect(await clones()).toHaveLength(size);
});

test("purge: removes its own files but no dataset, and names what is left", async () => {
  await eventually("the clones rest", async () => (await pool()).creating === 0);
  const before = await clones();
  const { code, stdout } = await run(["apt-get", "purge", "-y", "isolate"], { patience: 120_000 });
  expect(code).toBe(0);
  // apt runs dpkg on a terminal, which changes the line endings.
  for (const clone of before) expect(stdout.split(/\s*\n\s*/)).toContain(`zfs destroy ${clone}`);
  expect(await clones()).toEqual(before);
  await must(["zfs", "list", template]);
  for (const path of ["/etc/isolate", "/var/lib/isolate", "/run/isolate"])
    expect({ path, left: existsSync(path) }).toEqual({ path, left: false });
  expect(await must(["sh", "-c", "grep -F /run/isolate /proc/self/mounts || true"])).toBe("");
  // The guest has its own units.
  expect((await run(["sh", "-c", "ls /etc/systemd/system/*.wants/ | grep -E '^isolate(d[.]|_)'"])).code).toBe(1);
  await must(["zfs", "destroy", "-r", template.slice(0, template.lastIndexOf("/"))]);
});
