#ifndef ISOLATE_FILTER_H
#define ISOLATE_FILTER_H

#include <stdbool.h>

/* Which system calls a sandbox may not make. */
enum filter_kind {
    FILTER_DEFAULT,  /* no typing into the caller's terminal, and none of the kernel's risky corners */
    FILTER_TERMINAL, /* no typing into, and no taking over of, the caller's terminal */
    FILTER_NONE,
};

/* `default`, `tty` or `none`; false: it is none of these names. */
bool parse_filter(const char *name, enum filter_kind *kind);

/*
 * Installs the filter for the calling thread and everything it starts; it cannot be taken off again. no_new_privs is
 * set along with it, but for FILTER_NONE, which does nothing. Gives 0 or a negative errno; after an error the caller is
 * NOT filtered and must not go on.
 */
int install_filter(enum filter_kind kind);

/* The same for the one rule that no user namespaces are made (user_namespaces(7)), beside or without the other filter. */
int install_userns_filter(void);

/* And for mounting (mount(2), fsopen(2) and the like), where there is no capability and no user namespace for it. */
int install_mount_filter(void);

#endif
