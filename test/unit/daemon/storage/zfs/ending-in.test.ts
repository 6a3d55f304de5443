import { expect, test } from "@jest/globals";
import { createEndingIn } from "../../../../../daemon/storage/zfs/ending-in.ts";

test("datasets by their last component alone; a pool's root is none, and a clone has another", async () => {
  const names = ["debisl", "rpool", "rpool/debisl", "rpool/isolate/debisl", "rpool/isolate/debisl_1700000000000000001"];
  const commands: string[] = [];
  const { endingIn } = createEndingIn(async (args) => {
    commands.push(args.join(" "));
    return `${names.join("\n")}\n`;
  });
  expect(await endingIn("debisl")).toEqual(["rpool/debisl", "rpool/isolate/debisl"]);
  expect(commands).toEqual(["list -H -t filesystem -o name"]);
});
