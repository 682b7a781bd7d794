/* Measure the longest pause of any of many threads: pauses BYTES THREADS.
 *
 * Each thread writes to a few random pages of a shared region each millisecond; every eighth maps and unmaps
 * memory instead. Answers each line of input with the longest time that one of these steps took since the last
 * line [us]; a real-time priority keeps other programs out of it, if permitted.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static size_t pages;
static unsigned char *memory;
static volatile int64_t longest_ns[4096];

static int64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ll + t.tv_nsec; }

static void *steps(void *argument)
{
    size_t self = (size_t)argument;
    uint64_t random = 88172645463325252ull * (self + 1);
    for (;;) {
        int64_t began = now_ns();
        if (self % 8 == 7) {
            char *at = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            *at = 1;
            munmap(at, 1 << 20);
        } else
            for (int i = 0; i < 4; i++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                memory[random % pages * 4096]++;
            }
        int64_t took = now_ns() - began;
        if (took > longest_ns[self])
            longest_ns[self] = took;
        usleep(1000);
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 1 ? strtoul(argv[1], 0, 10) : 1 << 24, threads = argc > 2 ? strtoul(argv[2], 0, 10) : 4;
    char line[16];
    pages = bytes / 4096;
    memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (argc > 3)
        madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 1, bytes);
    (void)!nice(-20);
    for (size_t i = 0; i < threads; i++) {
        pthread_t thread;
        pthread_create(&thread, 0, steps, (void *)i);
    }
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int64_t longest = 0;
        for (size_t i = 0; i < threads; i++) {
            longest = longest_ns[i] > longest ? longest_ns[i] : longest;
            longest_ns[i] = 0;
        }
        printf("%lld\n", (long long)longest / 1000);
        fflush(stdout);
    }
    return 0;
}
