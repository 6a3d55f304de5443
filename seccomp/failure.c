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

int parse_number(const char *option, const char *text, int least, const char *what)
{
    char *end = NULL;
    long number = -1;

    if (text && *text >= '0' && *text <= '9')
        number = strtol(text, &end, 10);
    if (number < least || number > INT_MAX || *end)
        fail("%s needs the number of %s, not \"%s\"", option, what, text ? text : "");
    return (int)number;
}

int parse_fd(const char *option, const char *text)
{
    return parse_number(option, text, STDERR_FILENO + 1, "a descriptor above 2");
}
