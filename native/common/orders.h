#ifndef ISOLATE_ORDERS_H
#define ISOLATE_ORDERS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * isolate-monitor writes to isolate-init through a pipe: first this, then an order for each signal. When the pipe
 * closes, the sandbox ends.
 */
struct beginning {
    /* Signals of the process that the caller started; COMMAND gets the same. */
    sigset_t blocked;
    bool child_ignored;
};

/*
 * An order is a byte: ORDER_END, or the number of a signal for COMMAND, with ORDER_GROUP for its whole process group.
 */
enum { ORDER_END = 0, ORDER_GROUP = 0x80 };

/* The signals that are forwarded. All others have their usual effect on the monitor. */
static const int handed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT, SIGTSTP, SIGWINCH};
enum { HANDED_ON = sizeof handed_on / sizeof *handed_on };

enum { KERNEL_SIGSET_SIZE = 8 };

static inline void add_handed_on(sigset_t *set)
{
    for (int i = 0; i < HANDED_ON; i++)
        sigaddset(set, handed_on[i]);
}

/*
 * Reads this process's mask from the kernel: musl omits three signals (32 to 34) that its threads or those of the GNU C
 * library use, and 34 is SIGRTMIN of the GNU C library. Returns 0, or -1 and errno: rt_sigprocmask(2).
 */
static inline int read_mask(sigset_t *mask)
{
    sigemptyset(mask);
    return (int)syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, mask, KERNEL_SIGSET_SIZE);
}

#endif
