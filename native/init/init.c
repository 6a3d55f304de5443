/*
 * isolate-init [--lease-fd N] [--hold-fd N] [--monitor-fd N] [--network-fd N] [--no-abstract-sockets]
 *              [--seccomp default|tty|none] [--seccomp-fd N] [--no-new-userns] [--capabilities MASK [--own-network]]
 *              [--machine-id] -- COMMAND [ARG...]
 *
 * Pid 1 of a sandbox. It holds the lease's descriptor N out of reach of the sandbox, filters system calls (filter.c),
 * runs COMMAND in isolate-init's process group and session, reaps, and ends with COMMAND: everything left in the pid
 * namespace then dies with it. If its parent or its monitor dies, on the monitor's order, or on SIGTERM (with a
 * monitor, only from inside), everything in the sandbox gets SIGTERM, and two seconds later the sandbox ends.
 *
 * --hold-fd: a descriptor to hold in the same way, so that it is closed when the sandbox ends.
 *
 * --monitor-fd: a pipe from isolate-monitor (orders.h) that carries signals for COMMAND. COMMAND inherits the signal
 * mask and dispositions with which the monitor was started; without a monitor, those of this program.
 *
 * A new session (bwrap --new-session) has no terminal, and so no job control by the caller's shell. COMMAND then gets
 * its own process group, because a group without a parent in its session cannot be suspended (setpgid(2)).
 *
 * --network-fd: a socket to isolate-network (network.c); COMMAND starts when that has connected this network namespace.
 * --no-abstract-sockets: blocks the host's abstract sockets (landlock.h) when the network is the host's.
 *
 * --seccomp: the filter (filter.h); otherwise the default one. --seccomp-fd: a descriptor of a compiled filter
 * (program.h), which applies to COMMAND and its children in addition. --no-new-userns: COMMAND and its children can
 * make no user namespaces and, without --capabilities, mount nothing.
 *
 * --capabilities: COMMAND has these, a hexadecimal mask, in a nested user namespace (inner.h). --own-network: only the
 * sandbox uses the network namespace. --machine-id: the root gets an id if it has none (machine-id.h).
 *
 * Exit code: COMMAND's, 128+n if signal n ended it, 126 or 127 if it cannot run (command.h), 125 if this program
 * failed.
 */

#include "command.h"
#include "connect.h"
#include "descriptors.h"
#include "failure.h"
#include "filter.h"
#include "inner.h"
#include "landlock.h"
#include "machine-id.h"
#include "orders.h"
#include "now.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_MS 2000
#define FIRST_HELD (STDERR_FILENO + 1)
#define SAME_SIGNAL_MS 1000
#define PARENT_DIED SIGRTMAX /* distinct from signals that others send */

const char own_name[] = "isolate-init";

struct request {
    int lease_fd;   /* -1: none */
    int held_fd;    /* likewise */
    int monitor_fd; /* likewise */
    int held_end;   /* all three are in [FIRST_HELD, held_end) */
    int network_fd; /* -1: none */
    bool no_abstract_sockets;
    enum filter_kind filter;
    struct sock_fprog program; /* none if it has no instructions */
    bool no_new_userns;
    struct inner inner;
    bool machine_id;
    char **command;
};

static const struct speaker speaker = {"isolate", " in the root filesystem"};

/* The sources of signals; -1: none. */
struct sources {
    int signals; /* signalfd(2) */
    int monitor;
};

struct sandbox {
    pid_t command;      /* -1: it has ended */
    long long deadline; /* -1: the end was not requested */
    /*
     * The last time that signal reached this process from outside. It then reached COMMAND too, if in the same group.
     */
    long long reached[NSIG];
};

#define EXPECTED                                                                                                       \
    "expected [--lease-fd N] [--hold-fd N] [--monitor-fd N] [--network-fd N] [--no-abstract-sockets] "                 \
    "[--seccomp KIND] [--seccomp-fd N] [--no-new-userns] [--capabilities MASK [--own-network]] [--machine-id] -- "     \
    "COMMAND [ARG...]"

static struct sock_fprog read_program_from(int fd)
{
    struct sock_fprog program = {0};
    const char *wrong = read_program(fd, &program);

