/* Programs that a visit could harm: odd KIND. Prints "ready"; when its input ends "intact", or what broke. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void ready(void) { puts("ready"); fflush(stdout); }
static int input_ended(void) { char c; return read(0, &c, 1) <= 0; }
static void wait_for_end(void) { while (!input_ended()) ; }
static int fail(const char *what) { printf("broken: %s\n", what); return 1; }

/* A filter with one answer for userfaultfd and close_range and clone from outside, all else allowed. */
static void filter(unsigned answer)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, answer),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(3);
}
/* As QEMU's "spawn=deny": only the flags of the C library's threads are allowed for clone. */
static int only_threads(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2), /* any other call */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x3d0f00, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return fail("no filter");
    ready();
    wait_for_end();
    return 0;
}
static int with_filter(unsigned answer) { filter(answer); ready(); wait_for_end(); return 0; }

/* A filter that kills for restart_syscall, by which the kernel goes on with a sleep that was interrupted. */
static int no_restart(int computes)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    struct pollfd input = { 0, POLLIN, 0 };
    const struct timespec pause = { 0, 2000000 };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return fail("no filter");
    ready();
    do {
        for (volatile int n = 0; n < computes; n++)
            ;
        nanosleep(&pause, 0);
    } while (poll(&input, 1, computes ? 0 : 50) == 0);
    return 0;
}
/* Threads that have unblocked their signals: a new one begins with all of them blocked. */
static volatile int up;
static void until_up(int threads) { while (up < threads) usleep(100); }
/* Wait for word of a message queue. */
static int notified(void)
{
    struct mq_attr form = { .mq_maxmsg = 1, .mq_msgsize = 1 };
    struct sigevent word = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    const struct timespec limit = { 5, 0 };
    char name[32];
    sigset_t wanted;
    snprintf(name, sizeof name, "/watched-%d", getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &form);
    mq_unlink(name);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    sigprocmask(SIG_BLOCK, &wanted, 0);
    if (queue < 0 || mq_notify(queue, &word))
        return fail("no queue");
    ready();
    wait_for_end();
    mq_send(queue, "x", 1, 0);
    return sigtimedwait(&wanted, 0, &limit) == SIGUSR1 ? 0 : fail("the notification is lost");
}
/* Write much at a time to a slow reader; each write must report all of it. */
static int streams(void)
{
    static char much[1 << 20];
    volatile int *done = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return fail("no sockets");
    if (fork() == 0) {
        struct pollfd both[] = { { 0, POLLIN, 0 }, { pair[1], POLLIN, 0 } };
        static char some[1 << 16];
        close(pair[0]);
        while (poll(both, 2, -1) > 0) {
            *done = *done || both[0].revents;
            if (both[1].revents && read(pair[1], some, sizeof some) <= 0)
                _exit(0);
            usleep(500);
        }
    }
    close(0);
    close(pair[1]);
    ready();
    while (!*done)
        if (write(pair[0], much, sizeof much) != sizeof much)
            return fail("a write reported too little");
    return 0;
}
/* The first thread has children that end all the time, which it ignores; the others wait, one without noticing. */
static void *waits_for_nothing(void *unused)
{
    const struct timespec limit = { 60, 0 };
    sigset_t wanted;
    (void)unused;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    __sync_fetch_and_add(&up, 1);
    if (sigtimedwait(&wanted, 0, &limit) != SIGUSR1)
        fail("a wait was ended by the end of a child");
    else
        puts("intact");
    exit(0);
}
static void *pauses(void *unused) { (void)unused; __sync_fetch_and_add(&up, 1); pause(); return 0; }
static int family(void)
{
    pthread_t thread, other;
    sigset_t blocked;
    struct pollfd input = { 0, POLLIN, 0 };
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, 0);
    pthread_create(&thread, 0, waits_for_nothing, 0);
    pthread_create(&other, 0, pauses, 0);
    until_up(2);
    ready();
    while (poll(&input, 1, 0) == 0) {
        pid_t child = fork();
        if (child == 0) {
            usleep(200);
            _exit(0);
        }
        waitpid(child, 0, 0);
    }
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, 0);
    return 0;
}
/* The first thread ends, the others go on. */
static pthread_t first;
static void *outlives(void *unused)
{
    (void)unused;
    pthread_join(first, 0);
    ready();
    wait_for_end();
    puts("intact");
    exit(0);
}
static int leaderless(void)
{
    pthread_t thread;
    first = pthread_self();
    pthread_create(&thread, 0, outlives, 0);
    pthread_exit(0);
}
/* Handle a signal until the input ends, on the thread's own stack or on one for signals within it, or have
 * what is left of such a frame on the stack. */
