#ifndef ISOLATE_INNER_H
#define ISOLATE_INNER_H

#include <stdbool.h>
#include <stdint.h>

/* What COMMAND is to have and pid 1 has not. */
struct inner {
    bool wanted;
    uint64_t capabilities; /* bit n: capability number n, capabilities(7) */
    bool network;          /* nobody else uses the network namespace: COMMAND may have another, with lo alone */
};

/*
 * A user namespace below this one, with the same ids in it, for a child that was just forked. The child enters it, with
 * copies of the mounts, the host name and perhaps the network that belong to it, and has exactly those capabilities
 * there. Over what the sandbox itself is made of they have no power: its mounts are locked in the copy, so that none can
 * be taken away or made writable (mount_namespaces(7)).
 *
 * `ends` is a socketpair(2): the parent calls grant_inner on one end, the child enter_inner on the other. Both give NULL,
 * or what failed, with the reason in errno; the child must not go on then.
 */
const char *enter_inner(const struct inner *inner, int end);
const char *grant_inner(int child, int end);

#endif