    if (wrong)
        fail("cannot use the seccomp filter: %s", wrong);
    return program;
}

static uint64_t parse_mask(const char *text)
{
    size_t digits = text ? strspn(text, "0123456789abcdef") : 0;
    uint64_t mask = 0;

    errno = 0;
    if (digits > 0 && !text[digits])
        mask = strtoull(text, NULL, 16);
    if (digits == 0 || text[digits] || errno)
        fail("--capabilities needs a hexadecimal mask, not \"%s\"", text ? text : "");
    return mask;
}

static struct request parse(char **argv)
{
    struct request request = {
        .lease_fd = -1, .held_fd = -1, .monitor_fd = -1, .network_fd = -1, .filter = FILTER_DEFAULT};

    while (*++argv && strcmp(*argv, "--") != 0) {
        if (strcmp(*argv, "--lease-fd") == 0)
            request.lease_fd = parse_fd("--lease-fd", *++argv);
        else if (strcmp(*argv, "--hold-fd") == 0)
            request.held_fd = parse_fd("--hold-fd", *++argv);
        else if (strcmp(*argv, "--monitor-fd") == 0)
            request.monitor_fd = parse_fd("--monitor-fd", *++argv);
        else if (strcmp(*argv, "--network-fd") == 0)
            request.network_fd = parse_fd("--network-fd", *++argv);
        else if (strcmp(*argv, "--no-abstract-sockets") == 0)
            request.no_abstract_sockets = true;
        else if (strcmp(*argv, "--seccomp-fd") == 0)
            request.program = read_program_from(parse_fd("--seccomp-fd", *++argv));
        else if (strcmp(*argv, "--no-new-userns") == 0)
            request.no_new_userns = true;
        else if (strcmp(*argv, "--machine-id") == 0)
            request.machine_id = true;
        else if (strcmp(*argv, "--own-network") == 0)
            request.inner.network = true;
        else if (strcmp(*argv, "--capabilities") == 0) {
            request.inner.wanted = true;
            request.inner.capabilities = parse_mask(*++argv);
        } else if (strcmp(*argv, "--seccomp") == 0) {
            if (!*++argv || !parse_filter(*argv, &request.filter))
                fail("--seccomp needs default, tty or none, not \"%s\"", *argv ? *argv : "");
        } else
            fail("unknown argument \"%s\": " EXPECTED, *argv);
    }
    if (!argv[0] || !argv[1])
        fail("no command: " EXPECTED);
    request.command = argv + 1;
    return request;
}

/* Keeps 0, 1, 2 and the held descriptors. Those move to 3, 4 and 5, and are close-on-exec. */
static void keep_only(struct request *request)
{
    int *held[] = {&request->lease_fd, &request->held_fd, &request->monitor_fd};
    int next = FIRST_HELD;

    for (;;) {
        int *lowest = NULL; /* the lowest that has not moved, so that none overwrites another */

        for (size_t i = 0; i < sizeof held / sizeof *held; i++)
            if (*held[i] >= next && (!lowest || *held[i] < *lowest))
                lowest = held[i];
        if (!lowest)
            break;
        if ((*lowest != next && dup2(*lowest, next) < 0) || fcntl(next, F_SETFD, FD_CLOEXEC) < 0)
            fail("cannot keep the descriptor %d: %s", *lowest, strerror(errno));
        *lowest = next++;
    }
    close_from(next);
    request->held_end = next;
}

static void connect_network(int socket)
{
    char room[600];
    const char *wrong = await_network(socket, room, sizeof room);

    if (wrong)
        fail("cannot give the sandbox a network of its own: %s", wrong);
}

