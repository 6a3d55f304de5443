#ifndef ISOLATE_FILTER_H
#define ISOLATE_FILTER_H

#include <stdbool.h>

/* Filters of the system calls that a sandbox may not make. */
enum filter_kind {
    FILTER_DEFAULT,  /* no input to the caller's terminal, and no risky parts of the kernel */
    FILTER_TERMINAL, /* no input to the caller's terminal, and no control of it */
    FILTER_NONE,
};

/* Reads `default`, `tty` or `none`; returns false for any other name. */
bool parse_filter(const char *name, enum filter_kind *kind);

/*
 * Installs the filter for the calling thread and everything that it starts; it cannot be removed. Also sets
 * no_new_privs. FILTER_NONE does nothing. Returns 0 or a negative errno; after an error the caller is NOT filtered and
 * must not continue.
 */
int install_filter(enum filter_kind kind);

/* The same for a filter that blocks new user namespaces (user_namespaces(7)), with or without the other filter. */
int install_userns_filter(void);

/* The same for mounting (mount(2), fsopen(2) etc.), for commands without a capability and a user namespace for it. */
int install_mount_filter(void);

#endif
