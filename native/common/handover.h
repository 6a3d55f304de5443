/*
 * How a sandbox gets a network from outside: isolate-init, alone in its network namespace, hands that over a Unix socket
 * to isolate-network (network.c), together with two pipes, and waits.
 */

#ifndef ISOLATE_HANDOVER_H
#define ISOLATE_HANDOVER_H

/* In the order in which they are handed over. */
enum {
    HANDED_NAMESPACE, /* the network namespace */
    HANDED_READY,     /* gets a byte once the network is there; its end without one means that it will not be */
    HANDED_ERRORS,    /* the reason for that, as text */
    HANDED_COUNT,
};

/* Both give 0, or a negative errno. Received descriptors are close-on-exec; -EPIPE: nobody has sent any. */
int hand_over(int socket, const int descriptors[HANDED_COUNT]);
int take_over(int socket, int descriptors[HANDED_COUNT]);

#endif
