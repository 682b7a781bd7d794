/* PostgreSQL under the load of pgbench, with its data on the second disk.
 *
 * It makes a database there, with checksums, starts PostgreSQL, and fills pgbench's tables: SCALE times 100,000
 * accounts, or as many as take an eighth of memory. Then CLIENTS clients (4) do pgbench's transactions (TPC-B): as fast
 * as they can, or PACE a second all together. At the end every account must be there, and accounts, tellers, branches
 * and the history of all transactions must have the same balance. PostgreSQL is stopped then, caches are dropped, and
 * every block on the disk must have its checksum. */

#define _GNU_SOURCE
#include "worker.h"
#include "programs.h"

#include <signal.h>
#include <sys/sysinfo.h>

enum { USER = 26, MOST = 512, ACCOUNTS = 100000, SHARE = 8, SCALE_BYTES = 16 << 20, BUFFERS_SHARE = 4, ASKED_NS = 32000000 };

static char scale[16], clients[16], pace[32];
static pid_t server, load;
static int progress[2];
static double transactions;

/* Run a command as PostgreSQL's user, with its output on the log. */
static int is_right(char *const *command) { return ended_well(started(command, USER, 2, 2)); }

static void step(const char *what, char *const *command)
{
    printf("B %s\n", what);
    fflush(stdout);
    if (!is_right(command))
        die(what);
}

static void make_database(void)
{
    char *const command[] = {"initdb", "-D", "/data/db", "-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8",
                             "--data-checksums", "--no-sync", NULL};
    step("initdb", command);
}

static void start_postgresql(uint64_t memory)
{
    char buffers[64];
    snprintf(buffers, sizeof buffers, "shared_buffers=%uMB", (unsigned)(memory / BUFFERS_SHARE >> 20));
    char *const command[] = {"postgres", "-D", "/data/db", "-c", buffers, "-c", "listen_addresses=127.0.0.1",
                             "-c", "unix_socket_directories=/run", "-c", "max_wal_size=256MB", NULL};
    server = serving(command, USER);
}

static void fill_tables(void)
{
    char *const command[] = {"pgbench", "-i", "-q", "-I", "dtGvp", "-s", scale, NULL};
    step("tables of pgbench", command);
}

static void begin_load(void)
{
    char *command[] = {"pgbench", "-n", "-M", "prepared", "-c", clients, "-T", "100000000", "-P", "1", *pace ? "-R" : NULL, pace, NULL};
    if (pipe2(progress, O_CLOEXEC | O_NONBLOCK))
        die("pipe");
    load = started(command, USER, 2, progress[1]);
    close(progress[1]);
}

/* Say how many transactions there were when pgbench has said how many a second it does, once a second. */
static void report(void)
{
    static char text[MOST];
    static size_t bytes;
    static double until_s;
    ssize_t got = read(progress[0], text + bytes, sizeof text - 1 - bytes);
    bytes += got > 0 ? (size_t)got : 0;
    text[bytes] = 0;
    for (char *end; (end = strchr(text, '\n'));) {
        double now_s, per_s;
        if (sscanf(text, "progress: %lf s, %lf tps", &now_s, &per_s) == 2) {
            transactions += per_s * (now_s - until_s);
            until_s = now_s;
            printf("W%08x\n", (unsigned)(transactions + 0.5));
            fflush(stdout);
        } else {
            fprintf(stderr, "%.*s\n", (int)(end - text), text);
        }
        bytes -= (size_t)(end + 1 - text);
        memmove(text, end + 1, bytes + 1);
    }
}

/* Ask PostgreSQL; return whether it answered. */
static int answer(const char *question, char *text)
{
    int out[2];
    char *const command[] = {"psql", "-X", "-A", "-t", "-F", " ", "-c", (char *)question, NULL};
    if (pipe2(out, O_CLOEXEC))
        die("pipe");
    pid_t client = started(command, USER, out[1], 2);
    close(out[1]);
    size_t bytes = 0;
    for (ssize_t got; (got = read(out[0], text + bytes, MOST - 1 - bytes)) > 0;)
        bytes += (size_t)got;
    text[bytes] = 0;
    close(out[0]);
    return ended_well(client);
}

/* Return whether each block of the database on the disk has its checksum, PostgreSQL being stopped. */
static int is_right_on_disk(void)
{
    char *const command[] = {"pg_checksums", "--check", "-D", "/data/db", NULL};
    kill(server, SIGINT);
    if (!ended_well(server))
        return 0;
    sync();
    int caches = open("/proc/sys/vm/drop_caches", O_WRONLY);
    if (caches < 0 || write(caches, "3", 1) != 1)
        die("drop_caches");
    close(caches);
    return is_right(command);
}

static void check(void)
{
    char question[2 * MOST], text[MOST];
    unsigned accounts = (unsigned)atoi(scale) * ACCOUNTS, missing, same, done;
    kill(load, SIGTERM);
    ended_well(load);
    snprintf(question, sizeof question,
             "select %u - count(*), sum(abalance) = (select coalesce(sum(delta), 0) from pgbench_history) and "
             "sum(abalance) = (select sum(tbalance) from pgbench_tellers) and "
             "sum(abalance) = (select sum(bbalance) from pgbench_branches), (select count(*) from pgbench_history) "
             "from pgbench_accounts where aid between 1 and %u and filler = ''", accounts, accounts);
    char is_same = 0;
    int answered = answer(question, text) && sscanf(text, "%u %c %u", &missing, &is_same, &done) == 3;
    same = answered && is_same == 't';
    unsigned wrong = answered ? missing : accounts;
    wrong += !is_right_on_disk();
    printf("V %u accounts of PostgreSQL and their balances\nV each block of PostgreSQL on its disk\nC %x %u %x\n",
           accounts, wrong, same, answered ? done : 0);
    fflush(stdout);
}

int main(void)
{
    struct sysinfo memory;
    const char *wanted = getenv("SCALE"), *many = getenv("CLIENTS"), *per_s = getenv("PACE");
    sysinfo(&memory);
    uint64_t bytes = (uint64_t)memory.totalram * memory.mem_unit;
    unsigned usual = (unsigned)(bytes / SHARE / SCALE_BYTES);
    snprintf(scale, sizeof scale, "%u", wanted ? (unsigned)atoi(wanted) : usual ? usual : 1);
    snprintf(clients, sizeof clients, "%u", many ? (unsigned)atoi(many) : 4);
    snprintf(pace, sizeof pace, "%s", per_s ? per_s : "");
    setenv("PGHOST", "/run", 1);
    setenv("PGUSER", "postgres", 1);
    setenv("PGDATABASE", "postgres", 1);
    make_database();
    start_postgresql(bytes);
    fill_tables();
    said("READY");
    while (asked_ever() != 'G')
        continue;
    begin_load();
    while (asked(now_ns() + ASKED_NS) != 'C')
        report();
    check();
    for (;;)
        asked_ever();
}
