/** Types into a real shell in a real terminal, tmux(1), and records the terminal's content. */
import { join } from "node:path";
import { asUser, must, type User } from "../../test/support/process.ts";
import type { Step } from "./script.ts";

export interface Frame {
  /** Milliseconds from the beginning; long waits are shortened. */
  readonly at: number;
  /** The lines, including colours. */
  readonly lines: readonly string[];
}

export interface TerminalOptions {
  readonly user: User;
  readonly home: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly columns: number;
  readonly rows: number;
}

/** The limit for waits: nobody wants to watch a download. */
const longestWait = 1500;
const betweenKeys = 40;
const patience = 120_000;
const prompt = /(^\$|[#$]) ?$/;

export async function createTerminal({ user, home, environment, columns, rows }: TerminalOptions) {
  const socket = join(home, "tmux");
  const options = { cwd: home, env: { ...environment, HOME: home, TERM: "xterm-256color", PS1: "$ " } };
  const command = (words: readonly string[]): string[] => ["tmux", "-S", socket, "-f", "/dev/null", ...words];
  const tmux = (...words: string[]): Promise<string> => must(command(words), { ...options, as: user });
  const frames: Frame[] = [];
  let clock = 0;
  let last = Date.now();

  async function look(): Promise<readonly string[]> {
    const lines = (await tmux("capture-pane", "-e", "-p")).split("\n").slice(0, rows);
    const now = Date.now();
    const waited = Math.min(now - last, longestWait);
    if (frames.length === 0 || lines.join("\n") !== frames.at(-1)?.lines.join("\n")) {
      clock += waited;
      last = now;
      frames.push({ at: clock, lines });
    }
    return lines;
  }

  async function pause(milliseconds: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  /** Waits until the shell waits for a line and the content has not changed for a moment. */
  async function ready(): Promise<void> {
    const end = Date.now() + patience;
    for (let still = 0; still < 4; ) {
      if (Date.now() > end) throw new Error(`the shell never came back: ${frames.at(-1)?.lines.join("\n")}`);
      const before = frames.length;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are made of them
      const shown = (await look()).map((line) => line.replace(/\x1b\[[0-9;]*m/g, ""));
      const line = shown.findLast((one) => one.trim() !== "") ?? "";
      still = prompt.test(line.trimEnd()) && frames.length === before ? still + 1 : 0;
      await pause(25);
    }
  }

  const shell = ["bash", "--norc", "--noprofile"];
  const size = ["-x", String(columns), "-y", String(rows)];
  const session = command(["new-session", "-d", ...size, ...shell, ";", "set", "status", "off"]);
  // If users of this machine cannot open /dev/net/tun, the terminal gets one as udev makes it.
  const tun = "mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200";
  const inside = ["sh", "-c", `${tun} && exec "$@"`, "sh", ...asUser(user, session)];
  await must(["unshare", "-m", "--propagation", "slave", ...inside], options);
  await ready();

  return {
    frames: (): readonly Frame[] => frames,

    async type({ line, pause: after }: Step): Promise<void> {
      for (const key of line) {
        await tmux("send-keys", "-l", key);
        await pause(betweenKeys);
        await look();
      }
      await pause(200);
      await tmux("send-keys", "Enter");
      await ready();
      await pause(after);
      // The content stays that long.
      last = Math.min(last, Date.now() - after);
    },

    /** The server ends with its last shell. */
    close: (): Promise<unknown> => tmux("kill-server").catch(() => undefined),
  };
}
