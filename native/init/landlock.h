/* What Landlock takes away from a sandbox for which namespaces do not do it: landlock(7). */

#ifndef ISOLATE_LANDLOCK_H
#define ISOLATE_LANDLOCK_H

/*
 * From here on this process and its children reach no abstract Unix socket that was made before, or by others. Sockets
 * with a path are left alone. Needs Landlock's ABI 6 (Linux 6.12) and no_new_privs. 0, or a negative errno.
 */
int close_abstract_sockets(void);

#endif
