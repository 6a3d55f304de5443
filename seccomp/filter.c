/* Installs the filters of sandboxes. Their rules are in make-filter.c. */

#include "filter.h"
#include "program.h"

#include "filter-programs.h"

#include <stddef.h>
#include <string.h>

bool parse_filter(const char *name, enum filter_kind *kind)
{
    static const char *const names[] = {
        [FILTER_DEFAULT] = "default",
        [FILTER_TERMINAL] = "tty",
        [FILTER_NONE] = "none",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum filter_kind)i;
            return true;
        }
    return false;
}

#define PROGRAM(code) {.len = sizeof(code) / sizeof *(code), .filter = (struct sock_filter *)(code)}

int install_filter(enum filter_kind kind)
{
    static const struct sock_fprog programs[] = {
        [FILTER_DEFAULT] = PROGRAM(default_filter),
        [FILTER_TERMINAL] = PROGRAM(terminal_filter),
    };

    return kind == FILTER_NONE ? 0 : install_program(&programs[kind]);
}

int install_userns_filter(void)
{
    static const struct sock_fprog program = PROGRAM(userns_filter);

    return install_program(&program);
}

int install_mount_filter(void)
{
    static const struct sock_fprog program = PROGRAM(mount_filter);

    return install_program(&program);
}
