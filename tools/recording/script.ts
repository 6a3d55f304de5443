/** The lines that are typed into the recorded terminal. */

export interface Step {
  readonly line: string;
  /** How long its output is shown, in milliseconds. */
  readonly pause: number;
}

export const script: readonly Step[] = [
  { line: "isolate -z debian bash", pause: 700 },
  { line: "rm -rf /usr /etc /var", pause: 700 },
  { line: "ls", pause: 1200 },
  { line: "exit", pause: 700 },
  { line: "isolate -z debian ls /", pause: 1800 },
  { line: "isolate -z debian --net=private bash", pause: 700 },
  { line: "apt-get -qq update", pause: 500 },
  { line: "apt-get -qq install hello 2>/dev/null", pause: 900 },
  { line: "hello", pause: 1200 },
  { line: "exit", pause: 700 },
  { line: "isolate -z debian hello", pause: 3000 },
];
