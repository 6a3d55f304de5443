#include "shrink.h"

#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

void shrink(void)
{
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    const uintptr_t page = getauxval(AT_PAGESZ);

    for (unsigned long left = getauxval(AT_PHNUM); left > 0; left--, segment++) {
        uintptr_t start = segment->p_vaddr & ~(page - 1);

        if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
            madvise((void *)start, segment->p_vaddr + segment->p_memsz - start, MADV_DONTNEED);
    }
}
