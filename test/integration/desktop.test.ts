/** `-1` and `-2` with a real Xvfb, a real PulseAudio, and real clients of both inside. */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { installPrograms, readersPath } from "../support/document-world.ts";
import { blocksIn } from "../support/documents.ts";
import { withTun } from "../support/host-network.ts";
import { copyPrograms } from "../support/host-programs.ts";
import {
  eventually,
  finished,
  must,
  type Outcome,
  type RunOptions,
  root,
  run,
  start,
  type User,
} from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, bob, createWorld, type World } from "../support/world.ts";

/** Outside /tmp, which one of the tests replaces. */
const elsewhere = "/var/tmp";
let world: World;
let scratch: string;
let inside: (program: string) => string;
const servers: ChildProcess[] = [];
const cookie = randomBytes(16).toString("hex");
/** Display numbers: one server requires the cookie, the other accepts everyone. */
let guarded: string;
let open: string;
const sockets = "/tmp/.X11-unix";
let madeSockets = false;
const at = (name: string): string => join(scratch, name);

beforeAll(async () => {
  world = await createWorld({ size: 2, parent: elsewhere });
  scratch = mkdtempSync(join(elsewhere, "isolate-desktop-"));
  chmodSync(scratch, 0o755);
  inside = await copyPrograms(at("programs"), "/opt/x", ["xdpyinfo", "xwininfo", "xwd", "xev", "pactl", "paplay"]);
  for (const name of ["bin", "home", "run", "run/pulse", "tmp"]) mkdirSync(at(name));
  chmodSync(at("run"), 0o700);
  await must(["xauth", "-f", at("Xauthority"), "add", ":0", ".", cookie]);
  writeFileSync(at("tone.wav"), wave());
  await must(["chown", "-R", `${alice.uid}:${alice.gid}`, scratch]);
  // Only root may create it, and the servers do not run as root.
  madeSockets = mkdirSync(sockets, { recursive: true }) !== undefined;
  if (madeSockets) chmodSync(sockets, 0o1777);
  guarded = await startX(["-auth", at("Xauthority")]);
  open = await startX([]);
  await startPulse(at("run/pulse/native"));
  await must(["xauth", "-f", at("Xauthority"), "add", `:${guarded}`, ".", cookie], { as: alice });
}, 1_200_000);
afterAll(async () => {
  for (const server of servers) await endServer(server);
  if (madeSockets && readdirSync(sockets).length === 0) rmdirSync(sockets);
  rmSync(scratch, { recursive: true, force: true });
  await world.close();
}, 300_000);

async function endServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const end = finished(server);
  server.kill("SIGTERM");
  await end;
}

/** The server's display number. */
async function startX(args: readonly string[]): Promise<string> {
  // Without -noreset the server resets whenever its last client disconnects.
  const server = start(["Xvfb", "-displayfd", "1", "-noreset", "-nolisten", "tcp", ...args], { as: alice });
  servers.push(server);
  let said = "";
  server.stdout?.on("data", (data: Buffer) => {
    said += data;
  });
  return eventually("Xvfb says its display", () => /^(\d+)\n/.exec(said)?.[1]);
}

