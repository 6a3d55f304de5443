/** Runs the lines of the documentation's blocks as a reader would: as a user, and as root after `sudo`. */
import { commandsOf } from "./command-lines.ts";
import { type Block, type Line, matchesOutput, type Place } from "./documents.ts";
import { type Outcome, type RunOptions, root, run, type User } from "./process.ts";

export interface Reader {
  readonly user: User;
  /** Where the lines run, and what else they need. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Put in front of each shell. */
  readonly wrap?: readonly string[];
  readonly patience?: number;
}

/** Returns the errors, line by line; none if the documentation is right. */
export async function runBlock({ at, lines }: Block, place: Place, reader: Reader): Promise<string[]> {
  const mine = lines.filter((line) => line.place === place);
  // State that one line leaves to the next: a background job, a variable, a directory.
  if (mine.every(({ text, stays }) => !asRoot(text) && !stays)) return runTogether(at, mine, reader);
  const wrong: string[] = [];
  for (const line of mine) {
    const outcome = line.stays ? runLineThatStays(line.text, reader) : runLine(line.text, reader);
    wrong.push(...judge(at, line, await outcome));
  }
  return wrong;
}

const asRoot = (text: string): boolean => commandsOf(text).some((command) => command.asRoot);

function runLine(text: string, reader: Reader, before: readonly string[] = []): Promise<Outcome> {
  const { user, cwd, env, wrap = [], patience = 300_000 } = reader;
  const as = asRoot(text) ? root : user;
  const options: RunOptions = { as: root, cwd, env, patience };
  const line = text.replace(/(^|[|;&] *)sudo /g, "$1");
  return run([...before, ...wrap, ...shellAs(as), line], options);
}

/** Seconds in which a program that stays would have failed. */
const stay = 10;

/** Ends a line that stays as Ctrl-C does. Its success is that it was still there. */
async function runLineThatStays(text: string, reader: Reader): Promise<Outcome> {
  const outcome = await runLine(text, reader, ["timeout", "--signal=INT", `${stay}`]);
  return outcome.code === 124 ? { ...outcome, code: 0 } : { ...outcome, code: outcome.code || 1 };
}

const marker = "@ended@";

/** Runs the lines in one shell, as if typed. */
async function runTogether(at: string, lines: readonly Line[], reader: Reader): Promise<string[]> {
  if (lines.length === 0) return [];
  const script = lines.map(({ text }) => `{ ${text}\n} 2>&1; printf '%s %s\\n' ${marker} $?`).join("\n");
  const { stdout, stderr } = await runLine(`${script}\nexit 0`, reader);
  const parts = stdout.split(new RegExp(`${marker} (\\d+)\\n`));
  return lines.flatMap((line, index) => {
    const code = parts[2 * index + 1];
    if (code === undefined) return [`${at}: never ran: ${line.text}: ${stderr}`];
    return judge(at, line, { code: Number(code), stdout: parts[2 * index] ?? "", stderr });
  });
}

function shellAs({ uid, gid, groups }: User): string[] {
  if (uid === 0) return ["bash", "-c"];
  return ["setpriv", "--reuid", `${uid}`, "--regid", `${gid}`, "--groups", groups.join(","), "--", "bash", "-c"];
}

function judge(at: string, { text, fails, output }: Line, { code, stdout, stderr }: Outcome): string[] {
  const all = `${stdout}${stderr}`;
  if ((code !== 0) !== fails) return [`${at}: ${text}: ended with ${code}: ${all}`];
  if (output !== undefined && !matchesOutput(output, stdout)) return [`${at}: ${text}: printed: ${all}`];
  return [];
}
