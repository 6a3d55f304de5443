/* Installs the caller's compiled filter in addition to isolate's: the strictest filter wins (seccomp(2)). */

#include "program.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

const char *read_program(int fd, struct sock_fprog *program)
{
    const size_t limit = BPF_MAXINSNS * sizeof(struct sock_filter);
    char *bytes = malloc(limit + 1); /* one more byte shows that it is too long */
    size_t size = 0;

    if (!bytes)
        return strerror(ENOMEM);
    while (size <= limit) {
        ssize_t count = read(fd, bytes + size, limit + 1 - size);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return strerror(errno);
        if (count == 0)
            break;
        size += (size_t)count;
    }
    if (size == 0)
        return "it is empty";
    if (size > limit)
        return "it is longer than the kernel's 4096 instructions";
    if (size % sizeof(struct sock_filter) != 0)
        return "its size is not a multiple of 8, the size of an instruction";
    program->len = (unsigned short)(size / sizeof(struct sock_filter));
    program->filter = (struct sock_filter *)bytes;
    return NULL;
}

int install_program(const struct sock_fprog *program)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) < 0)
        return -errno;
    return 0;
}
