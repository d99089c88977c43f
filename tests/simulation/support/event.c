/* event.c - from a message on the wire to an event of the core, with what it needs beside itself: a digest, the jobs of the past. Worlds on
 * the real store ask coordinator/server/event.c, which reads it; the others do the same from rows in memory. */
#include "tests/simulation/support/world.h"

#include "coordinator/server/server.h"

#include <string.h>

/* ---- what a message needs beside itself ---- */

static uint64_t mix_bytes(uint64_t h, const void *data, size_t n)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < n; i++) h = (h ^ at[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

static uint64_t mix_text(uint64_t h, const char *s)
{
    return mix_bytes(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

static uint64_t mix_texts(uint64_t h, struct strs s)
{
    for (size_t i = 0; i < s.n; i++) h = mix_text(h, s.v[i]);
    return mix_bytes(h, &s.n, sizeof s.n);
}

/* clang-format off */
#define RECORD(name) static inline uint64_t mix_##name(uint64_t h, const struct name *m) { (void)m;
#define END_RECORD(name) return h; }
#define MESSAGE(number, name, from, since) static uint64_t mix_msg_##name(uint64_t h, const struct msg_##name *m) { (void)m;
#define END(name) return h; }
#define U64(name, max) h = mix_bytes(h, &m->name, 8);
#define I64(name) h = mix_bytes(h, &m->name, 8);
#define F64(name) h = mix_bytes(h, &m->name, 8);
#define STR(name, max) h = mix_text(h, m->name);
#define BYTES(name, max) h = mix_bytes(h, m->name.data, m->name.n);
#define HASH(name) h = mix_bytes(h, m->name.v, HASH_BYTES);
#define STRS(name, n, max) h = mix_texts(h, m->name);
#define HASHES(name, count) h = mix_bytes(h, m->name.v, m->name.n * HASH_BYTES);
#define ROWS(name, record, max) for (size_t i = 0; i < m->name.n; i++) h = mix_##record(h, &m->name.v[i]);
#include "proto/messages.def"
/* clang-format on */

/* Of all that a message says, quickly; the real one encodes it and takes its SHA-256. */
static struct hash digest(const struct message *m)
{
    struct hash out = {{0}};
    uint64_t h = m->kind;

    switch (m->kind) {
#define MESSAGE(number, name, from, since) \
    case MSG_##name:                       \
        h = mix_msg_##name(h, &m->name);   \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    memcpy(out.v, &h, sizeof h);
    return out;
}

/* Alive as long as the batch. */
static const struct core_past *past(struct world *w, const struct message *m)
{
    struct core_past *room;
    const struct core_past *found = NULL;
    struct hash key;
    uint64_t job = 0;
    enum core_past_by by = core_wants_past(w->coordinator.core, m, &key, &job);

    if (by == CORE_PAST_NONE) return NULL;
    room = arena_alloc(&w->coordinator.arena, sizeof *room);
    found = disk_past(w, room, job, by == CORE_PAST_KEY ? &key : NULL);
    return found && (JOB_ENDED(found->job.state)) ? found : NULL;
}

static int makes(enum msg_kind k)
{
    return k == MSG_learn || k == MSG_sample || k == MSG_evaluate;
}

static void request_of(struct world *w, const struct message *m, struct core_request *r)
{
    *r = (struct core_request){.message = m, .digest = digest(m), .bytes = 200};
    r->past = makes(m->kind) ? past(w, m) : NULL;
}

static void requests_of(struct world *w, const struct message *m, struct core_event *ev)
{
    struct arena *a = &w->coordinator.arena;
    size_t n = m->kind == MSG_submit_many ? m->submit_many.rows.n : 1;
    struct core_request *r = arena_alloc(a, (n ? n : 1) * sizeof *r);

    ev->requests = r;
    ev->n_requests = n;
    if (m->kind != MSG_submit_many) {
        request_of(w, m, r);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct slice s = m->submit_many.rows.v[i].request;
        struct message *row = arena_alloc(a, sizeof *row);
        struct err e;
        if (proto_decode(s.data, s.n, a, row, &e) || !makes(row->kind))
            r[i] = (struct core_request){.code = ERR_PROTOCOL, .line = "no request"};
        else request_of(w, row, &r[i]);
    }
}

static int for_core(enum msg_kind k)
{
    switch (k) {
    case MSG_ping:
    case MSG_lineage_list:
    case MSG_queue:
    case MSG_job:
    case MSG_watch:
    case MSG_log:
    case MSG_user_list:
    case MSG_group_list:
    case MSG_audit:
    case MSG_object_get:
    case MSG_object_put: return 0;
    default: return 1;
    }
}

/* A bug of the process, planted: a result is moved under the epoch that would be heard. */
static void no_fence(struct world *w, struct message *m, struct core_event *ev)
{
    const struct core_job *j = core_job(w->coordinator.core, m->result.job);
    const struct core_stage *s = j ? core_stage_of(j, (enum stage_kind)m->result.stage) : NULL;

    if (!s || core_stage_state(j, s->kind) != STAGE_LEASED) return;
    m->result.epoch = s->epoch;
    ev->group = s->group;
}

static void spoil(struct world *w, struct message *m, struct core_event *ev)
{
    struct coordinator *k = &w->coordinator;

    if (w->o.bug == BUG_no_fence && m->kind == MSG_result) no_fence(w, m, ev);
    if (w->o.bug == BUG_no_key && m->kind == MSG_sample)
        m->sample.key = nonce_hash(++w->intents << 32);
    if (w->o.bug == BUG_other_user && ev->user && dice_roll(&k->dice, 50) == 0)
        ev->user = w->people[dice_roll(&k->dice, w->shape.users)].name;
}

/* As the process does it, from the real store. */
static int real_event(struct world *w, const struct parcel *p, const struct message *m,
                      struct core_event *ev)
{
    struct coordinator *k = &w->coordinator;
    struct server s = {.core = k->core, .store = w->disk.store, .now_ms = k->now_ms};
    struct asked *q = arena_alloc(&k->arena, sizeof *q);
    struct err e;

    *q = (struct asked){.m = *m, .from = ev->from, .role = ev->role};
    q->from.socket = USERS;
    if (ev->user) strcpy(q->user, ev->user);
    struct core_event made;
    if (event_make(&s, q, &k->arena, &made, &e)) {
        world_break(w, "store", "`%s` of %llu: %s", proto_name(m->kind),
                    (unsigned long long)NUMBER_OF(p->from), e.text);
        return 0;
    }
    made.group = ev->group;
    *ev = made;
    return 1;
}

int event_of(struct world *w, uint32_t parcel, struct core_event *ev)
{
    struct coordinator *k = &w->coordinator;
    struct parcel *p = network_parcel(w, parcel);
    struct message *m = arena_alloc(&k->arena, sizeof *m);

    *ev = (struct core_event){.type = CORE_MESSAGE, .message = m};
    if (!network_open(w, p, &k->arena, m)) return 0;
    if (proto_from(m->kind) != (IS_PERSON(p->from) ? FROM_USER : FROM_WORKER) || !for_core(m->kind))
        return 0;
    memcpy(ev->from.peer, &p->from, sizeof p->from);
    ev->from.n = sizeof p->from;
    ev->from.version = (uint8_t)m->version;
    ev->from.id = m->id;
    if (IS_PERSON(p->from)) {
        const struct person *who = &w->people[NUMBER_OF(p->from)];
        ev->user = who->name;
        ev->role = who->is_admin ? ROLE_ADMIN : ROLE_USER;
    } else {
        ev->group = nonce_hash(NUMBER_OF(p->from));
    }
    spoil(w, m, ev);
    if (w->disk.store) return real_event(w, p, m, ev);
    if (makes(m->kind) || m->kind == MSG_lineage_create || m->kind == MSG_submit_many)
        requests_of(w, m, ev);
    else ev->past = past(w, m);
    return 1;
}
