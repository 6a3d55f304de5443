#ifndef ISOLATE_PROGRAM_H
#define ISOLATE_PROGRAM_H

#include <linux/filter.h>

/*
 * A filter that somebody else compiled, as bwrap(1) --seccomp takes it: an array of struct sock_filter, such as
 * seccomp_export_bpf(3) writes. Reads it to the end of `fd`. Gives NULL, or why it cannot be one.
 */
const char *read_program(int fd, struct sock_fprog *program);

/* As install_filter (filter.h); the kernel judges the program: EINVAL when it is none. */
int install_program(const struct sock_fprog *program);

#endif
