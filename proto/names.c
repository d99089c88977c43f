/* names.c - numbers that cross the wire, as words for people. */
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* What is known of a message by its number alone; no name: there is no such message. */
static const struct known {
    const char *name;
    uint8_t from, since;
} known[] = {
    [MSG_none] = {"message", FROM_NOBODY, 0},
#define MESSAGE(number, name, from, since) [number] = {#name, from, since},
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
static const char *const priorities[] = {"normal", "high", "low"};
static const char *const roles[] = {"?", "user", "admin", "worker"};
static const char *const visibilities[] = {"private", "public"};
static const char *const on_failures[] = {"skip", "wait"};

static const char *pick(const char *const *list, size_t n, uint64_t i)
{
    return i < n && list[i] ? list[i] : "?";
}

/* Which number is this word? The refusal lists those that there are, as people want to read it. */
static enum code parse(const char *const *list, size_t n, const char *what, const char *word,
                       uint64_t *out, struct err *e)
{
    char words[120];
    size_t used = 0;

    for (uint64_t i = 0; i < n; i++)
        if (*list[i] != '?' && strcmp(word, list[i]) == 0) {
            *out = i;
            return OK;
        }
    for (size_t i = *list[0] == '?'; i < n && used < sizeof words; i++)
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%s",
                                 used == 0    ? ""
                                 : i + 1 == n ? " or "
                                              : ", ",
                                 list[i]);
    return err_set(e, ERR_USAGE, "%s \"%s\": expected %s", what, word, words);
}

const char *proto_name(enum msg_kind kind)
{
    return (size_t)kind < COUNT(known) && known[kind].name ? known[kind].name : "?";
}

enum msg_from proto_from(enum msg_kind kind)
{
    return (size_t)kind < COUNT(known) ? (enum msg_from)known[kind].from : FROM_NOBODY;
}

uint64_t proto_since(enum msg_kind kind)
{
    return (size_t)kind < COUNT(known) ? known[kind].since : 0;
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

struct hash proto_base_alone(void)
{
    struct hash h;
    memset(h.v, 0xff, sizeof h.v);
    return h;
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

const char *proto_priority(uint64_t number)
{
    return pick(priorities, COUNT(priorities), number);
}

enum code proto_parse_priority(const char *word, uint64_t *out, struct err *e)
{
    return parse(priorities, COUNT(priorities), "priority", word, out, e);
}

const char *proto_role(uint64_t number)
{
    return pick(roles, COUNT(roles), number);
}

enum code proto_parse_role(const char *word, uint64_t *out, struct err *e)
{
    return parse(roles, COUNT(roles), "role", word, out, e);
}

const char *proto_visibility(uint64_t number)
{
    return pick(visibilities, COUNT(visibilities), number);
}

enum code proto_parse_visibility(const char *word, uint64_t *out, struct err *e)
{
    return parse(visibilities, COUNT(visibilities), "visibility", word, out, e);
}

const char *proto_on_failure(uint64_t number)
{
    return pick(on_failures, COUNT(on_failures), number);
}

enum code proto_parse_on_failure(const char *word, uint64_t *out, struct err *e)
{
    return parse(on_failures, COUNT(on_failures), "on failure", word, out, e);
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
