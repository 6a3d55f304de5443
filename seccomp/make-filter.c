/*
 * make-filter x86_64|aarch64 > filter-programs.h
 *
 * Lists the system calls that a sandbox is refused, and prints seccomp filters for them as C. So a run has nothing to
 * compute and needs no library. libseccomp makes a binary tree of instructions, so that an allowed call passes only a
 * few of them and not one for each rule.
 */

#include "known-calls.h"

#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Refuses the call with `refusal` if argument number `arg`, under `mask`, equals `value`; without a mask, always. */
struct rule {
    int syscall;
    unsigned arg;
    uint64_t mask;
    uint64_t value;
    int refusal;
};

/*
 * The kernel reads ioctl's request as an unsigned int and ignores bits above 32, so they must not count here
 * (CVE-2019-10063: TIOCSTI | 1<<32 passed a comparison of the whole argument).
 */
#define IOCTL(request) {SCMP_SYS(ioctl), 1, UINT32_MAX, (request), EPERM}

/* The call seems not to exist, so that programs use their fallback. */
#define ABSENT(name) {SCMP_SYS(name), 0, 0, 0, ENOSYS}
#define FORBIDDEN(name) {SCMP_SYS(name), 0, 0, 0, EPERM}

static const struct rule terminal_rules[] = {
    IOCTL(TIOCSTI),   /* types into the caller's terminal (CVE-2019-10063) */
    IOCTL(TIOCLINUX), /* pastes into it, on a virtual console (CVE-2023-28100) */
    IOCTL(TIOCSETD),  /* loads line disciplines, most of them old kernel code */
};

/*
 * Calls that flatpak and Docker refuse in their sandboxes, or one of them for a reason that also applies here. Only
 * programs that administer the host need them. Calls that make and enter namespaces, and mount(2) in them, are not
 * here: a sandbox may have its own user namespaces.
 */
static const struct rule blocklist[] = {
    /* Keys belong to host ids, not to namespaces: a sandbox could link the caller's user keyring by its number into its
     * own keyring and read the keys. */
    ABSENT(add_key),
    ABSENT(request_key),
    ABSENT(keyctl),
    /* A lot of kernel code that anybody can reach, with many vulnerabilities. */
    FORBIDDEN(perf_event_open),
    FORBIDDEN(bpf),
    FORBIDDEN(userfaultfd),
    FORBIDDEN(lookup_dcookie),
    ABSENT(io_uring_setup),
    ABSENT(io_uring_enter),
    ABSENT(io_uring_register),
    /* The memory policy of other processes and of the machine. */
    FORBIDDEN(mbind),
    FORBIDDEN(get_mempolicy),
    FORBIDDEN(set_mempolicy),
    FORBIDDEN(set_mempolicy_home_node),
    FORBIDDEN(migrate_pages),
    FORBIDDEN(move_pages),
    /* Opens files by number, independent of their path (Docker's "Shocker" of 2014). */
    FORBIDDEN(open_by_handle_at),
    /* The host's kernel, log, clock, swap, quotas, ports. */
    FORBIDDEN(kexec_load),
    FORBIDDEN(kexec_file_load),
    FORBIDDEN(init_module),
    FORBIDDEN(finit_module),
    FORBIDDEN(delete_module),
    FORBIDDEN(syslog),
    FORBIDDEN(settimeofday),
    FORBIDDEN(clock_settime),
    FORBIDDEN(clock_settime64),
    FORBIDDEN(acct),
    FORBIDDEN(swapon),
    FORBIDDEN(swapoff),
    FORBIDDEN(quotactl),
    FORBIDDEN(quotactl_fd),
    FORBIDDEN(iopl),
    FORBIDDEN(ioperm),
    /* Obsolete: removed from newer kernels, or useful only for attacks on older ones. */
    ABSENT(uselib),
    ABSENT(ustat),
    ABSENT(sysfs),
    ABSENT(_sysctl),
    ABSENT(nfsservctl),
    ABSENT(create_module),
    ABSENT(query_module),
    ABSENT(get_kernel_syms),
    ABSENT(stime),
    ABSENT(vm86),
    ABSENT(vm86old),
    ABSENT(bdflush),
};

/*
 * The families of sockets that a network namespace confines, in ascending order; those of AF_PACKET and AF_NETLINK are for
 * capabilities over it. All others are refused: AF_VSOCK reaches the machine's own ports and its hypervisor from every
 * namespace (Linux 6.18), AF_ALG, AF_XDP, AF_TIPC, AF_RXRPC, AF_BLUETOOTH, AF_CAN and the rest are much kernel code.
 */
static const uint32_t socket_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};

/*
 * No new user namespaces, as in flatpak and Docker: in a user namespace a process has every capability and can reach the
 * kernel code behind them. The flags of clone3(2) are in memory, which a filter cannot read; without clone3 the C library
 * uses clone(2). setns(2) is allowed: it makes no namespace, and lxc-attach needs it.
 */
#define NEW_USERNS(name) {SCMP_SYS(name), 0, CLONE_NEWUSER, CLONE_NEWUSER, EPERM}

static const struct rule userns_rules[] = {
    NEW_USERNS(clone),
    NEW_USERNS(unshare),
    ABSENT(clone3),
};

