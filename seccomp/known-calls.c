#include "known-calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* listns(2) of Linux 6.19. Since pidfd_send_signal(2) a new call has the same number everywhere. */
enum { NEWEST = 470, FIRST_COMMON = 424 };

/* The kernel's __X32_SYSCALL_BIT. */
#define X32 0x40000000

/* A last of 0 ends the list. */
struct range {
    uint32_t first, last;
};

/* What is in use of an architecture's table, in ascending order; where a table has gaps, these are unknown too. */
struct table {
    uint32_t architecture;
    struct range known[8];
};

static const struct table x86_64 = {AUDIT_ARCH_X86_64,
                                    {{0, 336},
                                     {FIRST_COMMON, NEWEST},
                                     {X32 + 0, X32 + 336},
                                     {X32 + FIRST_COMMON, X32 + NEWEST},
                                     {X32 + 512, X32 + 547}}};
static const struct table i386 = {AUDIT_ARCH_I386, {{0, NEWEST}}};
static const struct table aarch64 = {AUDIT_ARCH_AARCH64, {{0, 294}, {FIRST_COMMON, NEWEST}}};
/* The second range is the architecture's own: cacheflush, set_tls and others. */
static const struct table arm = {AUDIT_ARCH_ARM, {{0, NEWEST}, {0xf0001, 0xf0006}}};

static const struct {
    const char *name;
    const struct table *tables[3]; /* NULL ends the list */
} machines[] = {
    {"x86_64", {&x86_64, &i386}},
    {"aarch64", {&aarch64, &arm}},
};

static void print(unsigned code, unsigned if_true, unsigned if_false, unsigned k)
{
    printf("    {0x%x, %u, %u, 0x%x},\n", code, if_true, if_false, k);
}

static void print_load(size_t offset)
{
    print(BPF_LD | BPF_W | BPF_ABS, 0, 0, (unsigned)offset);
}

/*
 * Load the architecture; unless it is this one, to the next table. Load the number; refuse those of `calls`; below a range's
 * first: unknown; up to its last: to the next table, which is another architecture's, or to the filter.
 */
static void print_table(const struct table *table, const struct numbered *calls)
{
    unsigned left = 1; /* instructions that follow in this table */

    for (const struct range *range = table->known; range->last; range++)
        left += 2;
    for (const struct numbered *call = calls; call->number; call++)
        left += table == &x86_64 ? 3 : 2;

    print_load(offsetof(struct seccomp_data, arch));
    print(BPF_JMP | BPF_JEQ | BPF_K, 0, left + 1, table->architecture);
    print_load(offsetof(struct seccomp_data, nr));
    for (const struct numbered *call = calls; call->number; call++) {
        if (table == &x86_64) {
            print(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, X32 + call->number);
            left--;
        }
        print(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call->number);
        print(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (unsigned)call->refusal);
        left -= 2;
    }
    for (const struct range *range = table->known; range->last; range++) {
        print(BPF_JMP | BPF_JGE | BPF_K, 0, left - 2, range->first);
        left--;
        print(BPF_JMP | BPF_JGT | BPF_K, 0, left - 1, range->last);
        left--;
    }
    print(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
}

_Bool print_known(const char *machine, const struct numbered *calls)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        if (strcmp(machine, machines[i].name) != 0)
            continue;
        for (const struct table *const *table = machines[i].tables; *table; table++)
            print_table(*table, calls);
        return 1;
    }
    return 0;
}
