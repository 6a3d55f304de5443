/** Native calls where the kernel does what only happens now and then. */
import { spawn } from "node:child_process";
import { expect, test } from "@jest/globals";
import { closeDescriptor } from "../../daemon/linux/call.ts";
import { pidfdOpen, pidfdsEnded } from "../../daemon/linux/processes.ts";

test("a process is watched while others end, signal by signal", async () => {
  // As if 200,000 children ended: Node has a handler for this one signal as long as it has a child.
  const sender = spawn("perl", ["-e", `for (1..200000) { kill "CHLD", ${process.pid} }`], { stdio: "ignore" });
  const ended = new Promise((resolve) => sender.once("exit", resolve));
  const pidfd = pidfdOpen(sender.pid ?? 0);
  try {
    // Many, so that the kernel is at it for a while.
    const many = Array<number>(5000).fill(pidfd);
    while (pidfdsEnded(many).length === 0);
    expect(await ended).toBe(0);
  } finally {
    closeDescriptor(pidfd);
  }
});
