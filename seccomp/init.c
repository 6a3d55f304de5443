/*
 * isolate-init [--lease-fd N] [--hold-fd N] [--foreground] [--seccomp default|tty|none] [--seccomp-fd N]
 *              [--no-new-userns] [--capabilities MASK [--own-network]] -- COMMAND [ARG...]
 *
 * Pid 1 of a sandbox. It holds the lease's descriptor N where nothing in the sandbox can reach it, filters system calls
 * (filter.c), runs COMMAND in the process group and session it was started in, reaps, and ends with COMMAND: everything
 * left in the pid namespace then dies with it. When its parent dies, or at SIGTERM, everything in the sandbox gets
 * SIGTERM, and two seconds later the sandbox ends.
 *
 * --hold-fd: a descriptor that is held in the same way, and so is closed when the sandbox ends.
 *
 * --foreground: the starter ignores INT and QUIT for its own sake; COMMAND gets the default for both. Otherwise COMMAND
 * inherits the signal dispositions, and in any case the signal mask, that this program was started with.
 *
 * --seccomp: which filter (filter.h); the default one unless told. --seccomp-fd: a compiled filter is read from there
 * (program.h), and holds for COMMAND and what it starts, on top of ours. --no-new-userns: so does the rule that no user
 * namespaces are made.
 *
 * --capabilities: COMMAND has these, a hexadecimal mask, in a user namespace of its own (inner.h). --own-network: the
 * network namespace is the sandbox's alone.
 *
 * Exit code: COMMAND's, 128+n if signal n ended it, 126 or 127 if it cannot run (command.h), 125 if this program failed.
 */

#include "command.h"
#include "filter.h"
#include "inner.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 2000
#define FIRST_HELD (STDERR_FILENO + 1)

enum { EXIT_SIGNAL = 128 };

struct request {
    int lease_fd; /* -1: none */
    int held_fd;  /* likewise */
    int held_end; /* what is held is from FIRST_HELD to before this */
    bool foreground;
    enum filter_kind filter;
    struct sock_fprog program; /* of no instructions: none */
    bool no_new_userns;
    struct inner inner;
    char **command;
};

static const struct speaker speaker = {"isolate", " in the root"};

/* What COMMAND is to inherit and this program changes for itself. */
struct inherited {
    sigset_t mask;
    struct sigaction on_child;
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *sentence, ...)
{
    char text[256];
    va_list args;

    va_start(args, sentence);
    vsnprintf(text, sizeof text, sentence, args);
    va_end(args);
    dprintf(STDERR_FILENO, "isolate-init: %s\n", text);
    _exit(EXIT_OURS);
}

#define EXPECTED                                                                                                       \
    "expected [--lease-fd N] [--hold-fd N] [--foreground] [--seccomp KIND] [--seccomp-fd N] [--no-new-userns] "                     \
    "[--capabilities MASK [--own-network]] -- COMMAND [ARG...]"

static int parse_fd(const char *option, const char *text)
{
    char *end = NULL;
    long fd = -1;

    if (text && *text >= '0' && *text <= '9')
        fd = strtol(text, &end, 10);
    if (fd <= STDERR_FILENO || fd > INT_MAX || *end)
        fail("%s needs the number of a descriptor above 2, not \"%s\"", option, text ? text : "");
    return (int)fd;
}

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
    struct request request = {.lease_fd = -1, .held_fd = -1, .filter = FILTER_DEFAULT};

    while (*++argv && strcmp(*argv, "--") != 0) {
        if (strcmp(*argv, "--foreground") == 0)
            request.foreground = true;
        else if (strcmp(*argv, "--lease-fd") == 0)
            request.lease_fd = parse_fd("--lease-fd", *++argv);
        else if (strcmp(*argv, "--hold-fd") == 0)
            request.held_fd = parse_fd("--hold-fd", *++argv);
        else if (strcmp(*argv, "--seccomp-fd") == 0)
            request.program = read_program_from(parse_fd("--seccomp-fd", *++argv));
        else if (strcmp(*argv, "--no-new-userns") == 0)
            request.no_new_userns = true;
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

/* Leaves 0, 1, 2, and what is held: that moves to 3 and 4, and goes no further than this process. Gives the next number. */
static int keep_only(int lease_fd, int held_fd)
{
    /* In the order of their numbers, so that none is moved onto the other. */
    const int held[] = {lease_fd < held_fd ? lease_fd : held_fd, lease_fd < held_fd ? held_fd : lease_fd};
    int next = FIRST_HELD;

    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        if (held[i] < 0)
            continue;
        if ((held[i] != next && dup2(held[i], next) < 0) || fcntl(next, F_SETFD, FD_CLOEXEC) < 0)
            fail("cannot keep the descriptor %d: %s", held[i], strerror(errno));
        next++;
    }
    closefrom(next);
    return next;
}

