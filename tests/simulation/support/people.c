/* people.c - users: they make lineages, submit concepts and wishes, ask again until they are answered, sometimes once more, change their
 * mind, pause, retry, share, reach for what is not theirs and send nonsense. The first one is the admin; when the faults have
 * stopped they tidy up whatever is in the way of an end. */
#include "tests/simulation/support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t roll(struct person *p, uint64_t n)
{
    return dice_roll(&p->dice, n);
}

void person_wake(struct world *w, uint32_t i, int64_t in_ms)
{
    agenda_add(&w->agenda, w->now_ms + in_ms, DO_PERSON, i, ++w->people[i].stamp);
}

/* ---- asking ---- */

static void send(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];

    p->asks.id = ++p->next_id;
    network_send(w, &p->dice, COORDINATOR, PERSON(i), &p->asks);
    person_wake(w, i, 400 + (int64_t)roll(p, 4000));
}

static void ask(struct world *w, uint32_t i, const struct message *m)
{
    struct person *p = &w->people[i];

    p->asks = *m;
    p->asking = 1;
    p->made = 0;
    w->asking++;
    p->asks.version = m->kind <= MSG_stop && roll(p, 8) == 0 ? 1 : PROTO_VERSION;
    if (p->asks.version == 1) {
        if (m->kind == MSG_learn) p->asks.learn.priority = 0;
        if (m->kind == MSG_sample) p->asks.sample.priority = 0;
        if (m->kind == MSG_evaluate) p->asks.evaluate.priority = 0;
        if (m->kind == MSG_lineage_create) p->asks.version = PROTO_VERSION;
    }
    send(w, i);
}

/* ---- jobs ---- */

static uint32_t some_lineage(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    uint32_t own = (w->shape.lineages + w->shape.users - 1 - i) /
                   w->shape.users; /* theirs: i, i + users, .. */

    if (i < w->shape.lineages && own && roll(p, 8))
        return i + (uint32_t)roll(p, own) * w->shape.users;
    return (uint32_t)roll(p, w->shape.lineages);
}

static uint64_t some_priority(struct person *p)
{
    uint64_t r = roll(p, 10);
    return r == 0 ? PRIORITY_HIGH : r == 1 ? PRIORITY_LOW : PRIORITY_NORMAL;
}

static struct message learn(struct world *w, uint32_t i, uint64_t intent, char token[32])
{
    struct person *p = &w->people[i];
    uint64_t shape = dice_next(&p->dice);
    struct message m = {.kind = MSG_learn};

    snprintf(token, 32, "<t%llu>", (unsigned long long)intent);
    m.learn = (struct msg_learn){.key = nonce_hash(intent | 1ull << 40),
                                 .lineage = w->lineage_names[some_lineage(w, i)],
                                 .token = token,
                                 .class_word = "dog",
                                 .kind = CONCEPT_ANIMAL,
                                 .wants = shape & 15,
                                 .images = {1, &w->image},
                                 .seed = intent,
                                 .preview_prompts = {1, w->prompts},
                                 .priority = some_priority(p)};
    if (m.learn.wants & WANT_PRIOR)
        m.learn.prior_key = nonce_hash((shape >> 8) % w->shape.priors | 1ull << 41);
    return m;
}

static struct message read_job(struct world *w, uint32_t i, uint64_t intent)
{
    struct person *p = &w->people[i];
    const char *lineage = w->lineage_names[some_lineage(w, i)];
    uint32_t id = roll(p, 3) ? 0 : ledger_lineage_named(&w->ledger, lineage);
    struct hash key = nonce_hash(intent | 1ull << 40), commit = {{0}};
    struct message m = {.kind = roll(p, 4) ? MSG_sample : MSG_evaluate};

    if (id) commit = w->ledger.lineages[id].head;
    if (m.kind == MSG_sample)
        m.sample = (struct msg_sample){.key = key,
                                       .lineage = lineage,
                                       .commit = commit,
                                       .prompts = {1, w->prompts},
                                       .per_prompt = 1,
                                       .seed = intent,
                                       .priority = some_priority(p)};
    else
        m.evaluate = (struct msg_evaluate){.key = key,
                                           .lineage = lineage,
                                           .commit = commit,
                                           .seed = intent,
                                           .priority = some_priority(p)};
    return m;
}

