#ifndef ISOLATE_KNOWN_CALLS_H
#define ISOLATE_KNOWN_CALLS_H

#include <stdint.h>

/* A call that has one number on every architecture, and is refused with an errno. */
struct numbered {
    uint32_t number;
    int refusal;
};

/*
 * Prints instructions that come before a filter, as C. They answer ENOSYS to every number that this project does not know,
 * so that a newer kernel has no call that its rules have never heard of, and refuse `calls` (of which a zero is the end).
 * Everything else goes on to what is printed next. False: there are none for that machine.
 */
_Bool print_known(const char *machine, const struct numbered *calls);

#endif