async function startPulse(socket: string, ...options: readonly string[]): Promise<ChildProcess> {
  const native = ["module-native-protocol-unix", `socket=${socket}`, ...options].join(" ");
  const flags = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--enable-memfd=no"];
  const modules = ["-L", "module-null-sink sink_name=nowhere", "-L", native];
  const server = start(["pulseaudio", ...flags, ...modules], { as: alice, env: session() });
  servers.push(server);
  server.stderr?.resume();
  await eventually("PulseAudio listens", () => readdirSync(join(socket, "..")).includes(socket.replace(/.*\//, "")));
  return server;
}

/** A tenth of a second of silence. */
function wave(): Buffer {
  const samples = 800;
  const head = Buffer.alloc(44);
  head.write("RIFF");
  head.writeUInt32LE(36 + samples * 2, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(16000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(samples * 2, 40);
  return Buffer.concat([head, Buffer.alloc(samples * 2)]);
}

const session = (more: Record<string, string> = {}): Record<string, string> => ({
  HOME: at("home"),
  XDG_RUNTIME_DIR: at("run"),
  ...more,
});
const onDisplay = (display: string, more: Record<string, string> = {}): Record<string, string> =>
  session({ DISPLAY: display, XAUTHORITY: at("Xauthority"), ...more });

const words = (options: readonly string[], command: string): string[] => [
  ...options,
  "-z",
  world.template,
  "-d",
  `${at("programs")}:/opt/x:ro`,
  "sh",
  "-c",
  command,
];
const isolate = (options: readonly string[], command: string, more: RunOptions = {}): Promise<Outcome> =>
  world.isolate(words(options, command), { env: onDisplay(`:${guarded}`), ...more });

/** A host program that the display trusts. */
const onHost = (command: readonly string[], as: User = alice): Promise<string> =>
  must(command, { as, env: onDisplay(`:${guarded}`) });

async function refused(options: readonly string[], env: Record<string, string>, as: User = alice): Promise<string> {
  const logged = async () => JSON.parse((await world.isolate(["log", "--json"], { as: root })).stdout).length;
  const entries = await logged();
  const { code, stdout, stderr } = await isolate(options, "echo ran", { env, as });
  expect({ code, stdout }).toEqual({ code: 125, stdout: "" });
  expect(stderr.split("\n")).toHaveLength(3); // a sentence, the next step, and the end of that line
  expect(await logged()).toBe(entries);
  return stderr;
}

describe("-1", () => {
  test.each([":N", ":N.0", "unix:N"])("reaches the display '%s' and no other", async (form) => {
    const display = form.replace("N", guarded);
    const command = `ls /tmp/.X11-unix; ${inside("xdpyinfo")} | head -1; ${inside("xdpyinfo")} -display :${open}`;
    const { stdout, stderr } = await isolate(["-1"], command, { env: onDisplay(display) });
    expect(stdout).toMatch(new RegExp(`^X${guarded}\nname of display: +:${guarded}`));
    expect(stderr).toContain(`unable to open display ":${open}"`);
  });

  test("offers no display without the option", async () => {
    const command = `ls -d /tmp/.X11-unix /dev/isolate-xauthority; ${inside("xdpyinfo")} -display :${guarded}`;
    const { code, stdout } = await isolate([], `env | grep -E 'DISPLAY|XAUTH'; ${command}`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("also works with the host's network, and as a user of the root filesystem", async () => {
    const command = `su -s /bin/sh www-data -c '${inside("xdpyinfo")}' | head -1; ${inside("xdpyinfo")} | head -1`;
    const line = expect.stringMatching(/^(name of display: .*\n){2}$/);
    expect(await isolate(["-1", "-n"], command)).toMatchObject({ stdout: line });
    // Anyone could listen at the abstract socket of an unused display number, and would receive the cookie.
    expect(await isolate(["-1", "-n", "--abstract-sockets"], `echo $DISPLAY; ${command}`)).toMatchObject({
      stdout: expect.stringMatching(new RegExp(`^:${guarded}\n(name of display: .*\n){2}$`)),
    });
  });

  test("puts the cookies of X and sound in no command line, no host file and not in the clone", async () => {
    writeFileSync(at("marker"), "");
    const show = "od -An -tx1 -v /dev/isolate-xauthority /dev/isolate-pulse-cookie | tr -d ' \\n'; echo";
    const child = world.begin(words(["-1", "-2"], `${show}; read line`), { env: onDisplay(`:${guarded}`) });
    const said = await new Promise<Buffer>((resolve) => child.stdout?.once("data", resolve));
    const secrets = [Buffer.from(cookie, "hex"), readFileSync(at("home/.config/pulse/cookie"))];
    for (const secret of secrets) expect(said.toString()).toContain(secret.toString("hex"));

    const holds = (path: string): boolean => {
      const content = readQuietly(path);
      return secrets.some((one) => content.includes(one) || content.includes(one.toString("hex")));
    };
    const lines = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => [`/proc/${pid}/cmdline`, ...(pid === String(child.pid) ? [`/proc/${pid}/environ`] : [])]);
    expect(lines.filter(holds)).toEqual([]);
    const users = join(world.runtime, "users", String(alice.uid));
    const clones = readdirSync(users).filter((name) => name.startsWith("debian"));
    const places = ["/tmp", "/var/tmp", "/run", "/dev/shm", ...clones.map((name) => join(users, name))];
    expect(clones).not.toEqual([]);
    const { stdout } = await run(["find", ...places, "-xdev", "-newer", at("marker"), "-type", "f", "-size", "-64k"]);
    expect(stdout.split("\n").filter((path) => path !== "" && holds(path))).toEqual([]);
    child.stdin?.end("\n");
    await finished(child);
  });

  test("reaches a display that ssh forwards, with -n", async () => {
    const forward = createServer((connection) => {
      connection
        .pipe(connect(`/tmp/.X11-unix/X${guarded}`))
        .on("error", () => undefined)
        .pipe(connection);
      connection.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => forward.listen(0, "127.0.0.1", resolve));
    const number = (forward.address() as AddressInfo).port - 6000;
    await must(["xauth", "-f", at("Xauthority"), "add", `:${number}`, ".", cookie], { as: alice });
    const command = `${inside("xdpyinfo")} | head -1`;
    const outcome = await isolate(["-1", "-n"], command, { env: onDisplay(`localhost:${number}.0`) });
    forward.close();
    expect(outcome.stdout).toMatch(new RegExp(`^name of display: +127.0.0.1:${number}.0$`, "m"));
  });

  test("needs no cookie for a server that accepts everyone", async () => {
    const command = `echo "$XAUTHORITY"; ${inside("xdpyinfo")} | head -1`;
    const env = session({ DISPLAY: `:${open}` });
    for (const as of [alice, root])
      expect(await isolate(["-1"], command, { env, as })).toMatchObject({
        stdout: expect.stringMatching(/^\nname of/),
      });
  });

  test("root's sandbox, which is not root on the host, needs the cookie even if the server trusts root", async () => {
    expect(await isolate(["-1"], `${inside("xdpyinfo")} | head -1`, { as: root })).toMatchObject({
      stdout: expect.stringMatching(/^name of display/),
    });
    await onHost(["xhost", "+si:localuser:root"]);
    try {
      const sentence = await refused(["-1"], session({ DISPLAY: `:${guarded}` }), root);
      expect(sentence).toMatch(/refuses: Authorization required.*\n.*the sandbox does not run as the host's root/);
    } finally {
      await onHost(["xhost", "-si:localuser:root"]);
    }
  });

  test("root's sandbox with a user's ids is admitted as that user", async () => {
    const env = session({ DISPLAY: `:${guarded}` });
    const command = `${inside("xdpyinfo")} | head -1`;
    const asAlice = ["-1", "-u", String(alice.uid)];
    expect(await isolate(asAlice, command, { env, as: root })).toMatchObject({ code: 125, stdout: "" });
    await onHost(["xhost", `+si:localuser:#${alice.uid}`]);
    try {
      expect(await isolate(asAlice, command, { env, as: root })).toMatchObject({
        stdout: expect.stringMatching(/^name of display/),
      });
      // The server trusts processes with these ids without a cookie.
      for (const as of [alice, root]) {
        const options = as === root ? ["-u", "1000000"] : [];
        const sentence = await refused(["--x11=untrusted", ...options], onDisplay(`:${guarded}`), as);
        expect(sentence).toMatch(/accepts (you )?without a cookie/);
      }
    } finally {
      await onHost(["xhost", `-si:localuser:#${alice.uid}`]);
    }
  });

  test.each<[what: string, options: string[], display: string, more: Record<string, string>, sentence: RegExp]>([
    ["no display", ["-1"], "", {}, /cannot share the screen: there is no X display here: DISPLAY is not set\n {2}name/],
    ["only Wayland", ["-1"], "", { WAYLAND_DISPLAY: "wayland-0" }, /a Wayland session without an X server/],
    ["an invalid display", ["-1"], "here", {}, /DISPLAY 'here' cannot be understood/],
    ["no server", ["-1"], ":987", {}, /':987' has no server at \/tmp\/.X11-unix\/X987: there is no such socket/],
    ["no cookie", ["-1"], ":N", { XAUTHORITY: "/no/such" }, /':\d+' refuses: Authorization required.*no \/no\/such/],
    ["no cookie for --x11=untrusted", ["--x11=untrusted"], ":N", { XAUTHORITY: "/no/such" }, /refuses: Authorization/],
    ["a broken Xauthority", ["-1"], ":N", { XAUTHORITY: "/etc/passwd" }, /passwd is not an X authorization file/],
    ["ssh's display without -n", ["-1"], "localhost:10.0", {}, /'localhost:10' needs the host's network.*\n {2}.*-n/],
    ["ssh's display without a cookie", ["-1", "-n"], "localhost:10.0", {}, /no cookie for the display 'localhost:10'/],
    ["ssh's display and --x11=untrusted", ["--x11=untrusted", "-n"], "localhost:10.0", {}, /ForwardX11Trusted=no/],
    ["another host's display", ["-1", "-n"], "192.0.2.1:0", {}, /'192.0.2.1:0' belongs to another host/],
  ])("%s: prints one error and leases no clone", async (_what, options, display, more, sentence) => {
    expect(await refused(options, onDisplay(display.replace("N", guarded), more))).toMatch(sentence);
  });

  test("refuses a bind that would cover the socket", async () => {
    const { code, stderr } = await isolate(["-1", "-d", `${at("tmp")}:/tmp`], "true");
    expect({ code, stderr }).toMatchObject({ code: 125, stderr: expect.stringContaining("which -1 or -2 puts there") });
    expect(readdirSync(at("tmp"))).toEqual([]);
  });
});

describe("--x11=untrusted", () => {
  let window: ChildProcess;
  let id: string;

  beforeAll(async () => {
    window = start(["xev", "-name", "trusted"], { as: alice, env: onDisplay(`:${guarded}`) });
    window.stdout?.resume();
    id = await eventually("a window", async () => {
      const { stdout } = await run(["xwininfo", "-name", "trusted"], { as: alice, env: onDisplay(`:${guarded}`) });
      return /Window id: (0x[0-9a-f]+)/.exec(stdout)?.[1];
    });
  });
  afterAll(() => endServer(window));

  /** `xev` inside, and its output about that window. */
  function listen(option: string): { said: string; end(): Promise<unknown> } {
    const child = world.begin(words([option], `exec timeout 60 ${inside("xev")} -id ${id} 2>&1`), {
      env: onDisplay(`:${guarded}`),
    });
    const end = finished(child);
    const listener = {
      said: "",
      end() {
        child.kill("SIGTERM");
        return end;
      },
    };
    child.stdout?.on("data", (data: Buffer) => {
      listener.said += data;
    });
    return listener;
  }

  test("cannot read the keys or contents of other windows, which -1 can", async () => {
    const picture = `${inside("xwd")} -silent -id ${id} -out /tmp/w; ${inside("xwd")} -silent -root -out /tmp/r; ls /tmp/w /tmp/r`;
    const sizes = `find /tmp/w /tmp/r -size +0`;
    expect(await isolate(["-1"], `${picture} >&2; ${sizes}`)).toMatchObject({ stdout: "/tmp/w\n/tmp/r\n" });
    expect(await isolate(["--x11=untrusted"], `${picture} >&2; ${sizes}`)).toMatchObject({ stdout: "" });
    const [trusted, untrusted] = [listen("-1"), listen("--x11=untrusted")];
    const type = () => onHost(["xdotool", "windowfocus", id, "key", "s"]);
    await eventually("the one hears a key, and the other is there", async () => {
      await type();
      return trusted.said.includes("KeyPress event") && untrusted.said !== "";
    });
    for (let times = 0; times < 3; times++) await type();
    await Promise.all([trusted.end(), untrusted.end()]);
    expect(untrusted.said).not.toContain("KeyPress event");
  });

  test("has its own window as long as the run lasts, with a cookie that ends with it", async () => {
    const command = `od -An -tx1 -v /dev/isolate-xauthority | tr -d ' \\n' | tail -c 32; echo; read line; ${inside("xdpyinfo")} | grep -c SECURITY`;
    const child = world.begin(words(["--x11=untrusted"], command), { env: onDisplay(`:${guarded}`) });
    let stdout = "";
    child.stdout?.on("data", (data: Buffer) => {
      stdout += data;
    });
    const own = await eventually("it says its cookie", () => /^([0-9a-f]{32})\n/.exec(stdout)?.[1]);
    expect(own).not.toBe(cookie);
    await must(["xauth", "-f", at("leaked"), "add", `:${guarded}`, ".", own]);
    const leaked = async () =>
      (await run(["xdpyinfo"], { env: { DISPLAY: `:${guarded}`, XAUTHORITY: at("leaked") } })).code === 0;
    // Longer than an unused cookie lives; a client that connects with the cookie keeps it alive, too.
    const life = () => new Promise((resolve) => setTimeout(resolve, 4000));
    await life();
    expect(await leaked()).toBe(true);
    child.stdin?.end("\n");
    await finished(child);
    expect(stdout).toBe(`${own}\n0\n`);
    await eventually("the cookie is void", async () => {
      await life();
      return !(await leaked());
    });
  });

  test("is refused if the server admits clients without a cookie: they would be trusted", async () => {
    const sentence = await refused(["--x11=untrusted"], onDisplay(`:${open}`));
    expect(sentence).toMatch(/accepts you without a cookie.*\n {2}see 'xhost'/);
    await refused(["--x11=untrusted"], onDisplay(`:${open}`), root);
  });
});

describe("-2", () => {
  const play = () =>
    `${inside("pactl")} info | grep -c 'Default Sink: nowhere'; ${inside("paplay")} /mnt/tone.wav && echo played`;
  const sound = (more: RunOptions & { options?: string[] } = {}) =>
    isolate(["-2", "-d", `${at("tone.wav")}:/mnt/tone.wav`, ...(more.options ?? [])], play(), {
      env: session(),
      ...more,
    });

  test("plays through the session's server, over its socket or with the cookie", async () => {
    expect(await sound()).toEqual({ code: 0, stdout: "1\nplayed\n", stderr: "" });
    const asOther = `su -s /bin/sh www-data -c '${inside("pactl")} info' | grep -c 'Default Sink'`;
    expect(await isolate(["-2"], asOther, { env: session() })).toMatchObject({ stdout: "1\n" });
  });

  test("offers no sound without the option", async () => {
    const command = `${inside("pactl")} info; ls -d /dev/isolate-pulse*`;
    const { stdout, code } = await isolate([], command, { env: session() });
    expect({ stdout, code: code === 0 }).toEqual({ stdout: "", code: false });
  });

  test("root's sandbox connects with the cookie that root names", async () => {
    const named = session({ HOME: "/root", PULSE_COOKIE: at("home/.config/pulse/cookie") });
    expect(await sound({ as: root, env: named })).toMatchObject({ code: 0, stdout: "1\nplayed\n" });
    expect(await refused(["-2"], session({ HOME: "/nonexistent" }), root)).toMatch(
      /refuses, and you have no cookie for it/,
    );
  });

  test.each<[what: string, env: Record<string, string>, sentence: RegExp]>([
    [
      "no server",
      { XDG_RUNTIME_DIR: "/no" },
      /there is no PulseAudio or PipeWire here \(no socket at \/no\/pulse\/native, /,
    ],
    ["no socket", { PULSE_SERVER: "unix:/no/socket" }, /no socket at \/no\/socket/],
    ["an invalid server", { PULSE_SERVER: "unix:" }, /PULSE_SERVER 'unix:' cannot be understood/],
    [
      "another host's server without -n",
      { PULSE_SERVER: "tcp:192.0.2.1" },
      /'tcp:192.0.2.1' is on the network.*\n {2}.*-n/,
    ],
    ["a missing cookie", { PULSE_COOKIE: "/no/cookie" }, /the server's cookie in \/no\/cookie cannot be read: ENOENT/],
    ["an invalid cookie", { PULSE_COOKIE: "/etc/passwd" }, /cookie in \/etc\/passwd does not have 256 bytes/],
    [
      "another program's socket",
      { PULSE_SERVER: "SOCKET" },
      /the server at .*socket is not PulseAudio|does not answer|closed the connection/,
    ],
  ])("%s: a sentence, and no clone is leased", async (_what, env, sentence) => {
    const more = env.PULSE_SERVER === "SOCKET" ? { PULSE_SERVER: world.socket } : env;
    expect(await refused(["-2"], session(more))).toMatch(sentence);
  });
});

describe("faults of the original that are impossible here", () => {
  test("`-2` needs a file in the template", async () => {
    const command =
      "ls -A /dev | grep isolate; test -S /dev/isolate-pulse && test ! -e /tmp/pulse-socket && find / -xdev -newer /opt/x -type f ! -name machine-id";
    const { code, stdout } = await isolate(["-2"], command, { env: session() });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "isolate-init\nisolate-pulse\nisolate-pulse-client.conf\nisolate-pulse-cookie\n",
    });
  });

  test("`xhost +local:` opens X to every local user and is never undone", async () => {
    const before = await onHost(["xhost"]);
    const child = world.begin(words(["-1"], "echo up; read line"), { env: onDisplay(`:${guarded}`) });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    expect(await onHost(["xhost"])).toBe(before);
    const { code } = await run(["xdpyinfo"], { as: bob, env: { DISPLAY: `:${guarded}` } });
    expect(code).not.toBe(0);
    child.stdin?.end("\n");
    await finished(child);
    expect(await onHost(["xhost"])).toBe(before);
  });

  test("an anonymous PulseAudio socket lets every local user record: warns each time, and never uses another user's socket", async () => {
    await startPulse(at("tmp/pulse-socket"), "auth-anonymous=1");
    /** Only with the original's /tmp/pulse-socket. */
    const withSocket = (user: User, more: Record<string, string> = {}) => {
      // The project may be below /tmp, which is hidden.
      const client = [at("bin/isolate"), ...words(["-q", "-2"], `${inside("pactl")} info | grep -c Sink`)];
      const ids = ["setpriv", "--reuid", `${user.uid}`, "--regid", `${user.gid}`, "--groups", user.groups.join(",")];
      const script = `mount --bind '${dirname(program("isolate"))}' ${at("bin")} && mount --bind ${at("tmp")} /tmp && exec "$@"`;
      return run(["unshare", "-m", "--propagation", "slave", "sh", "-c", script, "sh", ...ids, "--", ...client], {
        env: { ISOLATE_SOCKET: world.socket, HOME: at("home"), ...more },
      });
    };
    const own = await withSocket(alice);

    expect(own).toMatchObject({ code: 0, stdout: "1\n" });
    expect(own.stderr).toMatch(/every local user can reach the sound server at \/tmp\/pulse-socket, and record/);
    const others = await withSocket(bob);
    expect(others).toMatchObject({ code: 125, stdout: "" });
    expect(others.stderr).toContain(`/tmp/pulse-socket belongs to user ${alice.uid}\n`);
    expect(await withSocket(bob, { PULSE_SERVER: "/tmp/pulse-socket" })).toMatchObject({ code: 0, stdout: "1\n" });
  });
});

function readQuietly(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0); // it has ended or is gone
  }
}

describe("the documentation's lines, with a small X client as the browser", () => {
  let reader: Reader;

  beforeAll(async () => {
    const install = `cp -r /mnt/programs /opt/x && printf '#!/bin/sh\\nexec ${inside("xdpyinfo")}\\n' >/usr/bin/firefox`;
    await installPrograms(world, at("programs"), `${install} && chmod 755 /usr/bin/firefox`);
    const env = { PATH: readersPath, ISOLATE_SOCKET: world.socket, PULSE_SERVER: `unix:${at("run/pulse/native")}` };
    reader = { user: alice, cwd: scratch, env: { ...onDisplay(`:${guarded}`), ...env }, wrap: withTun };
  }, 300_000);

  test.each(blocksIn("desktop"))("%s", async (_at, { at: place, lines }) => {
    const named = lines.map((line) => ({ ...line, text: line.text.replace("-z desktop", `-z ${world.template}`) }));
    expect(await runBlock({ at: place, lines: named }, "desktop", reader)).toEqual([]);
  });
});
