/* A client of Redis that knows what every key must hold.
 *
 * It starts Redis, fills an eighth of memory with keys, then sets and gets keys drawn at random, half and half, in turns
 * of 16 operations: as fast as Redis answers, or PACE a second. A value follows from the number of its key and from how
 * often that was set. At the end every key must hold its last value, and the settings of all keys must add up. */

#define _GNU_SOURCE
#include "worker.h"
#include "programs.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/sysinfo.h>

enum { VALUE = 1000, KEY_BYTES = 1200, TURN = 16, BATCH = 256, SHARE = 8, PAUSE_NS = 200000000, REPORT_NS = 32000000, REPORT_KEYS = 4096 };

static FILE *in, *out;
static uint32_t keys, *versions, wrong, operations, sets;

static void start_redis(void)
{
    char *const command[] = {"redis-server", "--save", "", "--supervised", "systemd", "--loglevel", "warning",
                             "--dir", "/run", NULL};
    serving(command, 0);
}

static void join(void)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(6379), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM, 0), at_once = 1;
    if (connection < 0 || setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) ||
        connect(connection, (struct sockaddr *)&place, sizeof place))
        die("connect");
    in = fdopen(connection, "r");
    out = fdopen(dup(connection), "w");
    setvbuf(out, NULL, _IOFBF, 2 * TURN * VALUE);
}

static void ask_set(uint32_t key)
{
    char value[VALUE];
    fill(value, VALUE, key, ++versions[key]);
    fprintf(out, "*3\r\n$3\r\nSET\r\n$8\r\n%08x\r\n$%d\r\n", key, VALUE);
    fwrite(value, 1, VALUE, out);
    fputs("\r\n", out);
    sets++;
}

static void ask_get(uint32_t key) { fprintf(out, "*2\r\n$3\r\nGET\r\n$8\r\n%08x\r\n", key); }

/* Read an answer; return whether it is the one to wait for, of a key with so many settings, or of a setting (0). */
static int is_right(uint32_t key, uint32_t version)
{
    char line[64], value[VALUE + 2], wanted[VALUE];
    if (!fgets(line, sizeof line, in))
        die("answer");
    if (!version)
        return !strcmp(line, "+OK\r\n");
    if (atoi(line + 1) != VALUE)
        return 0;
    if (fread(value, 1, sizeof value, in) != sizeof value)
        die("answer");
    fill(wanted, VALUE, key, version);
    return !memcmp(value, wanted, VALUE);
}

/* Say now and then how far it has come. */
static void report(uint32_t done)
{
    static uint32_t last;
    if (done < last + REPORT_KEYS && done > last)
        return;
    last = done;
    printf("B %u of %u keys\n", done, keys);
    fflush(stdout);
}

static void fill_all(void)
{
    for (uint32_t key = 0; key < keys; key += BATCH) {
        uint32_t end = key + BATCH < keys ? key + BATCH : keys;
        for (uint32_t one = key; one < end; one++)
            ask_set(one);
        fflush(out);
        for (uint32_t one = key; one < end; one++)
            if (!is_right(one, 0))
                die("a setting is refused");
        report(end);
    }
}

static void turn(void)
{
    uint32_t which[TURN], version[TURN];
    for (int i = 0; i < TURN; i++) {
        which[i] = (uint32_t)((uint64_t)drawn() * keys >> 32);
        if (drawn() & 1) {
            ask_set(which[i]);
            version[i] = 0;
        } else {
            ask_get(which[i]);
            version[i] = versions[which[i]];
        }
    }
    fflush(out);
    for (int i = 0; i < TURN; i++)
        wrong += !is_right(which[i], version[i]);
    operations += TURN;
}

static void check(void)
{
    uint64_t sum = 0;
    for (uint32_t key = 0; key < keys; key += TURN) {
        uint32_t end = key + TURN < keys ? key + TURN : keys;
        for (uint32_t one = key; one < end; one++)
            ask_get(one);
        fflush(out);
        for (uint32_t one = key; one < end; one++) {
            wrong += !is_right(one, versions[one]);
            sum += versions[one];
        }
        report(end);
    }
    printf("V %u keys of Redis, each of %d bytes\nC %x %d %x\n", keys, VALUE, wrong, (uint32_t)sum == sets, operations);
    fflush(stdout);
}

int main(void)
{
    struct sysinfo memory;
    const char *pace = getenv("PACE");
    double per_s = pace ? atof(pace) : 0.0;
    int64_t every_ns = per_s > 0.0 ? (int64_t)(1e9 * TURN / per_s) : 0;
    sysinfo(&memory);
    keys = (uint32_t)(memory.totalram * memory.mem_unit / SHARE / KEY_BYTES);
    versions = calloc(keys, sizeof *versions);
    start_redis();
    join();
    fill_all();
    said("READY");
    for (char letter = 0;;) {
        while (letter != 'G')
            if ((letter = asked_ever()) == 'C')
                check();
        for (int64_t next_ns = now_ns(), report_ns = next_ns; !(letter = asked(next_ns));) {
            turn();
            int64_t now = now_ns();
            next_ns += every_ns;
            if (next_ns < now - PAUSE_NS)
                next_ns = now - PAUSE_NS;
            if (now >= report_ns) {
                printf("W%08x\n", operations);
                fflush(stdout);
                report_ns = now + REPORT_NS;
            }
        }
        if (letter == 'C')
            check();
    }
}
