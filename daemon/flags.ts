/** The command line of isolated: one definition for the parser and for isolated(8). */
import { Command } from "commander";
import { version } from "../protocol/version.ts";
import { type ConfigOverrides, defaultConfigFile } from "./config.ts";

interface Options {
  readonly config?: string;
  readonly socket?: string;
  readonly stateDir?: string;
  readonly runtimeDir?: string;
}

export interface Flags {
  /** `undefined` for the default file, which may be missing. */
  readonly config: string | undefined;
  readonly overrides: ConfigOverrides;
}

export function defineFlags(): Command {
  return new Command("isolated")
    .description("keeps fresh clones of templates and leases them to members of a group")
    .option("--config <file>", `configuration file (default: ${defaultConfigFile})`)
    .option("--socket <path>", "listen at this socket")
    .option("--state-dir <directory>", "keep the database and the overlay store here")
    .option("--runtime-dir <directory>", "keep mounted clones and user namespaces here")
    .version(version)
    .allowExcessArguments(false);
}

/** Exits with `failed` if the command line is invalid, and with 0 after `--help` and `--version`. */
export function readFlags(argv: readonly string[], failed: number): Flags {
  const { config, socket, stateDir, runtimeDir } = defineFlags()
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : failed))
    .parse(argv)
    .opts<Options>();
  const overrides = {
    ...(socket === undefined ? {} : { socket }),
    ...(stateDir === undefined ? {} : { state_dir: stateDir }),
    ...(runtimeDir === undefined ? {} : { runtime_dir: runtimeDir }),
  };
  return { config, overrides };
}
