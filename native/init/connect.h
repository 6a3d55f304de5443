/* The sandbox's side of handover.h. */

#ifndef ISOLATE_CONNECT_H
#define ISOLATE_CONNECT_H

#include <stddef.h>

/*
 * Waits until this network namespace is connected. Returns NULL, or the reason of the failure, in `room` or constant.
 */
const char *await_network(int socket, char *room, size_t size);

#endif
