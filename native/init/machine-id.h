#ifndef ISOLATE_MACHINE_ID_H
#define ISOLATE_MACHINE_ID_H

/*
 * Gives this root a machine-id(5) if it has none: the file is missing, empty, or says that it is uninitialized. A new
 * file replaces it, which is cheaper than changing a file in a lower layer. Does nothing, without an error, if that is
 * impossible or /etc is not the root's own.
 */
void ensure_machine_id(void);

#endif
