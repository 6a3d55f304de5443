#ifndef ISOLATE_CHILD_H
#define ISOLATE_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* The caller's state; a child gets its signal state back. */
struct caller {
    sigset_t blocked;
    sigset_t ignored; /* among CHLD and the signals that end a program by default */
    bool had_terminal;
};

/* Blocks CHLD and the signals to forward, so that they wait for `fetch`. */
struct caller watch(sigset_t *watched);

/* Restores the caller's signal state in a child. */
void restore(const struct caller *caller);

/* Whether the kernel sent it: a forwarded signal from the kernel comes from the terminal. */
bool is_from_kernel(const siginfo_t *info);

/*
 * Whether it is the HUP of a terminal that is gone. Then any sender counts. The shell's HUP may be the only one,
 * because the kernel drops its own while the shell's waits to be fetched (signal(7), "Queueing and delivery
 * semantics"), or sends it only to the foreground job.
 */
bool is_hangup(const siginfo_t *info, const struct caller *caller);

/*
 * Forwards to a child in this process group, which already has the terminal's signals. On TSTP, stops this process too.
 */
void pass(pid_t child, const siginfo_t *info);

/*
 * Waits for one of the signals: sigwaitinfo(2). A TSTP is immediately made pending again, so that a CONT before
 * `suspend` cancels it as in any program (signal(7)).
 */
int fetch(const sigset_t *watched, siginfo_t *info);

/* Stops this process by the default action of the fetched TSTP, so that the caller's shell sees it. */
void suspend(void);

/* Reaps all children that have ended. True if `child` is one of them; then `code` is its exit code, or 128+n. */
bool reap(pid_t child, int *code);

#endif
