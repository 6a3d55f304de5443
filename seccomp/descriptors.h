#ifndef ISOLATE_DESCRIPTORS_H
#define ISOLATE_DESCRIPTORS_H

#include <linux/close_range.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

/* close_range(2), which musl has not. From first to last; 0, or -1 and errno. */
static inline int close_from_to(int first, unsigned last, unsigned flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

static inline void close_from(int first)
{
    close_from_to(first, UINT_MAX, 0);
}

#endif
