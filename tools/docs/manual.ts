/** The manual pages, out of the definitions that the programs read themselves. Pure. */
import type { Command } from "commander";
import type { Block, Page } from "../../client/full/help/page.ts";
import { type ConfigKey, configKeys, describeValues } from "./config-keys.ts";
import { entry, heading, literal, page, paragraph, type Release } from "./roff.ts";

/** One of isolate's own pages: the same that `isolate help` shows. */
export function clientPage({ name, section, about, usage, sections, seeAlso }: Page, release: Release): string {
  const body = [
    ...(usage.length > 0 ? [heading("Synopsis"), literal(usage.join("\n"))] : []),
    ...sections.flatMap(({ title, blocks }) => [heading(title), ...blocks.flatMap(blockLines)]),
  ];
  return page({ name, section, about, body, seeAlso }, release);
}

/** A paragraph after another block needs to be told apart from it. */
function blockLines(block: Block, index: number): string[] {
  switch (block.kind) {
    case "rows":
      return block.rows.map(([term, about]) => entry(term, about));
    case "literal":
      return [literal(block.text)];
    case "text":
      return [...(index === 0 ? [] : [".PP"]), paragraph(block.text)];
  }
}

export function isolatedPage(command: Command, release: Release): string {
  const body = [
    heading("Synopsis"),
    `.B isolated\n${paragraph("[OPTION...]")}`,
    heading("Description"),
    paragraph(
      "The daemon of isolate(1). It runs as root, in the mount namespace of process 1, and listens at a Unix socket that " +
        "root and the members of one group may use. Under systemd, isolated.socket holds that socket and starts the " +
        "daemon at its first use: systemctl enable --now isolated.socket",
    ),
    heading("Options"),
    ...command
      .createHelp()
      .visibleOptions(command)
      .map(({ flags, description }) => entry(flags, description)),
    heading("Signals"),
    entry(
      "SIGHUP",
      "Load the configuration again. Pools, their sizes, their users, limits and the log level change immediately. Other " +
        "keys need a restart; the log names them. An invalid file is rejected and the current configuration stays in use; the " +
        "log and the status say why.",
    ),
    entry("SIGTERM, SIGINT", "Stop. Running sandboxes survive; the next daemon removes their clones when they end."),
    heading("Under systemd"),
    paragraph(
      "The daemon reports to systemd when it is ready, reloads and stops. systemctl status isolated shows its pools. It " +
        "answers the watchdog as long as its own socket and its database answer. See sd_notify(3).",
    ),
    ".PP",
    paragraph(
      "isolate_regenerate@.path is for hosts that start the daemon on demand. It watches a file below " +
        "/run/isolate/signal, which is touched whenever a sandbox of the template ends, and then fills the pool. Its instance " +
        "is the template's name as systemd-escape(1) writes it. If no other template's name ends with it, the last " +
        "component is enough: isolate_regenerate@debian.path. Also set on_demand in isolated.toml(5): then the end of a " +
        "sandbox starts a daemon that was stopped meanwhile.",
    ),
    heading("Files"),
    entry("/etc/isolate/isolated.toml", "The configuration, isolated.toml(5)."),
    entry("/run/isolate/isolated.sock", "The socket."),
    entry("/var/lib/isolate", "The database and the overlay store."),
    entry("/run/isolate", "Mounted clones, user namespaces and signal files."),
  ];
  const seeAlso = ["isolate(1)", "isolated.toml(5)", "systemd.socket(5)"];
  return page({ name: "isolated", section: 8, about: command.description(), body, seeAlso }, release);
}

export function configPage(release: Release): string {
  const keys = configKeys();
  const tables = [...new Set(keys.map(({ table }) => table?.name))];
  const body = [
    heading("Description"),
    paragraph(
      "/etc/isolate/isolated.toml is TOML. The file may be missing, and every key is optional, except name in [[template]]. " +
        "If the file has a mistake, the daemon does not start, and the error names the line and the allowed values. If a " +
        "running daemon finds a mistake when it loads the file again (SIGHUP, see isolated(8)), it keeps its old configuration.",
    ),
    ...tables.flatMap((name) => {
      const own = keys.filter(({ table }) => table?.name === name);
      const table = own[0]?.table;
      const title =
        table === undefined ? "Keys" : table.repeated ? `Keys of [[${table.name}]]` : `Keys of [${table.name}]`;
      return [
        heading(title),
        ...(table === undefined ? [] : [paragraph(table.about)]),
        ...own.map((key) => entry(key.name, aboutKey(key))),
      ];
    }),
    heading("Example"),
    literal(
      'group = "isolate"\n\n[pool]\nsize = 3\n\n[[template]]\nname = "rpool/isolate/debian"\nsize = 10\nusers = ["ann"]',
    ),
  ];
  const seeAlso = ["isolated(8)", "isolate(1)"];
  return page({ name: "isolated.toml", section: 5, about: "configuration of isolated(8)", body, seeAlso }, release);
}

function aboutKey(key: ConfigKey): string {
  const fallback = key.value.kind === "default" ? ` Default: ${key.value.text}.` : "";
  return `${key.about} Value: ${describeValues(key)}.${fallback}`;
}
