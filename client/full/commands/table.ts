/** The verbs' table: what each verb does. Everything here talks to the daemon by HTTP and stays in this process. */
import type { CommandRequest, RefillRequest } from "../../run/options/requests.ts";
import type { CommandName } from "../../run/options/verbs.ts";
import type { CommandContext } from "./context.ts";
import { kill } from "./kill.ts";
import { pool } from "./pool.ts";
import { ps } from "./ps.ts";
import { refill } from "./refill.ts";
import { listTemplates, removeTemplate, snapshotTemplate } from "./template.ts";

type Verb = (request: CommandRequest, context: CommandContext) => Promise<void>;

/** One entry for each verb that `verbs.ts` defines. */
const actions: Readonly<Record<CommandName, Verb>> = {
  pool: ({ json }, { api, print }) => pool(api, print, json),
  ps: ({ json }, { api, print }) => ps(api, print, json),
  kill: ({ operand }, { api, print }) => kill(operand, api, print),
  log: async (request, { api, print }) => (await import("./log.ts")).log(request, api, print),
  doctor: async ({ json }, context) => (await import("./doctor.ts")).doctor(json, context),
  "template ls": ({ json }, { api, print }) => listTemplates(api, print, json),
  "template create": create,
  "template snapshot": ({ operand }, { api, print }) => snapshotTemplate(operand, api, print),
  "template rm": ({ operand }, { api, print }) => removeTemplate(operand, api, print),
};

export async function runRefill(request: RefillRequest, { common, api, print }: CommandContext): Promise<void> {
  await refill(request, api, print, common.verbosity);
}

export async function runCommand(request: CommandRequest, context: CommandContext): Promise<void> {
  await actions[request.name](request, context);
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
