#ifndef ISOLATE_CHILD_H
#define ISOLATE_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* As the caller had it; of the signals a child is to have some again. */
struct caller {
    sigset_t blocked;
    sigset_t ignored; /* among CHLD and those that end a program by default */
    bool had_terminal;
};

/* From here on what is handed on, and CHLD, wait to be fetched. */
struct caller watch(sigset_t *watched);

/* In a child. */
void restore(const struct caller *caller);

/* Whether the kernel itself sent it: the terminal, in the case of what is handed on. */
bool is_from_kernel(const siginfo_t *info);

/*
 * Whether it is the HUP of a terminal that is gone: then anybody's. The shell's may be the only one, since the kernel's is
 * dropped while that waits to be fetched (signal(7), "Queueing and delivery semantics"), or goes to the foreground job
 * alone.
 */
bool is_hangup(const siginfo_t *info, const struct caller *caller);

/* To a child of this process group, which has already what the terminal sent. Stops this process too where that is asked. */
void pass(pid_t child, const siginfo_t *info);

/*
 * Waits for one of them: sigwaitinfo(2). A TSTP waits on, at once, so that a CONT that comes before `suspend` takes it away
 * as it would from any program (signal(7)).
 */
int fetch(const sigset_t *watched, siginfo_t *info);

/* Stops this process, where the caller's shell sees it, by the default action of the TSTP that was fetched. */
void suspend(void);

/* Reaps all that have ended. True if `child` was among them; then `code` is its exit code, or 128+n. */
bool reap(pid_t child, int *code);

#endif
