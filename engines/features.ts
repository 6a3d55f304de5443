/**
 * The features that each engine supports. `isolate help engines` prints this table; an option that an engine lacks is
 * refused.
 */

export const engineNames = ["bwrap", "lxc", "chroot"] as const;
export type EngineName = (typeof engineNames)[number];

export interface Feature {
  readonly title: string;
  /** The options that need it, in the form of `spelling`, or one value of an option. */
  readonly options: readonly string[];
}

export const features = {
  command: { title: "command and arguments", options: [] },
  environment: { title: "environment", options: ["-v"] },
  directories: { title: "directories", options: ["-d"] },
  workingDirectory: { title: "working directory", options: ["-p"] },
  ids: { title: "base IDs", options: ["-u", "-g"] },
  noNetwork: { title: "no network", options: ["--net=none"] },
  network: { title: "host's network", options: ["-n", "--net=host"] },
  privateNetwork: { title: "private network", options: ["--net=private"] },
  abstractSockets: { title: "abstract sockets", options: ["--abstract-sockets"] },
  x11: { title: "windows", options: ["-1"] },
  audio: { title: "sound", options: ["-2"] },
  session: { title: "new session", options: ["--new-session"] },
  seccomp: { title: "system calls", options: ["--seccomp", "--no-new-userns"] },
  privileges: { title: "capabilities", options: ["--cap-add", "--cap-drop"] },
  readOnly: { title: "read-only root filesystem", options: ["--read-only"] },
  limits: { title: "limits", options: ["--cpus", "--memory", "--pids"] },
} as const satisfies Record<string, Feature>;
export type FeatureName = keyof typeof features;

export interface Engine {
  readonly about: string;
  readonly can: readonly FeatureName[];
  /** Whether only root may use it. */
  readonly rootOnly: boolean;
}

/** The features of an engine that makes a whole sandbox. */
const usual = [
  "command",
  "environment",
  "directories",
  "workingDirectory",
  "ids",
  "noNetwork",
  "network",
  "seccomp",
  "limits",
] as const;

export const engines: Readonly<Record<EngineName, Engine>> = {
  bwrap: {
    about: "new namespaces, made by bubblewrap",
    can: [...usual, "privateNetwork", "abstractSockets", "x11", "audio", "session", "privileges", "readOnly"],
    rootOnly: false,
  },
  lxc: {
    about: "boots the root filesystem's own init; -n gives it a device on the bridge $LXC_NET_BR",
    can: usual,
    rootOnly: false,
  },
  chroot: {
    about: "to install packages in a root filesystem; does not isolate, and always has the host's network",
    can: ["command", "network", "abstractSockets", "session", "seccomp", "privileges", "limits"],
    rootOnly: true,
  },
};

export function isEngineName(name: string): name is EngineName {
  return (engineNames as readonly string[]).includes(name);
}

/** Returns the first required feature that the engine lacks. */
export function firstLacking(engine: EngineName, wanted: readonly FeatureName[]): FeatureName | undefined {
  return wanted.find((name) => !engines[engine].can.includes(name));
}
