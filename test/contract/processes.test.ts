/** Native calls in situations that the kernel produces only rarely. */
import { spawn } from "node:child_process";
import { expect, test } from "@jest/globals";
import { closeDescriptor } from "../../daemon/linux/call.ts";
import { pidfdOpen, pidfdsEnded } from "../../daemon/linux/processes.ts";

test("a process is watched while signals report the end of others", async () => {
  // As if 200,000 children ended: Node handles this signal as long as it has a child.
  const sender = spawn("perl", ["-e", `for (1..200000) { kill "CHLD", ${process.pid} }`], { stdio: "ignore" });
  const ended = new Promise((resolve) => sender.once("exit", resolve));
  const pidfd = pidfdOpen(sender.pid ?? 0);
  try {
    // Many, so that each call takes the kernel a while.
    const many = Array<number>(5000).fill(pidfd);
    while (pidfdsEnded(many).length === 0);
    expect(await ended).toBe(0);
  } finally {
    closeDescriptor(pidfd);
  }
});
