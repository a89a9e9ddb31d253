/* Calls every system call there is, each in a process of its own and with arguments that make no sense to any, and
 * writes a line for each: table, number, and what came of it. Linked statically, so that it runs in any image. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static long native(long number, long first) {
    long result = syscall(number, first, -1L, -1L, -1L, -1L, -1L);
    return result == -1 ? -errno : 0;
}

#ifdef __x86_64__
/* The same as a program of 32 bits would do it. */
static long foreign(long number, long first) {
    long result;
    __asm__ volatile("push %%rbp\n\tmov $-1, %%rbp\n\tint $0x80\n\tpop %%rbp"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result < 0 && (int)result > -4096 ? (int)result : 0;
}
#endif

static void probe(const char *table, long (*call)(long, long), long number, long first) {
    int channel[2];
    long result = 0;
    int status = 0;
    if (pipe(channel) != 0) return;
    pid_t child = fork();
    if (child == 0) {
        /* What waits is woken, what ends says nothing, and what forks ends twice. */
        alarm(3);
        pid_t self = getpid();
        long got = call(number, first);
        if (getpid() == self) write(channel[1], &got, sizeof got);
        _exit(0);
    }
    close(channel[1]);
    ssize_t length = read(channel[0], &result, sizeof result);
    close(channel[0]);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    /* Who says nothing waits, or has ended: nobody refused that. */
    const char *said = length != sizeof result ? "other" : result == -EPERM ? "EPERM" : result == -ENOSYS ? "ENOSYS" : "other";
    printf("%s %ld %ld %s\n", table, number, first, said);
    fflush(stdout);
}

int main(void) {
    static const long families[] = {1, 2, 10, 16, 38, 40};
    static const long personas[] = {0, 8, 0x20000, 0x20008, 0xffffffff, 1, 0x400000};
    /* With CLONE_SIGHAND but without CLONE_VM no clone succeeds, whatever else is asked for. */
    static const long flags[] = {0x800, 0x20800, 0x2000800, 0x4000800, 0x8000800, 0x10000800, 0x20000800, 0x40000800};
    for (long number = 0; number < 480; number++) {
        probe("native", native, number, -1);
#ifdef __x86_64__
        probe("i386", foreign, number, -1);
#endif
    }
#ifdef __x86_64__
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++) probe("native", native, 41, families[i]);
    for (unsigned i = 0; i < sizeof personas / sizeof *personas; i++) probe("native", native, 135, personas[i]);
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) probe("native", native, 56, flags[i]);
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++) probe("i386", foreign, 359, families[i]);
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) probe("i386", foreign, 120, flags[i]);
    probe("x32", native, 0x40000000, -1);
    probe("x32", native, 0x40000027, -1);
#endif
    return 0;
}
