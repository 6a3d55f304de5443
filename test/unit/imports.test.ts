/** Checks the import rules of the design. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { projectRoot } from "../support/project.ts";

interface Import {
  readonly file: string;
  /** A file of the project, or the name of a package or a built-in module. */
  readonly of: string;
  /** Whether it imports only types. */
  readonly typeOnly: boolean;
  readonly names: string;
  /** Whether it is a call at run time, not a statement. */
  readonly late: boolean;
}

const folders = ["protocol", "daemon", "client", "engines"];
const files = folders.flatMap((folder) =>
  readdirSync(join(projectRoot, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => `${folder}/${name}`),
);
const source = (file: string): string => readFileSync(join(projectRoot, file), "utf8");
/** Removes comments: text about imports is not an import. */
const code = (file: string): string => source(file).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");

function importsOf(file: string): Import[] {
  const text = code(file);
  const of = (name: string): string => (name.startsWith(".") ? normalize(join(dirname(file), name)) : name);
  const statements = text.matchAll(/^(?:import|export)\s+(?:(type\s)?([^;"']*?)\s*from\s*)?["']([^"']+)["']/gm);
  const calls = text.matchAll(/(typeof\s+)?(?:\bimport|\brequire|getBuiltinModule)\(\s*(?:["']([^"']+)["'])?/g);
  return [
    ...[...statements].map(([, type, names = "", name = ""]) => ({
      file,
      of: of(name),
      names,
      typeOnly: type !== undefined || onlyTypes(names),
      late: false,
    })),
    ...[...calls].map(([, type, name = "a name that is computed"]) => ({
      file,
      of: of(name),
      names: "",
      typeOnly: type !== undefined,
      late: true,
    })),
  ];
}

function onlyTypes(names: string): boolean {
  const each = names
    .replace(/[{}]/g, "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return names.includes("{") && each.length > 0 && each.every((name) => name.startsWith("type "));
}

const imports = files.flatMap(importsOf);
const inside = (path: string, ...folder: string[]): boolean => folder.some((it) => path.startsWith(`${it}/`));
const isProject = (path: string): boolean => inside(path, "protocol", "daemon", "client", "engines", "test", "tools");
const shown = ({ file, of }: Import): string => `${file} imports ${of}`;

/** Files that are pure by the layout or by their first comment. */
const pure = (file: string): boolean =>
  inside(file, "engines") || named.has(file) || /\bPure\b/.test(firstComment(file));
const firstComment = (file: string): string => /^\/\*\*[\s\S]*?\*\//.exec(source(file))?.[0] ?? "";
const named = new Set([
  "daemon/records/machine.ts",
  "daemon/pools/plan.ts",
  "daemon/idmap/ranges.ts",
  "daemon/storage/zfs/args.ts",
  "daemon/storage/zfs/direct-args.ts",
  "daemon/storage/zfs/parse.ts",
  "client/full/desktop/sound/audio.ts",
  "client/full/desktop/sound/pulse-protocol.ts",
  "client/full/desktop/sound/sound-server.ts",
  "client/full/desktop/x11/display.ts",
  "client/full/desktop/x11/x-protocol.ts",
  "client/full/desktop/x11/x11.ts",
  "client/full/desktop/x11/xauthority.ts",
  "client/run/options/arguments.ts",
  "client/run/options/definitions.ts",
  "client/run/paths-in-root.ts",
  "client/run/options/options.ts",
  "client/run/plan.ts",
  "client/run/shown.ts",
  "protocol/refusal.ts",
]);

/** The only modules that need the schema library. */
const withSchema = new Set(["protocol/routes.ts", "protocol/schema.ts"]);

/** Headers that the build makes, and those of QuickJS. */
const made = new Set(["filter-programs.h", "starter-script.h", "quickjs.h"]);

/** Real dependencies: functions that open, listen, or call the kernel. */
const realDependencies: [name: string, file: string][] = [
  ["loadSystemCall", "client/full/ffi.ts"],
  ["createLibc", "client/run/linux/libc.ts"],
  ["createRootCalls", "client/run/linux/root-calls.ts"],
  ["createApi", "client/full/api.ts"],
  ["openStore", "daemon/records/store.ts"],
  ["openLeaseLog", "daemon/records/lease-log.ts"],
  ["createMetrics", "daemon/service/metrics.ts"],
  ["createLog", "daemon/service/log.ts"],
  ["createKeeper", "daemon/pools/keeper.ts"],
  ["createServer", "daemon/http/server.ts"],
  ["createZfsDriver", "daemon/storage/zfs/driver.ts"],
  ["createOverlayDriver", "daemon/storage/overlay/driver.ts"],
];

test("there is something to check", () => {
  expect(files.length).toBeGreaterThan(40);
  expect(imports.filter(({ of }) => isProject(of)).length).toBeGreaterThan(100);
  expect(imports.filter(({ of }) => isProject(of) && !files.includes(of)).map(shown)).toEqual([]);
});

test("1: protocol imports only the schema library, and only in the routes and the schema", () => {
  const strangers = imports.filter(({ file, of }) => inside(file, "protocol") && !inside(of, "protocol"));
  expect([...new Set(strangers.map(({ of }) => of))]).toEqual(["@sinclair/typebox"]);
  expect(strangers.filter(({ file }) => !withSchema.has(file)).map(shown)).toEqual([]);
});

test("2: the daemon imports nothing from the client and the engines", () => {
  expect(
    imports
      .filter(({ file, of }) => inside(file, "daemon") && isProject(of) && !inside(of, "daemon", "protocol"))
      .map(shown),
  ).toEqual([]);
});

test("3: the engines import only engines", () => {
  expect(imports.filter(({ file, of }) => inside(file, "engines") && !inside(of, "engines")).map(shown)).toEqual([]);
});

test("4: client/run and client/starter import each other, the engines and the protocol without its schema", () => {
  const allowed = (of: string): boolean =>
    inside(of, "client/run", "client/starter", "engines", "protocol") && !withSchema.has(of);
  const ofTheRun = imports.filter(({ file }) => inside(file, "client/run", "client/starter"));
  expect(ofTheRun.filter(({ of }) => !allowed(of)).map(shown)).toEqual([]);
});

test("5: client/full imports only the client, the engines and the protocol of the project", () => {
  const allowed = (of: string): boolean => !isProject(of) || inside(of, "client", "engines", "protocol");
  expect(imports.filter(({ file, of }) => inside(file, "client/full") && !allowed(of)).map(shown)).toEqual([]);
});

test("8: a native program includes its own headers, common ones and the filter's", () => {
  const sources = readdirSync(join(projectRoot, "native"), { recursive: true, encoding: "utf8" }).filter((name) =>
    /[.][ch]$/.test(name),
  );
  const wrong = sources.flatMap((name) => {
    const [folder = ""] = name.split("/");
    const included = source(`native/${name}`).matchAll(/^#include "([^"]+)"/gm);
    const ours = [`native/${folder}`, "native/common", "seccomp"].flatMap((place) =>
      readdirSync(join(projectRoot, place)),
    );
    return [...included].filter(([, of = ""]) => !ours.includes(of) && !made.has(of)).map(([, of]) => `${name}: ${of}`);
  });
  expect(sources.length).toBeGreaterThan(20);
  expect(wrong).toEqual([]);
});

test("there are no circular imports", () => {
  const next = (file: string): string[] =>
    imports.filter((one) => one.file === file && !one.typeOnly && files.includes(one.of)).map(({ of }) => of);
  const done = new Set<string>();
  const circleFrom = (file: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return undefined;
    const found = next(file)
      .map((of) => circleFrom(of, [...way, file]))
      .find((circle) => circle !== undefined);
    done.add(file);
    return found;
  };
  expect(files.map((file) => circleFrom(file, [])).filter((circle) => circle !== undefined)).toEqual([]);
});

describe("pure files touch no clock, environment, file or process", () => {
  const list = files.filter(pure);

  test("all files that the layout names exist", () => {
    expect([...named].filter((file) => !list.includes(file) || !files.includes(file))).toEqual([]);
  });

  test("they import no built-in module, and only pure files", () => {
    const allowed = (of: string): boolean => inside(of, "protocol") || (files.includes(of) && pure(of));
    const wrong = imports.filter(({ file, of, typeOnly }) => pure(file) && !typeOnly && !allowed(of));
    expect(wrong.map(shown)).toEqual([]);
  });

  test.each(list)("%s", (file) => {
    const ambient =
      /(?<!\.)\b(?:process|performance|globalThis|Bun|console)\s*\.|\bDate\b|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\b|\bfetch\(|\bawait\b/;
    expect(ambient.exec(code(file))?.[0]).toBeUndefined();
  });
});

describe("the starter runs in QuickJS, which has no built-in modules, packages and dynamic imports", () => {
  const start = "client/starter/main.ts";
  const reached = new Set([start]);
  for (const file of reached) {
    const ofFile = imports.filter((one) => one.file === file && !one.typeOnly);
    for (const { of } of ofFile) if (files.includes(of)) reached.add(of);
  }

  test("its files are found", () => {
    expect(reached.size).toBeGreaterThan(40);
  });

  test("they import only files of the project, with statements", () => {
    const needed = imports.filter(({ file, typeOnly }) => reached.has(file) && !typeOnly);
    expect(needed.filter(({ of, late }) => late || !files.includes(of)).map(shown)).toEqual([]);
  });

  test("they use no global object that QuickJS lacks", () => {
    const lacking =
      /(?<![.\w"'`-])(?:process|Buffer|Bun|performance|console)\.|\b(?:set(?:Timeout|Interval|Immediate)|fetch)\(|new URL\(/;
    const users = [...reached].map((file) => [file, lacking.exec(code(file))?.[0]]).filter(([, found]) => found);
    expect(users).toEqual([]);
  });
});

test("only these few files make native calls", () => {
  const native = imports.filter(({ of }) => ["koffi", "bun:ffi"].includes(of)).map(({ file }) => file);
  expect([...new Set(native)].sort()).toEqual([
    "client/full/ffi.ts",
    "daemon/linux/call.ts",
    "daemon/storage/zfs/library.ts",
  ]);
});

describe("only main.ts files build real dependencies", () => {
  test("9: no file imports a main.ts", () => {
    expect(imports.filter(({ of }) => /(^|\/)main\.ts$/.test(of)).map(shown)).toEqual([]);
  });

  test.each(realDependencies)("%s of %s", (name, file) => {
    const uses = new RegExp(`\\b${name}\\(`);
    const users = files.filter(
      (user) => user !== file && uses.test(code(user)) && importsOf(user).some(({ of }) => of === file),
    );
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter((user) => !user.endsWith("/main.ts"))).toEqual([]);
  });
});
