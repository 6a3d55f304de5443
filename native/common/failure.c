#include "failure.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* In a single write, so that no other output comes between. A failure cannot be reported to anybody. */
static void write_line(const char *name, const char *sentence, va_list args)
{
    char text[8192];
    size_t room = sizeof text - 1; /* for the end of the line */
    size_t length = (size_t)snprintf(text, room, "%s: ", name);

    length += (size_t)vsnprintf(text + length, room - length, sentence, args);
    if (length >= room)
        length = room - 1;
    text[length++] = '\n';
    if (write(STDERR_FILENO, text, length) < 0)
        return;
}

void say(const char *name, const char *sentence, ...)
{
    va_list args;

    va_start(args, sentence);
    write_line(name, sentence, args);
    va_end(args);
}

void fail(const char *sentence, ...)
{
    va_list args;

    va_start(args, sentence);
    write_line(own_name, sentence, args);
    va_end(args);
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
