/*
 * isolate-network --socket FD --rules FD --ready-fd N --failure TEXT FILTER [ARG...] -- CARRIER [ARG...] -- ENGINE [ARG...]
 *
 * Becomes ENGINE, which starts a sandbox with its own network namespace, and leaves a child. The child waits until
 * isolate-init sends the namespace over the socket (handover.h), and runs FILTER in it with the rules as standard
 * input. Then it becomes CARRIER, a user-mode program that carries the namespace's packets (pasta(1), slirp4netns(1)),
 * with the namespace as standard input, in the user namespace that owns it, and with all rights there.
 *
 * CARRIER writes to descriptor N, which is 1 or 3, when it is ready. It dies with ENGINE. If it does not start, TEXT
 * precedes its own error. All programs are absolute paths.
 */

#include "descriptors.h"
#include "failure.h"
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char own_name[] = "isolate-network";

struct request {
    int socket;
    int rules;
    int ready_fd;
    const char *failure;
    char **filter;
    char **carrier;
    char **engine;
};

/* Returns the words up to the next `--`, and moves `words` past it. */
static char **take_program(char ***words)
{
    char **program = *words;

    while (**words && strcmp(**words, "--") != 0)
        ++*words;
    if (**words)
        *(*words)++ = NULL;
    if (!*program)
        fail("cannot start: a program is missing");
    return program;
}

static struct request parse(int argc, char **argv)
{
    static const char *const options[] = {"--socket", "--rules", "--ready-fd"};
    int numbers[3];
    struct request request;
    char **words = argv + 9;

    if (argc < 10 || strcmp(argv[7], "--failure") != 0)
        fail("cannot start: expected --socket FD --rules FD --ready-fd N --failure TEXT FILTER... -- CARRIER... -- "
             "ENGINE...");
    for (int i = 0; i < 3; i++) {
        if (strcmp(argv[1 + 2 * i], options[i]) != 0)
            fail("cannot start: an option is unknown");
        numbers[i] = atoi(argv[2 + 2 * i]);
    }
    request = (struct request){.socket = numbers[0], .rules = numbers[1], .ready_fd = numbers[2], .failure = argv[8]};
    if (request.socket <= STDERR_FILENO || request.rules <= STDERR_FILENO ||
        (request.ready_fd != STDOUT_FILENO && request.ready_fd != STDERR_FILENO + 1))
        fail("cannot start: a descriptor is wrong");
    request.filter = take_program(&words);
    request.carrier = take_program(&words);
    request.engine = words;
    if (!*words)
        fail("cannot start: there is no engine");
    return request;
}

/* The kernel forgets this when rights change (prctl(2)), so it is called again afterwards. */
static void die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        fail("cannot watch the engine: %s", strerror(errno));
    if (getppid() != parent)
        _exit(EXIT_OURS);
}

/* Ctrl-C at the terminal is for the command, and the signals that the engine ignores or blocks must not affect this. */
static void stand_apart(void)
{
    sigset_t blocked;

    setsid();
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE); /* nothing reads errors once it is ready; pasta of 2023 fails if it is ignored */
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL); /* fails for the few that cannot be changed */
}

/* Closes everything else: a lease that stayed open here would outlive the sandbox. */
static void keep_only(struct request *request)
{
    int socket = fcntl(request->socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 3);
    int rules = fcntl(request->rules, F_DUPFD_CLOEXEC, STDERR_FILENO + 3);

    if (socket < 0 || rules < 0)
        fail("cannot keep a descriptor: %s", strerror(errno));
    request->socket = dup3(socket, STDERR_FILENO + 1, O_CLOEXEC);
    request->rules = dup3(rules, STDERR_FILENO + 2, O_CLOEXEC);
    close_from(STDERR_FILENO + 3);
}

/* Moves the namespace, the errors and the pipe for readiness to the descriptors that the carrier expects. */
static void arrange(const int handed[HANDED_COUNT], struct request *request)
{
    const int first_free = STDERR_FILENO + 2;
    int apart[HANDED_COUNT];

    for (int i = 0; i < HANDED_COUNT; i++) {
        apart[i] = fcntl(handed[i], F_DUPFD_CLOEXEC, first_free);
        if (apart[i] < 0)
            fail("cannot keep a descriptor: %s", strerror(errno));
    }
    dup2(apart[HANDED_NAMESPACE], STDIN_FILENO);
    dup2(apart[HANDED_ERRORS], STDOUT_FILENO);
    dup2(apart[HANDED_ERRORS], STDERR_FILENO);
    dup2(apart[HANDED_READY], request->ready_fd);
}

static void enter_owner(void)
{
    int owner = ioctl(STDIN_FILENO, NS_GET_USERNS);

    if (owner < 0 || setns(owner, CLONE_NEWUSER) < 0)
        fail("cannot enter the sandbox's user namespace: %s", strerror(errno));
    close(owner);
}

/* Allows ping without raw sockets for as many groups as exist: icmp(7). */
static void allow_ping(void)
{
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "0 65535", 7) < 0 && write(fd, "0 0", 3) < 0)
        return; /* unchanged: ping reports the error itself */
}

/* Runs in a child, because the namespace cannot be left again. */
static void filter(const struct request *request)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (setns(STDIN_FILENO, CLONE_NEWNET) < 0)
            fail("cannot enter the sandbox's network namespace: %s", strerror(errno));
        allow_ping();
        dup2(request->rules, STDIN_FILENO);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        close_from(STDERR_FILENO + 1);
        execv(request->filter[0], request->filter);
        fail("cannot run the program that sets the filter: %s", strerror(errno));
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail("cannot set a filter: %s", strerror(errno));
    if (status != 0)
        _exit(EXIT_OURS); /* it printed the reason */
}

__attribute__((noreturn)) static void carry(struct request request, pid_t engine)
{
    int handed[HANDED_COUNT];

    die_with(engine);
    stand_apart();
    keep_only(&request);
    if (take_over(request.socket, handed) != 0)
        _exit(EXIT_OURS); /* the engine has failed and prints the reason */
    arrange(handed, &request);
    enter_owner();
    die_with(engine);
    filter(&request);
    dprintf(STDERR_FILENO, "%s: ", request.failure); /* is read if the carrier ends before it is ready */
    close_from(request.ready_fd == STDOUT_FILENO ? STDERR_FILENO + 1 : request.ready_fd + 1);
    execv(request.carrier[0], request.carrier);
    fail("cannot run the program that carries packets: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    struct request request = parse(argc, argv);
    pid_t engine = getpid();
    pid_t child = fork();

    if (child == 0)
        carry(request, engine);
    if (child < 0)
        fail("cannot start a process: %s", strerror(errno));
    close(request.socket);
    close(request.rules);
    execv(request.engine[0], request.engine);
    fail("cannot run the engine: %s", strerror(errno));
}
