/* link_server.c - who answers: the coordinator, over a ROUTER. */
#include "proto/link_socket.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { SERVERS = 8 }; /* sockets one loop can wait for */

struct link_server {
    void *context, *socket;
    char *path; /* owned; bound, removed at the end */
};

/* A folder for one user only, and no socket in the way. */
static enum code make_place(const char *path, struct err *e)
{
    char *dir = strdup(path), *slash;
    struct stat st;
    enum code rc;

    if (!dir) return err_set(e, ERR_NOMEM, "out of memory");
    slash = strrchr(dir, '/');
    *(slash == dir ? slash + 1 : slash) = '\0';
    if (!(rc = file_make_dirs(dir, e)) && slash != dir && chmod(dir, 0700))
        rc = err_errno(e, "%s: make private", dir);
    free(dir);
    if (rc || lstat(path, &st)) return rc;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_EXISTS, "%s is in the way and no socket: move it", path);
    if (link_socket_alive(path))
        return err_set(e, ERR_EXISTS, "somebody answers at %s already: `engram down` stops it",
                       path);
    return OK; /* left by a kill: ZeroMQ replaces it */
}

static enum code bind_private(struct link_server *s, const char *endpoint, struct err *e)
{
    mode_t old = umask(0177); /* never, not for a moment, open to others */
    int failed = zmq_bind(s->socket, endpoint);

    umask(old);
    if (failed) return link_socket_error(e, endpoint);
    if (chmod(s->path, 0600)) return err_errno(e, "%s: make private", s->path);
    return OK;
}

enum code link_serve(struct link_server **out, const char *endpoint, struct err *e)
{
    struct link_server *s = mem_alloc(1, sizeof *s);
    const char *path;
    enum code rc;

    *out = NULL;
    if (!s) return err_set(e, ERR_NOMEM, "out of memory");
    if ((rc = link_socket_path(endpoint, &path, e)) || (rc = make_place(path, e))) goto fail;
    if (!(s->context = zmq_ctx_new())) {
        rc = link_socket_error(e, "zmq context");
        goto fail;
    }
    if ((rc = link_socket_make(s->context, ZMQ_ROUTER, &s->socket, e))) goto fail;
    if (!(s->path = strdup(path))) {
        rc = err_set(e, ERR_NOMEM, "out of memory");
        goto fail;
    }
    if ((rc = bind_private(s, endpoint, e))) goto fail;
    *out = s;
    return OK;
fail:
    link_server_close(s);
    return rc;
}

void link_server_close(struct link_server *s)
{
    if (!s) return;
    if (s->socket) zmq_close(s->socket);
    if (s->context) zmq_ctx_term(s->context);
    if (s->path) unlink(s->path);
    free(s->path);
    free(s);
}

enum code link_server_wait(struct link_server *const *s, int n, int timeout_ms, int *ready,
                           struct err *e)
{
    zmq_pollitem_t items[SERVERS];

    if (n > SERVERS)
        return err_set(e, ERR_INTERNAL, "%d sockets in one loop, at most %d", n, SERVERS);
    for (int i = 0; i < n; i++)
        items[i] = (zmq_pollitem_t){.socket = s[i]->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(items, n, timeout_ms) < 0 && errno != EINTR)
        return link_socket_error(e, "wait for messages");
    for (int i = 0; i < n; i++) ready[i] = (items[i].revents & ZMQ_POLLIN) != 0;
    return OK;
}

static void tell_refused(struct link_server *s, const struct link_peer *to, uint64_t id,
                         struct err *why)
{
    struct message no = proto_refused(why);
    no.id = id;
    link_server_send(s, to, &no, NULL);
}

enum code link_server_receive(struct link_server *s, struct link_peer *from, struct arena *a,
                              struct message *m, struct err *e)
{
    struct slice bytes;
    struct err local;
    enum code rc;

    if (!e) e = &local;
    memset(m, 0, sizeof *m);
    from->n = 0;
    rc = link_socket_receive(s->socket, from, a, &bytes, e);
    if (rc == ERR_AGAIN) return rc;
    if (rc == OK) rc = proto_decode(bytes.data, bytes.n, a, m, e);
    if (rc == OK && m->id == 0)
        rc = err_set(e, ERR_PROTOCOL, "%s: request id 0 cannot be answered", proto_name(m->kind));
    if (rc && from->n) tell_refused(s, from, m->id, e);
    return rc;
}

enum code link_server_send(struct link_server *s, const struct link_peer *to,
                           const struct message *m, struct err *e)
{
    struct arena a = {0};
    struct slice bytes;
    enum code rc = proto_encode(m, &a, &bytes, e);

    if (rc == OK && (zmq_send(s->socket, to->id, to->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
                     zmq_send(s->socket, bytes.data, bytes.n, ZMQ_DONTWAIT) < 0))
        rc = link_socket_error(e, "answer");
    arena_fini(&a);
    return rc;
}
