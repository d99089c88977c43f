/* say.h - talking to a core by hand: one question, one answer, everything checked and kept as a disk would keep it.
 *
 *     begin();                                  // a core with nothing in it
 *     lineage_as("ann", "pets");
 *     uint64_t j = learn("pets", "<rex>", WANT_SCORE);
 *     struct message s = ready("g1");           // a group says hello and asks for work
 *     IS_STAGE(s, j, STAGE_SCORE, "it scores");
 *     result("g1", &s, OK, "");
 *     pass(2000);  restart();  end();
 *
 * root is an admin, everybody else a user. For test programs of one file, as tap.h is.
 */
#ifndef TESTS_CORE_SAY_H
#define TESTS_CORE_SAY_H

#include "tests/core/support/shelf.h"
#include "tests/tap.h"

#include <stdio.h>
#include <string.h>

static struct core *core;
static struct core_actions actions; /* of the last step */
static struct shelf shelf;
static int64_t now = 1000000;
static uint64_t asked;

/* ---- one question, one answer ---- */

TAP_FN struct hash name(const char *s)
{
    return hash_bytes(s, strlen(s));
}

/* Steps, and keeps what is to be durable. root is an admin. */
TAP_FN void step(struct core_event *ev)
{
    struct err e;

    core_actions_clear(&actions);
    core_step(core, ev, now, &actions);
    shelf_keep(&shelf, &actions, actions.n_puts);
    if (core_check(core, &e)) ok(0, "every invariant holds: %s", e.text);
}

/* What tells two requests with one key apart: here the token, else nothing. */
TAP_FN struct hash digest_of(const struct message *m)
{
    return m->kind == MSG_learn ? name(m->learn.token) : (struct hash){{0}};
}

TAP_FN struct message say_as(const char *user, struct message m, const char *group)
{
    struct core_request requests[8] = {{.message = &m, .digest = digest_of(&m), .bytes = 100}};
    struct core_event ev = {.type = CORE_MESSAGE,
                            .message = &m,
                            .user = group ? NULL : user,
                            .role = strcmp(user, "root") == 0 ? ROLE_ADMIN : ROLE_USER,
                            .from = {.id = ++asked},
                            .requests = requests,
                            .n_requests = 1};
    struct message none = {0};

    if (group) ev.group = name(group);
    ev.past = requests[0].past = shelf_past(&shelf, core, &m);
    step(&ev);
    for (size_t i = 0; i < actions.n_tells; i++) {
        struct core_tell *t = &actions.tells[i];
        if (t->to.id != asked) continue;
        if (t->type == TELL_ANSWER) return t->answer;
        if (t->type == TELL_STAGE)
            return (struct message){
                .kind = MSG_stage,
                .stage = {.job = t->job, .stage = (uint64_t)t->stage, .epoch = t->epoch}};
    }
    return none;
}

/* Several requests in one message. */
TAP_FN struct message say_many(const char *user, const struct message *m, size_t n)
{
    struct core_request requests[8] = {{0}};
    struct message all = {.kind = MSG_submit_many};
    struct core_event ev = {.type = CORE_MESSAGE,
                            .message = &all,
                            .user = user,
                            .from = {.id = ++asked},
                            .requests = requests,
                            .n_requests = n};

    for (size_t i = 0; i < n; i++)
        requests[i] = m[i].kind ? (struct core_request){.message = &m[i],
                                                        .digest = digest_of(&m[i]),
                                                        .bytes = 100,
                                                        .past = shelf_past(&shelf, core, &m[i])}
                                : (struct core_request){.code = ERR_PROTOCOL, .line = "no message"};
    step(&ev);
    for (size_t i = 0; i < actions.n_tells; i++)
        if (actions.tells[i].type == TELL_ANSWER) return actions.tells[i].answer;
    return (struct message){0};
}

TAP_FN struct message say(struct message m)
{
    return say_as("ann", m, NULL);
}

TAP_FN void pass(int64_t ms)
{
    struct core_event tick = {.type = CORE_TICK};
    now += ms;
    step(&tick);
}

/* A job, kept or not. */
TAP_FN const struct core_job *job(uint64_t id)
{
    const struct core_job *j = core_job(core, id);
    return j ? j : &shelf.jobs[id - 1].job;
}

TAP_FN int stage(uint64_t id, enum stage_kind k)
{
    return core_stage_state(job(id), k);
}

