/** The generated completions in real shells, with a real daemon that supplies names. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { shownOptions } from "../../client/run/options/definitions.ts";
import { type VerbDefinition, verbs } from "../../client/run/options/verbs.ts";
import { must, run } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
let directory: string;
const at = (name: string): string => join(directory, name);
const all: readonly VerbDefinition[] = verbs;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "isolate-completions-"));
  await must(["node", join(projectRoot, "dist/js/tools/docs/main.js"), directory]);
  mkdirSync(at("zsh"));
  copyFileSync(at("completion.zsh"), at("zsh/_isolate"));
  world = await createWorld({ size: 1 });
}, 1_200_000);
afterAll(async () => {
  await world?.close();
  rmSync(directory, { recursive: true, force: true });
}, 300_000);

/** Removes the terminal's control sequences. */
const plain = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences consist of them
  text.replace(/\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>]|\][^\x07\x1b]*(\x07|\x1b\\))/g, "").replace(/\r/g, "");

async function typed(prepare: string, line: string, awaited: string, shell: readonly string[]): Promise<string> {
  const { stdout } = await run(
    ["python3", join(projectRoot, "test/shipped/typed.py"), prepare, line, awaited, ...shell],
    {
      env: environment(),
      cwd: directory,
    },
  );
  return plain(stdout);
}

const environment = (): Record<string, string> => ({
  PATH: `${join(projectRoot, "dist/bin")}:/usr/sbin:/usr/bin:/sbin:/bin`,
  ISOLATE_SOCKET: world.socket,
  HOME: directory,
  XDG_CONFIG_HOME: directory,
  XDG_DATA_HOME: directory,
});

const shells: Record<string, (line: string, awaited: string) => Promise<string>> = {
  bash: (line, awaited) =>
    typed(`source ${at("completion.bash")}; bind 'set bell-style none'`, `${line}\\t\\t`, awaited, [
      "bash",
      "--norc",
      "-i",
    ]),
  zsh: (line, awaited) =>
    typed(
      `fpath=(${at("zsh")} $fpath); autoload -Uz compinit; compinit -u -D; setopt no_beep no_menu_complete`,
      `${line}\\t\\t`,
      awaited,
      ["zsh", "-f", "-i"],
    ),
  fish: async (line) => {
    const script = `source ${at("completion.fish")}; complete -C ${JSON.stringify(line)}`;
    return must(["fish", "--no-config", "-c", script], { env: environment(), cwd: directory });
  },
};

const words = [...new Set(all.map((command) => command.words[0]))];
const secondOf = (first: string): string[] =>
  all.flatMap((command) => (command.words[0] === first && command.words[1] ? [command.words[1]] : []));

describe.each(Object.keys(shells))("%s", (name) => {
  /** `awaited`: text that must appear. */
  const complete = (line: string, awaited = ""): Promise<string> =>
    shells[name]?.(line, awaited) ?? Promise.reject(new Error(name));
  const first = (template: string): string => template.slice(0, 3);

  test("the first word: every command", async () => {
    const text = await complete("isolate ", "template");
    for (const word of words) expect(text).toMatch(new RegExp(`\\b${word}\\b`));
  });

  test("options: every long one", async () => {
    const text = await complete("isolate --", "--template");
    for (const { long } of shownOptions) expect(text).toContain(`--${long}`);
  });

  test("a second word, if the first requires one", async () => {
    const text = await complete("isolate template ", "snapshot");
    for (const word of secondOf("template")) expect(text).toMatch(new RegExp(`\\b${word}\\b`));
  });

  test("a command's own options", async () => {
    const text = await complete("isolate template create --", "--debian");
    for (const option of ["--dir", "--tar", "--debian"]) expect(text).toContain(option);
    expect(text).not.toContain("--refill");
  });

  test.each([
    "isolate -z ",
    "isolate --template ",
    "isolate -r ",
    "isolate template rm ",
    "isolate template snapshot ",
  ])("'%s': the daemon's templates", async (line) => {
    expect(await complete(`${line}${first(world.template)}`, world.template)).toContain(world.template);
  });

  test("engines", async () => {
    const text = await complete("isolate -e ", "chroot");
    for (const engine of ["bwrap", "chroot", "lxc"]) expect(text).toContain(engine);
  });

  test("topics of the help", async () => {
    const text = await complete("isolate help ", "engines");
    for (const topic of ["run", "template", "engines", "hooks", "kill"]) expect(text).toContain(topic);
  });

  test("after a root, completes a program and no isolate command", async () => {
    const text = await complete("isolate -z x base6", "base64");
    expect(text).toContain("base64");
  });

  test("a daemon that does not answer prints no message into the line", async () => {
    expect(await complete(`isolate --socket ${world.socket}x -z `)).not.toContain("cannot");
  });
});
