/** Talks to an X server. Every function throws `SystemCallError` if the server cannot be reached. */

import { SystemCallError } from "../../../run/linux/call.ts";
import type { Libc } from "../../../run/linux/libc.ts";
import { type Conversation, converse } from "../conversation.ts";
import {
  extensionOpcode,
  extensionRequest,
  message,
  messageHead,
  setupHead,
  setupRefusal,
  setupRequest,
  setupRest,
  untrustedCookie,
  untrustedRequest,
} from "./x-protocol.ts";

export interface Hello {
  readonly conversation: Conversation;
  /** The server's reason; `undefined` if it accepts the client. */
  readonly refused: string | undefined;
  end(): void;
}

/** Seconds: the process that holds the cookie connects immediately, and ends with the sandbox. */
const cookieTimeout = 3;

/** A limit in bytes, far above the replies that are read here. */
const longest = 64 * 1024;

/** Closes the descriptor when it throws. */
export function askServer(descriptor: number, cookie: Uint8Array | undefined, libc: Libc): Hello {
  const conversation = converse(descriptor, libc);
  try {
    conversation.send(setupRequest(cookie));
    const head = conversation.receive(setupHead);
    const refused = setupRefusal(head, conversation.receive(setupRest(head)));
    return { conversation, refused, end: conversation.close };
  } catch (error) {
    conversation.close();
    throw error;
  }
}

/** Returns `undefined` if the server makes none. */
export function generateUntrusted(conversation: Conversation): Uint8Array | undefined {
  const extension = exchange(conversation, extensionRequest("SECURITY"));
  const opcode = extension && extensionOpcode(extension);
  const reply = opcode && exchange(conversation, untrustedRequest(opcode, cookieTimeout));
  return reply ? untrustedCookie(reply) : undefined;
}

/** Returns the whole reply; `undefined` if the server sent an error. */
function exchange(conversation: Conversation, request: Uint8Array): Uint8Array | undefined {
  conversation.send(request);
  for (;;) {
    const head = conversation.receive(messageHead);
    const { kind, rest } = message(head);
    if (kind === "error") return undefined;
    if (rest > longest) throw new SystemCallError("read", "EMSGSIZE");
    if (kind === "reply") return Uint8Array.from([...head, ...conversation.receive(rest)]);
  }
}
