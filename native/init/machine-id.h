#ifndef ISOLATE_MACHINE_ID_H
#define ISOLATE_MACHINE_ID_H

/*
 * Gives this root an id, machine-id(5), where it has none: the file is missing, empty, or says that it is uninitialized.
 * A new file takes its place, which costs less than changing one of a lower layer. Says nothing where that cannot be, or
 * where /etc is not the root's own.
 */
void ensure_machine_id(void);

#endif
