/*
 * try-syscall CALL [ARG...]: makes one system call and prints the name of its errno, or OK. For the tests, which run it
 * inside sandboxes. Exit code 0 whenever the call was made, 2 for bad use. Numbers may be hexadecimal.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_open 434
#define SYS_pidfd_getfd 438
#endif

/* What the terminal calls hand over: the character to type, the line discipline, TIOCLINUX's subcode. */
static char terminal_argument[sizeof(int)] = "\n";

/* The whole 64 bits of the request, on standard input: glibc's ioctl() might narrow it. */
static long try_ioctl(char **arg)
{
    return syscall(SYS_ioctl, STDIN_FILENO, strtoul(arg[0], NULL, 0), terminal_argument);
}

/* Any call by its NUMBER, with arguments that mean nothing (-1, 0, 0): enough to see who refuses. */
static long try_call(char **arg)
{
    return syscall(strtol(arg[0], NULL, 0), -1L, 0L, 0L);
}

/* FAMILY TYPE; the whole 64 bits of the family. */
static long try_socket(char **arg)
{
    return syscall(SYS_socket, strtoul(arg[0], NULL, 0), strtol(arg[1], NULL, 0), 0L);
}

#ifdef __x86_64__
/* By i386's multiplexer, which has its arguments in memory: socketcall(2). Those are below 4 GB, where this program is. */
static long try_socketcall_int80(char **arg)
{
    static unsigned words[3];
    long result;

    words[0] = (unsigned)strtoul(arg[0], NULL, 0);
    words[1] = (unsigned)strtoul(arg[1], NULL, 0);
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(102L), "b"(1L), "c"(words)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static long try_call_int80(char **arg)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(strtol(arg[0], NULL, 0)), "b"(-1L), "c"(0L), "d"(0L)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* The 32-bit table. Its pointers have 32 bits, so the argument is NULL: enough to see who refuses. */
static long try_ioctl_int80(char **arg)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(54L), "b"((long)STDIN_FILENO), "c"(strtoul(arg[0], NULL, 0)), "d"(0L)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static long try_ioctl_x32(char **arg)
{
    return syscall(0x40000000 + 514, STDIN_FILENO, strtoul(arg[0], NULL, 0), terminal_argument);
}
#endif

static long try_pidfd_getfd(char **arg)
{
    long pidfd = syscall(SYS_pidfd_open, strtoul(arg[0], NULL, 0), 0);

    return pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, strtoul(arg[1], NULL, 0), 0);
}

static long try_ptrace(char **arg)
{
    return ptrace(PTRACE_SEIZE, (pid_t)strtoul(arg[0], NULL, 0), NULL, NULL);
}

/* Prints what the session keyring is called, if that can be had. */
static long try_keyctl_read(char **arg)
{
    char description[256] = "";
    long size = syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, description, sizeof description);

    (void)arg;
    if (size >= 0)
        printf("%.*s ", (int)sizeof description - 1, description);
    return size;
}

static long try_mount_remount_rw(char **arg)
{
    return mount(NULL, arg[0], NULL, MS_REMOUNT | MS_BIND, NULL);
}

/* Takes a descriptor of another process, PID FD, and ends its connection in both directions. */
static long try_fd_shutdown(char **arg)
{
    long fd = try_pidfd_getfd(arg);

    return fd < 0 ? -1 : shutdown((int)fd, SHUT_RDWR);
}

/* Takes a descriptor of another process, PID FD, sends REQUEST (its \n as CR LF), and prints what comes back. */
static long try_fd_request(char **arg)
{
    long fd = try_pidfd_getfd(arg);
    char answer[256];
    ssize_t size;

    if (fd < 0)
        return -1;
    for (const char *c = arg[2]; *c; c++)
        if (send((int)fd, *c == '\n' ? "\r\n" : c, *c == '\n' ? 2 : 1, MSG_NOSIGNAL) < 0)
            break;
    while ((size = read((int)fd, answer, sizeof answer)) > 0)
        printf("%.*s", (int)size, answer);
    return size;
}

