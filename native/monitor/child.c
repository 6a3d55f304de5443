#include "child.h"
#include "failure.h"
#include "orders.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/*
 * tty(4): the open fails without a controlling terminal. When a terminal is gone, its whole session has none
 * (setsid(2)).
 */
static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The terminal may be gone already: then its descriptors return EIO. Other files return ENOTTY. */
static bool had_terminal(void)
{
    struct termios modes;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (tcgetattr(fd, &modes) < 0 && errno == EIO)
            return true;
    return has_terminal();
}

struct caller watch(sigset_t *watched)
{
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    const int noted[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    struct caller caller = {.had_terminal = had_terminal()};
    sigset_t blocked;

    sigemptyset(watched);
    add_handed_on(watched);
    sigaddset(watched, SIGCHLD);
    blocked = *watched;
    sigaddset(&blocked, SIGPIPE); /* from writing to a sandbox that has ended already */
    sigemptyset(&caller.ignored);
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
        struct sigaction present;

        if (sigaction(noted[i], NULL, &present) == 0 && present.sa_handler == SIG_IGN)
            sigaddset(&caller.ignored, noted[i]);
    }
    /* If SIGCHLD were ignored, children would vanish without an exit code. */
    if (read_mask(&caller.blocked) < 0 || sigprocmask(SIG_BLOCK, &blocked, NULL) < 0 ||
        sigaction(SIGCHLD, &by_default, NULL) < 0)
        fail("cannot watch for signals: %s", strerror(errno));
    return caller;
}

void restore(const struct caller *caller)
{
    if (sigismember(&caller->ignored, SIGCHLD))
        signal(SIGCHLD, SIG_IGN);
    sigprocmask(SIG_SETMASK, &caller->blocked, NULL);
}

bool is_from_kernel(const siginfo_t *info)
{
    return info->si_code > 0; /* sigaction(2): SI_USER and other codes of signals from processes are not above 0 */
}

bool is_hangup(const siginfo_t *info, const struct caller *caller)
{
    return info->si_signo == SIGHUP && (is_from_kernel(info) || (caller->had_terminal && !has_terminal()));
}

void pass(pid_t child, const siginfo_t *info)
{
    if (!is_from_kernel(info))
        kill(child, info->si_signo);
    if (info->si_signo == SIGTSTP)
        suspend();
}

int fetch(const sigset_t *watched, siginfo_t *info)
{
    int sig = sigwaitinfo(watched, info);

    if (sig == SIGTSTP)
        raise(SIGTSTP);
    return sig;
}

void suspend(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    sigprocmask(SIG_BLOCK, &stop, NULL);
}

bool reap(pid_t child, int *code)
{
    bool found = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != child)
            continue;
        found = true;
        *code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status);
    }
    return found;
}
