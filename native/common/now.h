#ifndef ISOLATE_NOW_H
#define ISOLATE_NOW_H

#include <time.h>

/* Milliseconds of a monotonic clock. */
static inline long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

#endif