TAP_FN const struct core_stage *record(uint64_t id, enum stage_kind k)
{
    const struct core_past *p = &shelf.jobs[id - 1];
    if (core_job(core, id)) return core_stage_of(core_job(core, id), k);
    for (int i = 0; i < p->n_stages; i++)
        if (p->stage[i].kind == k) return &p->stage[i];
    return NULL;
}

TAP_FN struct hash commit_of(uint64_t id)
{
    return core_job_commit(core, job(id));
}

/* Killed, and back from what was durable. */
TAP_FN void restart(void)
{
    struct err e = {0};
    core_free(core);
    core = core_make(NULL);
    if (shelf_load(&shelf, core, now, &e)) ok(0, "after a restart: %s", e.text);
}

TAP_FN void begin(void)
{
    core_free(core);
    shelf_fini(&shelf);
    core = core_make(NULL);
}

TAP_FN struct message lineage_as(const char *user, const char *lineage)
{
    return say_as(user,
                  (struct message){.kind = MSG_lineage_create,
                                   .lineage_create = {.key = name(lineage),
                                                      .name = lineage,
                                                      .base_path = "/base",
                                                      .base_hash = name("base")}},
                  NULL);
}

TAP_FN struct message learn_with(const char *lineage, const char *token, uint64_t wants,
                                 const char *prior)
{
    static struct hash image;
    static const char *prompt = "a photo";
    char key[128];

    image = name("image");
    snprintf(key, sizeof key, "%s %s %lld", lineage, token, (long long)now);
    return (struct message){
        .kind = MSG_learn,
        .learn = {.key = name(key),
                  .lineage = lineage,
                  .token = token,
                  .class_word = "dog",
                  .kind = CONCEPT_ANIMAL,
                  .wants = wants,
                  .images = {1, &image},
                  .preview_prompts = {1, &prompt},
                  .prior_key = wants & WANT_PRIOR ? name(prior) : (struct hash){{0}}}};
}

TAP_FN uint64_t learn(const char *lineage, const char *token, uint64_t wants)
{
    struct message m = say(learn_with(lineage, token, wants, "dogs"));
    return m.kind == MSG_accepted ? m.accepted.job : 0;
}

/* A group that says hello and asks for work. */
TAP_FN struct message ready(const char *group)
{
    say_as("ann",
           (struct message){
               .kind = MSG_worker_hello,
               .worker_hello =
                   {.name = group, .nonce = name(group), .host = "h", .device = "cpu", .ranks = 2}},
           group);
    return say_as("ann", (struct message){.kind = MSG_ready}, group);
}

TAP_FN struct message result(const char *group, const struct message *stage, enum code code,
                             const char *line)
{
    static struct hash out;
    char text[64];

    snprintf(text, sizeof text, "%d %d", (int)stage->stage.job, (int)stage->stage.stage);
    out = name(text);
    return say_as("ann",
                  (struct message){.kind = MSG_result,
                                   .result = {.job = stage->stage.job,
                                              .stage = stage->stage.stage,
                                              .epoch = stage->stage.epoch,
                                              .code = (uint64_t)code,
                                              .line = line,
                                              .report = "",
                                              .seconds = 2,
                                              .outputs = {code == OK, &out}}},
                  group);
}

TAP_FN struct message beat(const char *group, const struct message *stage, uint64_t step)
{
    return say_as("ann",
                  (struct message){.kind = MSG_heartbeat,
                                   .heartbeat = {.job = stage->stage.job,
                                                 .stage = stage->stage.stage,
                                                 .epoch = stage->stage.epoch,
                                                 .step = step,
                                                 .of = 10,
                                                 .text = ""}},
                  group);
}

TAP_FN int is_stage(const struct message *m, uint64_t job, enum stage_kind kind)
{
    return m->kind == MSG_stage && m->stage.job == job && m->stage.stage == (uint64_t)kind;
}

TAP_FN int is_refused(struct message m, enum code code)
{
    note("%s", m.kind == MSG_refused ? m.refused.line : proto_name(m.kind));
    return m.kind == MSG_refused && m.refused.code == (uint64_t)code;
}

TAP_FN void end(void)
{
    core_free(core);
    shelf_fini(&shelf);
    core_actions_fini(&actions);
}

#define IS_STAGE(m, j, k, ...)                                           \
    (ok(is_stage(&(m), j, k), __VA_ARGS__) ||                            \
     (note("got %s job %d %s", proto_name((m).kind), (int)(m).stage.job, \
           proto_stage_kind((m).stage.stage)),                           \
      0))

#define REFUSED(m, c, ...) ok(is_refused(m, c), __VA_ARGS__)

#endif
