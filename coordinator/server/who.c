/* who.c - as whom a message is heard. On the ipc sockets permissions decide: whoever can speak there is the owner of the home, an
 * admin, or a worker group that they started. Elsewhere the key that CURVE proved names a user, or a worker. */
#include "coordinator/server/server.h"

#include <stdio.h>

int server_is_worker_socket(int socket)
{
    return socket == WORKERS;
}

static enum code by_key(struct server *s, struct asked *q, struct err *e)
{
    const struct core_user *u = s->core ? core_user_by_key(s->core, q->key) : NULL;
    int works = server_is_worker_socket(q->from.socket);

    if (!u) return err_set(e, ERR_DENIED, "this key is nobody's here: ask an admin to add it");
    if (u->revoked)
        return err_set(e, ERR_DENIED, "user %s is not heard any more: an admin revoked them",
                       u->name);
    if (works != (u->role == ROLE_WORKER))
        return err_set(e, ERR_DENIED, "%s is %s, who does not speak on this socket", u->name,
                       u->role == ROLE_WORKER ? "a worker" : "a user");
    q->role = u->role;
    if (!works) snprintf(q->user, sizeof q->user, "%s", u->name);
    return OK;
}

enum code server_who(struct server *s, struct asked *q, struct err *e)
{
    q->user[0] = '\0';
    q->role = ROLE_WORKER;
    if (!hash_is_zero(q->key)) return by_key(s, q, e);
    if (server_is_worker_socket(q->from.socket)) return OK;
    q->role = ROLE_ADMIN;
    snprintf(q->user, sizeof q->user, "%s", s->user);
    return OK;
}

const struct core_user *server_user(const struct server *s, const struct asked *q)
{
    return q->user[0] ? core_user_named(s->core, q->user) : NULL;
}
