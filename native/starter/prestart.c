#include "prestart.h"
#include "descriptors.h"
#include "failure.h"
#include "orders.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static volatile pid_t waiting; /* 0: none */

/* Runs in the child, in its parent's memory: vfork(2). Returns the errno of the failure. */
static int become(char *const *argv, const int32_t *descriptors, size_t count)
{
    static char *const nothing[] = {NULL};

    /* Only this program ignores them. */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (close_from_to(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    for (size_t i = 0; i < count; i++)
        if (fcntl(descriptors[i], F_SETFD, 0) < 0)
            return errno;
    execve(argv[0], argv, nothing);
    return errno;
}

/* The signal's action is the default again here (SA_RESETHAND). */
static void end_with(int sig)
{
    drop_waiting_engine();
    raise(sig);
}

static void end_with_signals(void)
{
    const struct sigaction action = {.sa_handler = end_with, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
    const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM};

    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        struct sigaction present;

        if (sigaction(ending[i], NULL, &present) == 0 && present.sa_handler == SIG_DFL)
            sigaction(ending[i], &action, NULL);
    }
}

pid_t start_waiting_engine(char *const *argv, const int32_t *descriptors, size_t count)
{
    struct sigaction on_child;
    volatile int wrong = 0;
    sigset_t before, mask;
    pid_t child;

    if (sigaction(SIGCHLD, NULL, &on_child) < 0 || read_mask(&before) < 0)
        return -errno;
    if (on_child.sa_handler == SIG_IGN)
        return -ECHILD;
    mask = before;
    add_handed_on(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    child = vfork();
    if (child == 0) {
        wrong = become(argv, descriptors, count);
        _exit(EXIT_OURS);
    }
    if (child < 0)
        wrong = errno;
    else if (wrong)
        waitpid(child, NULL, 0);
    else {
        waiting = child;
        end_with_signals();
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return wrong ? -wrong : child;
}

void let_go(void)
{
    waiting = 0;
}

void drop_waiting_engine(void)
{
    if (waiting)
        kill(waiting, SIGKILL);
    waiting = 0;
}
