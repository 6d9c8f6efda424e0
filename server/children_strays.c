#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/children_private.h"

enum {
    LINE_SIZE = 1024, /* the longest line has some 400 bytes */
    TICKS = 100,      /* a second, as everywhere on Linux */
};

static uint64_t begun; /* clock ticks since boot */

void strays_begin(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_BOOTTIME, &now);
    long known = sysconf(_SC_CLK_TCK);
    uint64_t ticks = known > 0 ? (uint64_t)known : TICKS;
    begun = (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / 1000000000;
}

/* Reaps it if it has ended. Returns whether it has. */
static bool reap(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == pid;
}

/*
 * A signal may stand for several processes, so whoever has ended first is asked for as well. That
 * can be one of our own, which is kept until its group has been ended: what is behind it has to
 * wait so long.
 */
void strays_reap(pid_t pid)
{
    if (child_starting())
        return; /* it could be that one, whose number is not known yet */
    if (pid > 0 && !child_known(pid))
        reap(pid);
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0 ||
            child_known(info.si_pid) || !reap(info.si_pid))
            return;
    }
}

/* Whether the process is our child, and came after the beginning (proc(5)). */
static bool is_stray(pid_t pid)
{
    char path[64];
    char line[LINE_SIZE];
    int parent;
    uint64_t started;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, line, sizeof line - 1);
    close(file);
    if (length <= 0)
        return false;
    line[length] = '\0';
    const char *rest = strrchr(line, ')'); /* the name, the second field, may hold anything */
    /* The fields 4 and 22. */
    if (rest == NULL || sscanf(rest + 1,
                               " %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                               "%*s %*s %*s %" SCNu64,
                               &parent, &started) != 2)
        return false;
    return parent == getpid() && started >= begun && !child_known(pid);
}

size_t strays_signal(int number)
{
    size_t count = 0;
    siginfo_t info;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD)
        return 0;
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || !is_stray(pid) || reap(pid))
            continue;
        kill(pid, number); /* it is our child, and so its number is still its own */
        count++;
    }
    closedir(folder);
    return count;
}
