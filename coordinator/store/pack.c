#include "coordinator/store/pack.h"
#include "coordinator/store/db.h"
#include "coordinator/store/intern.h"

#include <string.h>

/* ---- bytes, one way or the other ---- */

enum way { COUNT, WRITE, READ };

struct pack {
    struct store *store;
    struct arena *arena;
    enum way way;
    uint8_t *data;   /* WRITE */
    struct slice in; /* READ: what is left */
    size_t n;
    uint64_t *ids; /* texts by number, in order of the walk: found once, written once */
    size_t n_ids, at_id;
    int release; /* READ: each text that is named has one use less */
    enum code code;
    struct err *err;
};

static void fail(struct pack *p)
{
    if (!p->code) p->code = err_set(p->err, ERR_CORRUPT, "a packed request ends in its middle");
    p->in.n = 0;
}

static void raw(struct pack *p, void *bytes, size_t n)
{
    if (p->way == READ) {
        if (p->in.n < n) {
            memset(bytes, 0, n);
            fail(p);
            return;
        }
        memcpy(bytes, p->in.data, n);
        p->in.data += n;
        p->in.n -= n;
    } else {
        if (p->way == WRITE) memcpy(p->data + p->n, bytes, n);
        p->n += n;
    }
}

static void number(struct pack *p, uint64_t *v)
{
    uint8_t byte;

    if (p->way == READ) {
        *v = 0;
        for (int shift = 0;; shift += 7) {
            raw(p, &byte, 1);
            if (shift < 64) *v |= (uint64_t)(byte & 127) << shift;
            if (byte < 128 || p->code) return;
        }
    }
    for (uint64_t left = *v;; left >>= 7) {
        byte = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
        raw(p, &byte, 1);
        if (left <= 127) return;
    }
}

/* Room for n things of `size` bytes each, of which each takes at least one byte here. */
static void *room(struct pack *p, size_t n, size_t size)
{
    void *v;

    if (p->code || n == 0) return NULL;
    if (n > p->in.n || n > PROTO_ITEMS) {
        fail(p);
        return NULL;
    }
    v = arena_alloc(p->arena, n * size);
    if (!v) p->code = err_set(p->err, ERR_NOMEM, "out of memory");
    return v;
}

static void hash(struct pack *p, struct hash *h)
{
    uint8_t there = !hash_is_zero(*h);

    raw(p, &there, 1);
    if (there) raw(p, h->v, HASH_BYTES);
    else if (p->way == READ) memset(h, 0, sizeof *h);
}

static void hashes(struct pack *p, struct hashes *v)
{
    uint64_t n = v->n;

    number(p, &n);
    if (p->way == READ) *v = (struct hashes){.v = room(p, (size_t)n, sizeof *v->v)};
    if (p->way == READ && v->v) v->n = (size_t)n;
    for (size_t i = 0; i < v->n && !p->code; i++) raw(p, v->v[i].v, HASH_BYTES);
}

static void text_in(struct pack *p, const char **s)
{
    uint64_t tag;
    char *copy;

    *s = "";
    number(p, &tag);
    if (p->code) return;
    if (tag & 1) {
        if (p->release) p->code = intern_release(p->store, tag >> 1, p->err);
        else p->code = intern_text_of(p->store, tag >> 1, p->arena, s, p->err);
        return;
    }
    if (tag >> 1 > p->in.n) {
        fail(p);
        return;
    }
    copy = arena_alloc(p->arena, (size_t)(tag >> 1) + 1);
    if (!copy) p->code = err_set(p->err, ERR_NOMEM, "out of memory");
    else raw(p, copy, (size_t)(tag >> 1));
    if (copy) *s = copy;
}

/* Counting asks the table, writing repeats the answers. */
static void text(struct pack *p, const char **s)
{
    size_t n = p->way == READ || !*s ? 0 : strlen(*s);
    uint64_t tag;

    if (p->way == READ) {
        text_in(p, s);
        return;
    }
    if (p->way == COUNT) p->ids[p->at_id] = n ? intern_text(p->store, *s, n, &p->code, p->err) : 0;
    tag = p->ids[p->at_id] ? p->ids[p->at_id] * 2 + 1 : 2 * n;
    p->at_id++;
    number(p, &tag);
    if (tag == 2 * n && n) raw(p, (void *)(uintptr_t)*s, n);
}

static void texts(struct pack *p, struct strs *v)
{
    uint64_t n = v->n;

    number(p, &n);
    if (p->way == READ) *v = (struct strs){.v = room(p, (size_t)n, sizeof *v->v)};
    if (p->way == READ && v->v) v->n = (size_t)n;
    for (size_t i = 0; i < v->n && !p->code; i++) text(p, &v->v[i]);
}

static void seed(struct pack *p, uint64_t *v)
{
    uint8_t small = *v < 1u << 14;

    raw(p, &small, 1);
    if (small) number(p, v);
    else raw(p, v, sizeof *v);
}

/* ---- the three requests ---- */

enum { HALF = HASH_BYTES / 2 };

