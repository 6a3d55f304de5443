#ifndef ISOLATE_PRESTART_H
#define ISOLATE_PRESTART_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Starts an engine that waits for its options, and that isolate-monitor will watch later (--engine). The forwarded
 * signals are blocked in it, its environment is empty, and only those descriptors above 2 are open. Until let_go, a
 * signal that ends this process also ends the engine; any other end of this process closes the socket on which the
 * engine waits. Returns its process id, or a negative error number: ECHILD if SIGCHLD is ignored, because its exit code
 * would be lost.
 */
pid_t start_waiting_engine(char *const *argv, const int32_t *descriptors, size_t count);

/*
 * Must be called before the engine gets its options, because it must not be killed from then on: between bubblewrap's
 * clone(2) and its message to the child, the child would wait forever as pid 1.
 */
void let_go(void);

/* Kills the engine if it still waits. */
void drop_waiting_engine(void);

#endif