static void submit(struct world *w, uint32_t i, int learns)
{
    struct person *p = &w->people[i];
    uint64_t intent = ++w->intents;
    struct message m = learns ? learn(w, i, intent, p->text) : read_job(w, i, intent);

    if (learns && roll(p, 12) == 0)
        snprintf(p->text, sizeof p->text, "<again%llu>", (unsigned long long)roll(p, 12));
    ask(w, i, &m);
}

static void submit_some(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    size_t n = 1 + roll(p, 8);
    struct arena *a = &p->many;
    struct arena_mark none = {0};
    struct request_row *rows;
    struct err e;

    arena_reset(a, none);
    rows = arena_alloc(a, n * sizeof *rows);
    for (size_t k = 0; k < n; k++) {
        char token[32];
        uint64_t intent = ++w->intents;
        struct message m = roll(p, 2) ? learn(w, i, intent, token) : read_job(w, i, intent);
        if (proto_encode(&m, a, &rows[k].request, &e)) abort();
    }
    ask(w, i, &(struct message){.kind = MSG_submit_many, .submit_many.rows = {n, rows}});
}

static void nonsense_about_a_lineage(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    struct message m = {.kind = MSG_lineage_create,
                        .lineage_create = {.key = nonce_hash(++w->intents | 1ull << 44),
                                           .name = "new",
                                           .base_path = "/base",
                                           .base_hash = w->image,
                                           .visibility = 7}};

    if (roll(p, 3) == 0) m.lineage_create.key = (struct hash){{0}};
    if (roll(p, 3) == 0) m.lineage_create.name = "../etc";
    if (roll(p, 2)) ask(w, i, &m);
    else
        ask(w, i,
            &(struct message){
                .kind = MSG_lineage_set,
                .lineage_set = {.lineage = w->lineage_names[some_lineage(w, i)], .on_failure = 9}});
}

static void submit_nonsense(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    struct message m = learn(w, i, ++w->intents, p->text);

    if (roll(p, 4) == 0) {
        nonsense_about_a_lineage(w, i);
        return;
    }
    m.learn.images.n = 0;
    switch (roll(p, 8)) {
    case 6:
        m.learn.images.n = 1;
        m.learn.captions = (struct strs){2, w->prompts};
        break;
    case 7:
        m.learn.images.n = 1;
        m.learn.wants |= WANT_SAMPLE;
        m.learn.preview_prompts.n = 0;
        break;
    case 0: m.learn.token = ""; break;
    case 1: m.learn.kind = 9; break;
    case 2: m.learn.wants ^= WANT_PRIOR; break;
    case 3: m.learn.lineage = "nowhere"; break;
    case 4: m.learn.priority = 7; break;
    default: m.learn.key = (struct hash){{0}}; break;
    }
    ask(w, i, &m);
}

/* ---- what one does to what is there ---- */

static uint64_t some_job(struct world *w, struct person *p)
{
    if (p->n_jobs && roll(p, 12)) return p->jobs[roll(p, p->n_jobs < 8 ? p->n_jobs : 8)];
    return 1 + roll(p, w->ledger.n_jobs + 2);
}

static struct strs some_names(struct world *w, struct person *p)
{
    uint64_t n = roll(p, 3), all = w->n_names;
    if (n == 0 || all < 2) return (struct strs){0, NULL};
    return (struct strs){n, w->names + roll(p, all - 1)};
}

static void make_lineage(struct world *w, uint32_t i, uint32_t k)
{
    struct person *p = &w->people[i];
    struct message m = {.kind = MSG_lineage_create};

    m.lineage_create = (struct msg_lineage_create){.key = nonce_hash(k | 1ull << 42),
                                                   .name = w->lineage_names[k],
                                                   .base_path = "/base",
                                                   .base_hash = w->image,
                                                   .visibility = roll(p, 3) == 0,
                                                   .on_failure = roll(p, 3) == 0};
    if (w->shape.weights) m.lineage_create.shared_with = some_names(w, p);
    ask(w, i, &m);
}

static void set_lineage(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    struct message m = {.kind = MSG_lineage_set,
                        .lineage_set = {.lineage = w->lineage_names[some_lineage(w, i)],
                                        .visibility = roll(p, 3) == 0,
                                        .on_failure = roll(p, 3) == 0,
                                        .shared_with = some_names(w, p)}};
    ask(w, i, &m);
}

