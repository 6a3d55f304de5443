#include "ahead.h"
#include "descriptors.h"
#include "failure.h"
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child, in its parent's memory: vfork(2). Gives what was wrong. */
static int become(char *const *argv, const int32_t *descriptors, size_t count, const sigset_t *mask, pid_t parent)
{
    static char *const nothing[] = {NULL};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return errno;
    if (getppid() != parent)
        return ESRCH;
    /* Ignored by this program alone. */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (close_from_to(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    for (size_t i = 0; i < count; i++)
        if (fcntl(descriptors[i], F_SETFD, 0) < 0)
            return errno;
    if (sigprocmask(SIG_SETMASK, mask, NULL) == 0)
        execve(argv[0], argv, nothing);
    return errno;
}

pid_t start_ahead(char *const *argv, const int32_t *descriptors, size_t count)
{
    const pid_t self = getpid();
    struct sigaction on_child;
    volatile int wrong = 0;
    sigset_t mask;
    pid_t child;

    if (sigaction(SIGCHLD, NULL, &on_child) < 0 || sigprocmask(SIG_BLOCK, NULL, &mask) < 0)
        return -errno;
    if (on_child.sa_handler == SIG_IGN)
        return -ECHILD;
    add_handed_on(&mask);
    child = vfork();
    if (child == 0) {
        wrong = become(argv, descriptors, count, &mask, self);
        _exit(EXIT_OURS);
    }
    if (child < 0)
        return -errno;
    if (wrong) {
        waitpid(child, NULL, 0);
        return -wrong;
    }
    return child;
}
