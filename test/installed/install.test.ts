/** The package on a fresh machine: the main job, the service across restarts and crashes, and the start on demand. */
import { appendFileSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually, must, run } from "../support/process.ts";
import {
  asUser,
  clones,
  configFile,
  fillRoot,
  instance,
  isActive,
  packageFile,
  parent,
  pool,
  property,
  size,
  systemctl,
  template,
  user,
  whole,
  withDataset,
} from "./host.ts";
import { alive, begin } from "./sandboxes.ts";

const inClone = (command: string, input?: string) => asUser(`isolate -z ${template} ${command}`, input);
const daemon = "isolated.service";

beforeAll(async () => {
  // The test machine already has it.
  await run(["groupdel", "isolate"]);
  await must(["apt-get", "install", "-y", packageFile()], { patience: 120_000 });
}, 3_600_000);

describe("contents of the package", () => {
  test("creates its group without members, and a configuration with all defaults", async () => {
    expect(await must(["getent", "group", "isolate"])).toMatch(/^isolate:x:\d+:\n$/);
    expect(statSync(configFile).mode & 0o777).toBe(0o644);
    expect(await must(["sh", "-c", `grep -v '^#' ${configFile} | grep -v '^\\[' | grep . || true`])).toBe("");
  });

  test("installs its units, and runs nothing before an administrator enables it", async () => {
    for (const unit of ["isolated.socket", daemon]) {
      expect({ unit, state: await property(unit, "LoadState") }).toEqual({ unit, state: "loaded" });
      expect({ unit, active: await isActive(unit) }).toEqual({ unit, active: false });
    }
  });

  test("its units pass verification, and the daemon's exposure is at most 6.0", async () => {
    const units = ["isolated.socket", daemon, "isolate_regenerate@x.path", "isolate_regenerate@x.service"];
    const verified = await run(["systemd-analyze", "verify", "--man=no", ...units], { patience: 60_000 });
    expect(verified).toEqual({ code: 0, stdout: "", stderr: "" });
    const report = await must(["systemd-analyze", "security", "--no-pager", daemon], { patience: 60_000 });
    const exposure = Number(/Overall exposure level for isolated\.service: ([0-9.]+)/.exec(report)?.[1]);
    process.stderr.write(`systemd-analyze security isolated: ${exposure}\n`);
    expect(exposure).toBeLessThanOrEqual(6);
  });

  test("its files belong to root, and only root can write them", async () => {
    const files = (await must(["dpkg-query", "-L", "isolate"])).trim().split("\n");
    // Links point to other files of the package; dpkg is configured to omit documentation here.
    const wrong = files.filter((file) => {
      const { uid, gid, mode } = statSync(file, { throwIfNoEntry: false }) ?? { uid: 0, gid: 0, mode: 0 };
      return uid !== 0 || gid !== 0 || (mode & 0o022) !== 0;
    });
    expect(wrong).toEqual([]);
  });
});

