/* list.c - whose keys are let in: asked of the coordinator once a second, and soon when an unknown key knocks (somebody may have been
 * added just now), but not more often than strangers' knocks may cost. */
#include "coordinator/door/door.h"

#include "base/log.h"

#include <stdlib.h>

enum { LIST_MS = 1000, KNOCK_MS = 100 };

void list_ask(struct door *d)
{
    struct message ask = {.kind = MSG_user_list, .user_list.name = ""};
    struct link_peer self = {.n = 0};
    int64_t since = d->now_ms - d->list_ms;

    if (since < KNOCK_MS || (since < LIST_MS && !guests_knocked(d->guests))) return;
    d->list_ms = d->now_ms;
    ask.id = ++d->list_id;
    link_server_send(d->side[DOOR_BACK], &self, &ask, NULL); /* nobody there: asked again soon */
}

static int belongs(const struct door *d, const struct user_row *r)
{
    return !r->revoked && !hash_is_zero(r->key) && (r->role == ROLE_WORKER) == d->for_workers;
}

void list_take(struct door *d, struct slice answer)
{
    struct arena a = {0};
    struct message m;
    struct err e = {0};
    struct hash *keys = NULL;
    size_t n = 0;
    enum code rc = proto_decode(answer.data, answer.n, &a, &m, &e);

    if (!rc && m.kind == MSG_refused)
        rc = err_set(&e, ERR_FAILED, "the coordinator does not tell who may come in: %s",
                     m.refused.line);
    /* An older list may come late, over a coordinator that was restarted. */
    if (!rc && m.kind == MSG_users && m.id == d->list_id) {
        keys = mem_alloc(m.users.rows.n + 1, sizeof *keys);
        if (!keys) rc = err_set(&e, ERR_NOMEM, "out of memory for a list of keys");
        for (size_t i = 0; keys && i < m.users.rows.n; i++)
            if (belongs(d, &m.users.rows.v[i])) keys[n++] = m.users.rows.v[i].key;
        if (keys) rc = guests_set(d->guests, keys, n, &e);
    }
    if (rc) log_line(LOG_WARN, "%s", e.text);
    free(keys);
    arena_fini(&a);
}