/* Without the sibling architectures their programs would be killed; with them, the rules apply to their numbers too. */
static const struct target {
    const char *name;
    uint32_t architectures[4]; /* a zero ends the list */
} targets[] = {
    {"x86_64", {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32}},
    {"aarch64", {SCMP_ARCH_AARCH64, SCMP_ARCH_ARM}},
};

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "make-filter: cannot %s: %s\n", what, strerror(-result));
    exit(1);
}

/* A call that an architecture lacks is omitted there. */
static void add_rules(scmp_filter_ctx filter, const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct rule *r = &rules[i];

        check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(r->refusal), r->syscall, r->mask ? 1 : 0,
                               SCMP_CMP64(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->value)),
              "add a rule");
    }
}

/*
 * Without user namespaces nobody can mount anything, and the kernel code for mounting is useful only for attacks.
 */
static const struct rule mount_rules[] = {
    FORBIDDEN(mount),    FORBIDDEN(umount),     FORBIDDEN(umount2), FORBIDDEN(pivot_root), FORBIDDEN(open_tree),
    FORBIDDEN(fsopen),   FORBIDDEN(fsconfig),   FORBIDDEN(fsmount), FORBIDDEN(fspick),     FORBIDDEN(move_mount),
    FORBIDDEN(mount_setattr),
};

/* Whose names libseccomp does not know yet: open_tree_attr(2). */
static const struct numbered mounts_by_number[] = {{467, EPERM}, {0}};
static const struct numbered none_by_number[] = {{0}};

/* The least significant 32 bits of an argument, from `first` to `last`: an int to the kernel. By aligned powers of two. */
static void refuse_range(scmp_filter_ctx filter, int syscall, uint64_t first, uint64_t last, int refusal)
{
    while (first <= last) {
        uint64_t size = first ? first & -first : (uint64_t)1 << 32;

        while (first + size - 1 > last)
            size /= 2;
        check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(refusal), syscall, 1,
                               SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, UINT32_MAX & ~(size - 1), first)),
              "add a rule for a range");
        first += size;
    }
}

/*
 * socketcall(2) of i386 has its arguments in memory, where no filter can look. libseccomp therefore refuses every call of it
 * that makes a socket. 32-bit programs of glibc use it for all their sockets: docs/engines.md names the way out.
 */
static void add_families(scmp_filter_ctx filter)
{
    static const int makers[] = {SCMP_SYS(socket), SCMP_SYS(socketpair)};

    for (size_t m = 0; m < sizeof makers / sizeof *makers; m++) {
        uint64_t next = 0;

        for (size_t f = 0; f < sizeof socket_families / sizeof *socket_families; f++) {
            if (socket_families[f] > next)
                refuse_range(filter, makers[m], next, socket_families[f] - 1, EAFNOSUPPORT);
            next = socket_families[f] + 1;
        }
        refuse_range(filter, makers[m], next, UINT32_MAX, EAFNOSUPPORT);
    }
}

static scmp_filter_ctx new_filter(const struct target *target)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (!filter)
        check(-ENOMEM, "make a filter");
    check(seccomp_arch_remove(filter, SCMP_ARCH_NATIVE), "leave this machine's architecture out");
    for (const uint32_t *arch = target->architectures; *arch; arch++)
        check(seccomp_arch_add(filter, *arch), "add an architecture");
    check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "refuse other architectures");
    check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "make a tree");
    return filter;
}

#define RULES(of) of, sizeof of / sizeof *of

/* Unless `numbered` is NULL, what is unknown on that machine and those calls are refused first: known-calls.h. */
static void print_filter(const char *name, scmp_filter_ctx filter, const char *machine, const struct numbered *numbered)
{
    struct sock_filter instruction;
    int fd = memfd_create(name, 0);

    check(fd < 0 ? -errno : 0, "make room for a filter");
    check(seccomp_export_bpf(filter, fd), "compile a filter");
    check(lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0, "read a filter");
    printf("static const struct sock_filter %s[] = {\n", name);
    if (numbered && !print_known(machine, numbered))
        check(-ENOENT, "find the calls of that machine");
    while (read(fd, &instruction, sizeof instruction) == (ssize_t)sizeof instruction)
        printf("    {0x%x, %u, %u, 0x%x},\n", instruction.code, instruction.jt, instruction.jf, instruction.k);
    printf("};\n");
    close(fd);
    seccomp_release(filter);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof targets / sizeof *targets; i++) {
        scmp_filter_ctx terminal, whole, userns, mounts;

        if (strcmp(argv[1], targets[i].name) != 0)
            continue;
        printf("/* Made by make-filter.c for %s. */\n", argv[1]);
        terminal = new_filter(&targets[i]);
        add_rules(terminal, RULES(terminal_rules));
        print_filter("terminal_filter", terminal, argv[1], NULL);
        whole = new_filter(&targets[i]);
        add_rules(whole, RULES(terminal_rules));
        add_rules(whole, RULES(blocklist));
        add_families(whole);
        print_filter("default_filter", whole, argv[1], none_by_number);
        userns = new_filter(&targets[i]);
        add_rules(userns, RULES(userns_rules));
        print_filter("userns_filter", userns, argv[1], none_by_number);
        mounts = new_filter(&targets[i]);
        add_rules(mounts, RULES(mount_rules));
        print_filter("mount_filter", mounts, argv[1], mounts_by_number);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    fprintf(stderr, "usage: make-filter x86_64|aarch64 > filter-programs.h\n");
    return 1;
}