static void until_input_ends(int n) { (void)n; ready(); wait_for_end(); }
static __attribute__((noinline)) int go_deep(void) { volatile char much[1 << 19]; return much[0] = 1; }
static int handles(int on_a_stack_for_signals)
{
    char within[1 << 17] __attribute__((aligned(16)));
    volatile char below[1 << 16];
    stack_t own = { .ss_sp = within, .ss_size = sizeof within };
    struct sigaction action = { .sa_handler = until_input_ends, .sa_flags = on_a_stack_for_signals ? SA_ONSTACK : 0 };
    (void)go_deep();
    memset((char *)below, 0x5a, sizeof below);
    sigaltstack(&own, 0);
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    for (size_t i = 0; i < sizeof below; i++)
        if (below[i] != 0x5a)
            return fail("what lies below a stack for signals was written");
    return 0;
}
static int handles_aside(void) { return handles(1); }
static int handles_here(void) { return handles(0); }
static void remember(int n, siginfo_t *info, void *context)
{
    (void)n;
    memcpy(info->si_value.sival_ptr, (char *)context - 8, 256); /* from the restorer's address on */
}
static int remains(void)
{
    uint64_t frame[40];
    struct sigaction action = { .sa_sigaction = remember, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, 0);
    sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_ptr = frame });
    frame[1] = 0, frame[2] = 0x563800000040, frame[3] = 0x5638f7c64f60, frame[4] = 1, frame[5] = 0x5638f42547e0;
    ready();
    wait_for_end();
    return frame[4] == 1 ? 0 : fail("its stack was written");
}

static volatile int emulated;
static void on_sys(int n, siginfo_t *info, void *context)
{
    (void)n, (void)info;
    emulated++;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 42;
}
static int sigsys(void)
{
    struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };
    sigaction(SIGSYS, &action, 0);
    filter(SECCOMP_RET_TRAP);
    ready();
    wait_for_end();
    if (emulated)
        return fail("a call of the visit was trapped");
    return syscall(SYS_userfaultfd, 0) == 42 && emulated == 1 ? 0 : fail("SIGSYS is not handled any more");
}

/* Increments that are restartable: a section that is interrupted between load and store must begin anew. */
static volatile int stop;
static uint64_t aborts;
static void *until_end(void *unused) { (void)unused; up = 1; wait_for_end(); stop = 1; return 0; }
static int sequences(void)
{
    struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
    static volatile uint64_t counter, expected;
    pthread_t thread;
    pthread_create(&thread, 0, until_end, 0);
    until_up(1);
    ready();
    while (!stop) {
        /* The kernel forgets the section when it sees the thread outside of it: then nothing protects it any more. */
        __asm__ volatile goto(
            ".pushsection __rseq_cs, \"aw\"\n.balign 32\n7: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
            "lea 7b(%%rip), %%rax\nmov %%rax, %[section]\n"
            "1: mov $20000, %%rcx\nmov %[start], %%rdx\n"
            "3: dec %%rcx\njnz 3b\n"
            "lea 7b(%%rip), %%rcx\ncmp %%rcx, %[section]\njne %l[lost]\n"
            "inc %%rdx\nmov %%rdx, %[counter]\n2:\n"
            ".pushsection __rseq_failure, \"ax\"\n.byte 0x0f, 0xb9, 0x3d\n.long 0x53053053\n4: jmp %l[abort]\n.popsection\n"
            : : [section] "m"(area->rseq_cs), [counter] "m"(counter), [start] "m"(counter)
            : "rax", "rcx", "rdx", "memory", "cc" : abort, lost);
        expected++;
        if (0) {
        abort:
            aborts++;
        }
        if (counter != expected)
            return fail("a section was committed twice, or lost");
    }
    return 0;
lost:
    return fail("a section went on although the kernel had forgotten it");
}

