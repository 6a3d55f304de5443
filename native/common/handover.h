/*
 * How a sandbox gets a network from outside: isolate-init, alone in its network namespace, sends the namespace and two
 * pipes over a Unix socket to isolate-network (network.c), and waits.
 */

#ifndef ISOLATE_HANDOVER_H
#define ISOLATE_HANDOVER_H

/* The descriptors in the order in which they are sent. */
enum {
    HANDED_NAMESPACE, /* the network namespace */
    HANDED_READY,     /* carries a byte when the network is ready; the end without a byte means failure */
    HANDED_ERRORS,    /* the reason of the failure, as text */
    HANDED_COUNT,
};

/* Both return 0 or a negative errno. Received descriptors are close-on-exec; -EPIPE if none were sent. */
int hand_over(int socket, const int descriptors[HANDED_COUNT]);
int take_over(int socket, int descriptors[HANDED_COUNT]);

#endif
