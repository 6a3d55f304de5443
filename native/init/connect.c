#include "connect.h"
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 20000

enum waited { READY, NOT_READY, TOO_LONG };

static enum waited await_ready(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char byte;
    int count = poll(&ready, 1, PATIENCE_MS); /* no signal has a handler here */

    if (count == 0)
        return TOO_LONG;
    return count == 1 && read(fd, &byte, 1) == 1 ? READY : NOT_READY;
}

/* Reads to the end and returns the text as one line; text that does not fit is omitted. */
static const char *read_reason(int fd, char *room, size_t size)
{
    size_t used = 0;
    ssize_t count;

    while (used < size - 1 && (count = read(fd, room + used, size - 1 - used)) != 0) {
        if (count < 0 && errno != EINTR)
            break;
        used += count > 0 ? (size_t)count : 0;
    }
    while (used > 0 && room[used - 1] == '\n')
        used--;
    room[used] = '\0';
    for (char *c = room; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = *c == '\n' ? ';' : ' ';
    return used > 0 ? room : "the reason is unknown";
}

const char *await_network(int socket, char *room, size_t size)
{
    int ready[2];
    int errors[2];
    int handed[HANDED_COUNT];
    int error;
    const char *reason = NULL;

    handed[HANDED_NAMESPACE] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (handed[HANDED_NAMESPACE] < 0 || pipe2(ready, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
        return strerror(errno);
    handed[HANDED_READY] = ready[1];
    handed[HANDED_ERRORS] = errors[1];
    error = hand_over(socket, handed);
    close(socket);
    for (size_t i = 0; i < HANDED_COUNT; i++)
        close(handed[i]);
    if (error)
        reason = strerror(-error);
    else
        switch (await_ready(ready[0])) {
        case READY:
            break;
        case NOT_READY:
            reason = read_reason(errors[0], room, size);
            break;
        case TOO_LONG:
            reason = "it is not ready after 20 s";
        }
    close(ready[0]);
    close(errors[0]);
    return reason;
}
