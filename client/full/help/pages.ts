/** The pages of isolate's manual, out of the definitions that the parser reads. Pure. */
import { everywhere, poolOptions, rootOptions, runOptions, version } from "../../run/options/definitions.ts";
import { type VerbDefinition, verbs } from "../../run/options/verbs.ts";
import * as examples from "./examples.ts";
import { type Block, literal, type Page, rows, type Section, text } from "./page.ts";
import * as prose from "./prose.ts";
import { engineRows, featureRows, optionRows, verbRows, verbUsage } from "./rows.ts";

export const summary = "run any command in a complete, writable, disposable Linux filesystem";

const all: readonly VerbDefinition[] = verbs;
const verbsOf = (first: string): readonly VerbDefinition[] => all.filter(({ words }) => words[0] === first);

const runUsage = ["isolate -z TEMPLATE [OPTION...] COMMAND [ARG...]", "isolate -t DIR [OPTION...] COMMAND [ARG...]"];
const refillUsage = "isolate -r TEMPLATE [N] [-f | -s]";

const section = (title: string, ...blocks: readonly Block[]): Section => ({ title, blocks });
const inManual = (title: string, ...blocks: readonly Block[]): Section => ({ title, blocks, manualOnly: true });
const always = section("Always", rows(optionRows(everywhere)));

/** What `isolate VERB --help` says beside what all verbs have. */
export function verbSections(verb: VerbDefinition): Section[] {
  const { detail, options } = verb;
  return [
    ...(detail === undefined ? [] : [section("Description", text(detail))]),
    ...(options.length === 0 ? [] : [section("Options", rows(optionRows(options)))]),
  ];
}

export function verbPage(verb: VerbDefinition): Page {
  return {
    name: ["isolate", ...verb.words].join("-"),
    section: 1,
    about: verb.about,
    usage: [verbUsage(verb)],
    sections: [...verbSections(verb), always],
    seeAlso: [],
  };
}

/** Of several verbs, each with a heading of its own where it has anything to say. */
function verbBlocks(verb: VerbDefinition): Section {
  const { words, about, detail, options } = verb;
  const sentence = `${about[0]?.toUpperCase()}${about.slice(1)}.`;
  return section(
    words.join(" "),
    text(detail === undefined ? sentence : `${sentence} ${detail}`),
    ...(options.length === 0 ? [] : [rows(optionRows(options))]),
  );
}

const isolate: Page = {
  name: "isolate",
  section: 1,
  about: summary,
  usage: [...runUsage, refillUsage, "isolate VERB [OPTION...] [ARG...]"],
  sections: [
    section("Description", text(prose.isolate)),
    section("Options", rows(optionRows([...rootOptions, ...everywhere, version]))),
    section("Verbs", text(prose.verbs), rows(verbRows(all))),
    section("Command line", text(prose.commandLine)),
    section("Exit status", rows(prose.exitStatus)),
    section("Environment", rows(prose.environment)),
    section("Files", rows(prose.files)),
    section("Examples", literal(exampleLines(examples.first))),
  ],
  seeAlso: [
    "isolate-run(1)",
    "isolate-template(1)",
    "isolate-pool(1)",
    "isolate-log(1)",
    "isolate-doctor(1)",
    "isolate-engines(7)",
    "isolate-hooks(7)",
    "isolated(8)",
  ],
};

const run: Page = {
  name: "isolate-run",
  section: 1,
  about: "run a command in a fresh root filesystem",
  usage: runUsage,
  sections: [
    section("Root filesystem", rows(optionRows(rootOptions))),
    section("Options", rows(optionRows(runOptions))),
    always,
    inManual("Inside", text(prose.inside)),
    inManual("Capabilities", text(prose.capabilities)),
    inManual("Networks", text(prose.networks)),
    inManual("Windows and sound", text(prose.desktop)),
    inManual("Signals", text(prose.signals)),
    section("Examples", literal(exampleLines(examples.runs))),
    inManual("Exit status", rows(prose.exitStatus)),
  ],
  seeAlso: ["isolate(1)", "isolate-engines(7)", "isolate-hooks(7)", "bwrap(1)", "capabilities(7)"],
};

type Content = Pick<Page, "about" | "sections" | "seeAlso">;

/** The page of a verb and of the verbs below it; `more`: other command lines. */
function verbsPage(verb: string, { more = [], ...content }: Content & { readonly more?: Page["usage"] }): Page {
  return { name: `isolate-${verb}`, section: 1, usage: [...verbsOf(verb).map(verbUsage), ...more], ...content };
}

function topicPage(topic: string, content: Content): Page {
  return { name: `isolate-${topic}`, section: 7, usage: [], ...content };
}

const template = verbsPage("template", {
  about: "make, change, list and remove templates",
  sections: [
    ...verbsOf("template").map(verbBlocks),
    section("Examples", literal(exampleLines(examples.templates))),
    inManual("Notes", text(prose.templates)),
  ],
  seeAlso: ["isolate(1)", "isolate-pool(1)", "mmdebstrap(1)"],
});

const pool = verbsPage("pool", {
  about: "list and size the pools of ready copies",
  more: [refillUsage],
  sections: [
    ...verbsOf("pool").map(verbBlocks),
    section("Options", rows(optionRows(poolOptions))),
    always,
    section("Examples", literal(exampleLines(examples.pools))),
    inManual("Columns", rows(prose.poolColumns), text(prose.bytes)),
  ],
  seeAlso: ["isolate(1)", "isolate-template(1)", "isolated.toml(5)"],
});

const log = verbsPage("log", {
  about: "list past and present runs",
  sections: [
    ...verbsOf("log").flatMap(verbSections),
    always,
    section("Examples", literal(exampleLines(examples.logs))),
    inManual("Ends", rows(prose.ends)),
    inManual("Notes", text(prose.log)),
  ],
  seeAlso: ["isolate(1)", "isolated.toml(5)"],
});

const doctor = verbsPage("doctor", {
  about: "report what this host lacks and how to fix it",
  sections: [
    ...verbsOf("doctor").flatMap(verbSections),
    always,
    inManual("Marks", rows(prose.marks)),
    inManual("Exit status", rows(prose.doctorStatus)),
  ],
  seeAlso: ["isolate(1)", "isolated(8)"],
});

const engines = topicPage("engines", {
  about: "what separates a command from the host",
  sections: [
    section("Engines", text(prose.engines), rows(engineRows())),
    section("What engines can", rows(featureRows())),
    section("bwrap", text(prose.bwrap)),
    section("lxc", text(prose.lxc), rows(prose.lxcEnvironment)),
    section("chroot", text(prose.chroot)),
    section("Limits", text(prose.limits)),
    section("System calls", text(prose.systemCalls), rows(prose.seccomp)),
  ],
  seeAlso: ["isolate-run(1)", "bwrap(1)", "lxc(7)", "chroot(2)", "seccomp(2)"],
});

const hooks = topicPage("hooks", {
  about: "shell commands on the host around each run",
  sections: [
    section("Hooks", rows(prose.hooks), text(prose.hookRules)),
    section("Root", text(prose.rootHooks)),
    section("Examples", literal(exampleLines(examples.hooks))),
  ],
  seeAlso: ["isolate-run(1)"],
});

export const pages: readonly Page[] = [isolate, run, template, pool, log, doctor, engines, hooks];

/** A comment above each line, so that none is longer than a line of a terminal. */
function exampleLines(all: readonly examples.Example[]): string {
  return all.map(([command, about]) => `# ${about}\n${command}`).join("\n");
}
