/* zmtp.h - a peer that speaks ZMTP by hand, because what a hostile one says no library would send: bytes on a socket, and, with keys, a
 * CURVE handshake of its own (RFC 26), after which any frame can be sent, also one that is never finished.
 *
 *     int fd = zmtp_connect(port);
 *     struct zmtp z;
 *     if (zmtp_curve(&z, fd, server_public, &keys)) ...           // 0: not let in
 *     zmtp_message(&z, data, n, ZMTP_MORE);
 */
#ifndef TESTS_DOOR_ZMTP_H
#define TESTS_DOOR_ZMTP_H

#include "proto/keys.h"

#include <stddef.h>
#include <stdint.h>

enum { ZMTP_LAST = 0, ZMTP_MORE = 1 };

struct zmtp {
    int fd;
    struct keys brief;                /* of this connection */
    struct hash server_brief;
    uint64_t nonce;
};

/* Is libsodium there, which ZeroMQ uses itself? */
int zmtp_has_curve(void);

/* Connected, with time limits of a few seconds on reads and writes. -1: not. */
int zmtp_connect(int port);

/* Greeting of a mechanism ("NULL", "CURVE"), 64 bytes there and back. */
int zmtp_greet(int fd, const char *mechanism);
int zmtp_curve(struct zmtp *z, int fd, struct hash server, const struct keys *mine);
int zmtp_message(struct zmtp *z, const void *data, size_t n, int more);

/* A frame with this head and this much of its body. */
int zmtp_frame(int fd, uint8_t flags, uint64_t says, const void *body, size_t n);
int zmtp_send(int fd, const void *data, size_t n);
int zmtp_receive(int fd, void *data, size_t n);       /* exactly n */

#endif
