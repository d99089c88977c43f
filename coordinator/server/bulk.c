/* bulk.c - a long submit_many goes in through several turns, a piece in each: nobody waits for somebody's thousand jobs.
 *
 * Each row is a request by itself, so a piece is a submit_many of fewer rows. Its answer is heard here, and the whole one leaves with the
 * last piece. When a piece is refused, or the disk takes nothing, so is the whole: what went in before is found by its keys when it is
 * said again. What is beyond a limit goes in at once, as a short one does.
 */
#include "coordinator/server/server.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64, MOST_BYTES = 8 << 20 };

struct load {
    struct load *next;
    struct asked q; /* its rows are copied into the arena */
    struct arena arena;
    struct accepted_row *accepted; /* [done], in the arena */
    size_t done, bytes;
    int out, answered; /* a piece of it is on its way; it has its answer */
};

struct bulk {
    struct load *first, **last; /* owned */
    size_t bytes;
};

struct bulk *bulk_make(void)
{
    struct bulk *b = mem_alloc(1, sizeof *b);
    if (b) b->last = &b->first;
    return b;
}

static void drop_first(struct bulk *b)
{
    struct load *l = b->first;

    if (!(b->first = l->next)) b->last = &b->first;
    b->bytes -= l->bytes;
    arena_fini(&l->arena);
    free(l);
}

void bulk_free(struct bulk *b)
{
    while (b && b->first) drop_first(b);
    free(b);
}

int bulk_waits(const struct bulk *b)
{
    return b->first != NULL;
}

/* ---- in ---- */

static struct load *copy_of(const struct asked *q, size_t bytes)
{
    const struct request_rows *rows = &q->m.submit_many.rows;
    struct load *l = mem_alloc(1, sizeof *l);
    struct request_row *v = l ? arena_alloc(&l->arena, rows->n * sizeof *v) : NULL;
    int whole = v && (l->accepted = arena_alloc(&l->arena, rows->n * sizeof *l->accepted)) != NULL;

    for (size_t i = 0; whole && i < rows->n; i++) {
        struct slice r = rows->v[i].request;
        v[i].request = (struct slice){arena_copy(&l->arena, r.data, r.n), r.n};
        whole = v[i].request.data != NULL;
    }
    if (!whole) {
        if (l) arena_fini(&l->arena);
        free(l);
        return NULL;
    }
    l->q = *q;
    l->q.m.submit_many.rows.v = v;
    l->bytes = bytes;
    return l;
}

int bulk_take(struct server *s, const struct asked *q)
{
    const struct request_rows *rows = &q->m.submit_many.rows;
    struct bulk *b = s->bulk;
    struct load *l;
    size_t bytes = 0;

    if (q->m.kind != MSG_submit_many || rows->n <= PIECE) return 0;
    for (size_t i = 0; i < rows->n; i++) bytes += sizeof *rows->v + rows->v[i].request.n;
    if (b->bytes + bytes > MOST_BYTES || !(l = copy_of(q, bytes))) return 0;
    *b->last = l;
    b->last = &l->next;
    b->bytes += bytes;
    return 1;
}

int bulk_piece(struct server *s, int small, struct asked *piece)
{
    struct load *l = s->bulk->first;
    size_t most = small ? PIECE : PROTO_ROWS, left;

    if (!l) return 0;
    *piece = l->q;
    piece->from.socket = BULK;
    left = l->q.m.submit_many.rows.n - l->done;
    piece->m.submit_many.rows =
        (struct request_rows){left < most ? left : most, l->q.m.submit_many.rows.v + l->done};
    l->out = 1;
    return 1;
}

/* ---- out ---- */

static void answer(struct server *s, struct load *l, struct message *m)
{
    server_answer(s, &l->q.from, m);
    l->answered = 1;
}

static int keep(struct load *l, const struct accepted_rows *rows)
{
    for (size_t i = 0; i < rows->n && l->done < l->q.m.submit_many.rows.n; i++) {
        struct accepted_row *r = &l->accepted[l->done++];
        *r = rows->v[i];
        if (!(r->line = arena_strdup(&l->arena, r->line ? r->line : ""))) return 0;
    }
    return 1;
}

static void refuse(struct server *s, struct load *l, struct err *why)
{
    struct message m = proto_refused(why);
    answer(s, l, &m);
}

void bulk_heard(struct server *s, struct message *m)
{
    struct load *l = s->bulk->first;
    struct message whole = {.kind = MSG_accepted_many};
    struct err e;

    l->out = 0;
    if (m->kind != MSG_accepted_many) {
        answer(s, l, m);
    } else if (!keep(l, &m->accepted_many.rows)) {
        err_set(&e, ERR_NOMEM, "out of memory");
        refuse(s, l, &e);
    } else if (l->done == l->q.m.submit_many.rows.n) {
        whole.accepted_many.rows = (struct accepted_rows){l->done, l->accepted};
        answer(s, l, &whole);
    }
}

void bulk_turn(struct server *s, struct err *why)
{
    for (struct load *l; (l = s->bulk->first); drop_first(s->bulk)) {
        if (!l->answered && (l->out || !s->core)) refuse(s, l, why);
        if (!l->answered) return;
    }
}
