/*
 * isolate-monitor --pipe FD [--new-session] [--wake SOCKET] -- ENGINE [ARG...]
 * isolate-monitor --pipe FD [--new-session] [--wake SOCKET] --engine PID
 * isolate-monitor [--hold FD] [--pre COMMAND] [--post COMMAND] [--wake SOCKET] -- CLIENT [ARG...]
 *
 * The process that the caller started, signals and waits for; the program is its child.
 *
 * With --pipe the program is an engine, in which isolate-init reads the pipe's other end (orders.h). The forwarded
 * signals are blocked in the engine, so that they do not end it. With --engine it is already a child of this process,
 * started before this program (prestart.h). Otherwise the program is isolate's client, which gets the signals itself.
 * Then --hold is a descriptor (the lease) to keep open to the end, and --pre and --post are shell commands: if --pre
 * fails, the program is not run; --post follows it however it ends.
 *
 * Signals from kill(2) are forwarded. Signals from the terminal reach its whole foreground job, and so the command,
 * without help, unless the command has its own session (--new-session). TERM, and HUP when the terminal is gone, end
 * the sandbox.
 *
 * --wake: connects once to that Unix socket at the end, which starts the daemon behind it.
 *
 * Exit code: the child's; 128+n if signal n ended it; 125 if this program or the pre hook failed, or if the child
 * succeeded and the post hook failed.
 */

#include "orders.h"
#include "child.h"
#include "descriptors.h"
#include "failure.h"
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char own_name[] = "isolate-monitor";

struct request {
    int pipe; /* -1: none */
    int hold; /* -1: none */
    pid_t engine; /* 0: not started yet */
    bool new_session;
    const char *wake; /* NULL: nothing */
    struct hook pre;  /* no hook without a command */
    struct hook post;
    char **program;
};

static const char *parse_text(const char *option, const char *text)
{
    if (!text || !*text)
        fail("%s needs a value", option);
    return text;
}

static struct request parse(char **argv)
{
    struct request request = {
        .pipe = -1,
        .hold = -1,
        .pre = {.name = "PRE_SPAWN_HOOK", .refused = "run"},
        .post = {.name = "POST_SPAWN_HOOK", .refused = "finish"},
    };

    while (*++argv && strcmp(*argv, "--") != 0) {
        const char *option = *argv;

        if (strcmp(option, "--new-session") == 0) {
            request.new_session = true;
            continue;
        }
        argv++;
        if (strcmp(option, "--pipe") == 0)
            request.pipe = parse_fd(option, *argv);
        else if (strcmp(option, "--engine") == 0)
            request.engine = parse_number(option, *argv, 2, "a process");
        else if (strcmp(option, "--hold") == 0)
            request.hold = parse_fd(option, *argv);
        else if (strcmp(option, "--wake") == 0)
            request.wake = parse_text(option, *argv);
        else if (strcmp(option, "--pre") == 0)
            request.pre.command = parse_text(option, *argv);
        else if (strcmp(option, "--post") == 0)
            request.post.command = parse_text(option, *argv);
        else
            fail("unknown argument \"%s\"", option);
    }
    if (!request.engine && (!argv[0] || !argv[1]))
        fail("no program");
    request.program = argv[0] ? argv + 1 : argv;
    return request;
}

/* Runs in the child. */
__attribute__((noreturn)) static void become(char **program)
{
    execv(program[0], program);
    fail("cannot run %s: %s", program[0], strerror(errno));
}

/* Starts the engine, or returns the one that --engine named. */
static pid_t start_engine(const struct request *request, const struct caller *caller)
{
    const struct beginning beginning = {.blocked = caller->blocked,
                                        .child_ignored = sigismember(&caller->ignored, SIGCHLD)};
    sigset_t mask = caller->blocked;
    pid_t engine;

    /* Non-blocking: orders to a sandbox that does not read any more are lost. */
    if (fcntl(request->pipe, F_SETFD, FD_CLOEXEC) < 0 || fcntl(request->pipe, F_SETFL, O_NONBLOCK) < 0 ||
        write(request->pipe, &beginning, sizeof beginning) != sizeof beginning)
        fail("cannot use the pipe %d: %s", request->pipe, strerror(errno));
    if (request->engine)
        return request->engine; /* it may have ended by now */
    add_handed_on(&mask);
    engine = vfork();
    if (engine == 0) {
        sigprocmask(SIG_SETMASK, &mask, NULL);
        become(request->program);
    }
    return engine;
}

/* The client dies with this process, because only this process keeps the lease open beyond the sandbox's end. */
static pid_t start_client(const struct request *request, const struct caller *caller)
{
    pid_t self = getpid();
    pid_t client = fork();

    if (client == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 || getppid() != self)
            _exit(EXIT_OURS);
        restore(caller);
        become(request->program);
    }
    return client;
}

/* Ignores failure: the sandbox has ended or does not read any more. */
static void order(int pipe, int byte)
{
    const unsigned char it = (unsigned char)byte;

    if (write(pipe, &it, 1) < 0)
        return;
}

static bool ends(const siginfo_t *info, const struct caller *caller)
{
    return (info->si_signo == SIGTERM || is_hangup(info, caller)) && !sigismember(&caller->ignored, info->si_signo);
}

static void hand_on(const struct request *request, const siginfo_t *info, const struct caller *caller)
{
    int sig = info->si_signo;

    if (ends(info, caller))
        order(request->pipe, ORDER_END);
    else if (request->new_session && (is_from_kernel(info) || sig == SIGCONT)) /* fg(1) sends CONT to a whole job */
        order(request->pipe, sig | ORDER_GROUP);
    else if (!is_from_kernel(info))
        order(request->pipe, sig);
    if (sig == SIGTSTP)
        suspend();
}

static int run(const struct request *request, const struct caller *caller, const sigset_t *watched)
{
    bool is_engine = request->pipe >= 0;
    pid_t child = is_engine ? start_engine(request, caller) : start_client(request, caller);
    int kept = is_engine ? request->pipe : request->hold;
    int code;

    if (child < 0)
        fail("cannot start %s: %s", request->program[0], strerror(errno));
    /* All other descriptors belong to the child: a lease that stayed open here would outlive the sandbox. */
    if (kept > STDERR_FILENO + 1)
        close_descriptors(STDERR_FILENO + 1, (unsigned)kept - 1);
    close_from(kept < 0 ? STDERR_FILENO + 1 : kept + 1);
    while (!reap(child, &code)) { /* it may have ended before SIGCHLD was blocked */
        siginfo_t info;
        int sig = fetch(watched, &info);

        if (sig <= 0 || sig == SIGCHLD)
            continue;
        if (is_engine)
            hand_on(request, &info, caller);
        else
            pass(child, &info);
    }
    return code;
}

/* Ignores failure: the next use of the daemon starts it too. */
static void wake(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); /* if the queue is full, the daemon is already starting */

    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        connect(fd, (const struct sockaddr *)&address, sizeof address);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    struct request request;
    struct caller caller;
    sigset_t watched;
    int code;

    if (argc < 1)
        return EXIT_OURS;
    request = parse(argv);
    prctl(PR_SET_NAME, "isolate-monitor"); /* root's client starts it under another name */
    caller = watch(&watched);
    if (request.pre.command) {
        code = run_hook(&request.pre, &caller, &watched);
        if (code != 0)
            return code;
    }
    code = run(&request, &caller, &watched);
    if (request.post.command) {
        int after = run_hook(&request.post, &caller, &watched);

        if (code == 0)
            code = after;
    }
    if (request.hold >= 0)
        close(request.hold);
    if (request.wake)
        wake(request.wake);
    return code;
}
