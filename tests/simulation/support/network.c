/* network.c - messages on their way: lost, doubled, late, in any order, with flipped bits. Most travel as structs, which is quick; some as
 * the bytes that the real encoder writes and the real decoder reads, and all whose bits flip. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256, NONE = UINT32_MAX };

struct parcel *network_parcel(struct world *w, uint32_t i)
{
    return &w->network.chunks[i / CHUNK][i % CHUNK];
}

static void add_chunk(struct network *n)
{
    n->chunks = realloc(n->chunks, (n->n_chunks + 1) * sizeof *n->chunks);
    if (!n->chunks) abort();
    struct parcel *p = n->chunks[n->n_chunks] = calloc(CHUNK, sizeof *p);
    if (!p) abort();
    for (uint32_t i = 0; i < CHUNK; i++)
        p[i].next = i + 1 < CHUNK ? n->n_chunks * CHUNK + i + 1 : NONE;
    n->free = n->n_chunks++ * CHUNK;
}

static uint32_t take(struct world *w)
{
    struct network *n = &w->network;
    if (n->n_chunks == 0 || n->free == NONE) add_chunk(n);
    uint32_t i = n->free;
    n->free = network_parcel(w, i)->next;
    return i;
}

void network_drop(struct world *w, uint32_t i)
{
    struct parcel *p = network_parcel(w, i);

    free(p->bytes);
    p->bytes = NULL;
    p->next = w->network.free;
    w->network.free = i;
}

void network_fini(struct world *w)
{
    struct network *n = &w->network;

    for (uint32_t c = 0; c < n->n_chunks; c++) {
        for (uint32_t i = 0; i < CHUNK; i++) free(n->chunks[c][i].bytes);
        free(n->chunks[c]);
    }
    free(n->chunks);
}

/* ---- as a struct ---- */

/* Makes the copy independent of who sent it. 0: this kind needs bytes. */
static int settle(struct parcel *p)
{
    struct message *m = &p->m;

    switch (m->kind) {
    case MSG_learn:
        memcpy(p->text, m->learn.token, strlen(m->learn.token) + 1);
        m->learn.token = p->text;
        return 1;
    case MSG_result:
        if (m->result.outputs.n == 0) return 1;
        p->hashes[0] = m->result.outputs.v[0];
        m->result.outputs = (struct hashes){1, p->hashes};
        return 1;
    case MSG_stage:
        if (m->stage.chain.n == 0) return 1;
        p->hashes[0] = m->stage.chain.v[m->stage.chain.n - 1];
        m->stage.chain = (struct hashes){1, p->hashes};
        return 1;
    case MSG_refused: m->refused.line = ""; return 1;
    case MSG_done: m->done.line = ""; return 1;
    case MSG_give_up: m->give_up.why = ""; return 1;
    case MSG_who: m->who.line = ""; return 1;
    case MSG_end: m->end.why = ""; return 1;
    case MSG_user_set:
    case MSG_submit_many:
    case MSG_accepted_many: return 0;
    default: return 1;
    }
}

/* ---- as bytes ---- */

static int encode(struct world *w, struct parcel *p, const struct message *m)
{
    struct arena *a = &w->coordinator.arena;
    struct arena_mark mark = arena_mark(a);
    struct slice s;
    struct err e;

    if (proto_encode(m, a, &s, &e)) {
        world_break(w, "answer", "a message cannot be written: %s", e.text);
        return 0;
    }
    p->bytes = malloc(s.n);
    if (!p->bytes) abort();
    memcpy(p->bytes, s.data, s.n);
    p->n = s.n;
    w->counts.bytes_sent++;
    arena_reset(a, mark);
    return 1;
}

static void flip(struct dice *d, struct parcel *p)
{
    for (uint64_t n = 1 + dice_roll(d, 3); n; n--)
        p->bytes[dice_roll(d, p->n)] ^= (uint8_t)(1u << dice_roll(d, 8));
    p->tampered = 1;
}

int network_open(struct world *w, struct parcel *p, struct arena *a, struct message *m)
{
    struct err e;

    if (!p->bytes) {
        *m = p->m;
        if (m->version == 0) m->version = PROTO_VERSION;
        return 1;
    }
    if (proto_decode(p->bytes, p->n, a, m, &e) == OK) {
        w->counts.misread += p->tampered;
        return 1;
    }
    if (!p->tampered) world_break(w, "answer", "a message cannot be read: %s", e.text);
    return 0;
}

/* ---- sending ---- */

static int64_t delay(struct world *w, struct dice *d)
{
    return 1 + (int64_t)dice_roll(d, 20) +
           (fault(w, d, FAULT_late) ? 100 + (int64_t)dice_roll(d, 40000) : 0);
}

static void post(struct world *w, struct dice *d, uint64_t to, uint64_t from,
                 const struct message *m)
{
    uint32_t i = take(w);
    struct parcel *p = network_parcel(w, i);
    int corrupt = fault(w, d, FAULT_corrupt);

    p->m = *m;
    p->to = to;
    p->from = from;
    p->tampered = 0;
    p->bytes = NULL;
    if (corrupt || (w->shape.bytes && dice_roll(d, 1000) < w->shape.bytes) || !settle(p)) {
        if (!encode(w, p, m)) {
            network_drop(w, i);
            return;
        }
        if (corrupt) flip(d, p);
        w->counts.corrupted += (uint64_t)corrupt;
    }
    agenda_add(&w->agenda, w->now_ms + delay(w, d), DO_PARCEL, i, 0);
}

void network_send(struct world *w, struct dice *d, uint64_t to, uint64_t from,
                  const struct message *m)
{
    if (fault(w, d, FAULT_drop)) return;
    post(w, d, to, from, m);
    if (fault(w, d, FAULT_doubled)) post(w, d, to, from, m);
}
