#include "landlock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/landlock.h of Linux 6.12; Debian 12's is older. */
struct ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};
#define SCOPE_ABSTRACT_UNIX_SOCKET 1

int close_abstract_sockets(void)
{
    const struct ruleset ruleset = {.scoped = SCOPE_ABSTRACT_UNIX_SOCKET};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    int error = fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return error;
}
