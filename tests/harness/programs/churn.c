/* A program of many threads that forks, runs programs, maps and unmaps, and checks all that it holds.
 *
 * churn BYTES: two threads write to a region and keep its sum, one forks and executes, one maps and unmaps,
 * one waits for signals that another sends, one sleeps in nanosleep, poll and semtimedop. Prints "ready"; when its
 * input ends "intact" or "broken: WHAT".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static const char *volatile broken;
static size_t bytes;
static pthread_t waits;
static void fail(const char *what) { broken = what; }

static void *writes(void *argument)
{
    size_t words = bytes / 8, at = (size_t)argument;
    volatile uint64_t *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t expected = 0, sum = 0, random = 88172645463325252ull + at;
    double real = 1.0;
    while (!stop) {
        for (int i = 0; i < 1000; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            memory[random % words] += random >> 32;
            expected += random >> 32;
            real = real * 1.0000001 + 1e-9;
        }
        usleep(200);
    }
    for (size_t i = 0; i < words; i++)
        sum += memory[i];
    if (sum != expected)
        fail("memory");
    return real == 0 ? argument : 0;
}
static void *forks(void *unused)
{
    (void)unused;
    while (!stop) {
        pid_t child = fork();
        int status = -1;
        if (child == 0)
            execl("/bin/true", "true", (char *)0);
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            fail("a child");
        usleep(2000);
    }
    return 0;
}
static void *maps(void *unused)
{
    (void)unused;
    while (!stop) {
        char *at = mmap(0, 1 << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) {
            fail("mmap");
            continue;
        }
        memset(at, 7, 1 << 22);
        at = mremap(at, 1 << 22, 1 << 23, MREMAP_MAYMOVE);
        if (at == MAP_FAILED)
            fail("mremap");
        else if (at[(1 << 22) - 1] != 7 || munmap(at, 1 << 23))
            fail("a mapping that was moved");
        usleep(1000);
    }
    return 0;
}
static void *receives(void *unused)
{
    (void)unused;
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    const struct timespec limit = { 10, 0 };
    while (!stop) {
        int got = sigtimedwait(&wanted, 0, &limit);
        if (got != SIGUSR1 && !stop)
            fail("sigtimedwait");
    }
    return 0;
}
static void *sleeps(void *unused)
{
    (void)unused;
    int set = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf down = { 0, -1, 0 };
    const struct timespec pause = { 0, 3000000 };
    while (!stop) {
        if (nanosleep(&pause, 0) || poll(0, 0, 3))
            fail("nanosleep or poll");
        if (semtimedop(set, &down, 1, &pause) != -1 || errno != EAGAIN)
            fail("semtimedop");
        pthread_kill(waits, SIGUSR1);
    }
    semctl(set, 0, IPC_RMID);
    return 0;
}

int main(int argc, char **argv)
{
    bytes = argc > 1 ? strtoul(argv[1], 0, 10) : 1 << 24;
    void *(*const runs[])(void *) = { receives, writes, writes, forks, maps, sleeps };
    pthread_t threads[sizeof runs / sizeof *runs];
    sigset_t blocked, held;
    char c;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, 0);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        pthread_create(&threads[i], 0, runs[i], (void *)(i + 1));
        waits = threads[0];
    }
    puts("ready");
    fflush(stdout);
    while (read(0, &c, 1) == 1) {
        pthread_sigmask(0, 0, &held);
        if (memcmp(&held, &blocked, 8))
            fail("mask");
        puts(broken ? broken : "well");
        fflush(stdout);
    }
    stop = 1;
    pthread_kill(waits, SIGUSR1);
    for (size_t i = sizeof runs / sizeof *runs; i-- > 0;) /* the one that others send signals to last */
        pthread_join(threads[i], 0);
    printf(broken ? "broken: %s\n" : "intact\n", broken);
    return broken != 0;
}
