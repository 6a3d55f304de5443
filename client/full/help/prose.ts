/** What the manual pages say beside the definitions. Pure. */
import type { Row } from "./page.ts";

export const isolate =
  "isolate gives each command a complete root filesystem of its own: a fresh copy of a template, writable as root, and " +
  "thrown away when the command ends. A daemon, isolated(8), keeps copies of each template ready, so that a run starts " +
  "within milliseconds. You need no privileges, only membership in the group isolate. Inside, the command runs as root " +
  "and can use 65,536 user IDs. On the host, everything it does runs as your user.";

export const verbs =
  "'isolate help VERB' shows a verb's options. 'isolate help run', 'isolate help engines' and 'isolate help hooks' explain " +
  "these topics.";

export const commandLine =
  "Options must precede COMMAND: the first word that is not an option begins it. Without -z, -t and -r, the first word " +
  "is a verb.";

export const exitStatus: readonly Row[] = [
  ["the command's", "The command ran."],
  ["128+n", "Signal n ended the command."],
  ["127", "The command was not found."],
  ["126", "The command was found but cannot be executed."],
  ["125", "isolate itself failed, or the post hook did although the command succeeded."],
];

export const environment: readonly Row[] = [
  ["ISOLATE_SOCKET", "The daemon's socket, unless --socket is given."],
  ["PRE_SPAWN_HOOK, POST_SPAWN_HOOK", "Shell commands around each run: isolate-hooks(7)."],
  ["DISABLE_SECCOMP_WRAPPER=1", "The same as --seccomp=none."],
  ["LXC_*, DEBUG_LXC_SPAWN", "Settings of the engine lxc: isolate-engines(7)."],
  ["DISPLAY, XAUTHORITY", "The X display that -1 shares, and the file that holds its cookie."],
  ["PULSE_SERVER, PULSE_COOKIE", "The sound server that -2 shares, and the file that holds its cookie."],
  ["NO_COLOR", "Print messages without colours."],
];

export const files: readonly Row[] = [
  ["/run/isolate/isolated.sock", "The daemon's socket."],
  ["/etc/isolate/isolated.toml", "The daemon's configuration, isolated.toml(5)."],
  ["/var/lib/isolate", "The daemon's database and its overlay store."],
];

export const inside =
  "The command starts in /. /tmp and /home are empty, with lxc only /tmp, and with chroot neither. Of your environment, TERM, " +
  "COLORTERM, LANG, LANGUAGE, LC_*, TZ and NO_COLOR are kept; -v sets others. The soft limit of open files is that of the " +
  "process that started isolate. Without --net the only network device is lo. If /etc/machine-id is empty or missing, each " +
  "run gets a random one.";

export const capabilities =
  "The command has 14 capabilities in its user namespace: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP " +
  "SETFCAP SYS_CHROOT MKNOD NET_BIND_SERVICE NET_RAW AUDIT_WRITE. --cap-drop takes some away. If --cap-add gives others, " +
  "they apply only inside a nested user namespace, in which the command then runs. With them it can, for example, mount and " +
  "make network devices there, but it cannot unmount the sandbox's own mounts or make them writable. Names are those of " +
  "capabilities(7), with or without CAP_.";

export const networks =
  "none is the default: only the loopback device. host shares the host's network and its services on localhost. On Linux " +
  "6.12 and newer, the host's abstract Unix sockets stay closed unless you give --abstract-sockets; older kernels cannot " +
  "close them, and isolate warns. private allows outbound TCP, UDP and ping only; DNS works as on the host. The host cannot " +
  "be reached: neither its loopback nor the addresses that it has at the start of the run, nor its abstract sockets. The " +
  "only exception is a nameserver on the host itself (ports 53 and 853). Nothing can connect in. private needs nft(8), and " +
  "pasta(1) or slirp4netns(1). slirp4netns has IPv4 only, and does not work if the host's nameserver is on the host itself. " +
  "CAP_NET_RAW is missing with private, but ping works.";

export const desktop =
  "-1 shows the socket of the X display that DISPLAY names. The sandbox also gets your cookie, from XAUTHORITY or " +
  "~/.Xauthority, in a file that exists only inside. A program with -1 can read every key of the session and see all windows. " +
  "With --x11=untrusted, isolate gets another cookie from the X server's SECURITY extension. A program with that cookie " +
  "cannot see what other windows show or which keys they get, and cannot type into them. It can still read the titles of " +
  "windows and the clipboard, and it has no OpenGL and no shared memory. -2 shares the sound server that PULSE_SERVER names, or " +
  "else the one at $XDG_RUNTIME_DIR/pulse/native or /tmp/pulse-socket. If you run isolate with sudo, the sandbox does not run " +
  "as the host's root, so it needs an X cookie; sudo keeps DISPLAY and XAUTHORITY for this.";

export const signals =
  "isolate forwards INT, HUP, QUIT, USR1, USR2, WINCH, TSTP and CONT to the command. TERM ends everything in the sandbox " +
  "within two seconds, and so does closing the terminal. Ctrl-C, Ctrl-Z and job control work as for any other program.";

export const templates =
  "The daemon keeps a pool for each new template; isolated.toml(5) sets its size. On ZFS, 'zfs snapshot' has the same effect as " +
  "'template snapshot': the daemon notices the new snapshot within seconds and replaces the ready copies. An existing ZFS dataset " +
  "becomes a template when root gives it a pool: isolate -r DATASET 5. 'template create' fills in an /etc/machine-id that " +
  "is empty or says uninitialized; all copies then share it. If you empty that file with 'template edit', each run gets a " +
  "random one.";

