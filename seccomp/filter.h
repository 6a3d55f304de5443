#ifndef ISOLATE_FILTER_H
#define ISOLATE_FILTER_H

/* Which system calls a sandbox may not make. */
enum filter_kind {
    FILTER_DEFAULT, /* no typing into, and no taking over of, the caller's terminal */
};

/*
 * Installs the filter for the calling thread and everything it starts; it cannot be taken off again. no_new_privs is
 * set along with it. Gives 0 or a negative errno; after an error the caller is NOT filtered and must not go on.
 */
int install_filter(enum filter_kind kind);

#endif
