/** `isolate template create NAME --dir DIR | --tar FILE | --debian SUITE`: makes a tar and streams it to the daemon. */
import { IsolateError } from "../../../protocol/errors.ts";
import { parseTemplateName } from "../../../protocol/names.ts";
import { Refusal, readErrorBody } from "../../../protocol/refusal.ts";
import { routes } from "../../../protocol/routes.ts";
import type { Snapshot } from "../../../protocol/schema.ts";
import { createProgress, duration, mebibytes, type ProgressDisplay, type ProgressTerminal } from "./progress.ts";
import { type Content, type OpenSource, openSource, type TemplateSource } from "./sources.ts";
import { openUpload, type Reply, type Upload } from "./upload.ts";

export interface CreateTemplateOptions {
  readonly socket: string;
  readonly template: string;
  readonly source: TemplateSource;
  readonly uid: number;
  /** Whether to show no progress display. */
  readonly quiet: boolean;
  /** The output of the progress display: standard error. */
  readonly terminal: ProgressTerminal;
}

export interface CreatedTemplate extends Snapshot {
  /** Prints one sentence for the user. */
  readonly summary: string;
}

/**
 * Throws `not-root`, `bad-name` and `not-running` before anything is started, a `Refusal` as soon as it arrives, and
 * `bad-source` if the content is incomplete: then the daemon has kept nothing.
 */
export async function createTemplate(options: CreateTemplateOptions): Promise<CreatedTemplate> {
  // The daemon checks the caller itself; this check only avoids a minute of useless work.
  if (options.uid !== 0) throw new IsolateError("not-root", { what: routes.createTemplate.verb });
  const template = parseTemplateName(options.template);
  const source = await openSource(options.source);
  const started = Date.now();
  const progress = createProgress(source.title, options.terminal, options.quiet);
  const upload = openUpload(options.socket, template);
  try {
    await upload.connected;
    const { reply, bytes } = await send(source, upload, progress);
    const { snapshot } = snapshotOf(reply);
    const summary = `created ${snapshot} from ${source.title}: ${mebibytes(bytes)} in ${duration(Date.now() - started)}`;
    return { snapshot, summary };
  } finally {
    upload.abort();
    progress.end();
  }
}

type Sent = { readonly reply: Reply; readonly bytes: number };

async function send(source: OpenSource, upload: Upload, progress: ProgressDisplay): Promise<Sent> {
  progress.stage(source.firstStage);
  const interruption = catchSignals();
  const starting = source.start((stage) => progress.stage(stage));
  try {
    const content = await Promise.race([starting, interruption.caught]);
    const { bytes, whole } = await Promise.race([pump(content, upload, progress), interruption.caught]);
    if (whole) {
      await Promise.race([content.done, interruption.caught]);
      upload.finish();
      progress.stage("the daemon makes the first snapshot");
    }
    return { reply: await Promise.race([upload.reply, interruption.caught]), bytes };
  } catch (error) {
    // Close the connection first: content that ends early must not look complete.
    upload.abort();
    progress.stage("cleaning up");
    throw error;
  } finally {
    await (await starting.catch(() => undefined))?.stop();
    progress.end();
    interruption.end();
  }
}

/** Returns early, with `whole` false, if the daemon answers or is gone before the body's end. */
async function pump(
  content: Content,
  upload: Upload,
  progress: ProgressDisplay,
): Promise<{ bytes: number; whole: boolean }> {
  let bytes = 0;
  let settled = false;
  const mark = (): void => {
    settled = true;
    content.stream.destroy();
  };
  upload.reply.then(mark, mark);
  try {
    for await (const chunk of content.stream as AsyncIterable<Buffer>) {
      if (settled) break;
      await upload.write(chunk);
      bytes += chunk.length;
      progress.sent(chunk.length);
    }
  } catch (error) {
    if (!settled) {
      await content.done;
      throw error;
    }
  }
  return { bytes, whole: !settled };
}

/** Lets the producer clean up after Ctrl-C; then the signal has its usual effect. */
function catchSignals(): { caught: Promise<never>; end: () => void } {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let received: NodeJS.Signals | undefined;
  let fail: (error: Error) => void = () => {};
  const caught = new Promise<never>((_, reject) => {
    fail = reject;
  });
  caught.catch(() => {});
  const onSignal = (signal: NodeJS.Signals): void => {
    received ??= signal;
    fail(new Error(`ended by ${signal}`));
  };
  for (const signal of signals) process.on(signal, onSignal);
  return {
    caught,
    end: () => {
      for (const signal of signals) process.off(signal, onSignal);
      if (received) process.kill(process.pid, received);
    },
  };
}

function snapshotOf({ status, text }: Reply): Snapshot {
  if (status >= 200 && status < 300) {
    const body = JSON.parse(text) as Partial<Snapshot>;
    if (typeof body.snapshot === "string") return { snapshot: body.snapshot };
  }
  const body = readErrorBody(text);
  throw body ? new Refusal(body) : new IsolateError("lost-daemon", { cause: `it answered HTTP ${status}` });
}
