/* reply.c - an answer leaves: to whoever asked, or to the long submission of which it answers a piece (bulk.c). */
#include "coordinator/server/server.h"

#include "base/log.h"

#include <string.h>

void server_answer(struct server *s, const struct core_address *to, struct message *m)
{
    struct link_peer peer = {.n = to->n, .version = to->version};
    struct err e;
    enum code rc;

    if (to->socket == BULK) {
        bulk_heard(s, m);
        return;
    }
    if (m->kind == MSG_refused) tally_refused(&s->tally, m->refused.code);
    if (to->socket >= SOCKETS) return;
    memcpy(peer.id, to->peer, sizeof peer.id);
    m->id = to->id;
    m->version = to->version;
    rc = link_server_send(s->link[to->socket], &peer, m, &e);
    /* A peer that has left is no event; a message that cannot be written is a bug of ours. */
    if (rc && rc != ERR_AGAIN) log_line(LOG_WARN, "answer `%s`: %s", proto_name(m->kind), e.text);
}

void server_refuse(struct server *s, const struct core_address *to, struct err *why)
{
    struct message m = proto_refused(why);
    server_answer(s, to, &m);
}
