import { describe, expect, test } from "@jest/globals";
import { createPrint, harmless, type Verbosity } from "../../../../../client/run/report/print.ts";

function printer(options: { terminal?: boolean; environment?: Record<string, string>; verbosity?: Verbosity } = {}) {
  const written = { 1: "", 2: "" };
  const output = {
    write: (descriptor: 1 | 2, text: string) => {
      written[descriptor] += text;
    },
    isTerminal: () => options.terminal ?? false,
    columns: () => undefined,
    environment: options.environment ?? {},
  };
  return { print: createPrint(output, options.verbosity), written };
}

function sayAll(verbosity: Verbosity): string {
  const { print, written } = printer({ verbosity });
  print.error("e");
  print.warn("w");
  print.info("i");
  print.trace(() => "t");
  expect(written[1]).toBe("");
  return written[2].replaceAll("isolate: ", "").replaceAll("\n", "");
}

describe("levels", () => {
  test("quiet keeps every warning", () => {
    expect(sayAll("quiet")).toBe("ew");
    expect(sayAll("normal")).toBe("ewi");
    expect(sayAll("trace")).toBe("ewit");
  });

  test("a trace sentence is not built unless it is printed", () => {
    const { print } = printer();
    print.trace(() => {
      throw new Error("made");
    });
  });
});

describe("sentences", () => {
  test("go to stderr with the hint below", () => {
    const { print, written } = printer();
    print.error("cannot go on", "try this");
    print.error("cannot go on");
    expect(written).toEqual({ 1: "", 2: "isolate: cannot go on\n  try this\nisolate: cannot go on\n" });
  });

  test("have colour only on a terminal, and not with NO_COLOR", () => {
    const coloured = (options: Parameters<typeof printer>[0]): boolean => {
      const { print, written } = printer(options);
      print.warn("w", "h");
      return written[2].includes("\x1b[");
    };
    expect(coloured({ terminal: true })).toBe(true);
    expect(coloured({ terminal: true, environment: { NO_COLOR: "1" } })).toBe(false);
    expect(coloured({ terminal: true, environment: { NO_COLOR: "" } })).toBe(true);
    expect(coloured({ terminal: false })).toBe(false);
  });

  test("cannot control the terminal", () => {
    const { print, written } = printer();
    print.error("a\x1b]0;x\x07b\nc\u202e", "\x9b31m");
    expect(written[2]).toBe("isolate: a?]0;x?b c?\n  ?31m\n");
    expect(harmless("ä – 漢字")).toBe("ä – 漢字");
  });
});

describe("results", () => {
  test("a table has aligned columns, right-aligned numbers, and harmless cells", () => {
    const { print, written } = printer();
    print.table(
      ["NAME", "N", "LAST"],
      [
        ["a\x1b[2J", 1, null],
        ["long name", 10, "x"],
      ],
    );
    expect(written[1]).toBe("NAME        N  LAST\na?[2J       1  -\nlong name  10  x\n");
  });

  test("a single long cell shifts only its row; if most cells are long, they are aligned", () => {
    const { print, written } = printer();
    const long = "x".repeat(150);
    print.table(
      ["NAME", "N"],
      [
        ["a", 1],
        [long, 2],
        ["b", 3],
      ],
    );
    expect(written[1]).toBe(`NAME  N\na     1\n${long}  2\nb     3\n`);
    const other = printer();
    other.print.table(
      ["NAME", "N"],
      [
        [long, 1],
        [long.slice(1), 2],
        [long, 3],
      ],
    );
    expect(other.written[1].split("\n").map((line) => line.length)).toEqual([153, 153, 153, 153, 0]);
  });

  test("an empty table has only its heads", () => {
    const { print, written } = printer();
    print.table(["A", "B"], []);
    expect(written[1]).toBe("A  B\n");
  });

  test("as JSON cannot control the terminal, and keep their values", () => {
    const { print, written } = printer();
    const value = { text: "a\x9b31m\u202eb\x1b\x7f\u{e0001}\nc" };
    print.json(value);
    expect(/(?!\n)[\p{Cc}\p{Cf}]/u.exec(written[1])).toBeNull();
    expect(JSON.parse(written[1])).toEqual(value);
  });

  test("are printed even with -q", () => {
    const { print, written } = printer({ verbosity: "quiet" });
    print.json([{ a: 1 }]);
    expect(JSON.parse(written[1])).toEqual([{ a: 1 }]);
  });
});
