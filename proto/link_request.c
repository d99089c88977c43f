/* link_request.c - one request: its bytes, and what an answer means. */
#include "proto/link_ask.h"

#include <errno.h>

enum { WHO_LIMIT = 3 }; /* a coordinator that keeps asking is broken */

static enum code send_bytes(struct link *l, struct slice s, struct err *e)
{
    if (!l->socket) return err_set(e, ERR_AGAIN, "%s: our key is not let in", l->endpoint);
    return link_socket_send(l->socket, s, l->path ? PROTO_BYTES : LINK_PIECE, l->endpoint, e);
}

enum code link_send_latest(struct link *l, struct err *e)
{
    enum code rc = send_bytes(l, l->latest, e);

    if (rc) return rc;
    l->sent = 1;
    l->repeat = 0;
    return OK;
}

/* Encodes m in the version of the link and keeps its bytes as the latest. m may live in the bytes that were kept before. */
static enum code keep(struct link *l, struct message *m, struct err *e)
{
    struct arena fresh = {0};
    struct slice bytes;
    enum code rc;

    if (l->version < proto_since(m->kind))
        return err_set(e, ERR_ENVIRONMENT,
                       "%s speaks version %llu of the protocol, which has no `%s`: let both be of "
                       "the same Engram",
                       l->endpoint, (unsigned long long)l->version, proto_name(m->kind));
    m->version = l->version;
    if ((rc = proto_encode(m, &fresh, &bytes, e))) {
        arena_fini(&fresh);
        return rc;
    }
    arena_fini(&l->latest_arena);
    l->latest_arena = fresh;
    l->latest = bytes;
    return OK;
}

/* Gives ask its id and remembers its bytes as the latest. */
enum code link_remember(struct link *l, struct message *ask, struct err *e)
{
    enum code rc;

    ask->id = ++l->next_id;
    if ((rc = keep(l, ask, e))) return rc;
    l->latest_id = ask->id;
    l->n_who = l->sent = l->repeat = 0;
    return OK;
}

/* The other side speaks an older version: the latest again, in that one. */
static enum code lower(struct link *l, uint64_t version, struct err *e)
{
    struct arena a = {0};
    struct message m;
    enum code rc;

    l->version = version;
    if (!l->latest.n) return OK;
    if (!(rc = proto_decode(l->latest.data, l->latest.n, &a, &m, e)) && !(rc = keep(l, &m, e)))
        rc = link_send_latest(l, e);
    arena_fini(&a);
    return rc;
}

/* The coordinator does not know us: hello, then the latest request again. */
static enum code introduce(struct link *l, struct err *e)
{
    struct arena a = {0};
    struct slice bytes;
    enum code rc;

    if (!l->is_worker || ++l->n_who > WHO_LIMIT)
        return err_set(e, ERR_PROTOCOL, "%s: the coordinator does not take our hello", l->endpoint);
    l->hello.id = l->hello_id = ++l->next_id;
    l->hello.version = l->version;
    if (!(rc = proto_encode(&l->hello, &a, &bytes, e)) && !(rc = send_bytes(l, bytes, e)))
        rc = link_send_latest(l, e);
    arena_fini(&a);
    return rc;
}

static enum code refusal(struct link *l, const struct msg_refused *r, struct err *e)
{
    enum code c = r->code > OK && r->code < ERR_CODES ? (enum code)r->code : ERR_INTERNAL;

    if (c == ERR_PROTOCOL && l->version < PROTO_VERSION)
        return err_set(e, c, "%s (the coordinator speaks version %llu of the protocol, we %d)",
                       r->line, (unsigned long long)l->version, PROTO_VERSION);
    return err_set(e, c, "%s", r->line);
}

/* Is this message what is waited for? *mine says so; else it was handled or does not concern us. */
enum code link_judge(struct link *l, const struct message *m, int *mine, struct err *e)
{
    int to_hello = l->hello_id && m->id == l->hello_id;

    *mine = 0;
    /* Whoever does not understand our version cannot know our id. */
    if (m->id == 0 && m->kind == MSG_refused && m->version < l->version)
        return lower(l, m->version, e);
    if ((to_hello && m->kind == MSG_go_on) || (!to_hello && m->id != l->latest_id)) return OK;
    if (m->kind == MSG_who) return introduce(l, e);
    *mine = 1;
    if (m->kind == MSG_refused) return refusal(l, &m->refused, e);
    if (proto_from(m->kind) != FROM_COORDINATOR)
        return err_set(e, ERR_PROTOCOL, "%s answers with `%s`", l->endpoint, proto_name(m->kind));
    return OK;
}
