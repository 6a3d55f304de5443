#ifndef ISOLATE_PRESTART_H
#define ISOLATE_PRESTART_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Starts an engine that isolate-monitor will watch over (--engine), and that waits for its options until then: with the
 * signals blocked that are handed on to it, without environment, with those descriptors alone above 2. Until let_go a signal
 * that ends this process ends it too; whatever else does, closes the socket that it waits at. Gives its process id, or a
 * negative error number: ECHILD where its exit code would be lost, SIGCHLD being ignored.
 */
pid_t start_waiting_engine(char *const *argv, const int32_t *descriptors, size_t count);

/*
 * Before it is told its options: from then on it must not be killed. Between bubblewrap's clone(2) and its word to the
 * child, that would wait for ever, as pid 1.
 */
void let_go(void);

/* Ends it, if it still waits. */
void drop_waiting_engine(void);

#endif
