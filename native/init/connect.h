/* The sandbox's side of handover.h. */

#ifndef ISOLATE_CONNECT_H
#define ISOLATE_CONNECT_H

#include <stddef.h>

/* Waits until this network namespace is connected. NULL, or why it will not be: the text is in `room`, or constant. */
const char *await_network(int socket, char *room, size_t size);

#endif
