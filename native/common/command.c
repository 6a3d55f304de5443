#include "command.h"
#include "failure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_INTERPRETER (-1) /* not an errno value: the file exists, but its interpreter does not */

enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* Whether a shell could read this file. Uses the shells' own test: no zero byte in the first line. */
static bool is_text(const char *path)
{
    char start[128];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size;
    const char *line_end;

    if (fd < 0)
        return false;
    size = read(fd, start, sizeof start);
    close(fd);
    if (size <= 0)
        return size == 0;
    line_end = memchr(start, '\n', (size_t)size);
    return !memchr(start, '\0', line_end ? (size_t)(line_end - start) : (size_t)size);
}

/* Returns only on failure: an errno (ENOEXEC for a binary of another machine), or NO_INTERPRETER. */
static int run_file(char *path, char **argv)
{
    size_t count = 0;
    char **shell_argv;
    int error;

    execv(path, argv);
    error = errno;
    if (error == ENOEXEC && is_text(path)) {
        while (argv[count])
            count++;
        shell_argv = calloc(count + 2, sizeof *shell_argv);
        if (!shell_argv)
            return ENOMEM;
        shell_argv[0] = "/bin/sh";
        shell_argv[1] = path;
        memcpy(shell_argv + 2, argv + 1, count * sizeof *argv); /* with the NULL */
        execv(shell_argv[0], shell_argv);
        error = errno;
    }
    if (error == ENOENT && access(path, F_OK) == 0)
        return NO_INTERPRETER;
    return error;
}

/*
 * Tries each directory of PATH as execvp(3) does. Returns only on failure: the result of run_file for the first file of
 * that name, or ENOENT.
 */
static int search(const char *name, char **argv)
{
    const char *path = getenv("PATH");
    const char *next;
    char file[PATH_MAX];
    int why = ENOENT;

    if (!*name)
        return ENOENT;
    for (const char *dir = path ? path : "/bin:/usr/bin"; dir; dir = next) {
        const char *end = strchrnul(dir, ':');
        int length = (int)(end - dir);
        int error;

        next = *end ? end + 1 : NULL;
        if (length == 0) { /* the current directory */
            dir = ".";
            length = 1;
        }
        if (snprintf(file, sizeof file, "%.*s/%s", length, dir, name) >= (int)sizeof file)
            continue;
        error = run_file(file, argv);
        if (error != ENOENT && error != ENOTDIR && error != EACCES && error != NO_INTERPRETER)
            return error;
        if (why == ENOENT && access(file, F_OK) == 0) /* otherwise the directory could not be searched */
            why = error;
    }
    return why;
}

void expect_no_directory(const struct speaker *speaker)
{
    static const char *const names[] = {"input", "output", "error"};
    struct stat found;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) {
            say(speaker->name, "cannot run: standard %s is a directory, which would lead out of the sandbox",
                names[fd]);
            _exit(EXIT_OURS);
        }
}

void run_command(const struct speaker *speaker, char **argv)
{
    const char *reason;
    const char *place = "";
    int why = strchr(argv[0], '/') ? run_file(argv[0], argv) : search(argv[0], argv);

    if (why == ENOENT || why == NO_INTERPRETER)
        place = speaker->place;
    if (why == ENOENT)
        reason = "no such file or directory";
    else if (why == NO_INTERPRETER)
        reason = "the interpreter in its #! line or ELF header does not exist";
    else if (why == EACCES)
        reason = "permission denied (a directory, or not executable)";
    else if (why == ENOEXEC)
        reason = "not a program for this machine";
    else
        reason = strerror(why);
    say(speaker->name, "cannot run %s: %s%s", argv[0], reason, place);
    _exit(why == ENOENT || why == NO_INTERPRETER ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}
