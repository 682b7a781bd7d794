/* Wait in one system call over and over, and say at the end whether it ever returned what it should not.
 *
 * waiter CALL: a child pokes the waiting process every 150 ms, if the call needs that, until its
 * standard input ends. Prints "ready", then "intact COUNT" or "broken: ...".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct timespec TENTH = { 0, 100000000 }, LONG = { 100, 0 };
static struct { volatile int stop, word; volatile int handled; } *shared;
static int pair[2], set, epoll_fd, listener;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static mqd_t queue;
static aio_context_t ring;
static sigset_t usr1, held;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void handler(int number) { (void)number; shared->handled++; }
static long failed(long wanted, long got) { return got == -1 && errno == wanted; }
static long byte(void) { char c; return read(pair[0], &c, 1) == 1; }

static long do_semop(void) { struct sembuf down = { 0, -1, 0 }; return semop(set, &down, 1) == 0; }
static long do_semtimedop(void) { struct sembuf down = { 0, -1, 0 }; return semtimedop(set, &down, 1, &LONG) == 0; }
static long do_semtimedop_short(void)
{
    struct sembuf down = { 0, -1, 0 };
    return failed(EAGAIN, semtimedop(set, &down, 1, &TENTH));
}
static long do_io_getevents(void)
{
    struct iocb poll = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = pair[0], .aio_buf = POLLIN }, *list = &poll;
    struct io_event event;
    return syscall(SYS_io_submit, ring, 1, &list) == 1 && syscall(SYS_io_getevents, ring, 1, 1, &event, 0) == 1 && byte();
}
static long do_sigtimedwait(void) { return sigtimedwait(&usr1, 0, &LONG) == SIGUSR1; }
static long do_sigtimedwait_short(void) { return failed(EAGAIN, sigtimedwait(&usr1, 0, &TENTH)); }
static long do_sigwaitinfo(void) { return sigwaitinfo(&usr1, 0) == SIGUSR1; }
static long do_epoll(void) { struct epoll_event e; return epoll_wait(epoll_fd, &e, 1, -1) == 1 && byte(); }
static long do_epoll_long(void) { struct epoll_event e; return epoll_wait(epoll_fd, &e, 1, 100000) == 1 && byte(); }
static long do_epoll_short(void) { struct epoll_event e; return epoll_wait(epoll_fd, &e, 1, 100) == 0; }
static long do_recv(void) { char c; return recv(pair[0], &c, 1, 0) == 1; }
static long do_recv_all(void) { char c[3]; return recv(pair[0], c, 3, MSG_WAITALL) == 3; }
static long do_recv_limited_long(void) { return do_recv(); }
static long do_recv_limited(void) { char c; return failed(EAGAIN, recv(pair[0], &c, 1, 0)); }
static long do_nanosleep(void) { return nanosleep(&TENTH, 0) == 0; }
static long do_poll(void) { struct pollfd p = { pair[0], POLLIN, 0 }; return poll(&p, 1, -1) == 1 && byte(); }
static long do_poll_short(void) { struct pollfd p = { pair[0], POLLIN, 0 }; return poll(&p, 1, 100) == 0; }
static long do_ppoll(void)
{
    struct pollfd p = { pair[0], POLLIN, 0 };
    sigset_t none;
    int before = shared->handled;
    sigemptyset(&none);
    return failed(EINTR, ppoll(&p, 1, 0, &none)) && shared->handled == before + 1;
}
static long do_sigsuspend(void)
{
    sigset_t none;
    int before = shared->handled;
    sigemptyset(&none);
    return failed(EINTR, sigsuspend(&none)) && shared->handled == before + 1;
}
static long do_select(void)
{
    fd_set read;
    FD_ZERO(&read);
    FD_SET(pair[0], &read);
    struct timeval limit = { 0, 100000 };
    return select(pair[0] + 1, &read, 0, 0, &limit) == 0;
}
static long do_futex(void)
{
    int seen = shared->word;
    long got = syscall(SYS_futex, &shared->word, FUTEX_WAIT, seen, 0, 0, 0);
    return got == 0 || failed(EAGAIN, got);
}
static long do_futex_short(void) { return failed(ETIMEDOUT, syscall(SYS_futex, &shared->handled, FUTEX_WAIT, 0, &TENTH, 0, 0)); }
static long do_read(void) { return byte(); }

/* A time limit where the kernel cannot write its rest back: the call returns EINTR when it is interrupted. */
static const struct timespec *unwritable;
static long do_ppoll_limited(void)
{
    struct timespec limit = TENTH;
    struct pollfd p = { pair[0], POLLIN, 0 };
    return syscall(SYS_ppoll, &p, 1, &limit, 0, 8) == 0;
}
static long do_ppoll_unwritable(void)
{
    struct pollfd p = { pair[0], POLLIN, 0 };
    return syscall(SYS_ppoll, &p, 1, unwritable, 0, 8) == 0;
}
static long do_pselect_unwritable(void) { return syscall(SYS_pselect6, 0, 0, 0, 0, unwritable, 0) == 0; }
static long do_ppoll_sticky(void)
{
    personality(STICKY_TIMEOUTS);
    return do_ppoll_limited();
}

