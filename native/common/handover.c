#include "handover.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union control {
    char bytes[CMSG_SPACE(HANDED_COUNT * sizeof(int))];
    struct cmsghdr aligned;
};

#define MESSAGE(byte, control)                                                                                         \
    {.msg_iov = &(struct iovec){.iov_base = (byte), .iov_len = 1}, .msg_iovlen = 1, .msg_control = (control).bytes,    \
     .msg_controllen = sizeof(control).bytes}

int hand_over(int socket, const int descriptors[HANDED_COUNT])
{
    char byte = 0; /* descriptors need at least one byte of data, unix(7) */
    union control control = {0};
    struct msghdr message = MESSAGE(&byte, control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(HANDED_COUNT * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, HANDED_COUNT * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int take_over(int socket, int descriptors[HANDED_COUNT])
{
    char byte;
    union control control = {0};
    struct msghdr message = MESSAGE(&byte, control);
    const struct cmsghdr *header;
    ssize_t count;

    do
        count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    header = CMSG_FIRSTHDR(&message);
    if (count == 0 || !header || header->cmsg_len != CMSG_LEN(HANDED_COUNT * sizeof(int)))
        return -EPIPE;
    memcpy(descriptors, CMSG_DATA(header), HANDED_COUNT * sizeof(int));
    return 0;
}