static void protect(enum filter_kind kind)
{
    int error;

    /* Nobody inside may ptrace this process or take the lease from it (pidfd_getfd(2)). */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        fail("cannot protect the lease: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail("cannot give up new privileges: %s", strerror(errno));
    error = install_filter(kind);
    if (error)
        fail("cannot install the seccomp filter: %s", strerror(-error));
}

/* From here on the watched signals wait to be fetched; pid 1 would lose them otherwise, having no handler. */
static struct inherited watch(sigset_t *watched)
{
    struct inherited inherited;
    /* Where SIGCHLD is ignored, children vanish without a code. */
    const struct sigaction by_default = {.sa_handler = SIG_DFL};

    sigemptyset(watched);
    sigaddset(watched, SIGTERM);
    sigaddset(watched, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, watched, &inherited.mask) < 0 ||
        sigaction(SIGCHLD, &by_default, &inherited.on_child) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
        fail("cannot watch for signals: %s", strerror(errno));
    return inherited;
}

/* The child. `end`: where the parent is told of the inner namespace, if one is wanted. */
__attribute__((noreturn)) static void become(const struct request *request, const struct inherited *inherited, int end)
{
    if (request->inner.wanted) {
        const char *wrong;

        for (int fd = FIRST_HELD; fd < request->held_end; fd++)
            close(fd); /* before others could look in here */
        wrong = enter_inner(&request->inner, end);
        if (wrong)
            fail("cannot %s: %s", wrong, strerror(errno));
    }
    sigaction(SIGCHLD, &inherited->on_child, NULL);
    if (request->foreground) {
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
    if (request->no_new_userns) {
        int error = install_userns_filter();

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

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Gives a watched signal, or -1 if none came before the time, or something else interrupted; until < 0: no limit. */
static int fetch_signal(const sigset_t *watched, long long until)
{
    long long ms = until - now_ms();
    struct timespec limit = {0, 0};

    if (ms > 0)
        limit = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return sigtimedwait(watched, NULL, until < 0 ? NULL : &limit);
}

/* Reaps until the sandbox is to end; gives its exit code. Stopped children are not waited for: they have not ended. */
static int supervise(pid_t command, const sigset_t *watched)
{
    int code = EXIT_SIGNAL + SIGKILL; /* unless the command ends before the grace does */
    long long deadline = -1;          /* -1: nobody has asked for the end */
    bool reaped = true;

    for (;;) {
        siginfo_t child = {.si_pid = 0};
        /* One child a round, so that neither the signal nor the deadline is starved by children that keep ending. */
        int sig = fetch_signal(watched, reaped ? 0 : deadline);

        if (sig == SIGTERM && deadline < 0) {
            deadline = now_ms() + GRACE_MS;
            kill(-1, SIGTERM);
            kill(-1, SIGCONT); /* a stopped process handles nothing */
        }
        if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG) < 0 && errno == ECHILD)
            return code;
        reaped = child.si_pid != 0;
        if (child.si_pid == command) {
            code = child.si_code == CLD_EXITED ? child.si_status : EXIT_SIGNAL + child.si_status;
            command = -1; /* its number may come again */
            if (deadline < 0)
                return code;
        }
        if (deadline >= 0 && now_ms() >= deadline)
            return code;
    }
}

int main(int argc, char **argv)
{
    struct request request;
    struct inherited inherited;
    sigset_t watched;
    pid_t command;
    int ends[2] = {-1, -1};

    if (argc < 1)
        return EXIT_OURS;
    request = parse(argv);
    if (getpid() != 1) /* kill(-1) would reach everything else that runs here */
        fail("this program runs only as pid 1 of a sandbox (bwrap --as-pid-1)");
    request.held_end = keep_only(request.lease_fd, request.held_fd);
    inherited = watch(&watched);
    protect(request.filter);

    if (request.inner.wanted && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        fail("cannot make a socket pair: %s", strerror(errno));
    command = fork();
    if (command < 0)
        fail("cannot start the command: %s", strerror(errno));
    if (command == 0) {
        close(ends[0]);
        become(&request, &inherited, ends[1]);
    }
    if (request.inner.wanted) {
        const char *wrong;

        close(ends[1]);
        wrong = grant_inner(command, ends[0]);
        if (wrong)
            fail("cannot %s: %s", wrong, strerror(errno));
    }
    return supervise(command, &watched);
}
