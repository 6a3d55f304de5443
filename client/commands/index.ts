/** From a command's name to its verb. Everything here talks to the daemon by HTTP and stays in this process. */
import { createApi } from "../api.ts";
import type { CommandRequest, Common, RefillRequest } from "../options.ts";
import type { Output, Print } from "../print.ts";
import { pool } from "./pool.ts";
import { ps } from "./ps.ts";
import { refill } from "./refill.ts";
import { listTemplates, removeTemplate, snapshotTemplate } from "./template.ts";

export async function runRefill(request: RefillRequest, { socket, verbosity }: Common, print: Print): Promise<void> {
  await refill(request, createApi(socket), print, verbosity);
}

export async function runCommand(command: CommandRequest, common: Common, print: Print, output: Output): Promise<void> {
  const { name, json, operand } = command;
  const api = createApi(common.socket);
  switch (name) {
    case "pool":
      return await pool(api, print, json);
    case "ps":
      return await ps(api, print, json);
    case "template ls":
      return await listTemplates(api, print, json);
    case "template snapshot":
      return await snapshotTemplate(operand, api, print);
    case "template rm":
      return await removeTemplate(operand, api, print);
    case "template create":
      return await create(command, common, print, output);
  }
}

async function create(
  { operand, source }: CommandRequest,
  { socket, verbosity }: Common,
  print: Print,
  output: Output,
): Promise<void> {
  if (!source) return;
  const { createTemplate } = await import("./template-create.ts");
  const { summary } = await createTemplate({
    socket,
    template: operand,
    source,
    uid: process.getuid?.() ?? 0,
    quiet: verbosity === "quiet",
    terminal: { isTTY: output.isTerminal(2), columns: output.columns(), write: (text) => output.write(2, text) },
  });
  print.info(summary);
}
