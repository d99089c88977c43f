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

static enum code add_page(struct door *d, const struct user_rows *rows, struct err *e)
{
    struct hash *grown = mem_grow(d->listed, d->n_listed, d->n_listed + rows->n + 1, sizeof *grown);

    if (!grown) return err_set(e, ERR_NOMEM, "out of memory for a list of keys");
    d->listed = grown;
    for (size_t i = 0; i < rows->n; i++)
        if (belongs(d, &rows->v[i])) d->listed[d->n_listed++] = rows->v[i].key;
    return OK;
}

void list_take(struct door *d, struct slice answer)
{
    struct arena a = {0};
    struct message m;
    struct err e = {0};
    enum code rc = proto_decode(answer.data, answer.n, &a, &m, &e);

    if (!rc && m.kind == MSG_refused)
        rc = err_set(&e, ERR_FAILED, "the coordinator does not tell who may come in: %s",
                     m.refused.line);
    /* An older list may come late, over a coordinator that was restarted. */
    if (!rc && m.kind == MSG_users && m.id == d->list_id) {
        if (d->listed_id != m.id) d->n_listed = 0;
        d->listed_id = m.id;
        rc = add_page(d, &m.users.rows, &e);
        if (!rc && m.users.rows.n < PROTO_ROWS) {
            rc = guests_set(d->guests, d->listed, d->n_listed, &e);
            d->listed_id = 0;
        }
        if (rc) d->list_id++; /* the pages that follow would be half a list */
    }
    if (rc) log_line(LOG_WARN, "%s", e.text);
    arena_fini(&a);
}
