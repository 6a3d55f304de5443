/** Commands to a running QEMU in its machine protocol (QMP): one JSON object per line, in both directions. */
import { createConnection } from "node:net";
import { createInterface } from "node:readline";

/** Sends one command and waits until it is done. Throws QEMU's message if it is refused. */
export async function order(monitor: string, name: string, args: Readonly<Record<string, unknown>>): Promise<void> {
  const socket = createConnection(monitor);
  try {
    socket.write(`${JSON.stringify({ execute: "qmp_capabilities" })}\n`);
    socket.write(`${JSON.stringify({ execute: name, arguments: args, id: name })}\n`);
    for await (const line of createInterface(socket)) {
      const answer = JSON.parse(line) as { id?: string; error?: { desc: string } };
      if (answer.error) throw new Error(`QEMU refuses ${name}: ${answer.error.desc}`);
      if (answer.id === name) return;
    }
    throw new Error(`QEMU did not answer to ${name}`);
  } finally {
    socket.destroy();
  }
}
