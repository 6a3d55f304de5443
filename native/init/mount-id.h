#ifndef ISOLATE_MOUNT_ID_H
#define ISOLATE_MOUNT_ID_H

/* Of the mount on which that path is, links followed: statx(2), STATX_MNT_ID. 0: it cannot be said. */
unsigned long long mount_of(const char *path);

#endif
