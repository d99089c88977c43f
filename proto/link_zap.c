/* link_zap.c - the ZAP handler: a thread that answers ZeroMQ's question, during a handshake, whether a key may come in.
 *
 * ZAP is strict request and answer over inproc://zeromq.zap.01: version, request id, domain, address, routing id, mechanism, key.
 * The user id of the answer comes back with every message of that connection; it is the key itself, in hex, because who the key
 * belongs to may change while the connection lives. (300, "come again later", does not
 * hang up in ZeroMQ 4.3.4, so it is not used.)
 */
#include "proto/link_socket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 7, PART_MOST = 512 };

struct link_zap {
    pthread_t thread;
    void *socket;
    struct guests *guests;
};

struct part {
    uint8_t v[PART_MOST];
    size_t n;
};

/* All frames of one question; how many there were. -1: the context ends. */
static int question(void *s, struct part part[PARTS])
{
    int n = 0, more = 1;
    size_t size = sizeof more;

    while (more) {
        struct part surplus, *p = n < PARTS ? &part[n] : &surplus;
        int got = zmq_recv(s, p->v, sizeof p->v, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || zmq_getsockopt(s, ZMQ_RCVMORE, &more, &size)) return -1;
        p->n = (size_t)got > sizeof p->v ? sizeof p->v : (size_t)got;
        n++;
    }
    return n;
}

static int is_text(const struct part *p, const char *text)
{
    return p->n == strlen(text) && !memcmp(p->v, text, p->n);
}

static void answer(struct link_zap *z, const struct part part[PARTS], int n)
{
    struct hash key;
    char user[HASH_TEXT] = "";
    int in = n == PARTS && is_text(&part[0], "1.0") && is_text(&part[5], "CURVE") &&
             part[6].n == sizeof key;

    if (in) {
        memcpy(key.v, part[6].v, sizeof key);
        in = guests_let_in(z->guests, key);
        if (in) hash_text(key, user);
    }
    zmq_send(z->socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(z->socket, part[1].v, n > 1 ? part[1].n : 0, ZMQ_SNDMORE);
    zmq_send(z->socket, in ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(z->socket, "", 0, ZMQ_SNDMORE);
    zmq_send(z->socket, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(z->socket, "", 0, 0);
}

static void *run(void *self)
{
    struct link_zap *z = self;
    struct part *part = mem_alloc(PARTS, sizeof *part);
    int n;

    while (part && (n = question(z->socket, part)) >= 0) answer(z, part, n);
    zmq_close(z->socket);
    free(part);
    return NULL;
}

enum code link_zap_start(struct link_zap **out, void *context, struct guests *g, struct err *e)
{
    struct link_zap *z = mem_alloc(1, sizeof *z);
    int zero = 0, failed;
    sigset_t all, old;

    *out = NULL;
    if (!z) return err_set(e, ERR_NOMEM, "out of memory");
    z->guests = g;
    z->socket = zmq_socket(context, ZMQ_REP);
    if (!z->socket || zmq_setsockopt(z->socket, ZMQ_LINGER, &zero, sizeof zero) ||
        zmq_bind(z->socket, "inproc://zeromq.zap.01")) {
        enum code rc = link_socket_error(e, "who may come in");
        if (z->socket) zmq_close(z->socket);
        free(z);
        return rc;
    }
    sigfillset(&all); /* signals belong to the thread that waits for messages */
    pthread_sigmask(SIG_BLOCK, &all, &old);
    failed = pthread_create(&z->thread, NULL, run, z);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        zmq_close(z->socket);
        free(z);
        return err_set(e, ERR_NOMEM, "no thread for keys: %s", strerror(failed));
    }
    *out = z;
    return OK;
}

void link_zap_join(struct link_zap *z)
{
    if (!z) return;
    pthread_join(z->thread, NULL);
    free(z);
}
