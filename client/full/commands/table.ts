/** From a command's name to its verb. Everything here talks to the daemon by HTTP and stays in this process. */

import type { Libc } from "../../run/linux/libc.ts";
import type { CommandRequest, Common, RefillRequest } from "../../run/options/options.ts";
import type { Output, Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { kill } from "./kill.ts";
import { pool } from "./pool.ts";
import { ps } from "./ps.ts";
import { refill } from "./refill.ts";
import { listTemplates, removeTemplate, snapshotTemplate } from "./template.ts";

export interface CommandContext {
  readonly common: Common;
  readonly api: Api;
  readonly print: Print;
  readonly output: Output;
  readonly libc: Libc;
}

export async function runRefill(request: RefillRequest, { common, api, print }: CommandContext): Promise<void> {
  await refill(request, api, print, common.verbosity);
}

export async function runCommand(command: CommandRequest, context: CommandContext): Promise<void> {
  const { name, json, operand } = command;
  const { api, print } = context;
  switch (name) {
    case "pool":
      return await pool(api, print, json);
    case "ps":
      return await ps(api, print, json);
    case "kill":
      return await kill(operand, api, print);
    case "log":
      return await (await import("./log.ts")).log(command, api, print);
    case "doctor":
      return await (await import("./doctor.ts")).doctor(json, context);
    case "template ls":
      return await listTemplates(api, print, json);
    case "template snapshot":
      return await snapshotTemplate(operand, api, print);
    case "template rm":
      return await removeTemplate(operand, api, print);
    case "template create":
      return await create(command, context);
  }
}

async function create(
  { operand, source }: CommandRequest,
  { common, print, output, libc }: CommandContext,
): Promise<void> {
  if (!source) return;
  const { createTemplate } = await import("../templates/create.ts");
  const { summary } = await createTemplate({
    socket: common.socket,
    template: operand,
    source,
    uid: libc.uid(),
    quiet: common.verbosity === "quiet",
    terminal: { isTTY: output.isTerminal(2), write: (text) => output.write(2, text) },
  });
  print.info(summary);
}