/* Takes a descriptor of another process, PID FD, and keeps it until the end of standard input. */
static long try_fd_hold(char **arg)
{
    long fd = try_pidfd_getfd(arg);
    char byte;

    if (fd < 0)
        return -1;
    puts("held");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0;
}

static long try_open(char **arg)
{
    return open(arg[0], O_RDONLY | O_CLOEXEC);
}

static long try_create(char **arg)
{
    return open(arg[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* Enters the user namespace at a path. */
static long try_setns(char **arg)
{
    long fd = try_open(arg);

    return fd < 0 ? -1 : setns((int)fd, CLONE_NEWUSER);
}

/* Prints the real and effective user id. */
static long try_ids(char **arg)
{
    (void)arg;
    printf("%d %d ", (int)getuid(), (int)geteuid());
    return 0;
}

/* Looks for a key in every keyring of the process. */
static long try_find_key(char **arg)
{
    return syscall(SYS_request_key, "user", arg[0], NULL, 0);
}

/* Makes another keyring of this user's, by its number, a part of our own; what it holds is ours to read then. */
static long try_link_keyring(char **arg)
{
    return syscall(SYS_keyctl, KEYCTL_LINK, strtoul(arg[0], NULL, 16), KEY_SPEC_SESSION_KEYRING);
}

/*
 * Runs COMMAND in a session keyring of its own, with a key of that name, for five minutes, in it and in the user's keyring,
 * which outlives every process.
 */
static long try_with_key(char **arg)
{
    long key;

    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
        return -1;
    key = syscall(SYS_add_key, "user", arg[0], "secret", 6, KEY_SPEC_SESSION_KEYRING);
    if (key < 0 || syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 300) < 0
        || syscall(SYS_keyctl, KEYCTL_LINK, key, KEY_SPEC_USER_KEYRING) < 0)
        return -1;
    return execvp(arg[1], arg + 1);
}

/* Prints every descriptor that this program was started with. */
static long try_fds(char **arg)
{
    long limit = sysconf(_SC_OPEN_MAX);

    (void)arg;
    for (int fd = 0; fd < limit; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ", fd);
    return 0;
}

/* More arguments than these may follow. */
#define AT_LEAST 100

static const struct {
    const char *name;
    int arguments;
    long (*call)(char **arg);
} calls[] = {
    {"ioctl", 1, try_ioctl},
    {"call", 1, try_call},
    {"socket", 2, try_socket},
#ifdef __x86_64__
    {"socketcall-int80", 2, try_socketcall_int80},
    {"call-int80", 1, try_call_int80},
    {"ioctl-int80", 1, try_ioctl_int80},
    {"ioctl-x32", 1, try_ioctl_x32},
#endif
    {"pidfd_getfd", 2, try_pidfd_getfd},
    {"ptrace", 1, try_ptrace},
    {"keyctl-read", 0, try_keyctl_read},
    {"mount-remount-rw", 1, try_mount_remount_rw},
    {"fds", 0, try_fds},
    {"fd-shutdown", 2, try_fd_shutdown},
    {"fd-request", 3, try_fd_request},
    {"fd-hold", 2, try_fd_hold},
    {"open", 1, try_open},
    {"create", 1, try_create},
    {"setns", 1, try_setns},
    {"ids", 0, try_ids},
    {"find-key", 1, try_find_key},
    {"link-keyring", 1, try_link_keyring},
    {"with-key", AT_LEAST + 2, try_with_key},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int wanted = calls[i].arguments % AT_LEAST + 2;

        if (argc < wanted || (argc > wanted && calls[i].arguments < AT_LEAST) || strcmp(argv[1], calls[i].name) != 0)
            continue;
        if (calls[i].call(argv + 2) < 0)
            puts(strerrorname_np(errno));
        else
            puts("OK");
        return 0;
    }
    fprintf(stderr, "try-syscall: no such call, or not with that many arguments; there are:");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        fprintf(stderr, " %s/%d", calls[i].name, calls[i].arguments % AT_LEAST);
    fputc('\n', stderr);
    return 2;
}
