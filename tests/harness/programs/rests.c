/* Wait once in a system call with a time limit: rests CALL MILLISECONDS.
 *
 * Prints "ready", then how long the call took [ms], or "broken: ..." when it returned before its time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec limit, *unwritable;
static struct timeval *unwritable_too;
static int limit_ms, epoll_fd, set, word;
static aio_context_t ring;
static sigset_t usr1;
static struct epoll_event event;
static struct io_event done;
static struct sembuf down = { 0, -1, 0 };

static long failed(long wanted, long got) { return got == -1 && errno == wanted; }
static long in_nanosleep(void) { return nanosleep(&limit, 0) == 0; }
static long in_clock_nanosleep(void) { return clock_nanosleep(CLOCK_MONOTONIC, 0, &limit, 0) == 0; }
static long in_poll(void) { return poll(0, 0, limit_ms) == 0; }
static long in_ppoll(void) { return syscall(SYS_ppoll, 0, 0, unwritable, 0, 8) == 0; }
static long in_select(void) { return syscall(SYS_select, 0, 0, 0, 0, unwritable_too) == 0; }
static long in_epoll_wait(void) { return epoll_wait(epoll_fd, &event, 1, limit_ms) == 0; }
static long in_epoll_pwait2(void) { return syscall(SYS_epoll_pwait2, epoll_fd, &event, 1, &limit, 0, 8) == 0; }
static long in_futex(void) { return failed(ETIMEDOUT, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, 0, 0)); }
static long in_sigtimedwait(void) { return failed(EAGAIN, sigtimedwait(&usr1, 0, &limit)); }
static long in_semtimedop(void) { return failed(EAGAIN, semtimedop(set, &down, 1, &limit)); }
static long in_io_getevents(void) { return syscall(SYS_io_getevents, ring, 1, 1, &done, &limit) == 0; }

static const struct { const char *name; long (*call)(void); } CALLS[] = {
    { "nanosleep", in_nanosleep },     { "clock_nanosleep", in_clock_nanosleep }, { "poll", in_poll },
    { "ppoll", in_ppoll },             { "select", in_select },                   { "epoll_wait", in_epoll_wait },
    { "epoll_pwait2", in_epoll_pwait2 }, { "futex", in_futex },                   { "sigtimedwait", in_sigtimedwait },
    { "semtimedop", in_semtimedop },   { "io_getevents", in_io_getevents },
};

int main(int argc, char **argv)
{
    size_t i = 0;
    struct timespec began, end;
    while (argc < 3 || strcmp(CALLS[i].name, argv[1]))
        if (++i == sizeof CALLS / sizeof *CALLS)
            return 2;
    limit_ms = atoi(argv[2]);
    limit = (struct timespec){ limit_ms / 1000, limit_ms % 1000 * 1000000 };
    unwritable = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unwritable_too = (struct timeval *)(unwritable + 1);
    *unwritable = limit;
    *unwritable_too = (struct timeval){ limit.tv_sec, limit.tv_nsec / 1000 };
    mprotect(unwritable, 8192, PROT_READ);
    epoll_fd = epoll_create1(0);
    set = semget(IPC_PRIVATE, 1, 0600);
    syscall(SYS_io_setup, 4, &ring);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, 0);
    puts("ready");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &began);
    long well = CALLS[i].call();
    int code = errno;
    clock_gettime(CLOCK_MONOTONIC, &end);
    semctl(set, 0, IPC_RMID);
    if (!well)
        printf("broken: %s, errno %d\n", argv[1], code);
    else
        printf("%ld\n", (end.tv_sec - began.tv_sec) * 1000 + (end.tv_nsec - began.tv_nsec) / 1000000);
    return !well;
}
