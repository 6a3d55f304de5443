#include "hook.h"
#include "descriptors.h"
#include "failure.h"
#include "now.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 2000

static pid_t start(const char *command, const struct caller *caller)
{
    pid_t self = getpid();
    pid_t hook = fork();

    if (hook < 0)
        fail("cannot start a hook: %s", strerror(errno));
    if (hook > 0)
        return hook;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 || getppid() != self)
        _exit(EXIT_OURS);
    close_from(STDERR_FILENO + 1); /* the hook must not hold the lease */
    restore(caller);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    fail("cannot run /bin/sh: %s", strerror(errno));
}

/* Signals as many as one read of proc_pid_task_children(5) lists; the next call signals the rest. */
static void signal_children(int sig)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    char *next = text;

    if (fd >= 0)
        close(fd);
    text[size < 0 ? 0 : size] = '\0';
    for (;;) {
        char *end;
        long pid = strtol(next, &end, 10);

        if (end == next || (*end == '\0' && size == sizeof text - 1)) /* the last may be incomplete */
            return;
        kill((pid_t)pid, sig);
        kill((pid_t)pid, SIGCONT); /* a stopped process handles nothing */
        next = end;
    }
}

/* The children of a child that ends become this process's children (PR_SET_CHILD_SUBREAPER), and are then ended too. */
static void end_children(void)
{
    const struct timespec moment = {.tv_nsec = 50000000};
    long long kill_at = now_ms() + GRACE_MS;
    long long give_up_at = kill_at + GRACE_MS; /* processes of another user in a hook cannot be signalled */
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signal_children(SIGTERM);
    for (;;) {
        pid_t ended = waitpid(-1, NULL, WNOHANG);
        long long now = now_ms();

        if ((ended < 0 && errno == ECHILD) || now >= give_up_at)
            return;
        if (ended > 0 || now >= kill_at)
            signal_children(now < kill_at ? SIGTERM : SIGKILL);
        if (ended == 0)
            sigtimedwait(&child, NULL, &moment);
    }
}

static bool is_end(int sig, const struct caller *caller)
{
    return (sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM) && !sigismember(&caller->ignored, sig);
}

static int wait_for(pid_t pid, const struct hook *hook, const struct caller *caller, const sigset_t *watched)
{
    int code = 0;

    for (;;) {
        siginfo_t info;
        int sig = fetch(watched, &info);

        if (sig == SIGCHLD && reap(pid, &code))
            break;
        if (sig > 0 && is_end(sig, caller)) {
            end_children();
            return EXIT_SIGNAL + sig;
        }
        if (sig > 0 && sig != SIGCHLD)
            pass(pid, &info);
    }
    if (code == 0)
        return 0;
    say("isolate", "cannot %s: %s failed with exit code %d\n  fix that command, or unset the variable", hook->refused,
        hook->name, code);
    return EXIT_OURS;
}

int run_hook(const struct hook *hook, const struct caller *caller, const sigset_t *watched)
{
    int code;

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    code = wait_for(start(hook->command, caller), hook, caller, watched);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    return code;
}
