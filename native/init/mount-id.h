#ifndef ISOLATE_MOUNT_ID_H
#define ISOLATE_MOUNT_ID_H

/* Returns the id of the mount that holds the path, links followed: statx(2), STATX_MNT_ID. 0 if it is unknown. */
unsigned long long mount_of(const char *path);

#endif
