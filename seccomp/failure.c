#include "failure.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void fail(const char *sentence, ...)
{
    char text[256];
    va_list args;

    va_start(args, sentence);
    vsnprintf(text, sizeof text, sentence, args);
    va_end(args);
    dprintf(STDERR_FILENO, "%s: %s\n", own_name, text);
    _exit(EXIT_OURS);
}

int parse_fd(const char *option, const char *text)
{
    char *end = NULL;
    long fd = -1;

    if (text && *text >= '0' && *text <= '9')
        fd = strtol(text, &end, 10);
    if (fd <= STDERR_FILENO || fd > INT_MAX || *end)
        fail("%s needs the number of a descriptor above 2, not \"%s\"", option, text ? text : "");
    return (int)fd;
}
