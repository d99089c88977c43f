/* flow.c - where ready jobs stand. A flow is a line of jobs of one user, lineage, priority and class, in the order in which they
 * became ready; one that was given back stands in front, one that was paused or retried at the end. The flows of a user, priority
 * and class form a ring, and their turns go round. Every operation is O(1); entering and leaving also moves the user in a
 * heap (fair.c), O(log users).
 */
#include "coordinator/core/state.h"

struct flow *flow_at(const struct core *c, uint32_t at)
{
    return at ? &c->flows[at - 1] : NULL;
}

struct name {
    uint32_t user, lineage, priority, class;
};

static uint32_t hash_of(const struct core *c, struct name n)
{
    return map_hash(c->settings.seed, &n, sizeof n);
}

static uint32_t find(const struct core *c, struct name n)
{
    uint32_t hash = hash_of(c, n);
    size_t at;

    for (uint32_t i = map_first(&c->flow_keys, hash, &at); i;
         i = map_next(&c->flow_keys, hash, &at)) {
        const struct flow *f = flow_at(c, i);
        if (f->user == n.user && f->lineage == n.lineage && f->priority == n.priority &&
            f->class == n.class)
            return i;
    }
    return 0;
}

/* ---- the ring of a user ---- */

static uint32_t *ring_of(struct core *c, const struct flow *f)
{
    return &user_at(c, f->user)->ring[f->priority][f->class];
}

/* Ready jobs of a flow begin or cease to count. */
static void count(struct core *c, const struct flow *f, int64_t n)
{
    struct user *u = user_at(c, f->user);

    u->row.ready += (uint64_t)n;
    u->ready[f->priority] += (uint32_t)n;
    c->ready_at[f->priority] += (uint64_t)n;
    fair_user(c, u);
}

static void ring_in(struct core *c, uint32_t at)
{
    struct flow *f = flow_at(c, at), *head;
    uint32_t *ring = ring_of(c, f);

    f->ringed = 1;
    if (!*ring) {
        *ring = f->next = f->prev = at;
    } else { /* at the end: before the one that is next */
        head = flow_at(c, *ring);
        f->next = *ring;
        f->prev = head->prev;
        flow_at(c, f->prev)->next = at;
        head->prev = at;
    }
    count(c, f, f->n);
}

static void unlink_ring(struct core *c, uint32_t at)
{
    struct flow *f = flow_at(c, at);
    uint32_t *ring = ring_of(c, f);

    flow_at(c, f->next)->prev = f->prev;
    flow_at(c, f->prev)->next = f->next;
    if (*ring == at) *ring = f->next == at ? 0 : f->next;
    f->ringed = 0;
}

static void ring_out(struct core *c, uint32_t at)
{
    unlink_ring(c, at);
    count(c, flow_at(c, at), -(int64_t)flow_at(c, at)->n);
}

void flow_turned(struct core *c, uint32_t at)
{
    struct flow *f = flow_at(c, at), *head;
    uint32_t *ring = ring_of(c, f);

    f->passed = 0;
    if (f->next == at) return;
    if (*ring == at) {
        *ring = f->next;
        return;
    }
    unlink_ring(c, at);
    head = flow_at(c, *ring);
    f->ringed = 1;
    f->next = *ring;
    f->prev = head->prev;
    flow_at(c, f->prev)->next = at;
    head->prev = at;
}

/* ---- making and ending flows ---- */

static uint32_t make(struct core *c, struct name n)
{
    struct lineage *l = lineage_at(c, n.lineage);
    uint32_t at = c->free_flow;

    if (at) c->free_flow = flow_at(c, at)->next;
    else if (core_grow(c, &c->flows, &c->flows_room, c->n_flows, sizeof *c->flows))
        at = (uint32_t)++c->n_flows;
    if (!at || !map_add(&c->flow_keys, hash_of(c, n), at)) {
        c->broken = 1;
        return 0;
    }
    *flow_at(c, at) = (struct flow){.user = n.user,
                                    .lineage = n.lineage,
                                    .priority = (uint8_t)n.priority,
                                    .class = (uint8_t)n.class,
                                    .more = l->flows};
    if (l->flows) flow_at(c, l->flows)->less = at;
    l->flows = at;
    return at;
}

static void end(struct core *c, uint32_t at)
{
    struct flow *f = flow_at(c, at);
    struct name n = {f->user, f->lineage, f->priority, f->class};

    if (f->ringed) unlink_ring(c, at);
    *(f->less ? &flow_at(c, f->less)->more : &lineage_at(c, f->lineage)->flows) = f->more;
    if (f->more) flow_at(c, f->more)->less = f->less;
    map_remove(&c->flow_keys, hash_of(c, n), at);
    *f = (struct flow){.next = c->free_flow};
    c->free_flow = at;
}

/* ---- jobs ---- */

static void enter(struct core *c, uint32_t at, struct core_job *j, int front)
{
    struct flow *f = flow_at(c, at);

    j->list = IN_FLOW;
    j->flow = at;
    j->ticket = front && f->first ? job_at(c, f->first)->ticket - 1 : f->tickets++;
    j->next = front ? f->first : 0;
    j->prev = front ? 0 : f->last;
    *(j->prev ? &job_at(c, j->prev)->next : &f->first) = j->self;
    *(j->next ? &job_at(c, j->next)->prev : &f->last) = j->self;
    f->n++;
    if (f->ringed) count(c, f, 1);
    else if (!lineage_at(c, f->lineage)->row.held) ring_in(c, at);
}

void fair_unlist(struct core *c, struct core_job *j)
{
    struct flow *f = flow_at(c, j->flow);

    if (j->list != IN_FLOW) return;
    *(j->prev ? &job_at(c, j->prev)->next : &f->first) = j->next;
    *(j->next ? &job_at(c, j->next)->prev : &f->last) = j->prev;
    f->n--;
    if (f->ringed) count(c, f, -1);
    if (!f->n) end(c, j->flow);
    j->list = NOWHERE;
    j->flow = j->next = j->prev = 0;
}

enum stage_kind fair_ready_stage(const struct core_job *j)
{
    for
        EACH_STAGE(k)
        {
            const struct core_stage *s;
            if (stage_state(j, k) == STAGE_READY && (!(s = stage_of(j, k)) || !s->not_before_ms))
                return k;
        }
    return (enum stage_kind)0;
}

enum class fair_class(const struct core *c, const struct core_job *j, enum stage_kind k) {
    if (k == STAGE_SAMPLE || k == STAGE_EVALUATE) return BESIDE;
    return k != STAGE_PRIOR || lineage_is_turn(c, j) ? URGENT : AHEAD;
}

void fair_list(struct core *c, struct core_job *j, int front)
{
    enum stage_kind k =
        JOB_ENDED(j->state) || (j->flags & JOB_HELD) ? (enum stage_kind)0 : fair_ready_stage(j);
    struct name n = {j->owner, j->lineage, j->priority, 0};
    uint32_t at;

    if (!k) {
        fair_unlist(c, j);
        return;
    }
    n.class = fair_class(c, j, k);
    if (j->list == IN_FLOW && flow_at(c, j->flow)->class == n.class) return;
    fair_unlist(c, j);
    assert(j->list == NOWHERE);
    if ((at = find(c, n)) || (at = make(c, n))) enter(c, at, j, front);
}

void fair_hold(struct core *c, struct lineage *l)
{
    for (uint32_t at = l->flows; at; at = flow_at(c, at)->more) {
        if (l->row.held && flow_at(c, at)->ringed) ring_out(c, at);
        else if (!l->row.held && !flow_at(c, at)->ringed) ring_in(c, at);
    }
}
