#ifndef ISOLATE_INNER_H
#define ISOLATE_INNER_H

#include <stdbool.h>
#include <stdint.h>

/* Privileges for COMMAND that pid 1 does not have. */
struct inner {
    bool wanted;
    uint64_t capabilities; /* bit n: capability number n, capabilities(7) */
    bool network;          /* nothing else uses the network namespace: COMMAND may have another one with only lo */
};

/*
 * Makes a nested user namespace with the same ids for a child that was just forked. The child enters it, with its own
 * copies of the mounts, the host name and perhaps the network, and has exactly those capabilities there. They cannot
 * change the sandbox itself: its mounts are locked in the copy, so that none can be unmounted or made writable
 * (mount_namespaces(7)).
 *
 * `ends` is a socketpair(2): the parent calls grant_inner on one end, the child enter_inner on the other. Both return
 * NULL, or the failed action with the reason in errno; the child must not continue then.
 */
const char *enter_inner(const struct inner *inner, int end);
const char *grant_inner(int child, int end);

#endif
