/* names.c - numbers that cross the wire, as words for people. */
#include "proto/wire.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const names[] = {
    [MSG_none] = "message",
#define MESSAGE(number, name, from) [number] = #name,
#include "proto/messages.def"
};
static const uint8_t froms[] = {
#define MESSAGE(number, name, from) [number] = from,
#include "proto/messages.def"
};
static const char *const job_kinds[] = {"?", "learn", "sample", "evaluate"};
static const char *const job_states[] = {"?",    "queued", "running",  "paused",
                                         "done", "failed", "cancelled"};
static const char *const stage_kinds[] = {"-",     "prior",  "caption", "score",
                                          "train", "sample", "evaluate"};
static const char *const stage_states[] = {"?",    "waiting", "ready",  "leased",
                                           "done", "failed",  "dropped"};
static const char *const concept_kinds[] = {"?", "animal", "object", "scene", "style"};

static const char *pick(const char *const *list, size_t n, uint64_t i)
{
    return i < n && list[i] ? list[i] : "?";
}

const char *proto_name(enum msg_kind kind)
{
    return pick(names, COUNT(names), (uint64_t)kind);
}

enum msg_from proto_from(enum msg_kind kind)
{
    return (size_t)kind < COUNT(froms) ? (enum msg_from)froms[kind] : FROM_NOBODY;
}

const char *proto_job_kind(uint64_t kind)
{
    return pick(job_kinds, COUNT(job_kinds), kind);
}

const char *proto_job_state(uint64_t state)
{
    return pick(job_states, COUNT(job_states), state);
}

const char *proto_stage_kind(uint64_t kind)
{
    return pick(stage_kinds, COUNT(stage_kinds), kind);
}

const char *proto_stage_state(uint64_t state)
{
    return pick(stage_states, COUNT(stage_states), state);
}

const char *proto_concept_kind(uint64_t kind)
{
    return pick(concept_kinds, COUNT(concept_kinds), kind);
}

uint64_t proto_parse_concept_kind(const char *name)
{
    for (uint64_t k = 1; k < COUNT(concept_kinds); k++)
        if (strcmp(name, concept_kinds[k]) == 0) return k;
    return 0;
}

char *proto_line(char *s)
{
    size_t n = strlen(s);
    if (n > PROTO_LINE) {
        n = PROTO_LINE;
        s[n] = '\0';
    }
    for (size_t i = 0; i < n;) {
        size_t step = wire_utf8_step((const uint8_t *)s + i, n - i);
        if (step == 0) s[i] = '?';
        i += step ? step : 1;
    }
    return s;
}

struct message proto_refused(struct err *why)
{
    struct message m = {.kind = MSG_refused};
    m.refused.code = why->code ? (uint64_t)why->code : ERR_INTERNAL;
    m.refused.line = proto_line(why->text);
    return m;
}
