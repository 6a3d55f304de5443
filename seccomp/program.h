#ifndef ISOLATE_PROGRAM_H
#define ISOLATE_PROGRAM_H

#include <linux/filter.h>

/*
 * Reads the caller's compiled filter, in the form of bwrap(1) --seccomp: an array of struct sock_filter, as written by
 * seccomp_export_bpf(3). Reads to the end of `fd`. Returns NULL, or the reason why it cannot be a filter.
 */
const char *read_program(int fd, struct sock_fprog *program);

/* As install_filter (filter.h); the kernel checks the program: EINVAL if it is not valid. */
int install_program(const struct sock_fprog *program);

#endif
