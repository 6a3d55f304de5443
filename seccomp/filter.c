/* The system calls that a sandbox is refused, and the making of a seccomp filter from them (seccomp(2), libseccomp). */

#include "filter.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

/* The call is refused with `refusal` when argument number `arg`, under `mask`, equals `value`; without a mask, always. */
struct rule {
    int syscall;
    unsigned arg;
    uint64_t mask;
    uint64_t value;
    int refusal;
};

/*
 * ioctl's request is an unsigned int to the kernel: bits above 32 are thrown away there, so they must not count here
 * (CVE-2019-10063: TIOCSTI | 1<<32 passed a comparison of the whole argument).
 */
#define IOCTL(request) {SCMP_SYS(ioctl), 1, UINT32_MAX, (request), EPERM}

/* To its callers the kernel has no such call: programs take their other way. */
#define ABSENT(name) {SCMP_SYS(name), 0, 0, 0, ENOSYS}
#define FORBIDDEN(name) {SCMP_SYS(name), 0, 0, 0, EPERM}

static const struct rule terminal_rules[] = {
    IOCTL(TIOCSTI),   /* types into the caller's terminal (CVE-2019-10063) */
    IOCTL(TIOCLINUX), /* pastes into it, on a virtual console (CVE-2023-28100) */
    IOCTL(TIOCSETD),  /* loads line disciplines, most of them old kernel code */
};

/*
 * What both flatpak and Docker keep from their sandboxes, or one of them for a reason that holds here. Nothing of it is
 * needed by programs that do not administer the host. Calls that make and enter namespaces, and mount(2) in them, are
 * not here: a sandbox may have user namespaces of its own.
 */
static const struct rule blocklist[] = {
    /* Keys belong to host ids, not to namespaces: by its number a sandbox could link the caller's user keyring into its
     * own, and read what is in there. */
    ABSENT(add_key),
    ABSENT(request_key),
    ABSENT(keyctl),
    /* Much kernel code within the reach of anybody, and many holes in it. */
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
    FORBIDDEN(migrate_pages),
    FORBIDDEN(move_pages),
    /* Files by their number, whatever the path to them (Docker's "Shocker" of 2014). */
    FORBIDDEN(open_by_handle_at),
    /* The host's own: its kernel, log, clock, swap, quotas, ports. */
    FORBIDDEN(kexec_load),
    FORBIDDEN(kexec_file_load),
    FORBIDDEN(init_module),
    FORBIDDEN(finit_module),
    FORBIDDEN(delete_module),
    FORBIDDEN(syslog),
    FORBIDDEN(settimeofday),
    FORBIDDEN(clock_settime),
    FORBIDDEN(acct),
    FORBIDDEN(swapon),
    FORBIDDEN(swapoff),
    FORBIDDEN(quotactl),
    FORBIDDEN(iopl),
    FORBIDDEN(ioperm),
    /* Obsolete: gone from newer kernels, or of no use but to attack older ones. */
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

/* Unless these are added, their programs are killed; once they are, the rules hold for their numbers as well. */
static const uint32_t siblings[] = {
#if defined(__x86_64__)
    SCMP_ARCH_X86, SCMP_ARCH_X32,
#elif defined(__aarch64__)
    SCMP_ARCH_ARM,
#endif
    SCMP_ARCH_NATIVE, /* ends the list */
};

static int add_siblings(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; !error && siblings[i] != SCMP_ARCH_NATIVE; i++)
        error = seccomp_arch_add(filter, siblings[i]);
    return error;
}

/* A call that one of the architectures does not have is left out there. */
static int add_rules(scmp_filter_ctx filter, const struct rule *rules, size_t count)
{
    int error = 0;

    for (size_t i = 0; !error && i < count; i++) {
        const struct rule *r = &rules[i];
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(r->refusal), r->syscall, r->mask ? 1 : 0,
                                 SCMP_CMP64(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->value));
    }
    return error;
}

static int set_attributes(scmp_filter_ctx filter)
{
    static const struct {
        enum scmp_filter_attr name;
        uint32_t value;
    } attributes[] = {
        {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
        {SCMP_FLTATR_CTL_TSYNC, 0},
        {SCMP_FLTATR_CTL_NNP, 1},
    };
    int error = 0;

    for (size_t i = 0; !error && i < sizeof attributes / sizeof *attributes; i++)
        error = seccomp_attr_set(filter, attributes[i].name, attributes[i].value);
    return error;
}

static int load(scmp_filter_ctx filter)
{
    int error;

    errno = 0;
    error = seccomp_load(filter);
    /* The kernel refused; libseccomp hides its reason, and SCMP_FLTATR_API_SYSRAWRC makes EFAULT of EPERM (2.5.4). */
    if (error == -ECANCELED && errno)
        error = -errno;
    return error;
}

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

int install_filter(enum filter_kind kind)
{
    scmp_filter_ctx filter;
    int error;

    if (kind == FILTER_NONE)
        return 0;
    filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    error = add_siblings(filter);
    if (!error)
        error = add_rules(filter, terminal_rules, sizeof terminal_rules / sizeof *terminal_rules);
    if (!error && kind == FILTER_DEFAULT)
        error = add_rules(filter, blocklist, sizeof blocklist / sizeof *blocklist);
    if (!error)
        error = set_attributes(filter);
    if (!error)
        error = load(filter);
    seccomp_release(filter);
    return error;
}
