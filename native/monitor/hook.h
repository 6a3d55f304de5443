#ifndef ISOLATE_HOOK_H
#define ISOLATE_HOOK_H

#include "child.h"

struct hook {
    const char *name;
    const char *command;
    const char *refused; /* the action that its failure prevents */
};

/*
 * Runs the caller's shell command on the host, and waits. HUP, INT, QUIT and TERM end it and everything that it
 * started. Returns 0; 125 if it failed, after printing an error; 128+n if signal n ended it in this way.
 */
int run_hook(const struct hook *hook, const struct caller *caller, const sigset_t *watched);

#endif
