/* What the workers of a Linux guest share: contents that follow from numbers, the pace, the lines of the host. */

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Fill so many bytes, a multiple of 4, with what follows from two numbers, as letters. */
static inline void fill(char *content, size_t bytes, uint32_t number, uint32_t version)
{
    uint32_t state = (number * 2654435761u) ^ (version * 2246822519u) ^ 0x9e3779b9u;
    state = state ? state : 1;
    for (size_t i = 0; i < bytes; i += sizeof state) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        uint32_t letters = (state & 0x3f3f3f3f) + 0x40404040;
        memcpy(content + i, &letters, sizeof letters);
    }
}

static inline uint32_t drawn(void)
{
    static uint64_t state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Return what the host asks for, 0 if nothing, waiting until a moment at most. */
static inline char asked(int64_t until_ns)
{
    int64_t left_ns = until_ns - now_ns();
    struct timespec wait = {left_ns > 0 ? left_ns / 1000000000 : 0, left_ns > 0 ? left_ns % 1000000000 : 0};
    struct pollfd line = {.fd = 0, .events = POLLIN};
    char letters[2];
    if (ppoll(&line, 1, &wait, NULL) <= 0)
        return 0;
    if (read(0, letters, 2) != 2)
        exit(1);
    return letters[0];
}

static inline char asked_ever(void) { return asked(INT64_MAX / 2); }

static inline void said(const char *line)
{
    puts(line);
    fflush(stdout);
}
