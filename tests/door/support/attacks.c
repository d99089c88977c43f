#include "tests/door/support/attacks.h"

#include "tests/door/support/zmtp.h"

#include "base/philox.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PART = 64 << 10, RANDOM_MOST = 1024 };

static uint8_t zeros[1 << 20];

/* ---- strangers ---- */

void attack_null_flood(int port, size_t bytes)
{
    int fd = zmtp_connect(port);
    static const char ready[] = "\x05READY\x0bSocket-Type\0\0\0\x06"
                                "DEALER";

    if (fd < 0) return;
    zmtp_greet(fd, "NULL");
    zmtp_frame(fd, 4, sizeof ready - 1, ready, sizeof ready - 1);
    for (size_t sent = 0; sent < bytes && zmtp_frame(fd, 1, PART, zeros, PART); sent += PART)
        continue;
    close(fd);
}

void attack_frames(int port, int n, size_t says, size_t sends)
{
    int *fd = calloc((size_t)n, sizeof *fd);

    for (int i = 0; fd && i < n; i++) {
        fd[i] = zmtp_connect(port);
        if (fd[i] < 0 || !zmtp_greet(fd[i], "CURVE") || !zmtp_frame(fd[i], 4, says, zeros, 0))
            continue;
        for (size_t sent = 0; sent < sends; sent += PART)
            if (!zmtp_send(fd[i], zeros, sends - sent < PART ? sends - sent : PART)) break;
    }
    for (int i = 0; fd && i < n; i++)
        if (fd[i] >= 0) close(fd[i]);
    free(fd);
}

void attack_random(int port, int n, uint64_t seed)
{
    uint32_t bytes[RANDOM_MOST];

    for (int i = 0; i < n; i++) {
        int fd = zmtp_connect(port);
        if (fd < 0) continue;
        philox_bits(philox_key(seed, PHILOX_TEST), (uint64_t)i, 0, bytes, RANDOM_MOST);
        if (i % 2) zmtp_greet(fd, "CURVE");
        zmtp_send(fd, bytes, 1 + bytes[0] % (sizeof bytes - 1));
        close(fd);
    }
}

int attack_connections(int port, int n, int greet, int *fd)
{
    static const uint8_t greeting[64] = {0xff, 0, 0, 0,   0,   0,   0,   0,  0,
                                         0x7f, 3, 0, 'C', 'U', 'R', 'V', 'E'};
    int got = 0;

    while (got < n && (fd[got] = zmtp_connect(port)) >= 0) {
        if (greet) zmtp_send(fd[got], greeting, sizeof greeting);
        got++;
    }
    return got;
}

void attack_hang_up(int *fd, int n)
{
    for (int i = 0; i < n; i++) close(fd[i]);
}

/* ---- with a key ---- */

size_t attack_unfinished(int port, struct hash server, const struct keys *k, size_t part,
                         size_t most)
{
    int fd = zmtp_connect(port);
    struct zmtp z;
    size_t sent = 0;

    if (fd < 0) return 0;
    if (zmtp_curve(&z, fd, server, k))
        while (sent < most && zmtp_message(&z, zeros, part, ZMTP_MORE)) sent += part;
    close(fd);
    return sent;
}

/* ---- on the wire ---- */

int attack_tap_open(struct tap_wire *t, int to)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;

    *t = (struct tap_wire){.to = to, .room = 1 << 20};
    t->said = malloc(t->room);
    t->listens = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!t->said || t->listens < 0 || bind(t->listens, (struct sockaddr *)&at, sizeof at) ||
        listen(t->listens, 4) || getsockname(t->listens, (struct sockaddr *)&at, &n))
        return 0;
    t->port = ntohs(at.sin_port);
    return 1;
}

void attack_tap_run(struct tap_wire *t)
{
    struct pollfd p[2] = {{.fd = accept(t->listens, NULL, NULL), .events = POLLIN},
                          {.fd = zmtp_connect(t->to), .events = POLLIN}};
    uint8_t buf[4096];
    ssize_t n = 1;

    while (n > 0 && poll(p, 2, 10000) > 0)
        for (int i = 0; i < 2 && n > 0; i++) {
            if (!p[i].revents) continue;
            n = recv(p[i].fd, buf, sizeof buf, 0);
            if (n <= 0) break;
            if (i == 0 && t->n + (size_t)n <= t->room) {
                memcpy(t->said + t->n, buf, (size_t)n);
                t->n += (size_t)n;
            }
            zmtp_send(p[1 - i].fd, buf, (size_t)n);
        }
    close(p[0].fd);
    close(p[1].fd);
}

void attack_tap_close(struct tap_wire *t)
{
    close(t->listens);
    free(t->said);
}
