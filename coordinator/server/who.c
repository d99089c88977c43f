/* who.c - as whom a message is heard. On the ipc sockets permissions decide: whoever can speak there is the owner of the home, an
 * admin, or a worker group that they started. What comes through a door is heard as the key that CURVE proved there names a user, or a
 * worker; this is looked up for each message, so a revoked key is not heard on an open connection either. A door that speaks for itself
 * may ask for the list of keys and nothing else. */
#include "coordinator/server/server.h"

#include <stdio.h>
#include <string.h>

int server_is_worker_socket(int socket)
{
    return socket == WORKERS || socket == DOOR_WORKERS;
}

static int is_door_socket(int socket)
{
    return socket == DOOR_USERS || socket == DOOR_WORKERS;
}

static enum code by_key(struct server *s, struct asked *q, struct err *e)
{
    const struct core_user *u = s->core ? core_user_by_key(s->core, q->key) : NULL;
    int works = server_is_worker_socket(q->from.socket);

    if (!s->core) return err_set(e, s->trouble.code, "%s", s->trouble.text);
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

/* Does this message belong on its socket? */
static enum code belongs(const struct asked *q, struct err *e)
{
    int works = server_is_worker_socket(q->from.socket);
    enum msg_from from = proto_from(q->m.kind);

    if (from != (works ? FROM_WORKER : FROM_USER) && from != FROM_ANYONE)
        return err_set(e, ERR_DENIED, "`%s` does not belong on this socket", proto_name(q->m.kind));
    if (works && (q->from.n != 1 + HASH_BYTES || q->from.peer[0] != 'W'))
        return err_set(e, ERR_DENIED, "a worker group's routing id is W and its nonce");
    return OK;
}

/* A group is the one that first spoke under its nonce. */
static enum code same_group(struct server *s, const struct asked *q, struct err *e)
{
    struct hash nonce;

    memcpy(nonce.v, q->from.peer + 1, HASH_BYTES);
    return badge_check(s->badges, nonce, q->key, s->now_ms, e);
}

static enum code as_owner(struct server *s, struct asked *q)
{
    q->role = ROLE_ADMIN;
    snprintf(q->user, sizeof q->user, "%s", s->user);
    return OK;
}

enum code server_who(struct server *s, struct asked *q, struct err *e)
{
    int through_door = is_door_socket(q->from.socket);
    enum code rc;

    q->user[0] = '\0';
    q->role = ROLE_WORKER;
    if (through_door && q->from.n == 0)
        return q->m.kind == MSG_user_list
                   ? as_owner(s, q)
                   : err_set(e, ERR_DENIED, "a door has no `%s` to say", proto_name(q->m.kind));
    if ((rc = belongs(q, e)) || (through_door && (rc = by_key(s, q, e)))) return rc;
    if (server_is_worker_socket(q->from.socket)) return same_group(s, q, e);
    return through_door ? OK : as_owner(s, q);
}

const struct core_user *server_user(const struct server *s, const struct asked *q)
{
    return q->user[0] ? core_user_named(s->core, q->user) : NULL;
}