static void pause(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    struct message m = {.kind = MSG_pause, .pause = {.lineage = "", .on = roll(p, 5) < 2}};

    uint64_t r = roll(p, 20);
    if (r) m.pause.job = r < 14 ? some_job(w, p) : 0;
    if (r == 0 || r >= 14) m.pause.lineage = w->lineage_names[some_lineage(w, i)];
    if (r == 0) m.pause.job = 1; /* both: nonsense */
    ask(w, i, &m);
}

static void set_user(struct world *w, uint32_t i)
{
    static const uint64_t weights[] = {1, 1, 1, 2, 5, 100};
    struct person *p = &w->people[i];
    uint32_t who = (uint32_t)roll(p, w->shape.users);

    p->row = (struct user_row){.name = w->people[who].name,
                               .role = who ? ROLE_USER : ROLE_ADMIN,
                               .group = roll(p, 2) ? w->team_names[roll(p, 4)] : "",
                               .weight = weights[roll(p, 6)]};
    if (who && roll(p, 3) == 0) p->row.max_running = 1 + roll(p, 3);
    if (who && roll(p, 4) == 0) p->row.max_queued = 1 + roll(p, 12);
    if (who && roll(p, 8) == 0) p->row.max_bytes = 200 + roll(p, 20000);
    if (roll(p, 3) == 0) p->row.key = nonce_hash(roll(p, 8) | 1ull << 45);
    if (who && roll(p, 12) == 0) p->row.revoked = 1;
    if (who && roll(p, 12) == 0) p->row.role = ROLE_ADMIN;
    ask(w, i, &(struct message){.kind = MSG_user_set, .user_set.rows = {1, &p->row}});
}

static void drain(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    const char *name = roll(p, 4) ? w->slots[roll(p, w->shape.groups)].name : "";
    ask(w, i,
        &(struct message){.kind = MSG_drain, .drain = {.group = name, .on = roll(p, 3) == 0}});
}

/* Impatient: something about a job, while the answer about another is on its way. */
static void on_the_side(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    uint64_t job = some_job(w, p);
    struct message m = {.kind = roll(p, 2) ? MSG_retry : roll(p, 2) ? MSG_cancel : MSG_forget};

    if (m.kind == MSG_retry) m.retry.job = job;
    else if (m.kind == MSG_cancel) m.cancel.job = job;
    else m.forget.job = job;
    network_send(w, &p->dice, COORDINATOR, PERSON(i), &m);
}

static void operate(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    uint64_t r = roll(p, 100);

    if (roll(p, 6) == 0) on_the_side(w, i);

    if (r < 25) ask(w, i, &(struct message){.kind = MSG_cancel, .cancel.job = some_job(w, p)});
    else if (r < 50) pause(w, i);
    else if (r < 70) ask(w, i, &(struct message){.kind = MSG_retry, .retry.job = some_job(w, p)});
    else if (r < 76) ask(w, i, &(struct message){.kind = MSG_forget, .forget.job = some_job(w, p)});
    else if (r < 84) set_lineage(w, i);
    else if (r < 90) submit_nonsense(w, i);
    else if (r < 94) drain(w, i);
    else if (r < 99 && w->shape.weights) set_user(w, i);
    else if (r == 99 && roll(p, 3) == 0)
        ask(w, i, &(struct message){.kind = MSG_stop, .stop.drain = roll(p, 2)});
    else submit(w, i, 1);
}

static int64_t thinks(struct world *w, struct person *p)
{
    uint64_t most = 40000 >> (w->shape.hurry < 12 ? w->shape.hurry : 12);
    return 1 + (int64_t)roll(p, most + 1);
}

static void wish(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    uint64_t r = roll(p, 100);
    uint32_t k = i + (uint32_t)p->made_lineages * w->shape.users;

    if (k < w->shape.lineages) {
        make_lineage(w, i, k);
        return;
    }
    if (w->ledger.unended >= w->shape.backlog && roll(p, 8)) {
        person_wake(w, i, thinks(w, p));
        return;
    }
    p->wishes++;
    if (w->shape.operations && r < 25) operate(w, i);
    else if (r < 30) submit_some(w, i);
    else submit(w, i, r < 75);
}

