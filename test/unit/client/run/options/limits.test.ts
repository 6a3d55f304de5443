import { describe, expect, test } from "@jest/globals";
import { readIntent } from "../../../../../client/run/options/options.ts";
import { scopeArguments } from "../../../../../client/run/scope.ts";
import { IsolateError } from "../../../../../protocol/errors.ts";

function run(words: readonly string[], environment = {}) {
  const intent = readIntent([...words, "-z", "T", "true"], environment);
  if (intent.kind !== "run") throw new Error(intent.kind);
  return intent.run;
}

function refusal(words: readonly string[], environment = {}): string {
  try {
    run(words, environment);
  } catch (error) {
    if (error instanceof IsolateError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("limits", () => {
  test("are exact", () => {
    expect(run(["--cpus=0.34", "--memory=300M", "--pids=7"]).limits).toEqual({
      cpu: 34_000,
      memory: 300 * 2 ** 20,
      pids: 7,
    });
    expect(run(["--cpus", "12", "--memory", "2g"]).limits).toMatchObject({ cpu: 1_200_000, memory: 2 ** 31 });
    expect(run(["--memory", "1048576"]).limits).toMatchObject({ memory: 2 ** 20 });
  });

  test.each([
    ...["0", "0.001", "-1", "x", "", "1e3", "1;id", "10000"].map((value) => ["--cpus", value]),
    ...["0", "5", "1K", "x", "", "1.5G", "9e9", "1MB", "99999999999T", "1M\n"].map((value) => ["--memory", value]),
    ...["0", "x", "", "4194305", "1.5", "-1"].map((value) => ["--pids", value]),
  ])("%s '%s' is refused", (option = "", value = "") => {
    expect(refusal([`${option}=${value}`])).toBe("bad-limit");
  });

  test("of the lxc engine come from its variables; options take precedence", () => {
    expect(run(["-e", "lxc"]).limits).toEqual({ cpu: 20_000, memory: undefined, pids: 4096 });
    const environment = { LXC_CPU_QUOTA: "51", LXC_MEM_MB_QUOTA: "100" };
    expect(run(["-e", "lxc"], environment).limits).toEqual({ cpu: 51_000, memory: 100 * 2 ** 20, pids: 4096 });
    expect(run(["-e", "lxc", "--cpus=2", "--pids=9"], environment).limits).toMatchObject({ cpu: 200_000, pids: 9 });
    expect(run([], environment).limits).toEqual({ cpu: undefined, memory: undefined, pids: undefined });
  });

  test.each(["0", "101", "20; touch /x", "9e9", "20.5", "-5", "a[$(id)]"])("LXC_CPU_QUOTA '%s' is refused", (value) => {
    expect(refusal(["-e", "lxc"], { LXC_CPU_QUOTA: value })).toBe("bad-limit");
    expect(refusal([], { LXC_CPU_QUOTA: value })).toBe("accepted");
  });

  test("become a scope's properties", () => {
    const limits = { cpu: 34_000, memory: 2 ** 20, pids: 7 };
    expect(scopeArguments(limits, "isolate-1.scope", true)).toEqual([
      ...["--user", "--scope", "--quiet", "--collect", "--unit=isolate-1.scope"],
      ...["-p", "CPUQuota=34%", "-p", "CPUQuotaPeriodSec=100ms"],
      ...["-p", "MemoryMax=1048576", "-p", "MemorySwapMax=0", "-p", "TasksMax=7"],
    ]);
  });
});

describe("--seccomp", () => {
  test("is one of four", () => {
    expect(run([]).seccomp).toEqual({ kind: "default" });
    for (const kind of ["default", "tty", "none"]) expect(run([`--seccomp=${kind}`]).seccomp).toEqual({ kind });
    expect(run(["--seccomp=./none"]).seccomp).toEqual({ kind: "file", path: "./none" });
    expect(refusal(["--seccomp="])).toBe("usage");
  });

  test("takes precedence over DISABLE_SECCOMP_WRAPPER, which counts if it is not empty", () => {
    expect(run([], { DISABLE_SECCOMP_WRAPPER: "0" }).seccomp).toEqual({ kind: "none" });
    expect(run([], { DISABLE_SECCOMP_WRAPPER: "" }).seccomp).toEqual({ kind: "default" });
    expect(run(["--seccomp=tty"], { DISABLE_SECCOMP_WRAPPER: "1" }).seccomp).toEqual({ kind: "tty" });
  });
});

test("chroot always has the host's network", () => {
  expect(run(["-e", "chroot"]).network).toBe("host");
  expect(run(["-e", "lxc"]).network).toBe("none");
});
