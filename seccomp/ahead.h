#ifndef ISOLATE_AHEAD_H
#define ISOLATE_AHEAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Starts an engine that isolate-monitor will watch over (--engine): with the signals blocked that are handed on to it,
 * without environment, with those descriptors alone above 2. It dies with this process. Gives its process id, or a
 * negative error number: ECHILD where its exit code would be lost, SIGCHLD being ignored.
 */
pid_t start_ahead(char *const *argv, const int32_t *descriptors, size_t count);

#endif
