/* How a worker runs other programs. They cannot read what the host asks for; a server says itself when it is there. */

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define NOTIFY "/run/notify"

/* Start a program as a user, with its output and its errors on two descriptors; return its number. */
static inline pid_t started(char *const *command, uid_t user, int output, int errors)
{
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (!child) {
        int nothing = open("/dev/null", O_RDONLY);
        if (dup2(nothing, 0) || dup2(output, 1) != 1 || dup2(errors, 2) != 2)
            die("dup2");
        if ((user && (setgid(user) || setuid(user))) || execvp(command[0], command))
            die(command[0]);
    }
    return child;
}

/* Wait for the end of a program; return whether it found all right. */
static inline int ended_well(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child)
        die("wait");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Start a server as a user, with its output on the log, and wait until it says that it is there (sd_notify). */
static inline pid_t serving(char *const *command, uid_t user)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = NOTIFY};
    int told = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (told < 0 || bind(told, (struct sockaddr *)&place, sizeof place) || chmod(NOTIFY, 0777))
        die("notify");
    setenv("NOTIFY_SOCKET", NOTIFY, 1);
    pid_t server = started(command, user, 2, 2);
    unsetenv("NOTIFY_SOCKET");
    for (char text[512] = ""; !strstr(text, "READY=1");) {
        ssize_t got = recv(told, text, sizeof text - 1, 0);
        if (got < 0)
            die(command[0]);
        text[got] = 0;
    }
    close(told);
    return server;
}
