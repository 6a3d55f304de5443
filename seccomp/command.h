#ifndef ISOLATE_COMMAND_H
#define ISOLATE_COMMAND_H

/*
 * Becomes the command, or says on standard error why not and exits: 127 if it, or the interpreter that it names, does not
 * exist, 126 for every other reason. It is looked for as execvp(3) and env(1) do, so a text file without a #! line is run
 * by /bin/sh; unlike there, a binary that this machine cannot run is not.
 */
__attribute__((noreturn)) void run_command(char **argv);

#endif
