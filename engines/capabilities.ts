/** What each engine can honour. `--help` prints this table, and an option that an engine cannot honour is refused. */

export const engineNames = ["bwrap", "lxc", "chroot"] as const;
export type EngineName = (typeof engineNames)[number];

export interface Capability {
  readonly title: string;
  /** The options that need it. */
  readonly options: readonly string[];
}

export const capabilities = {
  command: { title: "command and arguments", options: [] },
  environment: { title: "environment", options: ["-v"] },
  directories: { title: "directories", options: ["-d"] },
  workingDirectory: { title: "working directory", options: ["-p"] },
  network: { title: "host's network", options: ["-n"] },
} as const satisfies Record<string, Capability>;
export type CapabilityName = keyof typeof capabilities;

export interface Engine {
  readonly about: string;
  /** Engines of later versions are named, so that asking for one gets an answer of its own. */
  readonly available: boolean;
  readonly can: readonly CapabilityName[];
}

export const engines: Readonly<Record<EngineName, Engine>> = {
  bwrap: {
    about: "namespaces by bubblewrap",
    available: true,
    can: ["command", "environment", "directories", "workingDirectory", "network"],
  },
  lxc: {
    about: "boots the root's own init",
    available: false,
    can: ["command", "environment", "directories", "workingDirectory", "network"],
  },
  chroot: { about: "changes the root and nothing else", available: false, can: ["command", "network"] },
};

export function isEngineName(name: string): name is EngineName {
  return (engineNames as readonly string[]).includes(name);
}

/** The first of the wanted capabilities that the engine lacks. */
export function firstLacking(engine: EngineName, wanted: readonly CapabilityName[]): CapabilityName | undefined {
  return wanted.find((name) => !engines[engine].can.includes(name));
}
