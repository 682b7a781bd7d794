/* Check in a loop that no register changes behind the program's back.
 *
 * registers busy|blocked: every general register, flags, vector registers, the control words of x87 and SSE,
 * the signal mask and the alternative stack. "busy" spins between setting and checking, "blocked" waits in
 * read(2). Prints "ready", then, when its standard input ends or has brought a byte for each turn, "intact"
 * or "broken: WHAT".
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct { uint64_t set[16], got[16]; uint64_t flags; uint64_t result; char ymm_set[512], ymm_got[512]; } state
    __attribute__((aligned(64)));
uint16_t control_set = 0x0f7f, control_got;
uint32_t mxcsr_set = 0x7f80, mxcsr_got;
uint64_t spins_left;
static volatile int stop;
static void on_alarm(int n) { (void)n; stop = 1; }

/* Registers: rax rbx rcx rdx rsi rdi rbp r8 to r15; rsp by the fact that it returns. */
extern void turn(uint64_t unused, uint64_t blocked);
__asm__(
    ".text\n.globl turn\nturn:\n"
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "push %rsi\npush %rdi\n"
    "fldcw control_set(%rip)\nldmxcsr mxcsr_set(%rip)\n"
    "lea 272+state(%rip), %rax\n"
    "vmovups 0(%rax), %ymm0\nvmovups 32(%rax), %ymm1\nvmovups 64(%rax), %ymm2\nvmovups 96(%rax), %ymm3\n"
    "vmovups 128(%rax), %ymm4\nvmovups 160(%rax), %ymm5\nvmovups 192(%rax), %ymm6\nvmovups 224(%rax), %ymm7\n"
    "vmovups 256(%rax), %ymm8\nvmovups 288(%rax), %ymm9\nvmovups 320(%rax), %ymm10\nvmovups 352(%rax), %ymm11\n"
    "vmovups 384(%rax), %ymm12\nvmovups 416(%rax), %ymm13\nvmovups 448(%rax), %ymm14\nvmovups 480(%rax), %ymm15\n"
    "lea state(%rip), %rax\n"
    "mov 8(%rax), %rbx\nmov 16(%rax), %rcx\nmov 24(%rax), %rdx\nmov 32(%rax), %rsi\nmov 40(%rax), %rdi\n"
    "mov 48(%rax), %rbp\nmov 56(%rax), %r8\nmov 64(%rax), %r9\nmov 72(%rax), %r10\nmov 80(%rax), %r11\n"
    "mov 88(%rax), %r12\nmov 96(%rax), %r13\nmov 104(%rax), %r14\nmov 112(%rax), %r15\n"
    "cmpq $0, 8(%rsp)\njne 2f\n"
    "mov 0(%rax), %rax\n"
    "mov %rax, -100(%rsp)\n" /* in the red zone */
    "stc\nstd\n"
    "1: decq spins_left(%rip)\njnz 1b\n" /* it leaves the carry alone */
    "mov -100(%rsp), %rax\njmp 3f\n"
    "2: mov $0, %edi\nlea -40(%rsp), %rsi\nmov $1, %edx\nmov $0, %eax\n"
    "mov %rdi, 40+state(%rip)\nmov %rsi, 32+state(%rip)\nmov %rdx, 24+state(%rip)\n"
    "syscall\nmov %rax, 264+state(%rip)\n"
    "mov %rcx, 16+state(%rip)\nmov %r11, 80+state(%rip)\nmov %rax, 0+state(%rip)\n"
    "3: pushfq\npop 256+state(%rip)\ncld\n"
    "mov %rax, 128+state(%rip)\nmov %rbx, 136+state(%rip)\nmov %rcx, 144+state(%rip)\nmov %rdx, 152+state(%rip)\n"
    "mov %rsi, 160+state(%rip)\nmov %rdi, 168+state(%rip)\nmov %rbp, 176+state(%rip)\nmov %r8, 184+state(%rip)\n"
    "mov %r9, 192+state(%rip)\nmov %r10, 200+state(%rip)\nmov %r11, 208+state(%rip)\nmov %r12, 216+state(%rip)\n"
    "mov %r13, 224+state(%rip)\nmov %r14, 232+state(%rip)\nmov %r15, 240+state(%rip)\n"
    "lea 784+state(%rip), %rax\n"
    "vmovups %ymm0, 0(%rax)\nvmovups %ymm1, 32(%rax)\nvmovups %ymm2, 64(%rax)\nvmovups %ymm3, 96(%rax)\n"
    "vmovups %ymm4, 128(%rax)\nvmovups %ymm5, 160(%rax)\nvmovups %ymm6, 192(%rax)\nvmovups %ymm7, 224(%rax)\n"
    "vmovups %ymm8, 256(%rax)\nvmovups %ymm9, 288(%rax)\nvmovups %ymm10, 320(%rax)\nvmovups %ymm11, 352(%rax)\n"
    "vmovups %ymm12, 384(%rax)\nvmovups %ymm13, 416(%rax)\nvmovups %ymm14, 448(%rax)\nvmovups %ymm15, 480(%rax)\n"
    "fnstcw control_got(%rip)\nstmxcsr mxcsr_got(%rip)\nvzeroupper\n"
    "pop %rdi\npop %rsi\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

static int broken(const char *what, uint64_t got) { printf("broken: %s %llx\n", what, (unsigned long long)got); return 1; }

int main(int argc, char **argv)
{
    (void)argc;
    int blocked = !strcmp(argv[1], "blocked");
    static const char *names[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
                                   "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    stack_t alternative = { .ss_sp = malloc(65536), .ss_size = 65536 }, found;
    sigset_t mask, held;
    sigaltstack(&alternative, 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGRTMIN + 5);
    sigprocmask(SIG_SETMASK, &mask, 0);
    signal(SIGTERM, on_alarm);
    for (int i = 0; i < 512; i++)
        state.ymm_set[i] = i * 7 + 3;
    puts("ready");
    fflush(stdout);
    while (!stop) {
        for (int i = 0; i < 15; i++)
            state.set[i] = 0x1111111111111111ull * (i + 1) ^ 0xa5a5;
        state.set[0] = 0x1234567890abcdef;
        spins_left = 200000;
        turn(0, blocked);
        if (blocked && state.result != 1)
            break;
        for (int i = 0; i < 15; i++)
            if (state.set[i] != state.got[i])
                return broken(names[i], state.got[i]);
        if (!blocked && (state.flags & 0x401) != 0x401)
            return broken("flags", state.flags);
        if (memcmp(state.ymm_set, state.ymm_got, 512))
            return broken("vector registers", 0);
        if (control_got != control_set || mxcsr_got != mxcsr_set)
            return broken("control word", control_got);
        sigprocmask(0, 0, &held);
        for (int i = 1; i <= 64; i++)
            if (sigismember(&mask, i) != sigismember(&held, i))
                return broken("mask", i);
        sigaltstack(0, &found);
        if (found.ss_sp != alternative.ss_sp || found.ss_flags || found.ss_size != alternative.ss_size)
            return broken("alternative stack", found.ss_flags);
    }
    puts("intact");
    return 0;
}
