/* client.c - people: they make lineages, submit concepts and wishes, ask again until they are answered, sometimes repeat what was
 * answered, sometimes change their mind. */
#include "tests/core/support/world.h"

#include <stdio.h>
#include <string.h>

static const char *lineage_name(int i)
{
    static const char *const names[LINEAGES] = {"pets", "toys", "places", "styles"};
    return names[i];
}

static void ask_later(struct world *w, struct client *c)
{
    c->ask_again_ms = w->now + 200 + (int64_t)world_roll(w, 3000);
}

static void send(struct world *w, int i, struct message *m)
{
    m->id = ++w->client[i].next_id;
    w->client[i].waiting = 1;
    world_send(w, TO_SERVER, i, m);
    ask_later(w, &w->client[i]);
}

static void ask_lineage(struct world *w, int i, int k)
{
    struct message m = {.kind = MSG_lineage_create,
                        .lineage_create = {.key = world_name(w, "lineage", (uint64_t)k),
                                           .name = lineage_name(k),
                                           .base_path = "/base",
                                           .base_hash = world_name(w, "base", 0)}};
    send(w, i, &m);
}

static void ask_intent(struct world *w, int i, const struct intent *t)
{
    char token[32];
    struct hash image = world_name(w, "image", 1);
    const char *prompt = "a photo";
    struct message m = {.kind = (enum msg_kind)t->kind};
    uint64_t shape = t->key.v[0];

    snprintf(token, sizeof token, "<t%02x%02x%02x%02x>", t->key.v[0], t->key.v[1], t->key.v[2],
             t->key.v[3]);
    if (t->kind == MSG_learn) {
        m.learn = (struct msg_learn){.key = t->key,
                                     .lineage = lineage_name(t->lineage),
                                     .token = token,
                                     .class_word = "dog",
                                     .kind = CONCEPT_ANIMAL,
                                     .wants = shape & 15,
                                     .images = {1, &image},
                                     .preview_prompts = {1, &prompt}};
        if (m.learn.wants & WANT_PRIOR) m.learn.prior_key = world_name(w, "prior", shape >> 4 & 3);
    } else if (t->kind == MSG_sample) {
        m.sample = (struct msg_sample){.key = t->key,
                                       .lineage = lineage_name(t->lineage),
                                       .prompts = {1, &prompt},
                                       .per_prompt = 1};
    } else {
        m.evaluate = (struct msg_evaluate){.key = t->key, .lineage = lineage_name(t->lineage)};
    }
    send(w, i, &m);
}

static void new_intent(struct world *w, int i)
{
    static const int kinds[] = {MSG_learn, MSG_learn, MSG_learn, MSG_sample, MSG_evaluate};
    struct client *c = &w->client[i];
    struct intent *t = &c->intent[c->n++];

    *t = (struct intent){.key = world_name(w, "intent", w->keys++),
                         .kind = kinds[world_roll(w, 5)],
                         .lineage = (int)world_roll(w, LINEAGES)};
    t->wants_cancel = world_roll(w, 8) == 0;
}

static void next_wish(struct world *w, int i)
{
    struct client *c = &w->client[i];

    if (c->at == c->n && !w->calm && c->n < INTENTS) new_intent(w, i);
    if (c->at < c->n) {
        c->asking = 1;
        ask_intent(w, i, &c->intent[c->at]);
    }
    c->ask_again_ms = w->now + 200 + (int64_t)world_roll(w, c->asking ? 3000 : 1);
}

void client_act(struct world *w, int i)
{
    struct client *c = &w->client[i];

    if (w->now < c->ask_again_ms) return;
    if (c->made_lineages < LINEAGES) {
        ask_lineage(w, i, c->made_lineages);
        return;
    }
    if (c->asking) ask_intent(w, i, &c->intent[c->at]); /* no answer: the same again */
    else next_wish(w, i);
}

static void cancel(struct world *w, int i, uint64_t job)
{
    struct message m = {.kind = MSG_cancel, .id = UINT64_MAX, .cancel.job = job};
    w->ledger.job[job].cancelled_by_user = 1;
    world_send(w, TO_SERVER, i, &m);
}

static void accepted(struct world *w, int i, const struct msg_accepted *m)
{
    struct client *c = &w->client[i];
    struct intent *t = &c->intent[c->at];
    struct ledger_job *j;

    if (m->job == 0 || m->job > JOBS || !w->ledger.job[m->job].known) {
        world_break(w, "invariant 5: job %llu is acknowledged and not on the disk",
                    (unsigned long long)m->job);
        return;
    }
    j = &w->ledger.job[m->job];
    if (memcmp(j->key.v, t->key.v, CORE_KEY) && w->o.bug != BUG_NO_KEY)
        world_break(w, "job %llu is acknowledged to somebody else", (unsigned long long)m->job);
    if (t->job && t->job != m->job)
        world_break(w, "one key, two jobs: %llu and %llu", (unsigned long long)t->job,
                    (unsigned long long)m->job);
    w->ledger.acknowledged += !j->acknowledged;
    j->acknowledged = 1;
    t->job = m->job;
    if (t->wants_cancel && world_roll(w, 2)) cancel(w, i, m->job);
    if (world_chance(w, 100)) return; /* as if the answer had not come: the same again */
    c->asking = 0;
    c->at++;
    c->ask_again_ms = w->now + (int64_t)world_roll(w, 40000);
}

void client_hear(struct world *w, int i, const struct message *m)
{
    struct client *c = &w->client[i];

    if (m->id != c->next_id || !c->waiting) return; /* an answer to something older, or once more */
    c->waiting = 0;
    if (c->made_lineages < LINEAGES) {
        if (m->kind == MSG_done) c->made_lineages++;
        if (m->kind == MSG_refused && m->refused.code == ERR_EXISTS) c->made_lineages++;
        c->ask_again_ms = w->now;
    } else if (c->asking && m->kind == MSG_accepted) {
        accepted(w, i, &m->accepted);
    } else if (c->asking && m->kind == MSG_refused && m->refused.code != ERR_FULL) {
        world_break(w, "a good request is refused: %s", m->refused.line);
    }
}

int client_settled(const struct world *w, int i)
{
    const struct client *c = &w->client[i];
    return c->made_lineages == LINEAGES && c->at == c->n && !c->asking;
}
