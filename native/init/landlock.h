/* Restrictions by Landlock that namespaces cannot provide: landlock(7). */

#ifndef ISOLATE_LANDLOCK_H
#define ISOLATE_LANDLOCK_H

/*
 * Keeps this process and its children from abstract Unix sockets that were made before or by others. Sockets with a
 * path are not affected. Needs Landlock's ABI 6 (Linux 6.12) and no_new_privs. Returns 0 or a negative errno.
 */
int close_abstract_sockets(void);

#endif
