/* quota.c - a table of keys, each with buckets that fill with time and a list of what is under way. */
#include "coordinator/door/quota.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4096, REFUSALS = 20 }; /* keys at once; refusals a second that one key is told */

/* Holds `rate` times two at most, loses what is taken, may be in debt. */
struct bucket {
    double level;
    int64_t at_ms;
};

struct under_way {
    uint64_t peer,
        id; /* peer: a hash of its routing id; another one of the same key may be mistaken for it, at no one else's cost */
    size_t bytes;
    int64_t since_ms;
};

struct visitor {
    struct hash key;
    struct bucket asks, bytes, refusals;
    struct under_way *v; /* owned, room for settings.outstanding */
    size_t n;
    int64_t seen_ms;
};

struct quota {
    struct quota_settings settings;
    struct visitor *slot[SLOTS]; /* owned */
    size_t n, bytes;             /* bytes: under way, of all */
};

/* ---- buckets ---- */

static void fill(struct bucket *b, double per_second, int64_t now_ms)
{
    if (b->at_ms == 0) b->level = 2 * per_second;
    else b->level += per_second * (double)(now_ms - b->at_ms) / 1000;
    if (b->level > 2 * per_second) b->level = 2 * per_second;
    b->at_ms = now_ms;
}

static int take(struct bucket *b, double per_second, int64_t now_ms)
{
    fill(b, per_second, now_ms);
    if (b->level < 1) return 0;
    b->level -= 1;
    return 1;
}

/* ---- the table: open addressing; keys are as good as random ---- */

static size_t home_of(struct hash key)
{
    uint64_t h;
    memcpy(&h, key.v, sizeof h);
    return (size_t)(h % SLOTS);
}

static void forget(struct quota *q, struct visitor *w, int64_t before_ms)
{
    for (size_t i = 0; i < w->n;) {
        if (w->v[i].since_ms >= before_ms) {
            i++;
            continue;
        }
        q->bytes -= w->v[i].bytes;
        w->v[i] = w->v[--w->n];
    }
}

static void free_visitor(struct visitor *w)
{
    if (w) free(w->v);
    free(w);
}

/* Starts the table anew, without those who have nothing under way. */
static void sweep(struct quota *q, int64_t now_ms)
{
    struct visitor *old[SLOTS];

    memcpy(old, q->slot, sizeof old);
    memset(q->slot, 0, sizeof q->slot);
    q->n = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        struct visitor *w = old[i];
        if (!w) continue;
        forget(q, w, now_ms - QUOTA_FORGET_MS);
        if (!w->n && now_ms - w->seen_ms > QUOTA_FORGET_MS) {
            free_visitor(w);
            continue;
        }
        size_t at = home_of(w->key);
        while (q->slot[at]) at = (at + 1) % SLOTS;
        q->slot[at] = w;
        q->n++;
    }
}

static struct visitor *find(struct quota *q, struct hash key, size_t *at)
{
    for (*at = home_of(key); q->slot[*at]; *at = (*at + 1) % SLOTS)
        if (hash_equal(q->slot[*at]->key, key)) return q->slot[*at];
    return NULL;
}

/* NULL: no memory, or thousands of keys at once. */
static struct visitor *visitor(struct quota *q, struct hash key, int64_t now_ms)
{
    size_t at;
    struct visitor *w = find(q, key, &at);

    if (!w && q->n >= SLOTS / 2) {
        sweep(q, now_ms);
        if (q->n >= SLOTS / 2) return NULL;
        find(q, key, &at);
    }
    if (!w) {
        w = mem_alloc(1, sizeof *w);
        if (w) w->v = mem_alloc(q->settings.outstanding, sizeof *w->v);
        if (!w || !w->v) {
            free_visitor(w);
            return NULL;
        }
        w->key = key;
        q->slot[at] = w;
        q->n++;
    }
    w->seen_ms = now_ms;
    return w;
}

/* ---- */

struct quota *quota_make(const struct quota_settings *s)
{
    struct quota *q = mem_alloc(1, sizeof *q);
    if (q) q->settings = *s;
    return q;
}

void quota_free(struct quota *q)
{
    for (size_t i = 0; q && i < SLOTS; i++) free_visitor(q->slot[i]);
    free(q);
}

static enum quota_verdict too_much(struct visitor *w, int64_t now_ms)
{
    return take(&w->refusals, REFUSALS, now_ms) ? QUOTA_REFUSE : QUOTA_IGNORE;
}

enum quota_verdict quota_ask(struct quota *q, struct hash key, int64_t now_ms)
{
    struct visitor *w = visitor(q, key, now_ms);

    if (!w) return QUOTA_IGNORE;
    fill(&w->bytes, q->settings.bytes_per_second, now_ms);
    if (w->bytes.level <= 0 || !take(&w->asks, q->settings.per_second, now_ms))
        return too_much(w, now_ms);
    return QUOTA_PASS;
}

static uint64_t hash_of_peer(const struct link_peer *p)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < p->n; i++) h = (h ^ p->id[i]) * 1099511628211u;
    return h;
}

static struct under_way *same_request(struct visitor *w, uint64_t peer, uint64_t id)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].peer == peer && w->v[i].id == id) return &w->v[i];
    return NULL;
}

enum quota_verdict quota_begin(struct quota *q, const struct link_peer *peer, uint64_t id,
                               size_t bytes, int64_t now_ms)
{
    struct visitor *w = visitor(q, peer->key, now_ms);
    uint64_t hash = hash_of_peer(peer);
    struct under_way *u;

    if (!w) return QUOTA_IGNORE;
    if ((u = same_request(w, hash, id))) {
        q->bytes -= u->bytes;
    } else {
        forget(q, w, now_ms - QUOTA_FORGET_MS);
        if (w->n == q->settings.outstanding) return too_much(w, now_ms);
        if (q->bytes && q->bytes + bytes > q->settings.bytes_under_way) return too_much(w, now_ms);
        u = &w->v[w->n++];
    }
    *u = (struct under_way){hash, id, bytes, now_ms};
    q->bytes += bytes;
    return QUOTA_PASS;
}

int quota_end(struct quota *q, const struct link_peer *peer, uint64_t id, size_t bytes,
              int64_t now_ms)
{
    size_t at;
    struct visitor *w = find(q, peer->key, &at);
    struct under_way *u = w ? same_request(w, hash_of_peer(peer), id) : NULL;

    if (!u) return 0;
    q->bytes -= u->bytes;
    *u = w->v[--w->n];
    fill(&w->bytes, q->settings.bytes_per_second, now_ms);
    w->bytes.level -= (double)bytes;
    return 1;
}
