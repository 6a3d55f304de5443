/**
 * The environment of the documentation's reader: isolate, a template `debian`, and a project in the current directory.
 */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { debianTar } from "./debian-root.ts";
import type { Reader } from "./document-runner.ts";
import { copyPrograms } from "./host-programs.ts";
import { must, root } from "./process.ts";
import { program } from "./project.ts";
import { alice, type World } from "./world.ts";

export const readersPath = `${dirname(program("isolate"))}:/usr/sbin:/usr/bin:/sbin:/bin`;

/** Runs the script in the template, with that directory at /mnt/programs, and gives the result to the pool. */
export async function installPrograms(world: World, directory: string, script: string): Promise<void> {
  const { template } = world;
  const edit = ["template", "edit", "-d", `${directory}:/mnt/programs:ro`, template, "sh", "-c", script];
  const { size } = await world.pool();
  for (const words of [edit, ["template", "snapshot", template], ["-r", template, String(size), "-f"]]) {
    const { code, stderr } = await world.isolate(words, { as: root, patience: 120_000 });
    if (code !== 0) throw new Error(`isolate ${words.join(" ")}: ${stderr}`);
  }
}

/** Copies this machine's make(1) into the template, since the test's small Debian has none. */
export async function installMake(world: World): Promise<void> {
  const programs = join(world.directory, "programs");
  const run = await copyPrograms(programs, "/opt/programs", ["make"]);
  writeFileSync(join(programs, "start"), `#!/bin/sh\nexec ${run("make")} "$@"\n`, { mode: 0o755 });
  await installPrograms(world, programs, "cp -r /mnt/programs /opt/ && ln -s /opt/programs/start /usr/bin/make");
}

export async function makeReader(world: World): Promise<Reader> {
  const project = join(world.directory, "project");
  mkdirSync(project);
  writeFileSync(join(project, "Makefile"), "all:\n\techo building >built\n");
  writeFileSync(join(project, "README.md"), "A project.\n");
  mkdirSync(join(project, "root"));
  const unpack = ["tar", "-C", join(project, "root"), "--exclude=./dev/*", "-xf", await debianTar()];
  await must(unpack, { patience: 900_000 });
  await must(["chown", "-hR", `${alice.uid}:${alice.gid}`, project]);

  const home = join(world.directory, "home");
  mkdirSync(home);
  chownSync(home, alice.uid, alice.gid);
  return {
    user: alice,
    cwd: project,
    env: {
      PATH: readersPath,
      LC_ALL: "C.UTF-8",
      HOME: home,
      USER: "alice",
      ISOLATE_SOCKET: world.socket,
    },
  };
}
