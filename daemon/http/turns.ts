/**
 * Decides whose request is executed next. Requests of one account wait for each other: one starts in each round of the
 * event loop, and a limited number per second. So other accounts always get their turns. Root never waits.
 */

export interface Turns {
  /**
   * Calls `begin` when a request of that account may be executed; synchronously if it may be now. Only the first call of
   * `answered` counts: a response and its socket may both report the end.
   */
  answer(uid: number, begin: (answered: () => void) => void): void;
  /** Resolves when a lease may be requested. Granted leases cost nothing here, as the limit of leases bounds them. */
  lease(uid: number): Promise<void>;
  /** Call when a lease was refused, which costs as much as any other request. */
  refused(uid: number): void;
}

export interface TurnsOptions {
  /** The most requests of an account that are executed, or whose answers are not yet read. */
  readonly atATime: number;
  /** The most requests of an account per second, and in a burst after a pause. */
  readonly perSecond: number;
  readonly together: number;
  /** Milliseconds, monotonic. */
  readonly clock: () => number;
}

interface Account {
  /** The number of requests that may start; negative after refused leases. */
  left: number;
  /** The time of `left`. */
  at: number;
  running: number;
  /** Whether one started in this round of the event loop. */
  begun: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Leases that wait come first: an answer may take seconds. */
  readonly leases: (() => void)[];
  readonly answers: (() => void)[];
}

export function createTurns({ atATime, perSecond, together, clock }: TurnsOptions): Turns {
  const accounts = new Map<number, Account>();

  function of(uid: number): Account {
    const known = accounts.get(uid);
    if (known) {
      const now = clock();
      known.left = Math.min(together, known.left + ((now - known.at) * perSecond) / 1000);
      known.at = now;
      return known;
    }
    const made: Account = {
      left: together,
      at: clock(),
      running: 0,
      begun: false,
      timer: undefined,
      leases: [],
      answers: [],
    };
    accounts.set(uid, made);
    return made;
  }

  function goOn(uid: number): void {
    const account = of(uid);
    const { leases, answers } = account;
    if (leases.length === 0 && answers.length === 0) {
      if (account.running === 0 && account.left >= together && !account.begun) accounts.delete(uid);
      return;
    }
    if (account.begun || account.timer || (leases.length === 0 && account.running >= atATime)) return;
    if (account.left < 1) {
      account.timer = setTimeout(
        () => {
          account.timer = undefined;
          goOn(uid);
        },
        ((1 - account.left) * 1000) / perSecond,
      ).unref();
      return;
    }
    const lease = leases.shift();
    const begin = lease ?? answers.shift();
    account.begun = true;
    setImmediate(() => {
      account.begun = false;
      goOn(uid);
    });
    if (!lease) {
      account.left--;
      account.running++;
    }
    begin?.();
  }

  return {
    answer(uid, begin) {
      if (uid === 0) return begin(() => undefined);
      let over = false;
      const answered = (): void => {
        if (over) return;
        over = true;
        of(uid).running--;
        goOn(uid);
      };
      of(uid).answers.push(() => begin(answered));
      goOn(uid);
    },
    lease: (uid) =>
      uid === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            of(uid).leases.push(resolve);
            goOn(uid);
          }),
    refused(uid) {
      if (uid !== 0) of(uid).left--;
    },
  };
}
