#ifndef ISOLATE_HOOK_H
#define ISOLATE_HOOK_H

#include "child.h"

struct hook {
    const char *name;
    const char *command;
    const char *refused; /* what a failure of it prevents */
};

/*
 * Runs a shell command of the caller's on the host, and waits. HUP, INT, QUIT and TERM end it and all that it started.
 * 0; 125 if it failed, which was said on standard error; 128+n if signal n ended it in this way.
 */
int run_hook(const struct hook *hook, const struct caller *caller, const sigset_t *watched);

#endif
