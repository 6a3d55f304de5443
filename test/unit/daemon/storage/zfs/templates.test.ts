/** The driver's actions on templates, seen in its commands to a zfs(8) that only answers. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, expect, test } from "@jest/globals";
import { CommandError } from "../../../../../daemon/linux/child-process.ts";
import { createTemplates } from "../../../../../daemon/storage/zfs/templates.ts";
import type { TemplateName } from "../../../../../protocol/names.ts";

const template = "isolate-no-such-pool/debian" as TemplateName;
const failure = (stderr: string) => new CommandError(["zfs"], 1, stderr);
const missing = (name: string) => failure(`cannot open '${name}': dataset does not exist\n`);
const own = `${template}\tisolate:made-by\ts1\tlocal\n`;

const scratch = mkdtempSync(join(tmpdir(), "isolate-zfs-templates-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function templatesWith(answer: (verb: string, args: readonly string[]) => string | Error) {
  const commands: string[] = [];
  const zfs = async (args: readonly string[]) => {
    commands.push(`${args[0]} ${args.at(-1)}`);
    const said = answer(args[0] ?? "", args);
    if (said instanceof Error) throw said;
    return said;
  };
  const mountDirectory = join(scratch, "mounts");
  return {
    templates: createTemplates({
      zfs,
      pools: async () => ["isolate-no-such-pool"],
      store: "s1",
      mountDirectory,
      now: () => 1763764424123,
    }),
    commands,
  };
}

const destroys = (commands: readonly string[]) => commands.filter((command) => command.startsWith("destroy"));

test("lists the existing ones of several names, but not a pool's root", async () => {
  const { templates, commands } = templatesWith((_, args) =>
    args.includes("p/none") ? missing("p/none") : "p/t\t1\t5\t0\t7\np/t@a\t2\t1763764424\t9\t4096\n",
  );
  expect(await templates.templates(["p/none", "p/t", "p"] as unknown as TemplateName[])).toEqual([
    { template: "p/t", snapshot: "p/t@a", created: 1763764424000, bytes: 4096, below: [] },
  ]);
  expect(commands).toEqual(["list p/t", "list p/t"]);
});

test("what is below a template is told, and a pool that does not answer is told with its templates alone", async () => {
  const suspended = failure("cannot open 'q/t': pool I/O is currently suspended\n");
  const { templates } = templatesWith((_, args) =>
    args.includes("q/t") ? suspended : "p/t\t1\t5\t0\t7\np/t/home\t1\t5\t0\t7\np/t@a\t2\t1763764424\t9\t4096\n",
  );
  expect(await templates.templates(["q/t", "p/t"] as TemplateName[])).toEqual([
    {
      ...{ template: "q/t", snapshot: null, created: null, bytes: null, below: [] },
      failure: expect.objectContaining({ message: "cannot list the snapshots: pool I/O is currently suspended" }),
    },
    { template: "p/t", snapshot: "p/t@a", created: 1763764424000, bytes: 4096, below: ["p/t/home"] },
  ]);
  await expect(templates.latest("q/t" as TemplateName)).rejects.toMatchObject({ code: "storage-failed" });
});

test.each([
  ["p", "filesystem\n", "the root of a storage pool"],
  ["p/v", "volume\n", "a volume"],
  ["p/t", "filesystem\n", undefined],
  ["none", missing("none"), undefined],
])("why %s is no template", async (name, answer, why) => {
  const wrong = await templatesWith(() => answer).templates.whyUnfit?.(name);
  expect(wrong).toEqual(why && expect.stringContaining(why));
});

test("no names, no command", async () => {
  const { templates, commands } = templatesWith(() => "");
  expect(await templates.templates([])).toEqual([]);
  expect(commands).toEqual([]);
});

test("a failure that concerns none of the names is reported", async () => {
  const { templates } = templatesWith(() => failure("cannot open 'p/t': I/O error\n"));
  await expect(templates.templates(["p/t"] as unknown as TemplateName[])).rejects.toMatchObject({
    code: "storage-failed",
  });
});

test("latest: unknown, and without a snapshot", async () => {
  const none = templatesWith(() => missing(template)).templates;
  await expect(none.latest(template)).rejects.toMatchObject({ code: "unknown-template" });
  const empty = templatesWith(() => `${template}\t1\t5\t0\t7\n`).templates;
  await expect(empty.latest(template)).rejects.toMatchObject({ code: "no-snapshot" });
});

test("a snapshot's name sorts by time", async () => {
  const { templates } = templatesWith(() => "");
  expect(await templates.snapshot(template)).toBe(`${template}@20251121T223344.123000000Z`);
  expect(await templates.snapshot(template)).toBe(`${template}@20251121T223344.123000001Z`);
});

test("a template that cannot be filled is removed", async () => {
  const { templates, commands } = templatesWith((_, args) =>
    args[1]?.endsWith("@%") ? failure("could not find any snapshots to destroy; check snapshot names.\n") : "",
  );
  // No such pool: mounting it fails.
  await expect(templates.createTemplate(template, Readable.from([]))).rejects.toMatchObject({ code: "storage-failed" });
  expect(destroys(commands)).toEqual([`destroy ${template}@%`, `destroy ${template}`]);
});

test("a missing parent is named, with the command that makes it", async () => {
  const { templates, commands } = templatesWith(() => failure(`cannot create '${template}': parent does not exist\n`));
  await expect(templates.createTemplate(template, Readable.from([]))).rejects.toMatchObject({
    code: "storage-failed",
    message: `cannot create the template '${template}': the dataset 'isolate-no-such-pool' does not exist; make it with 'zfs create -p isolate-no-such-pool'`,
  });
  expect(destroys(commands)).toEqual([]);
});

const exists = failure(`cannot create '${template}': dataset already exists\n`);
const unfinished = `${own}${template}\tisolate:unfinished\ton\tlocal\n`;

test.each([
  ["another user's dataset", "", ""],
  ["our finished template", own, ""],
  ["another daemon's unfinished one", unfinished.replaceAll("s1", "s2"), ""],
  ["an unfinished one that has a snapshot", unfinished, `${template}@a\t2\t5\t0\t7\n`],
])("%s is not replaced", async (_, marks, snapshots) => {
  const { templates, commands } = templatesWith((verb) => {
    if (verb === "create") return exists;
    return verb === "get" ? marks : `${template}\t1\t5\t0\t7\n${snapshots}`;
  });
  await expect(templates.createTemplate(template, Readable.from([]))).rejects.toMatchObject({
    code: "template-exists",
  });
  expect(destroys(commands)).toEqual([]);
});

test("an unfinished template of a daemon that died is replaced", async () => {
  let left = true;
  const { templates, commands } = templatesWith((verb, args) => {
    if (verb === "create" && left) return exists;
    if (verb === "get") return unfinished;
    if (verb === "list") return `${template}\t1\t5\t0\t7\n`;
    if (args[1] === template) left = false;
    return "";
  });
  await expect(templates.createTemplate(template, Readable.from([]))).rejects.toMatchObject({ code: "storage-failed" });
  expect(commands.slice(0, 5).map((command) => command.split(" ")[0])).toEqual([
    "create",
    "get",
    "list",
    "destroy",
    "create",
  ]);
});

test.each([
  ["without our mark", "", "template-foreign"],
  ["with an inherited mark", own.replace("local", "inherited from p"), "template-foreign"],
  ["with another daemon's mark", own.replace("s1", "s2"), "template-foreign"],
  ["that does not exist", missing(template), "unknown-template"],
])("a dataset %s is not removed", async (_, marks, code) => {
  const { templates, commands } = templatesWith(() => marks);
  await expect(templates.removeTemplate(template)).rejects.toMatchObject({ code });
  expect(destroys(commands)).toEqual([]);
});

test.each([
  ["a clone", `${template}\tno\t-\n${template}@a\t-\tp/clone\n`, "template-busy"],
  ["a dataset below it", `${template}\tno\t-\n${template}/x\tno\t-\n${template}@a\t-\t\n`, "storage-failed"],
  ["a mount", `${template}\tyes\t-\n${template}@a\t-\t\n`, "storage-failed"],
])("a template with %s is not removed, nor are its snapshots", async (_, dependents, code) => {
  const { templates, commands } = templatesWith((verb) => (verb === "get" ? own : dependents));
  await expect(templates.removeTemplate(template)).rejects.toMatchObject({ code });
  expect(destroys(commands)).toEqual([]);
});

test("our template is removed with its snapshots", async () => {
  const { templates, commands } = templatesWith((verb) =>
    verb === "get" ? own : `${template}\tno\t-\n${template}@a\t-\t\n`,
  );
  await templates.removeTemplate(template);
  expect(destroys(commands)).toEqual([`destroy ${template}@%`, `destroy ${template}`]);
});