describe("the main job", () => {
  test("a user added to the group, a dataset with a snapshot, a line of configuration, and the socket enabled", async () => {
    await must(["useradd", "-m", "-s", "/bin/bash", "-G", "isolate", user]);
    await must(["zfs", "create", "-o", "mountpoint=none", parent]);
    await must(["zfs", "create", "-o", "mountpoint=legacy", template]);
    await withDataset(template, fillRoot);
    await must(["zfs", "snapshot", `${template}@first`]);
    appendFileSync(configFile, `[[template]]\nname = "${template}"\nsize = ${size}\n`);
    await systemctl("enable", "--now", "isolated.socket");
    expect(await isActive(daemon)).toBe(false);

    const { code, stdout, stderr } = await inClone('sh -c "touch /etc/x && id"');
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^uid=0\(root\) /),
      stderr: expect.any(String),
    });
    expect(await isActive(daemon)).toBe(true);
    expect((await inClone("test -e /etc/x")).code).toBe(1);
  });

  test("refuses the last part of a template's name, and the hint shows the full name", async () => {
    const hint = `did you mean ${template}?`;
    for (const outcome of [await asUser("isolate -z debisl id"), await run(["isolate", "-r", "debisl", "5"])])
      expect(outcome).toMatchObject({ code: 125, stderr: expect.stringContaining(hint) });
    // Root also gets a hint about a dataset that is not a template yet.
    await must(["zfs", "create", "-o", "mountpoint=none", `${parent}/raw`]);
    const { code, stderr } = await run(["isolate", "-r", "raw", "5"]);
    expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining(`did you mean ${parent}/raw?`) });
    expect((await asUser("isolate -z raw id")).stderr).not.toContain(parent);
    await must(["zfs", "destroy", `${parent}/raw`]);
  });

  test("the status shows the state of the pool", async () => {
    await whole();
    await eventually(
      "the status",
      async () => (await property(daemon, "StatusText")) === `${size}/${size} ready debisl`,
    );
  });

  test("tells a user outside the group how to join", async () => {
    const { code, stderr } = await run(["su", "-", "mallory", "-c", `isolate -z ${template} id`]);
    expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining("usermod -aG isolate") });
  });

  test("the next lease sees a snapshot made with plain 'zfs snapshot'", async () => {
    await withDataset(template, async (directory) => writeFileSync(join(directory, "etc/news"), "second\n"));
    await must(["zfs", "snapshot", `${template}@second`]);
    await eventually("the pool is of the new one", async () => (await pool()).snapshot === `${template}@second`);
    expect(await inClone("cat /etc/news")).toMatchObject({ code: 0, stdout: "second\n" });
  });

  test("the hardened daemon makes a template with set-user-id files, device nodes and capabilities from an archive", async () => {
    const directory = mkdtempSync(join(tmpdir(), "isolate-archive-"));
    try {
      await fillRoot(directory);
      await must(["cp", join(directory, "bin/id"), join(directory, "bin/suid")]);
      await must(["chmod", "4755", join(directory, "bin/suid")]);
      await must(["mknod", join(directory, "dev/disk"), "b", "8", "0"]);
      await must(["mknod", join(directory, "dev/zero"), "c", "1", "5"]);
      await must(["chown", "-R", "33:33", join(directory, "home")]);
      const made = await run(["isolate", "template", "create", "small", "--dir", directory], { patience: 120_000 });
      expect(made).toMatchObject({ code: 0 });
    } finally {
      rmSync(directory, { recursive: true });
    }
    const { stdout, code } = await asUser("isolate -z small stat -c '%u %a' /bin/suid /home");
    expect({ stdout, code }).toEqual({ code: 0, stdout: "0 4755\n0 755\n" });
    expect((await asUser("isolate -z small chown 33 /etc/passwd")).code).toBe(0);
    await must(["isolate", "template", "rm", "small"], { patience: 60_000 });
  });
});

describe("the service", () => {
  test("10 sandboxes survive a restart, and all are reclaimed at their end", async () => {
    await whole();
    const running = await begin(10);
    const before = await property(daemon, "MainPID");
    await systemctl("restart", daemon);
    expect(await property(daemon, "MainPID")).not.toBe(before);
    expect(await running.end()).toEqual(Array.from({ length: 10 }, () => alive));
    await whole();
    expect(await clones()).toHaveLength(size);
  });

  test("a restart refuses no request: neither one that waits for a clone nor one that arrives without a daemon", async () => {
    await must(["isolate", "-q", "-r", template, "0"]);
    const waiting = Array.from({ length: 6 }, () => inClone("id"));
    await eventually("clones are being made for them", async () => (await pool()).creating > 0);
    const restarted = systemctl("restart", daemon);
    const coming = Array.from({ length: 4 }, () => inClone("id"));
    await restarted;
    for (const outcome of await Promise.all([...waiting, ...coming])) expect(outcome).toMatchObject({ code: 0 });
    await must(["isolate", "-q", "-r", template, String(size)], { patience: 60_000 });
    await whole();
  });

  test("a reload applies the configuration, or reports what is wrong with it", async () => {
    await must(["cp", configFile, `${configFile}.before`]);
    appendFileSync(configFile, "sise = 3\n");
    await systemctl("reload", daemon);
    await eventually("the status says so", async () =>
      (await property(daemon, "StatusText")).includes("unknown key 'sise'"),
    );
    expect((await inClone("id")).code).toBe(0);
    await must(["mv", `${configFile}.before`, configFile]);
    await systemctl("reload", daemon);
    await eventually("it is gone again", async () => !(await property(daemon, "StatusText")).includes("sise"));
  });

  test.each(["SIGKILL", "SIGSTOP"])("after %s another daemon starts, and sandboxes continue", async (signal) => {
    await whole();
    const running = await begin(1);
    const before = await property(daemon, "MainPID");
    process.kill(Number(before), signal);
    await eventually(
      "there is another daemon",
      async () => {
        const [pid, active] = [await property(daemon, "MainPID"), await isActive(daemon)];
        return active && pid !== "0" && pid !== before;
      },
      60_000,
    );
    expect(await running.end()).toEqual([alive]);
    await whole();
  });
});

