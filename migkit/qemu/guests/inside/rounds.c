/* rounds OPERATIONS WHAT CHECK COMMAND [ARGUMENT...]: a worker that runs a command again and again.
 *
 * Each run does so many operations, and ends with another code than 0 when it finds its data wrong. CHECK is a command
 * of the shell that looks at all data at the end, or nothing. WHAT says what the runs prove. It goes on as fast as it
 * can, or at PACE operations a second. */

#define _GNU_SOURCE
#include "worker.h"
#include "programs.h"

static unsigned runs, wrong, operations;

/* Run a command with its output on the log; return whether it found its data right. */
static int is_right(char *const *command) { return ended_well(started(command, 0, 2, 2)); }

static void check(const char *what, char *command)
{
    char *const shell[] = {"/bin/sh", "-c", command, NULL};
    if (*command)
        wrong += !is_right(shell);
    printf("V %u %s\nC %x 1 %x\n", runs, what, wrong, operations);
    fflush(stdout);
}

int main(int arguments, char **given)
{
    if (arguments < 5)
        return 1;
    const char *pace = getenv("PACE");
    unsigned each = (unsigned)atoi(given[1]);
    int64_t every_ns = pace && atof(pace) > 0.0 ? (int64_t)(1e9 * each / atof(pace)) : 0;
    if (!is_right(given + 4))
        return 1;
    said("READY");
    for (char letter = 0;;) {
        while (letter != 'G')
            if ((letter = asked_ever()) == 'C')
                check(given[2], given[3]);
        for (int64_t next_ns = now_ns(); !(letter = asked(next_ns));) {
            wrong += !is_right(given + 4);
            runs++;
            operations += each;
            printf("W%08x\n", operations);
            fflush(stdout);
            next_ns = next_ns + every_ns < now_ns() ? now_ns() : next_ns + every_ns;
        }
        if (letter == 'C')
            check(given[2], given[3]);
    }
}