static long do_mq_receive(void) { char c; return mq_receive(queue, &c, 1, 0) == 1; }
static long do_mq_timedreceive(void)
{
    struct timespec until;
    char c;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec + 100000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + 100000000) % 1000000000;
    return failed(ETIMEDOUT, mq_timedreceive(queue, &c, 1, 0, &until));
}

static long do_accept(void) { int got = accept(listener, 0, 0); return got >= 0 && close(got) == 0; }
static long do_accept_limited(void) { return failed(EAGAIN, accept(listener, 0, 0)); }

/* Rings of io_uring, their addresses as the kernel gave them. */
static struct { int fd; unsigned *sq_tail, *sq_array, *cq_head, *cq_tail; struct io_uring_sqe *sqes; } uring;
static void set_up_ring(void)
{
    struct io_uring_params p = { 0 };
    uring.fd = syscall(SYS_io_uring_setup, 4, &p);
    char *rings = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd, IORING_OFF_SQ_RING);
    uring.sqes = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd, IORING_OFF_SQES);
    if (uring.fd < 0 || rings == MAP_FAILED)
        return;
    uring.sq_tail = (unsigned *)(rings + p.sq_off.tail);
    uring.sq_array = (unsigned *)(rings + p.sq_off.array);
    uring.cq_head = (unsigned *)(rings + p.cq_off.head);
    uring.cq_tail = (unsigned *)(rings + p.cq_off.tail);
}
static void queue_poll(void)
{
    unsigned tail = *uring.sq_tail;
    uring.sqes[tail & 3] = (struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD, .fd = pair[0], .poll32_events = POLLIN };
    uring.sq_array[tail & 3] = tail & 3;
    __atomic_store_n(uring.sq_tail, tail + 1, __ATOMIC_RELEASE);
}
static long reaped(void)
{
    if (*uring.cq_head == __atomic_load_n(uring.cq_tail, __ATOMIC_ACQUIRE))
        return 0;
    __atomic_store_n(uring.cq_head, *uring.cq_head + 1, __ATOMIC_RELEASE);
    return byte();
}
static long do_uring(void)
{
    queue_poll();
    return syscall(SYS_io_uring_enter, uring.fd, 1, 1, IORING_ENTER_GETEVENTS, 0, 8) == 1 && reaped();
}
static long do_uring_apart(void)
{
    queue_poll();
    return syscall(SYS_io_uring_enter, uring.fd, 1, 0, 0, 0, 8) == 1 &&
           syscall(SYS_io_uring_enter, uring.fd, 0, 1, IORING_ENTER_GETEVENTS, 0, 8) == 0 && reaped();
}
static long do_uring_limited(void)
{
    struct io_uring_getevents_arg limit = { .ts = (uint64_t)&TENTH };
    return failed(ETIME, syscall(SYS_io_uring_enter, uring.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                 &limit, sizeof limit));
}