export const poolColumns: readonly Row[] = [
  ["SIZE", "How many copies the daemon keeps ready."],
  ["CREATING, READY", "How many are being made, and how many are waiting for a run."],
  ["LEASED", "How many a sandbox uses now."],
  ["RETIRED", "How many are no longer used and are being removed."],
  ["FAILED", "How many of these could not be removed yet; LAST ERROR says why."],
  ["BYTES, WRITTEN", "The template's size, and how much was written to its copies."],
];

export const bytes =
  "Bytes are counted in the background when somebody asks. A figure that is older than 15 seconds says how old it is. On " +
  "ZFS, a figure is the value of the property 'used'. On the overlay store the daemon counts for at most 10 seconds and then pauses for twenty " +
  "times as long as it took, so a figure may be missing ('-') or old.";

export const ends: readonly Row[] = [
  ["running", "The sandbox runs."],
  ["ended", "The command ended, or the client ended and took everything in the sandbox with it."],
  ["killed", "Somebody ended it with 'isolate kill'; the listing says who."],
  ["cut-off", "The client ended, but processes in the sandbox did not, and the daemon killed them."],
  ["lost", "The run ended while no daemon was running."],
];

export const log =
  "The daemon keeps the last 100,000 runs, and each for 90 days. Of each command line it keeps only the program's name. " +
  "isolated.toml(5) can change all three. Exit codes are not recorded.";

export const marks: readonly Row[] = [
  ["ok", "Works."],
  ["note", "Runs work, with the restriction that the line names."],
  ["FAIL", "A run will not work. The line, or the command below it, says how to fix it."],
  ["?", "Could not be checked. Most of these checks need root or a running daemon."],
];

export const doctorStatus: readonly Row[] = [
  ["0", "A run works, and no check failed."],
  ["1", "A check failed, or no run could be tried."],
  ["125", "isolate itself failed."],
];

export const engines =
  "An engine separates a command from the host. An option that an engine does not support is an error.";

export const bwrap = "The default, for all users. bubblewrap makes new namespaces, in a user namespace of 65,536 IDs.";

export const lxc =
  "Boots the root filesystem's own init (systemd, or whatever /sbin/init is), waits until it is up, runs the command in it " +
  "on your terminal, and stops it within three seconds. Needs the package lxc and cgroup v2. With -n, which only root can " +
  "give, it gets a device on a bridge, not the host's network. An ordinary user needs a systemd user manager to which the " +
  "controllers cpu, memory and pids are delegated (loginctl enable-linger USER), and cannot use -t, -n or :ro with it.";

export const lxcEnvironment: readonly Row[] = [
  ["LXC_NET_BR", "The bridge for -n (default: br_vm)."],
  ["LXC_CPU_QUOTA", "Percent of one processor (default: 20)."],
  ["LXC_MEM_MB_QUOTA", "Mebibytes of memory (default: 5 % of the host's)."],
  ["LXC_MAP_TUN=1", "Show /dev/net/tun."],
  ["DEBUG_LXC_SPAWN=1", "Keep LXC's log in /tmp, and print its path."],
];

export const chroot =
  "Root only, to install or repair packages in a root filesystem. It does not isolate, and warns each time. The command has " +
  "the host's network, IPC and host name, " +
  "/sys read-only, /proc, a small /dev and /etc/resolv.conf. /tmp and /home are those of the root filesystem. Root inside is still not the " +
  "host's root, so it cannot make device nodes or mount. If the root filesystem lacks /proc, /dev, /sys or " +
  "/etc/resolv.conf, isolate creates it, and it stays there empty.";

export const limits =
  "--cpus, --memory and --pids limit a transient systemd scope, or with lxc the container's cgroup. They need " +
  "a systemd session; loginctl enable-linger USER gives one to a user without a login, such as a CI runner. lxc allows " +
  "4096 processes unless --pids is given.";

export const systemCalls =
  "--seccomp chooses the filter. --no-new-userns works with each of them. isolate-seccomp COMMAND, in /usr/lib/isolate, " +
  "runs any command on the host under the default filter.";

export const seccomp: readonly Row[] = [
  ["default", "Blocks what flatpak and Docker block, and calls that can control the terminal."],
  ["tty", "Blocks only calls that can control the terminal."],
  ["FILE", "A compiled filter, an array of struct sock_filter, on top of the default one."],
  ["none", "Blocks nothing, and prints a warning. DISABLE_SECCOMP_WRAPPER=1 means the same."],
];

export const hooks: readonly Row[] = [
  ["PRE_SPAWN_HOOK", "Runs before the command. If it fails or is interrupted, the command is not run."],
  [
    "POST_SPAWN_HOOK",
    "Runs after the command, whether it succeeded or not, and before its files are thrown away. It does not run if isolate " +
      "was ended by kill -9 or 'isolate kill'. If it fails although the command succeeded, isolate exits with 125.",
  ],
];

export const hookRules =
  "Each is one shell command. It runs on the host, as you and in your current directory, with the path of the root " +
  "filesystem in ROOTFS. 'template edit' runs no hooks. Treat everything below ROOTFS as untrusted: never follow a link there " +
  "and never run a program from there.";

export const rootHooks =
  "If root runs isolate, the files of a copy belong to a range of unprivileged IDs. A hook must create files as their owner: " +
  'setpriv --reuid "$(stat -c %u "$ROOTFS")" --regid "$(stat -c %g "$ROOTFS")" --clear-groups COMMAND';
