/** Harm that a member of the group must not be able to do to others through the daemon. Each was possible once. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually, finished, run, start } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, bob, createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld({ config: "[limits]\nleases_per_user = 4" });
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const python = (lines: readonly string[]) => ["python3", "-c", lines.join("\n")];
const lease = () =>
  `GET /v1/lease?template=${encodeURIComponent(world.template)} HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: isolate-lease\\r\\n\\r\\n`;

test("does not kill another user's process that received a lease's descriptor when the lease ends", async () => {
  const meeting = join(world.directory, "meeting");
  const victim = start(
    python([
      "import os,socket,time",
      `s=socket.socket(socket.AF_UNIX); s.bind('${meeting}'); os.chmod('${meeting}',0o666); s.listen(1); print('up',flush=True)`,
      "c,_=s.accept(); m=socket.recv_fds(c,9,1); print('has it',flush=True); time.sleep(600)",
    ]),
  );
  const said: string[] = [];
  victim.stdout?.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  try {
    await eventually("the victim listens", () => said.join("").includes("up"));
    const attack = python([
      "import socket",
      `l=socket.socket(socket.AF_UNIX); l.connect('${world.socket}'); l.send(b'${lease()}'); assert b'101' in l.recv(9999)`,
      `c=socket.socket(socket.AF_UNIX); c.connect('${meeting}'); socket.send_fds(c,[b'x'],[l.fileno()])`,
      "c.recv(1)", // stays until it is killed
    ]);
    const attacker = start(attack, { as: bob });
    await eventually("the victim has the descriptor", () => said.join("").includes("has it"));
    attacker.kill("SIGKILL");
    await finished(attacker);
    await eventually("the lease has ended", async () => (await world.pool()).leased === 0);
    await world.settled();
    expect(victim.exitCode ?? victim.signalCode).toBeNull();
    expect((await run(["kill", "-0", String(victim.pid)])).code).toBe(0);
  } finally {
    victim.kill("SIGKILL");
  }
});

test("counts the ids of a user's own namespace as that user: they do not multiply the limit", async () => {
  expect((await world.isolate(["-z", world.template, "true"], { as: bob })).code).toBe(0);
  const userns = join(world.runtime, "users", String(bob.uid), `userns.${bob.gid}`);
  for (const change of ["os.setresuid(7,7,7)", "os.setresgid(7,7,7)"]) {
    const disguise = `import os,sys; ${change}; os.execv(sys.argv[1],sys.argv[1:])`;
    const command = [program("isolate"), "-z", world.template, "true"];
    const enter = ["nsenter", `--user=${userns}`, "--preserve-credentials", "python3", "-c", disguise, ...command];
    const { code, stderr } = await run(enter, { as: bob, env: { ISOLATE_SOCKET: world.socket } });
    expect({ code, stderr }).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/^isolate: cannot serve user .*somebody's user namespace\n/),
    });
  }
  expect(
    (await run(["find", join(world.runtime, "users"), "-mindepth", "1", "-maxdepth", "1"])).stdout.trim().split("\n"),
  ).toEqual([join(world.runtime, "users", String(bob.uid))]);
});

test("open connections alone lock nobody out", async () => {
  const hoard = python([
    "import socket,sys,time",
    "s=[]",
    "for i in range(900):",
    `  c=socket.socket(socket.AF_UNIX); c.connect('${world.socket}'); s.append(c)`,
    "time.sleep(1); print(len(s),flush=True); sys.stdin.read()",
  ]);
  const hoarder = start(hoard, { as: bob });
  try {
    await new Promise((resolve) => hoarder.stdout?.once("data", resolve));
    const descriptors = await run(["sh", "-c", `ls /proc/${world.daemonPid()}/fd | wc -l`]);
    expect(Number(descriptors.stdout)).toBeLessThan(4 + 256 + 100);
    expect((await world.isolate(["-z", world.template, "true"], { as: alice })).code).toBe(0);
  } finally {
    hoarder.kill("SIGKILL");
  }
  await world.settled();
});
