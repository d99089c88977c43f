#include "tests/store/support/office.h"

#include "coordinator/store/store.h"

#include <stdio.h>
#include <string.h>

enum code office_open(struct office *o, const char *path, struct err *e)
{
    enum code rc;

    memset(o, 0, sizeof *o);
    o->now = 1700000000000;
    if ((rc = store_open(&o->store, path, e))) return rc;
    o->core = core_make(NULL);
    return store_load(o->store, o->core, o->now, e);
}

void office_close(struct office *o)
{
    core_free(o->core);
    core_actions_fini(&o->actions);
    store_close(o->store);
    memset(o, 0, sizeof *o);
}

struct hash office_hash(const char *what, uint64_t n)
{
    char text[96];
    int len = snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)n);
    return hash_bytes(text, (size_t)len);
}

static enum code past_of(struct office *o, const struct message *m, struct arena *a,
                         const struct core_past **past, struct err *e)
{
    struct store_job *found = arena_alloc(a, sizeof *found);
    struct hash key;
    uint64_t job;
    enum code rc = OK;
    int there = 0;

    switch (core_wants_past(o->core, m, &key, &job)) {
    case CORE_PAST_JOB: there = (rc = store_job(o->store, job, a, found, e)) == OK; break;
    case CORE_PAST_KEY: rc = store_job_by_key(o->store, key, a, found, &there, e); break;
    default: break;
    }
    if (there) *past = &found->past;
    return rc == ERR_NOT_FOUND ? OK : rc;
}

enum code office_ask(struct office *o, const struct message *m, struct hash group,
                     struct message *out, struct err *e)
{
    struct arena a = {0};
    struct core_request request = {.message = m};
    struct core_event ev = {.type = CORE_MESSAGE,
                            .message = m,
                            .user = "ann",
                            .role = ROLE_ADMIN,
                            .group = group,
                            .from = {.id = ++o->asked},
                            .requests = &request,
                            .n_requests = 1};
    struct slice bytes = {0};
    enum code rc = proto_encode(m, &a, &bytes, e);

    *out = (struct message){0};
    request.digest = hash_bytes(bytes.data, bytes.n);
    request.bytes = bytes.n;
    if (!rc) rc = past_of(o, m, &a, &ev.past, e);
    request.past = ev.past;
    core_actions_clear(&o->actions);
    core_step(o->core, &ev, ++o->now, &o->actions);
    if (!rc) rc = store_apply(o->store, &o->actions, e);
    for (size_t i = 0; i < o->actions.n_tells && !rc; i++) {
        const struct core_tell *t = &o->actions.tells[i];
        if (t->to.id != o->asked) continue;
        *out = t->answer;
        if (t->type == TELL_STAGE)
            *out = (struct message){
                .kind = MSG_stage,
                .stage = {.job = t->job, .stage = (uint64_t)t->stage, .epoch = t->epoch}};
    }
    arena_fini(&a);
    return rc;
}

struct message office_lineage(const char *name)
{
    return (struct message){.kind = MSG_lineage_create,
                            .lineage_create = {.key = hash_bytes(name, strlen(name)),
                                               .name = name,
                                               .base_path = "/models/base",
                                               .base_hash = office_hash("base", 0)}};
}

struct message office_learn(const char *lineage, uint64_t n, uint64_t wants)
{
    static struct hash images[2];
    static const char *prompt = "a photo of it";
    static char token[32];
    struct message m = {.kind = MSG_learn,
                        .learn = {.key = office_hash("key", n),
                                  .lineage = lineage,
                                  .token = token,
                                  .class_word = "dog",
                                  .kind = CONCEPT_ANIMAL,
                                  .wants = wants,
                                  .images = {2, images},
                                  .seed = n,
                                  .preview_prompts = {1, &prompt},
                                  .settings = "{}"}};

    images[0] = office_hash("image", n);
    images[1] = office_hash("image", n + 1000000);
    snprintf(token, sizeof token, "<t%llu>", (unsigned long long)n);
    if (wants & WANT_PRIOR) m.learn.prior_key = office_hash("prior", n % 3);
    return m;
}

enum code office_work(struct office *o, uint64_t group, enum code code, struct message *did,
                      struct err *e)
{
    struct hash nonce = office_hash("group", group), output;
    struct message hello = {.kind = MSG_worker_hello,
                            .worker_hello = {.name = "g", .nonce = nonce, .ranks = 1}};
    struct message ready = {.kind = MSG_ready}, answer;
    enum code rc;

    if ((rc = office_ask(o, &hello, nonce, &answer, e)) ||
        (rc = office_ask(o, &ready, nonce, did, e)))
        return rc;
    if (did->kind != MSG_stage) return OK;
    output = office_hash(proto_stage_kind(did->stage.stage), did->stage.job);
    struct message result = {.kind = MSG_result,
                             .result = {.job = did->stage.job,
                                        .stage = did->stage.stage,
                                        .seconds = 1.25,
                                        .epoch = did->stage.epoch,
                                        .code = (uint64_t)code,
                                        .line = "",
                                        .report = "{\"loss\":0.5}",
                                        .outputs = {!code, &output}}};
    rc = office_ask(o, &result, nonce, &answer, e);
    if (!rc && answer.kind != MSG_done)
        rc = err_set(e, ERR_FAILED, "the result was answered `%s`", proto_name(answer.kind));
    return rc;
}