describe("on demand, with the path unit", () => {
  const path = `isolate_regenerate@${instance}.path`;
  const regenerate = `isolate_regenerate@${instance}.service`;

  test("a release refills the pool although the daemon is stopped", async () => {
    writeFileSync(configFile, `on_demand = true\n${await must(["cat", configFile])}`);
    await systemctl("restart", daemon);
    await systemctl("enable", "--now", path);
    await whole();
    const running = await begin(2);
    await systemctl("stop", daemon);
    expect(await isActive(daemon)).toBe(false);
    expect(await running.end()).toEqual([alive, alive]);
    await eventually("the daemon is started", () => isActive(daemon));
    const full = `${size}/${size} ready debisl`;
    await eventually("the pool is full", async () => (await property(daemon, "StatusText")) === full);
    await eventually("the used clones are gone", async () => (await clones()).length === size);
  });

  const runs = async () =>
    Number(await must(["sh", "-c", `journalctl -q -o cat -u ${regenerate} | grep -c Finished || true`]));

  test("accepts the last component of the name; an unknown name fails with a reason", async () => {
    const short = "isolate_regenerate@debisl";
    await systemctl("enable", "--now", `${short}.path`);
    const finished = async () =>
      Number(await must(["sh", "-c", `journalctl -q -o cat -u ${short}.service | grep -c Finished || true`]));
    const before = await finished();
    expect((await inClone("id")).code).toBe(0);
    await eventually("it has run", async () => (await finished()) > before, 60_000);
    expect(await property(`${short}.service`, "Result")).toBe("success");
    await systemctl("disable", "--now", `${short}.path`);
    await whole();

    const strange = "isolate_regenerate@nothing.service";
    expect((await run(["systemctl", "start", strange], { patience: 60_000 })).code).not.toBe(0);
    const journal = () => must(["journalctl", "-q", "-o", "cat", "-u", strange]);
    await eventually("its journal says why", async () =>
      (await journal()).includes("cannot find the template 'nothing'"),
    );
    await systemctl("reset-failed", strange);
  });

  test("500 releases in 10 s do not stop it", async () => {
    const file = join("/run/isolate/signal", instance);
    const before = await runs();
    for (let count = 0; count < 500; count++) {
      const now = Date.now() / 1000;
      utimesSync(file, now, now);
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    await eventually("the unit has run", async () => (await runs()) > before, 60_000);
    await eventually("it rests", async () => (await property(regenerate, "ActiveState")) === "inactive", 60_000);
    expect(await property(path, "ActiveState")).toBe("active");
    expect(await property(regenerate, "Result")).toBe("success");
    const after = await runs();
    expect((await inClone("id")).code).toBe(0);
    await eventually("it runs after the next release, too", async () => (await runs()) > after, 60_000);
    await whole();
  });
});

describe("ids that accounts use", () => {
  const group = (id: number) => must(["groupadd", "-g", String(id), "intruder"]);
  afterEach(() => run(["groupdel", "intruder"]));

  test("are not assigned by the daemon: the doctor reports them, and after a restart the daemon assigns others", async () => {
    const first = async () => {
      const map = await must(["isolate", "-z", template, "cat", "/proc/self/uid_map"], { patience: 60_000 });
      return Number(map.trim().split(/\s+/)[1]);
    };
    const before = await first();
    await group(before + 77);
    await systemctl("restart", daemon);
    const doctor = await run(["isolate", "doctor"], { patience: 60_000 });
    expect(doctor.stdout).toContain(`there is the group 'intruder' (${before + 77})`);
    expect(doctor.stdout).toContain("set ids.base in isolated.toml");
    expect(await first()).toBeGreaterThanOrEqual(before + 65_536);
    await whole();
  });

  test("are not used for root's -t either", async () => {
    const directory = mkdtempSync(join(tmpdir(), "isolate-own-"));
    try {
      await fillRoot(directory);
      expect(await run(["isolate", "-t", directory, "id", "-u"])).toMatchObject({ code: 0, stdout: "0\n" });
      await group(2_147_483_000);
      const refused = await run(["isolate", "-t", directory, "id", "-u"]);
      expect(refused).toMatchObject({ code: 125, stderr: expect.stringContaining("'intruder' (2147483000)") });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

test("leaves the machine in the middle of its work", async () => {
  // For reboot.test.ts: a pool that starts at boot, and clones that are unfinished or unknown.
  await must(["zpool", "set", "cachefile=/etc/zfs/zpool.cache", template.split("/")[0] ?? ""]);
  await systemctl("enable", "zfs-load-module", "zfs-import-cache", "zfs-import.target", "zfs-mount", "zfs.target");
  await whole();
  await must(["isolate", "-r", template, "0"]);
  void run(["isolate", "-r", template, "20"], { patience: 60_000 });
  await eventually("clones are being made", async () => (await clones()).length > 1);
  await systemctl("mask", "--runtime", daemon);
  process.kill(Number(await property(daemon, "MainPID")), "SIGKILL");
  await eventually("the daemon is gone", async () => (await property(daemon, "MainPID")) === "0");
  expect((await clones()).length).toBeGreaterThan(1);
});
