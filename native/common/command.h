#ifndef ISOLATE_COMMAND_H
#define ISOLATE_COMMAND_H

/* The name and the place in an error message: "isolate: cannot run x: no such file or directory in the root filesystem". */
struct speaker {
    const char *name;
    const char *place;
};

/*
 * Exits with EXIT_OURS and an error message if a standard descriptor is a directory: it would belong to the host and
 * lead out of any root, through openat(2), or fchdir(2) and "..".
 */
void expect_no_directory(const struct speaker *speaker);

/*
 * Becomes the command, or prints the reason on standard error and exits: 127 if the command or its interpreter does not
 * exist, 126 for every other reason. The command is looked up as in execvp(3) and env(1), so /bin/sh runs a text file
 * without a #! line. Unlike there, /bin/sh does not run a binary of another machine.
 */
__attribute__((noreturn)) void run_command(const struct speaker *speaker, char **argv);

#endif
