/* The first process of a Linux guest once it has started: it ticks, and stands between the host and the workers.
 *
 * Each argument is a worker, a program with lines on its pipes; the first one is the application. When all have said
 * READY it says so on the first serial port, and sends a byte every millisecond from then on, 128 plus the low 7 bits
 * of a counter. It writes to the port itself: a driver would queue. A G or C of the host goes to all workers. Their
 * lines go to the host as they are, but for the answers to C, "C WRONG SUM_IS_RIGHT WRITES" in hexadecimal, which are
 * added up, and for the writes of all workers but the first. A worker that ends is told as "E NAME". */

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { SERIAL = 0x3f8, PORTS = 8, STATUS = 5, TICK_NS = 1000000, MOST_WORKERS = 4, MOST_BYTES = 512 };

struct worker {
    const char *name;
    int to, from, ready, checked;
    size_t bytes;
    char line[MOST_BYTES];
};

static struct worker workers[MOST_WORKERS];
static int count, timer;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void say(const char *line)
{
    for (; *line; line++)
        outb((unsigned char)*line & 127, SERIAL);
    outb('\n', SERIAL);
}

static void start(struct worker *worker, const char *path)
{
    int in[2], out[2];
    if (pipe(in) || pipe(out))
        die("pipe");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (!child) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int descriptor = 3; descriptor < 64; descriptor++)
            close(descriptor);
        execl(path, path, NULL);
        die(path);
    }
    close(in[0]);
    close(out[1]);
    worker->name = path;
    worker->to = in[1];
    worker->from = out[0];
    fcntl(worker->from, F_SETFL, O_NONBLOCK);
}

static int all(int ready)
{
    for (int i = 0; i < count; i++)
        if (!(ready ? workers[i].ready : workers[i].checked))
            return 0;
    return 1;
}

static void add_up(const char *answer)
{
    static unsigned wrong_all, writes_all, right_all = 1;
    unsigned wrong, right, writes;
    if (sscanf(answer, "C %x %x %x", &wrong, &right, &writes) != 3)
        die(answer);
    wrong_all += wrong;
    right_all &= right;
    writes_all += writes;
    if (all(0)) {
        char text[64];
        snprintf(text, sizeof text, "C %08x %u %08x", wrong_all, right_all, writes_all);
        say(text);
    }
}

static void begin_to_tick(void)
{
    struct itimerspec period = {{0, TICK_NS}, {0, TICK_NS}};
    if (timerfd_settime(timer, 0, &period, NULL))
        die("timer");
    say("READY");
}

static void hear(struct worker *worker, const char *line)
{
    if (!strcmp(line, "READY")) {
        worker->ready = 1;
        if (all(1))
            begin_to_tick();
    } else if (*line == 'C') {
        worker->checked = 1;
        add_up(line);
    } else if (*line != 'W' || worker == workers) {
        say(line);
    }
}

static void read_lines(struct worker *worker)
{
    ssize_t got = read(worker->from, worker->line + worker->bytes, MOST_BYTES - 1 - worker->bytes);
    if (got == 0) {
        char text[MOST_BYTES];
        snprintf(text, sizeof text, "E %s", worker->name);
        say(text);
        close(worker->from);
        worker->from = -1;
    }
    if (got <= 0)
        return;
    worker->bytes += (size_t)got;
    worker->line[worker->bytes] = 0;
    for (char *end; (end = strchr(worker->line, '\n')); ) {
        *end = 0;
        hear(worker, worker->line);
        worker->bytes -= (size_t)(end + 1 - worker->line);
        memmove(worker->line, end + 1, worker->bytes + 1);
    }
}

static void tick_and_obey(void)
{
    static unsigned ticks;
    outb((unsigned char)(128 | (ticks++ & 127)), SERIAL);
    if (!(inb(SERIAL + STATUS) & 1))
        return;
    char asked[2] = {(char)inb(SERIAL), '\n'};
    for (int i = 0; i < count; i++)
        if (write(workers[i].to, asked, 2) != 2)
            die("write");
}

int main(int arguments, char **paths)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    count = arguments - 1 < MOST_WORKERS ? arguments - 1 : MOST_WORKERS;
    for (int i = 0; i < count; i++)
        start(&workers[i], paths[i + 1]);
    struct sched_param priority = {.sched_priority = 50};
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (ioperm(SERIAL, PORTS, 1) || sched_setscheduler(0, SCHED_FIFO, &priority) || timer < 0 ||
        mlockall(MCL_CURRENT | MCL_FUTURE))
        die("agent");
    for (;;) {
        struct pollfd ready[MOST_WORKERS + 1] = {{.fd = timer, .events = POLLIN}};
        for (int i = 0; i < count; i++)
            ready[i + 1] = (struct pollfd){.fd = workers[i].from, .events = POLLIN};
        if (poll(ready, (nfds_t)count + 1, -1) < 0)
            die("poll");
        uint64_t passed;
        if (ready[0].revents && read(timer, &passed, sizeof passed) > 0)
            tick_and_obey();
        for (int i = 0; i < count; i++)
            if (ready[i + 1].revents)
                read_lines(&workers[i]);
    }
}
