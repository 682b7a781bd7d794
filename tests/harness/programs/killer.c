/* Kill a process, or what it starts, at one of its system calls: killer PID N MODE
 *
 * Traces PID and all that it starts. Calls are counted between two calls of getpriority(2), which mark the
 * part to be tried. At the entry of call N, MODE "caller" kills whoever makes it, "first" kills PID. Prints "seized",
 * and when all have ended the number of calls counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct information { uint8_t op; uint32_t arch; uint64_t ip, sp, nr, args[6]; };

int main(int argc, char **argv)
{
    pid_t first = argc > 3 ? atoi(argv[1]) : 0, who;
    long wanted = argc > 3 ? atol(argv[2]) : 0, count = 0;
    int status, counting = 0;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, first, 0, options) || ptrace(PTRACE_INTERRUPT, first, 0, 0))
        return 1;
    puts("seized");
    fflush(stdout);
    while ((who = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (who <= 0 || !WIFSTOPPED(status))
            continue;
        int number = WSTOPSIG(status), event = status >> 16;
        if (number == (SIGTRAP | 0x80)) {
            struct information call = { 0 };
            ptrace(PTRACE_GET_SYSCALL_INFO, who, sizeof call, &call);
            if (call.op == 1 && call.nr == SYS_getpriority)
                counting ^= 1;
            else if (call.op == 1 && counting && ++count == wanted)
                kill(strcmp(argv[3], "first") ? who : first, SIGKILL);
            number = 0;
        } else if (event == PTRACE_EVENT_STOP && number != SIGTRAP) {
            ptrace(PTRACE_LISTEN, who, 0, 0);
            continue;
        } else if (event)
            number = 0;
        ptrace(PTRACE_SYSCALL, who, 0, number);
    }
    printf("%ld\n", count);
    return 0;
}