static int in_vfork(void)
{
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "true", (char *)0);
        _exit(1);
    }
    ready();
    wait_for_end();
    return 0;
}
static void *vforks(void *unused)
{
    (void)unused;
    up = 1;
    while (!stop) {
        pid_t child = vfork();
        if (child == 0) {
            execl("/bin/sleep", "sleep", "0.01", (char *)0);
            _exit(1);
        }
        waitpid(child, 0, 0);
    }
    return 0;
}
static int many_vforks(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, vforks, 0);
    until_up(1);
    ready();
    wait_for_end();
    stop = 1;
    return pthread_join(thread, 0);
}
/* The child of a vfork reads the input, while its parent waits for it in the kernel. */
static int held_by_vfork(void)
{
    ready();
    if (vfork() == 0) {
        char c;
        while (read(0, &c, 1) > 0)
            ;
        _exit(0);
    }
    return 0;
}
static int own_uffd(void)
{
    int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | 1);
    ready();
    wait_for_end();
    return fcntl(uffd, F_GETFD) == FD_CLOEXEC ? 0 : fail("its userfaultfd is gone");
}
static int later_uffd(void)
{
    char c;
    ready();
    while (read(0, &c, 1) == 1)
        syscall(SYS_userfaultfd, O_CLOEXEC | 1);
    return 0;
}
static int strict(void)
{
    ready();
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    char c;
    while (read(0, &c, 1) > 0)
        ;
    (void)!write(1, "intact\n", 7);
    syscall(SYS_exit, 0);
    return 0;
}
/* Read the input with the stack pointer in a small block of the heap, as coroutines do, with a guard behind it. */
static int small_stack(void)
{
    size_t size = 16384;
    unsigned char *block = malloc(3 * size), *top = block + 2 * size - 256;
    memset(block, 0x5a, size + size / 2);
    ready();
    long got;
    do {
        char c;
        __asm__ volatile("mov %%rsp, %%r12\nmov %[top], %%rsp\nsyscall\nmov %%r12, %%rsp\n"
                         : "=a"(got) : "a"(SYS_read), "D"(0L), "S"(&c), "d"(1L), [top] "r"(top)
                         : "rcx", "r11", "r12", "memory");
    } while (got > 0);
    for (size_t i = 0; i < size + size / 2; i++)
        if (block[i] != 0x5a)
            return fail("what lies below a small stack was written");
    return 0;
}
static void *idle(void *unused) { (void)unused; __sync_fetch_and_add(&up, 1); pause(); return 0; }
static int idle_threads(void)
{
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < 4000; i++)
        pthread_create(&thread, &small, idle, 0);
    until_up(4000);
    ready();
    wait_for_end();
    return 0;
}
static int executes(void)
{
    ready();
    char c;
    if (read(0, &c, 1) == 1)
        execl("/bin/sleep", "sleep", "100", (char *)0);
    return 0;
}
static int reserves(void)
{
    size_t size = 512ull << 30;
    volatile char *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    at[size / 2] = 1;
    ready();
    wait_for_end();
    return 0;
}

int main(int argc, char **argv)
{
    const struct { const char *name; int (*run)(void); } kinds[] = {
        { "sigsys", sigsys }, { "threads", only_threads }, { "rseq", sequences }, { "vfork", in_vfork }, { "held", held_by_vfork }, { "vforks", many_vforks },
        { "uffd", own_uffd }, { "later-uffd", later_uffd }, { "strict", strict }, { "small-stack", small_stack },
        { "notified", notified }, { "streams", streams }, { "leaderless", leaderless }, { "family", family }, { "handles-aside", handles_aside },
        { "handles-here", handles_here }, { "remains", remains },
        { "idle", idle_threads }, { "exec", executes }, { "reserve", reserves },
    };
    int code = 2;
    if (argc > 1 && !strcmp(argv[1], "no-restart"))
        code = no_restart(argc > 2 ? atoi(argv[2]) : 0);
    else if (argc > 1 && !strcmp(argv[1], "allowed"))
        code = with_filter(SECCOMP_RET_ALLOW);
    else if (argc > 1 && !strcmp(argv[1], "killed"))
        code = with_filter(SECCOMP_RET_KILL_PROCESS);
    else if (argc > 1 && !strcmp(argv[1], "denied"))
        code = with_filter(SECCOMP_RET_ERRNO | EPERM);
    else
        for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
            if (!strcmp(argv[1], kinds[i].name))
                code = kinds[i].run();
    if (code == 0)
        puts("intact");
    fflush(stdout);
    return code;
}
