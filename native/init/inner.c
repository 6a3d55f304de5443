#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns 0, or -1 if the other side has ended. */
static int tell(int end)
{
    return send(end, "", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int await(int end)
{
    char byte;
    ssize_t size;

    do
        size = read(end, &byte, 1);
    while (size < 0 && errno == EINTR);
    if (size == 0)
        errno = ECANCELED;
    return size == 1 ? 0 : -1;
}

/*
 * Maps each id of this process to itself in the child's namespace. A map is written once, by one write(2):
 * user_namespaces(7).
 */
static int copy_map(int child, const char *file)
{
    char path[64];
    char text[4096] = "";
    size_t length = 0;
    unsigned inside, count;
    ssize_t written;
    int fd;
    FILE *own;

    snprintf(path, sizeof path, "/proc/self/%s", file);
    own = fopen(path, "re");
    if (!own)
        return -1;
    while (length < sizeof text && fscanf(own, "%u %*u %u", &inside, &count) == 2)
        length += (size_t)snprintf(text + length, sizeof text - length, "%u %u %u\n", inside, inside, count);
    fclose(own);
    if (length == 0 || length >= sizeof text) {
        errno = EINVAL;
        return -1;
    }
    snprintf(path, sizeof path, "/proc/%d/%s", child, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    written = write(fd, text, length);
    close(fd);
    return written == (ssize_t)length ? 0 : -1;
}

static int bring_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return -1;
    result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

static int keep_capabilities(uint64_t wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};

    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (!(wanted >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return -1;
    for (int i = 0; i < 2; i++)
        sets[i].permitted = sets[i].effective = (uint32_t)(wanted >> 32 * i);
    return (int)syscall(SYS_capset, &header, sets);
}

const char *enter_inner(const struct inner *inner, int end)
{
    if (unshare(CLONE_NEWUSER) < 0)
        return "make a user namespace";
    /* Otherwise the map files in /proc belong to the host's root (proc(5)). No other process is here yet. */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || tell(end) < 0 || await(end) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return "get ids in the user namespace";
    close(end);
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | (inner->network ? CLONE_NEWNET : 0)) < 0)
        return "make namespaces for the capabilities";
    if (inner->network && bring_loopback_up() < 0)
        return "bring lo up";
    if (keep_capabilities(inner->capabilities) < 0)
        return "set the capabilities";
    return NULL;
}

const char *grant_inner(int child, int end)
{
    const char *wrong = NULL;

    /* A child that failed has printed the error itself. */
    if (await(end) == 0 && (copy_map(child, "uid_map") < 0 || copy_map(child, "gid_map") < 0 || tell(end) < 0))
        wrong = "map the ids of the user namespace";
    close(end);
    return wrong;
}
