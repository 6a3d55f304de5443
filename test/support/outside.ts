/**
 * A program: a server to probe a network. argv: NAME PORT. Answers NAME on TCP and UDP at every address of its network
 * namespace. At port 53 of 127.0.0.53 it resolves every name to 192.0.2.53. Prints `up` when ready.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const [name = "", port = "0"] = process.argv.slice(2);
const listening: Promise<unknown>[] = [];

listening.push(
  new Promise((resolve) =>
    createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end(`${name}\n`);
    }).listen({ host: "::", port: Number(port) }, () => resolve(undefined)),
  ),
);
for (const [kind, address] of [
  ["udp4", "0.0.0.0"],
  ["udp6", "::"],
] as const) {
  const socket = createSocket({ type: kind, ipv6Only: kind === "udp6" });
  socket.on("message", (_, from) => socket.send(`${name}\n`, from.port, from.address));
  listening.push(new Promise((resolve) => socket.bind(Number(port), address, () => resolve(undefined))));
}

/** RFC 1035: repeats the question, and answers an A query with one record. */
function answer(query: Buffer): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const isAddress = query.readUInt16BE(end - 4) === 1;
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(isAddress ? 1 : 0, 6);
  head.writeUInt16BE(0, 10); // the EDNS record is not repeated
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53]);
  return Buffer.concat([head, query.subarray(12, end), ...(isAddress ? [record] : [])]);
}

const names = createSocket("udp4");
names.on("message", (query, from) => names.send(answer(query), from.port, from.address));
listening.push(new Promise((resolve) => names.bind(53, "127.0.0.53", () => resolve(undefined))));

await Promise.all(listening);
process.stdout.write("up\n");