/* ---- the admin, when all is calm ---- */

static int resume_lineages(struct world *w, uint32_t i)
{
    for (uint32_t k = 1; k <= w->ledger.n_lineages; k++)
        if (w->ledger.lineages[k].held) {
            ask(w, i,
                &(struct message){.kind = MSG_pause, .pause.lineage = w->ledger.lineages[k].name});
            return 1;
        }
    return 0;
}

static int undrain(struct world *w, uint32_t i)
{
    for (size_t k = 0; k < w->ledger.n_drains; k++)
        if (w->ledger.drains[k].on) {
            ask(w, i,
                &(struct message){.kind = MSG_drain, .drain.group = w->ledger.drains[k].name});
            return 1;
        }
    return 0;
}

static int unrevoke(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];

    for (uint32_t k = 1; k <= w->ledger.n_users; k++) {
        const struct ledger_user *u = &w->ledger.users[k];
        if (!u->revoked) continue;
        p->row = (struct user_row){
            .name = u->name, .role = u->role, .group = u->team, .weight = u->weight};
        ask(w, i, &(struct message){.kind = MSG_user_set, .user_set.rows = {1, &p->row}});
        return 1;
    }
    return 0;
}

static int free_jobs(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];

    for (uint64_t n = 0; n < w->ledger.n_jobs; n++) {
        uint64_t id = 1 + p->cursor++ % w->ledger.n_jobs;
        const struct ledger_job *j = ledger_job(&w->ledger, id);
        if (JOB_ENDED(j->state) && j->flags & JOB_HOLDS)
            ask(w, i, &(struct message){.kind = MSG_cancel, .cancel.job = id});
        else if (!JOB_ENDED(j->state) && j->flags & JOB_HELD)
            ask(w, i, &(struct message){.kind = MSG_pause, .pause = {.job = id, .lineage = ""}});
        else continue;
        return 1;
    }
    return 0;
}

static void tidy(struct world *w, uint32_t i)
{
    if (unrevoke(w, i) || undrain(w, i) || resume_lineages(w, i) || free_jobs(w, i)) return;
    person_wake(w, i, 20000);
}

/* ---- turns ---- */

void person_act(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];

    if (p->asking) send(w, i); /* no answer: the same again */
    else if (w->calm) {
        if (p->is_admin) tidy(w, i);
    } else if (p->wishes < w->shape.wishes) {
        wish(w, i);
    } else {
        person_wake(w, i, 60000);
    }
}

static void remember(struct person *p, uint64_t job)
{
    p->jobs[p->n_jobs++ % 8] = job;
}

static void content(struct world *w, uint32_t i)
{
    struct person *p = &w->people[i];

    if (!w->calm && roll(p, 12) == 0) { /* as if the answer had not come: the same again */
        person_wake(w, i, 1 + (int64_t)roll(p, 5000));
        return;
    }
    p->asking = 0;
    w->asking--;
    p->made_lineages += p->asks.kind == MSG_lineage_create;
    person_wake(w, i, w->calm ? 1 : thinks(w, p));
}

void person_hear(struct world *w, uint32_t i, const struct message *m)
{
    struct person *p = &w->people[i];

    if (!p->asking || m->id != p->next_id) return; /* an answer to something older, or once more */
    if (m->kind == MSG_accepted) {
        if (p->made && p->made != m->accepted.job && !ledger_job(&w->ledger, p->made)->tampered &&
            !ledger_job(&w->ledger, m->accepted.job)->tampered)
            world_break(w, "twice", "user %s asked once, and has jobs %llu and %llu", p->name,
                        (unsigned long long)p->made, (unsigned long long)m->accepted.job);
        p->made = m->accepted.job;
        remember(p, m->accepted.job);
    }
    if (m->kind == MSG_accepted_many)
        for (size_t k = 0; k < m->accepted_many.rows.n; k++)
            if (m->accepted_many.rows.v[k].job) remember(p, m->accepted_many.rows.v[k].job);
    if (m->kind == MSG_refused && (m->refused.code == ERR_IO || m->refused.code == ERR_AGAIN ||
                                   m->refused.code == ERR_ENVIRONMENT))
        return; /* later */
    content(w, i);
}