static void protect(const struct request *request)
{
    int error = 0;

    /* Nobody inside may ptrace this process or take the lease from it (pidfd_getfd(2)). */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        fail("cannot protect the lease: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail("cannot forbid new privileges: %s", strerror(errno));
    if (request->no_abstract_sockets)
        error = close_abstract_sockets();
    if (error)
        fail("cannot close the host's abstract sockets: %s", strerror(-error));
    error = install_filter(request->filter);
    if (error)
        fail("cannot install the seccomp filter: %s", strerror(-error));
}

/* Returns the signal state for COMMAND. Waits for the monitor to send it; if that has died already, exits. */
static struct beginning inherit(int monitor)
{
    struct beginning beginning = {0};
    struct sigaction on_child;

    if (monitor >= 0) {
        if (read(monitor, &beginning, sizeof beginning) != sizeof beginning)
            _exit(EXIT_OURS); /* nobody is left to read an error */
    } else if (read_mask(&beginning.blocked) == 0 && sigaction(SIGCHLD, NULL, &on_child) == 0) {
        beginning.child_ignored = on_child.sa_handler == SIG_IGN;
    }
    return beginning;
}

/*
 * Blocks the signals and returns a signalfd(2) for them. Otherwise pid 1 would lose them, because it has no handlers.
 */
static int watch(void)
{
    /* If SIGCHLD were ignored, children would vanish without an exit code. */
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t watched;
    int fd;

    sigemptyset(&watched);
    add_handed_on(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, PARENT_DIED);
    fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || sigprocmask(SIG_BLOCK, &watched, NULL) < 0 || sigaction(SIGCHLD, &by_default, NULL) < 0 ||
        prctl(PR_SET_PDEATHSIG, PARENT_DIED, 0, 0, 0) < 0)
        fail("cannot watch for signals: %s", strerror(errno));
    return fd;
}

/* Runs in the child. `end`: the socket to the parent for the inner namespace, if there is one. */
__attribute__((noreturn)) static void become(const struct request *request, const struct beginning *beginning, int end)
{
    if (getsid(0) == getppid())
        setpgid(0, 0);
    if (request->inner.wanted) {
        const char *wrong;

        for (int fd = FIRST_HELD; fd < request->held_end; fd++)
            close(fd); /* before other processes can inspect this one */
        wrong = enter_inner(&request->inner, end);
        if (wrong)
            fail("cannot %s: %s", wrong, strerror(errno));
    }
    if (beginning->child_ignored)
        signal(SIGCHLD, SIG_IGN);
    sigprocmask(SIG_SETMASK, &beginning->blocked, NULL);
    if (request->no_new_userns) {
        int error = install_userns_filter();

        if (!error && !request->inner.wanted) /* its capabilities may be meant for mounting */
            error = install_mount_filter();
        if (error)
            fail("cannot install the seccomp filter: %s", strerror(-error));
    }
    if (request->program.len > 0) {
        int error = install_program(&request->program);

        if (error)
            fail("cannot use the seccomp filter: %s", strerror(-error));
    }
    expect_no_directory(&speaker);
    run_command(&speaker, request->command);
}

static void end(struct sandbox *sandbox)
{
    if (sandbox->deadline >= 0)
        return;
    sandbox->deadline = now_ms() + GRACE_MS;
    kill(-1, SIGTERM);
    kill(-1, SIGCONT); /* a stopped process handles nothing */
}

/* Handles signals to this process itself. */
static void fetch_signals(struct sandbox *sandbox, const struct sources *sources)
{
    struct signalfd_siginfo all[16]; /* each signal except the real-time ones is pending at most once */
    ssize_t size = read(sources->signals, all, sizeof all);

    for (const struct signalfd_siginfo *info = all; size >= (ssize_t)sizeof *info; info++, size -= sizeof *info) {
        bool from_outside = info->ssi_code == SI_USER && info->ssi_pid == 0; /* pid_namespaces(7) */

        if (info->ssi_signo == (unsigned)PARENT_DIED)
            end(sandbox);
        else if (from_outside && sources->monitor >= 0)
            sandbox->reached[info->ssi_signo] = now_ms();
        else if (info->ssi_signo == SIGTERM)
            end(sandbox);
    }
}

/*
 * A signal to the whole process group outside (timeout(1), kill -INT -PGID) reaches the monitor, which forwards it, and
 * COMMAND directly; and this process, before the monitor. COMMAND must get it only once. Except CONT: it cancels the
 * TSTP that waits to be fetched here (signal(7)), and the monitor's order for that TSTP would stop COMMAND again.
 */
