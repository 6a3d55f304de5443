/**
 * `node dist/js/tools/docs/main.js DIRECTORY`: generates manual pages, completions and the commented configuration from
 * the definitions that the programs use.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pages } from "../../client/full/help/pages.ts";
import { defineFlags } from "../../daemon/flags.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "./completions.ts";
import { commentedConfig } from "./config-keys.ts";
import { clientPage, configPage, isolatedPage } from "./manual.ts";

const directory = process.argv[2];
if (directory === undefined) throw new Error("cannot write anything: no directory is given");
const { version } = JSON.parse(readFileSync(new URL("../../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};
// reproducible-builds.org: the date of the source, not of the build.
const epoch = process.env.SOURCE_DATE_EPOCH;
const date = (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000)).toISOString().slice(0, 10);
const release = { version, date };

const files = {
  ...Object.fromEntries(pages.map((page) => [`${page.name}.${page.section}`, clientPage(page, release)])),
  "isolated.8": isolatedPage(defineFlags(), release),
  "isolated.toml.5": configPage(release),
  "isolated.toml": commentedConfig(),
  "completion.bash": bashCompletion(),
  "completion.zsh": zshCompletion(),
  "completion.fish": fishCompletion(),
};
mkdirSync(directory, { recursive: true });
for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