static const struct { const char *name; long (*call)(void); int poked; double least_s; } CALLS[] = {
    { "semop", do_semop, 1, 0 },           { "semtimedop", do_semtimedop, 1, 0 },
    { "semtimedop-short", do_semtimedop_short, 0, 0.1 }, { "io_getevents", do_io_getevents, 1, 0 },
    { "sigtimedwait", do_sigtimedwait, 1, 0 },     { "sigtimedwait-short", do_sigtimedwait_short, 0, 0.1 },
    { "sigwaitinfo", do_sigwaitinfo, 1, 0 },       { "epoll_wait", do_epoll, 1, 0 },
    { "epoll_wait-long", do_epoll_long, 1, 0 },    { "epoll_wait-short", do_epoll_short, 0, 0.1 },
    { "recv", do_recv, 1, 0 },             { "recv-all", do_recv_all, 1, 0 },
    { "recv-limited", do_recv_limited, 0, 0.1 },   { "recv-limited-long", do_recv_limited_long, 1, 0 },
    { "nanosleep", do_nanosleep, 0, 0.1 },         { "poll", do_poll, 1, 0 },
    { "poll-short", do_poll_short, 0, 0.1 },       { "ppoll", do_ppoll, 1, 0 },
    { "sigsuspend", do_sigsuspend, 1, 0 },         { "select", do_select, 0, 0.1 },
    { "futex", do_futex, 1, 0 },           { "futex-short", do_futex_short, 0, 0.1 },
    { "read", do_read, 1, 0 },                     { "ppoll-limited", do_ppoll_limited, 0, 0.1 },
    { "ppoll-unwritable", do_ppoll_unwritable, 0, 0.1 }, { "pselect-unwritable", do_pselect_unwritable, 0, 0.1 },
    { "ppoll-sticky", do_ppoll_sticky, 0, 0.1 },   { "mq_receive", do_mq_receive, 1, 0 },
    { "mq_timedreceive", do_mq_timedreceive, 0, 0.099 }, { "accept", do_accept, 1, 0 },
    { "accept-limited", do_accept_limited, 0, 0.1 }, { "accept-limited-noise", do_accept_limited, 0, 0.1 },
    { "epoll_wait-noise", do_epoll, 1, 0 },        { "epoll_wait-short-noise", do_epoll_short, 0, 0.1 },
    { "uring", do_uring, 1, 0 },                   { "uring-apart", do_uring_apart, 1, 0 },
    { "uring-limited", do_uring_limited, 0, 0.1 },
};

static void poke(const char *name, pid_t waiter)
{
    struct sembuf up = { 0, 1, 0 };
    semop(set, &up, 1);
    if (strstr(name, "sig") || !strcmp(name, "ppoll"))
        kill(waiter, SIGUSR1);
    shared->word++;
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1, 0, 0, 0);
    if (strstr(name, "mq"))
        mq_send(queue, "x", 1, 0);
    if (strstr(name, "accept")) {
        int joins = socket(AF_UNIX, SOCK_STREAM, 0);
        connect(joins, (struct sockaddr *)&address, sizeof address);
        close(joins);
    }
    if (strstr(name, "sig") == 0 && strcmp(name, "ppoll"))
        (void)!write(pair[1], "x", 1);
}

int main(int argc, char **argv)
{
    size_t i = 0, count = 0;
    while (argc < 2 || strcmp(CALLS[i].name, argv[1]))
        if (++i == sizeof CALLS / sizeof *CALLS)
            return 2;
    const char *name = CALLS[i].name;
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    set = semget(IPC_PRIVATE, 1, 0600);
    (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct timeval limit = { strstr(name, "long") ? 100 : 0, 100000 };
    if (strstr(name, "limited"))
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "waiter-%d", getpid());
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 8);
    if (strstr(name, "limited"))
        setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct mq_attr form = { .mq_maxmsg = 8, .mq_msgsize = 1 };
    if (strstr(name, "mq")) {
        char path[32];
        snprintf(path, sizeof path, "/waiter-%d", getpid());
        queue = mq_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &form);
        mq_unlink(path);
    }
    if (strstr(name, "uring"))
        set_up_ring();
    struct timespec *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *at = TENTH;
    mprotect(at, 4096, PROT_READ);
    unwritable = at;
    epoll_fd = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN };
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair[0], &event);
    syscall(SYS_io_setup, 4, &ring);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, 0);
    signal(SIGUSR1, handler);
    pid_t waiter = getpid();
    if (fork() == 0) {
        struct pollfd input = { 0, POLLIN, 0 };
        while (strstr(name, "noise") && poll(&input, 1, 1) == 0) {
            kill(waiter, SIGWINCH); /* which is ignored */
            if (CALLS[i].poked && ++count % 150 == 0)
                poke(name, waiter);
        }
        while (poll(&input, 1, 150) == 0)
            if (CALLS[i].poked)
                poke(name, waiter);
        shared->stop = 1;
        for (int n = 0; n < 200 && shared->stop != 2; n++, usleep(5000))
            if (CALLS[i].poked)
                poke(name, waiter);
        _exit(0);
    }
    close(0);
    puts("ready");
    fflush(stdout);
    for (; !shared->stop; count++) {
        double began = now();
        errno = 0;
        if (!CALLS[i].call()) {
            printf("broken: %s, errno %d\n", name, errno);
            return 1;
        }
        sigprocmask(0, 0, &held);
        if (memcmp(&held, &usr1, 8)) {
            printf("broken: the mask after %s\n", name);
            return 1;
        }
        if (now() - began < CALLS[i].least_s) {
            printf("broken: %s returned after %g s\n", name, now() - began);
            return 1;
        }
    }
    shared->stop = 2;
    printf("intact %zu\n", count);
    fflush(stdout);
    signal(SIGUSR1, SIG_IGN);
    semctl(set, 0, IPC_RMID);
    return 0;
}