static bool has_reached(struct sandbox *sandbox, int sig)
{
    long long at = sandbox->reached[sig];

    sandbox->reached[sig] = 0;
    return sig != SIGCONT && at > 0 && now_ms() - at < SAME_SIGNAL_MS && getpgid(sandbox->command) == getpgrp();
}

static void obey(struct sandbox *sandbox, unsigned char order)
{
    int sig = order & ~ORDER_GROUP;

    if (order == ORDER_END)
        end(sandbox);
    else if (sandbox->command > 0 && sig < NSIG && !has_reached(sandbox, sig))
        kill(order & ORDER_GROUP ? -sandbox->command : sandbox->command, sig);
}

static void fetch_orders(struct sandbox *sandbox, struct sources *sources)
{
    unsigned char orders[64];
    ssize_t count = read(sources->monitor, orders, sizeof orders);

    for (ssize_t i = 0; i < count; i++)
        obey(sandbox, orders[i]);
    if (count == 0) {
        sources->monitor = -1; /* poll(2) ignores it */
        end(sandbox);
    }
}

/* Waits for signals or orders, until that time; until < 0: no limit. */
static void wait_for(struct sandbox *sandbox, struct sources *sources, long long until)
{
    struct pollfd fds[] = {{.fd = sources->signals, .events = POLLIN}, {.fd = sources->monitor, .events = POLLIN}};
    long long ms = until < 0 ? -1 : until - now_ms();

    poll(fds, 2, until >= 0 && ms < 0 ? 0 : (int)ms);
    fetch_signals(sandbox, sources); /* before the orders: has_reached */
    if (fds[1].revents != 0)
        fetch_orders(sandbox, sources);
}

/* Reaps until the sandbox has to end; returns its exit code. Ignores stopped children: they have not ended. */
static int supervise(struct sandbox *sandbox, struct sources *sources)
{
    int code = EXIT_SIGNAL + SIGKILL; /* unless the command ends within the grace period */
    bool reaped = true;

    for (;;) {
        siginfo_t child = {.si_pid = 0};

        /* One child per round, so that children that keep ending do not delay signals and the deadline. */
        wait_for(sandbox, sources, reaped ? 0 : sandbox->deadline);
        if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG) < 0 && errno == ECHILD)
            return code;
        reaped = child.si_pid != 0;
        if (child.si_pid == sandbox->command) {
            code = child.si_code == CLD_EXITED ? child.si_status : EXIT_SIGNAL + child.si_status;
            sandbox->command = -1; /* the pid may be reused */
            if (sandbox->deadline < 0)
                return code;
        }
        if (sandbox->deadline >= 0 && now_ms() >= sandbox->deadline)
            return code;
    }
}

int main(int argc, char **argv)
{
    struct request request;
    struct beginning beginning;
    struct sandbox sandbox = {.deadline = -1};
    struct sources sources;
    int ends[2] = {-1, -1};

    if (argc < 1)
        return EXIT_OURS;
    request = parse(argv);
    if (getpid() != 1) /* kill(-1) would reach all other processes here */
        fail("this program runs only as pid 1 of a sandbox (bwrap --as-pid-1)");
    if (request.network_fd >= 0)
        connect_network(request.network_fd);
    keep_only(&request);
    beginning = inherit(request.monitor_fd);
    sources = (struct sources){.signals = watch(), .monitor = request.monitor_fd};
    protect(&request);
    if (request.machine_id)
        ensure_machine_id();

    if (request.inner.wanted && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        fail("cannot make a socket pair: %s", strerror(errno));
    sandbox.command = fork();
    if (sandbox.command < 0)
        fail("cannot start the command: %s", strerror(errno));
    if (sandbox.command == 0) {
        close(ends[0]);
        become(&request, &beginning, ends[1]);
    }
    if (getsid(0) == getpid())
        setpgid(sandbox.command, sandbox.command); /* as the child also does: a signal for the group may come first */
    if (request.inner.wanted) {
        const char *wrong;

        close(ends[1]);
        wrong = grant_inner(sandbox.command, ends[0]);
        if (wrong)
            fail("cannot %s: %s", wrong, strerror(errno));
    }
    return supervise(&sandbox, &sources);
}
