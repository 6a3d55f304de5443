#ifndef ISOLATE_COMMAND_H
#define ISOLATE_COMMAND_H

/* Who says that it failed, and where a file was not found: "isolate: cannot run x: no such file or directory in the root". */
struct speaker {
    const char *name;
    const char *place;
};

/*
 * Exits with EXIT_OURS and a sentence where one of the standard descriptors is a directory: it would be the host's, and
 * lead out of any root, by openat(2) or by fchdir(2) and "..".
 */
void expect_no_directory(const struct speaker *speaker);

/*
 * Becomes the command, or says on standard error why not and exits: 127 if it, or the interpreter that it names, does not
 * exist, 126 for every other reason. It is looked for as execvp(3) and env(1) do, so a text file without a #! line is run
 * by /bin/sh; unlike there, a binary that this machine cannot run is not.
 */
__attribute__((noreturn)) void run_command(const struct speaker *speaker, char **argv);

#endif
