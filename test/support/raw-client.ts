/**
 * A program: opens connections to a Unix socket and sends exactly the given bytes, like a client that is not isolate.
 * argv: SOCKET. Reads a line of JSON from standard input: the chunks of each connection, as latin1. Each chunk after
 * the first waits for an answer to the previous one. Prints one event per line; ends when its standard input ends.
 */
import { connect } from "node:net";
import { createInterface } from "node:readline";

export type RawEvent =
  | { readonly connection: number; readonly text: string }
  | { readonly connection: number; readonly ended: string };

const [socketPath = ""] = process.argv.slice(2);
const say = (event: RawEvent): unknown => process.stdout.write(`${JSON.stringify(event)}\n`);

function open(chunks: readonly string[], connection: number): void {
  const rest = [...chunks];
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  const next = (): void => {
    const chunk = rest.shift();
    if (chunk !== undefined) socket.write(chunk, "latin1");
  };
  socket.on("connect", next);
  socket.on("data", (data) => {
    say({ connection, text: data.toString("latin1") });
    next();
  });
  socket.on("end", () => say({ connection, ended: "end" }));
  socket.on("error", (error: NodeJS.ErrnoException) => say({ connection, ended: error.code ?? error.message }));
}

createInterface(process.stdin)
  .on("line", (line) => (JSON.parse(line) as string[][]).forEach(open))
  .on("close", () => process.exit());
