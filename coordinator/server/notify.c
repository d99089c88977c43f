/* notify.c - sd_notify by hand: a connected datagram socket. libsystemd would be a library for these lines. */
#include "coordinator/server/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STATUS_MS = 10000 };

/* "/run/user/1000/systemd/notify", or "@name" for an abstract one. */
static int connect_to(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = name ? strlen(name) : 0;
    int s;

    if (!n || n >= sizeof a.sun_path || (name[0] != '/' && name[0] != '@')) return -1;
    memcpy(a.sun_path, name, n);
    if (name[0] == '@') a.sun_path[0] = '\0';
    if ((s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0) return -1;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (connect(s, (const struct sockaddr *)&a, bytes) == 0) return s;
    close(s);
    return -1;
}

/* WATCHDOG_PID names the process that is watched: us, or whoever has started us. */
static int64_t watchdog_ms(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!us || (pid && strtol(pid, NULL, 10) != (long)getpid())) return 0;
    return strtoll(us, NULL, 10) / 1000;
}

void notify_open(struct notify *n)
{
    *n = (struct notify){.socket = connect_to(getenv("NOTIFY_SOCKET")),
                         .every_ms = watchdog_ms() / 2};
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    if (n->socket >= 0) close(n->socket);
    n->socket = -1;
}

void notify_say(const struct notify *n, const char *state)
{
    if (n->socket < 0) return;
    if (send(n->socket, state, strlen(state), MSG_NOSIGNAL) < 0)
        return; /* the next one may come through */
}

void notify_turn(struct notify *n, int64_t now_ms, const char *status)
{
    int64_t every = n->every_ms ? n->every_ms : STATUS_MS;
    char state[200];

    if (n->socket < 0 || (n->said_ms && now_ms - n->said_ms < every)) return;
    n->said_ms = now_ms;
    snprintf(state, sizeof state, "%sSTATUS=%s", n->every_ms ? "WATCHDOG=1\n" : "", status);
    notify_say(n, state);
}
