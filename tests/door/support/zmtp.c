#include "tests/door/support/zmtp.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { MAC = 16, NONCE = 24, MESSAGE_HEAD = 16 };

/* libsodium's crypto_box_easy and crypto_box_open_easy; found at run time, since no header of it is ours to want. */
typedef int box_fn(unsigned char *out, const unsigned char *in, unsigned long long n,
                   const unsigned char *nonce, const unsigned char *public,
                   const unsigned char *secret);
static box_fn *box, *unbox;

int zmtp_has_curve(void)
{
    void *lib = dlopen("libsodium.so.23", RTLD_NOW);
    void *a = lib ? dlsym(lib, "crypto_box_easy") : NULL;
    void *b = lib ? dlsym(lib, "crypto_box_open_easy") : NULL;

    memcpy(&box, &a,
           sizeof box); /* a function out of an object pointer, which ISO C does not cast */
    memcpy(&unbox, &b, sizeof unbox);
    return a && b;
}

int zmtp_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {5, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

int zmtp_send(int fd, const void *data, size_t n)
{
    for (const uint8_t *p = data; n > 0;) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return 0;
        p += sent;
        n -= (size_t)sent;
    }
    return 1;
}

int zmtp_receive(int fd, void *data, size_t n)
{
    for (uint8_t *p = data; n > 0;) {
        ssize_t got = recv(fd, p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        p += got;
        n -= (size_t)got;
    }
    return 1;
}

int zmtp_greet(int fd, const char *mechanism)
{
    uint8_t out[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0}, in[64];

    memcpy(out + 12, mechanism, strlen(mechanism));
    return zmtp_send(fd, out, sizeof out) && zmtp_receive(fd, in, sizeof in);
}

int zmtp_frame(int fd, uint8_t flags, uint64_t says, const void *body, size_t n)
{
    uint8_t head[9] = {flags};
    size_t k = 2;

    if (says < 256) {
        head[1] = (uint8_t)says;
    } else {
        head[0] |= 2;
        for (k = 1; k < 9; k++) head[k] = (uint8_t)(says >> (8 * (8 - k)));
    }
    return zmtp_send(fd, head, k) && zmtp_send(fd, body, n);
}

/* ---- CURVE ---- */

static void name_nonce(uint8_t out[NONCE], const char *prefix, const void *rest)
{
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    memcpy(out + n, rest, NONCE - n);
}

/* The next of our short nonces, big-endian. */
static void short_nonce(struct zmtp *z, uint8_t out[8])
{
    z->nonce++;
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(z->nonce >> (8 * (7 - i)));
}

static int hello(struct zmtp *z, struct hash server)
{
    uint8_t body[200] = "\x05HELLO\x01", zeros[64] = {0}, nonce[NONCE];

    memcpy(body + 80, z->brief.public.v, 32);
    short_nonce(z, body + 112);
    name_nonce(nonce, "CurveZMQHELLO---", body + 112);
    box(body + 120, zeros, sizeof zeros, nonce, server.v, z->brief.secret.v);
    return zmtp_frame(z->fd, 4, sizeof body, body, sizeof body);
}

/* WELCOME: the server's brief key and a cookie. */
static int welcome(struct zmtp *z, struct hash server, uint8_t cookie[96])
{
    uint8_t in[2 + 168], nonce[NONCE], plain[128];

    if (!zmtp_receive(z->fd, in, sizeof in) || memcmp(in + 2, "\x07WELCOME", 8)) return 0;
    name_nonce(nonce, "WELCOME-", in + 10);
    if (unbox(plain, in + 26, 144, nonce, server.v, z->brief.secret.v)) return 0;
    memcpy(z->server_brief.v, plain, 32);
    memcpy(cookie, plain + 32, 96);
    return 1;
}

static int initiate(struct zmtp *z, struct hash server, const struct keys *mine,
                    const uint8_t cookie[96])
{
    static const uint8_t about[] = "\x0bSocket-Type\0\0\0\x06"
                                   "DEALER\x08Identity\0\0\0\0";
    uint8_t body[9 + 96 + 8 + 32 + 16 + 80 + sizeof about - 1 + MAC] = "\x08INITIATE", nonce[NONCE];
    uint8_t plain[32 + 16 + 80 + sizeof about - 1], vouch[64];

    memcpy(vouch, z->brief.public.v, 32);
    memcpy(vouch + 32, server.v, 32);
    memcpy(plain, mine->public.v, 32);
    memset(plain + 32, 'v', 16);
    name_nonce(nonce, "VOUCH---", plain + 32);
    box(plain + 48, vouch, sizeof vouch, nonce, z->server_brief.v, mine->secret.v);
    memcpy(plain + 128, about, sizeof about - 1);
    memcpy(body + 9, cookie, 96);
    short_nonce(z, body + 105);
    name_nonce(nonce, "CurveZMQINITIATE", body + 105);
    box(body + 113, plain, sizeof plain, nonce, z->server_brief.v, z->brief.secret.v);
    return zmtp_frame(z->fd, 4, sizeof body, body, sizeof body);
}

/* READY; what it says is not read. ERROR: not let in. */
static int ready(struct zmtp *z)
{
    uint8_t head[2], body[256];

    return zmtp_receive(z->fd, head, 2) && zmtp_receive(z->fd, body, head[1]) &&
           !memcmp(body, "\x05READY", 6);
}

int zmtp_curve(struct zmtp *z, int fd, struct hash server, const struct keys *mine)
{
    uint8_t cookie[96];

    *z = (struct zmtp){.fd = fd};
    return keys_make(&z->brief, NULL) == OK && zmtp_greet(fd, "CURVE") && hello(z, server) &&
           welcome(z, server, cookie) && initiate(z, server, mine, cookie) && ready(z);
}

int zmtp_message(struct zmtp *z, const void *data, size_t n, int more)
{
    size_t size = MESSAGE_HEAD + MAC + 1 + n;
    uint8_t *body = malloc(size), *plain = malloc(n + 1), nonce[NONCE];
    int sent = 0;

    if (body && plain) {
        plain[0] = (uint8_t)more;
        memcpy(plain + 1, data, n);
        memcpy(body, "\x07MESSAGE", 8);
        short_nonce(z, body + 8);
        name_nonce(nonce, "CurveZMQMESSAGEC", body + 8);
        box(body + MESSAGE_HEAD, plain, n + 1, nonce, z->server_brief.v, z->brief.secret.v);
        sent = zmtp_frame(z->fd, 0, size, body, size);
    }
    free(body);
    free(plain);
    return sent;
}
