/* quota.c - a table of keys, each with buckets that fill with time and a list of what is under way. */
#include "coordinator/door/quota.h"

#include <stdlib.h>
#include <string.h>

/* SLOTS: keys at once. REFUSALS: told to one key in a second. OVERHEAD: what a request costs beside its bytes, here and there. */
enum { SLOTS = 4096, MARKS = 4096, REFUSALS = 20, OVERHEAD = 256 };

/* Holds `rate` times two at most, loses what is taken, may be in debt. */
struct bucket {
    double level;
    int64_t at_ms;
};

struct visitor {
    struct hash key;
    struct bucket asks, bytes, refusals;
    size_t n; /* requests under way */
    int64_t seen_ms;
};

/* A request that waits for its answer, among those of its mark and, by age, among all. */
struct under_way {
    struct under_way *next, *older, *newer;
    struct visitor *of; /* stays as long as it has something under way */
    uint64_t id;
    size_t bytes;
    int64_t since_ms;
    uint8_t route[sizeof((struct link_peer *)0)->id], n;
};

struct quota {
    struct quota_settings settings;
    struct visitor *slot[SLOTS];   /* owned */
    struct under_way *mark[MARKS]; /* owned */
    struct under_way *oldest, *newest;
    size_t n, bytes; /* bytes: under way, of all */
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

static int is_idle(const struct visitor *w, int64_t now_ms)
{
    return !w->n && now_ms - w->seen_ms > QUOTA_FORGET_MS;
}

/* Starts the table anew, without those who are gone. */
static void sweep(struct quota *q, int64_t now_ms)
{
    struct visitor *old[SLOTS];

    memcpy(old, q->slot, sizeof old);
    memset(q->slot, 0, sizeof q->slot);
    q->n = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        struct visitor *w = old[i];
        if (!w) continue;
        if (is_idle(w, now_ms)) {
            free(w);
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
        if (!(w = mem_alloc(1, sizeof *w))) return NULL;
        w->key = key;
        q->slot[at] = w;
        q->n++;
    }
    w->seen_ms = now_ms;
    return w;
}

/* ---- what is under way ---- */

static struct under_way **find_mark(struct quota *q, const struct link_peer *p, uint64_t id)
{
    uint64_t h = 14695981039346656037u ^ id; /* FNV-1a */
    for (size_t i = 0; i < p->n; i++) h = (h ^ p->id[i]) * 1099511628211u;
    struct under_way **at = &q->mark[(h ^ h >> 32) % MARKS];

    while (*at && !((*at)->id == id && (*at)->n == p->n && !memcmp((*at)->route, p->id, p->n)))
        at = &(*at)->next;
    return at;
}

static void take_out(struct quota *q, struct under_way **at)
{
    struct under_way *u = *at;

    *at = u->next;
    *(u->older ? &u->older->newer : &q->oldest) = u->newer;
    *(u->newer ? &u->newer->older : &q->newest) = u->older;
    u->of->n--;
    q->bytes -= u->bytes;
    free(u);
}

static void forget(struct quota *q, int64_t now_ms)
{
    while (q->oldest && now_ms - q->oldest->since_ms > QUOTA_FORGET_MS) {
        struct link_peer p = {.n = q->oldest->n};
        memcpy(p.id, q->oldest->route, p.n);
        take_out(q, find_mark(q, &p, q->oldest->id));
    }
}

static int put_in(struct quota *q, struct under_way **at, const struct link_peer *p,
                  const struct under_way *what)
{
    struct under_way *u = mem_alloc(1, sizeof *u);

    if (!u) return 0;
    *u = *what;
    u->n = p->n;
    memcpy(u->route, p->id, p->n);
    u->older = q->newest;
    *(q->newest ? &q->newest->newer : &q->oldest) = u;
    q->newest = u;
    *at = u;
    u->of->n++;
    q->bytes += u->bytes;
    return 1;
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
    if (!q) return;
    for (struct under_way *u = q->oldest, *newer; u; u = newer) {
        newer = u->newer;
        free(u);
    }
    for (size_t i = 0; i < SLOTS; i++) free(q->slot[i]);
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

enum quota_verdict quota_begin(struct quota *q, const struct link_peer *peer, uint64_t id,
                               size_t bytes, int64_t now_ms)
{
    struct visitor *w = visitor(q, peer->key, now_ms);
    struct under_way **at, new = {.of = w, .id = id, .bytes = bytes + OVERHEAD, .since_ms = now_ms};

    if (!w) return QUOTA_IGNORE;
    forget(q, now_ms);
    at = find_mark(q, peer, id);
    if (*at) {
        take_out(q, at);
        at = find_mark(q, peer, id);
    }
    if (w->n >= q->settings.outstanding) return too_much(w, now_ms);
    if (q->bytes && q->bytes + new.bytes > q->settings.bytes_under_way) return too_much(w, now_ms);
    return put_in(q, at, peer, &new) ? QUOTA_PASS : QUOTA_IGNORE;
}

int quota_end(struct quota *q, struct link_peer *peer, uint64_t id, size_t bytes, int64_t now_ms)
{
    struct under_way **at = find_mark(q, peer, id);

    if (!*at) return 0;
    peer->key = (*at)->of->key;
    fill(&(*at)->of->bytes, q->settings.bytes_per_second, now_ms);
    (*at)->of->bytes.level -= (double)bytes;
    take_out(q, at);
    return 1;
}

void quota_weigh(struct quota *q, struct hash key, double more, int64_t now_ms)
{
    struct visitor *w = visitor(q, key, now_ms);

    if (w) w->asks.level -= more;
}

void quota_charge(struct quota *q, struct hash key, size_t bytes, int64_t now_ms)
{
    struct visitor *w = visitor(q, key, now_ms);

    if (!w) return;
    fill(&w->bytes, q->settings.bytes_per_second, now_ms);
    w->bytes.level -= (double)bytes;
}
