/*
 * try-i386: a 32-bit program, for the tests: prints its own greeting, then what ioctl(0, TIOCSTI) gave. No C library.
 */

enum { SYS_exit = 1, SYS_write = 4, SYS_ioctl = 54 };

static int call(int number, int a, int b, int c)
{
    int result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

#define PRINT(text) call(SYS_write, 1, (int)(text), sizeof(text) - 1)

void _start(void)
{
    PRINT("32 bits\n");
    if (call(SYS_ioctl, 0, 0x5412, 0) == -1) /* EPERM */
        PRINT("EPERM\n");
    else
        PRINT("not EPERM\n");
    call(SYS_exit, 0, 0, 0);
    __builtin_unreachable();
}