static void walk(struct pack *p, struct message *m)
{
    uint8_t version = (uint8_t)m->version;

    raw(p, &version, 1);
    m->version = version;
    switch (m->kind) {
    case MSG_learn:
        raw(p, m->learn.key.v + HALF, HALF);
        number(p, &m->learn.wants);
        hashes(p, &m->learn.images);
        texts(p, &m->learn.captions);
        seed(p, &m->learn.seed);
        texts(p, &m->learn.preview_prompts);
        text(p, &m->learn.settings);
        break;
    case MSG_sample:
        raw(p, m->sample.key.v + HALF, HALF);
        hash(p, &m->sample.commit);
        texts(p, &m->sample.prompts);
        text(p, &m->sample.negative);
        number(p, &m->sample.per_prompt);
        seed(p, &m->sample.seed);
        text(p, &m->sample.settings);
        break;
    default:
        raw(p, m->evaluate.key.v + HALF, HALF);
        hash(p, &m->evaluate.commit);
        texts(p, &m->evaluate.prompts);
        number(p, &m->evaluate.per_prompt);
        seed(p, &m->evaluate.seed);
        text(p, &m->evaluate.settings);
    }
}

static size_t n_texts(const struct message *m)
{
    return 2 + (m->kind == MSG_learn    ? m->learn.captions.n + m->learn.preview_prompts.n
                : m->kind == MSG_sample ? m->sample.prompts.n
                                        : m->evaluate.prompts.n);
}

enum code pack_request(struct store *s, const struct message *m, struct arena *a, struct slice *out,
                       struct err *e)
{
    struct pack p = {.store = s, .arena = a, .way = COUNT, .err = e};
    struct message copy = *m;

    if (!copy.version) copy.version = PROTO_VERSION;
    p.ids = arena_alloc(a, n_texts(m) * sizeof *p.ids);
    if (!p.ids) return err_set(e, ERR_NOMEM, "out of memory");
    walk(&p, &copy);
    if (!p.code && !(p.data = arena_alloc(a, p.n))) p.code = err_set(e, ERR_NOMEM, "out of memory");
    if (p.code) return p.code;
    p.way = WRITE;
    p.n = p.at_id = 0;
    walk(&p, &copy);
    *out = (struct slice){p.data, p.n};
    return p.code;
}

/* ---- back ---- */

static int is_whole(struct slice request)
{
    return request.n > 0 && request.data[0] == 0x94;
}

static enum msg_kind kind_of(uint64_t job_kind)
{
    return job_kind == JOB_LEARN ? MSG_learn : job_kind == JOB_SAMPLE ? MSG_sample : MSG_evaluate;
}

static void add_columns(const struct packed_row *row, struct message *m)
{
    struct hash key = {{0}};

    memcpy(key.v, row->key.data, row->key.n < HALF ? row->key.n : HALF);
    if (m->kind == MSG_learn) {
        m->learn.lineage = row->lineage;
        m->learn.token = row->token;
        m->learn.class_word = row->class_word;
        m->learn.kind = row->concept;
        m->learn.prior_key = row->prior_key;
        m->learn.priority = row->priority;
        memcpy(m->learn.key.v, key.v, HALF);
    } else if (m->kind == MSG_sample) {
        m->sample.lineage = row->lineage;
        m->sample.priority = row->priority;
        memcpy(m->sample.key.v, key.v, HALF);
    } else {
        m->evaluate.lineage = row->lineage;
        m->evaluate.priority = row->priority;
        memcpy(m->evaluate.key.v, key.v, HALF);
    }
}

static enum code read_row(struct pack *p, const struct packed_row *row, struct message *m)
{
    if (is_whole(row->request))
        return proto_decode(row->request.data, row->request.n, p->arena, m, p->err);
    *m = (struct message){.kind = kind_of(row->kind)};
    p->way = READ;
    p->in = row->request;
    walk(p, m);
    if (!p->code && p->in.n)
        p->code = err_set(p->err, ERR_CORRUPT, "a packed request does not end where it should");
    add_columns(row, m);
    return p->code;
}

enum code unpack_request(struct store *s, const struct packed_row *row, struct arena *a,
                         struct message *m, struct err *e)
{
    struct pack p = {.store = s, .arena = a, .err = e};
    return read_row(&p, row, m);
}

enum code pack_forgotten(struct store *s, const struct packed_row *row, struct arena *a,
                         struct slice *out, struct err *e)
{
    struct pack p = {.store = s, .arena = a, .release = 1, .err = e};
    struct message m, kept;
    enum code rc = unpack_request(s, row, a, &kept, e);

    if (rc || (rc = read_row(&p, row, &m))) return rc;
    if (kept.kind == MSG_learn) kept.learn.captions.n = kept.learn.preview_prompts.n = 0;
    else if (kept.kind == MSG_sample) {
        kept.sample.prompts.n = 0;
        kept.sample.negative = "";
    } else kept.evaluate.prompts.n = 0;
    return pack_request(s, &kept, a, out, e);
}

const uint8_t *pack_images(struct slice request, size_t *n)
{
    struct pack p = {.way = READ, .in = request};
    uint8_t head[1 + HALF];
    uint64_t wants, count = 0;

    *n = 0;
    if (is_whole(request)) return NULL;
    raw(&p, head, sizeof head);
    number(&p, &wants);
    number(&p, &count);
    if (!p.code && count <= p.in.n / HASH_BYTES) *n = (size_t)count;
    return p.in.data;
}
