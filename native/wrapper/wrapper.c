/*
 * isolate-seccomp [--seccomp=default|tty|none|FILE] [--no-new-userns] [--chdir=DIR] [--] COMMAND [ARG...]
 *
 * Runs COMMAND with a filter of system calls (filter.c), which all its children inherit. This program runs on the host
 * and starts an engine; it needs nothing from a root. FILE: the default filter and a compiled filter in addition
 * (program.h); a file with the name of a filter needs a slash. --no-new-userns: no user namespaces can be made, with or
 * without the filter. --chdir: COMMAND starts in DIR.
 *
 * Prints nothing unless it fails. Exit code: COMMAND's, because this program becomes COMMAND; 126 or 127 if COMMAND
 * cannot run (command.h), 125 if this program failed.
 */

#include "command.h"
#include "failure.h"
#include "filter.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char own_name[] = "isolate-seccomp";

#define WHICH "--seccomp="
#define WHERE "--chdir="

static const char usage[] =
    "usage: isolate-seccomp [--seccomp=default|tty|none|FILE] [--no-new-userns] [--chdir=DIR] [--] COMMAND [ARG...]\n";

static void load_program(const char *path)
{
    struct sock_fprog program;
    const char *wrong;
    int error;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        fail("cannot open the filter: %s", strerror(errno));
    wrong = read_program(fd, &program);
    close(fd);
    if (wrong)
        fail("cannot use the filter: %s", wrong);
    error = install_program(&program);
    if (error)
        fail("cannot use the filter: %s", strerror(-error));
}

int main(int argc, char **argv)
{
    static const struct speaker speaker = {"isolate-seccomp", " on this machine"};
    enum filter_kind kind = FILTER_DEFAULT;
    const char *file = NULL;
    const char *directory = NULL;
    bool no_new_userns = false;
    char **word = argv;
    int error;

    if (argc < 1)
        return EXIT_OURS;
    while (*++word && **word == '-' && strcmp(*word, "--") != 0) {
        if (strncmp(*word, WHERE, strlen(WHERE)) == 0) {
            directory = *word + strlen(WHERE);
        } else if (strcmp(*word, "--no-new-userns") == 0) {
            no_new_userns = true;
        } else if (strncmp(*word, WHICH, strlen(WHICH)) == 0) {
            file = *word + strlen(WHICH);
            kind = FILTER_DEFAULT;
            if (parse_filter(file, &kind))
                file = NULL;
        } else
            break;
    }
    if (*word && strcmp(*word, "--") == 0)
        word++;
    else if (*word && **word == '-')
        *word = NULL; /* an unknown option */
    if (!*word) {
        dprintf(STDERR_FILENO, "%s", usage);
        return EXIT_OURS;
    }
    error = install_filter(kind);
    if (!error && no_new_userns)
        error = install_userns_filter();
    if (error)
        fail("cannot install the seccomp filter: %s", strerror(-error));
    if (file)
        load_program(file);
    if (directory) { /* in a root */
        expect_no_directory(&speaker);
        if (chdir(directory) < 0)
            fail("cannot start in the directory: %s", strerror(errno));
    }
    run_command(&speaker, word);
}
