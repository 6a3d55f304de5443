#ifndef ISOLATE_DESCRIPTORS_H
#define ISOLATE_DESCRIPTORS_H

#include "failure.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* close_range(2), which musl lacks. Returns 0, or -1 and errno. */
static inline int close_from_to(int first, unsigned last, unsigned flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

static inline void close_descriptors(int first, unsigned last)
{
    if (close_from_to(first, last, 0) < 0)
        fail("cannot close the descriptors from %d on: %s", first, strerror(errno));
}

static inline void close_from(int first)
{
    close_descriptors(first, UINT_MAX);
}

#endif
