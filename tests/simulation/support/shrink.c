/* shrink.c - first the world is made smaller number by number, then it is tried with other seeds, then the faults that are not needed
 * are left out, by halves, quarters and so on. A change is kept when the same invariant breaks after no more events. */
#include "tests/simulation/support/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEXT_SEEDS = 40, OTHER_SEEDS = 400, SHORT = 30 };

/* What is tried, beside the best so far. */
struct attempt {
    struct story *s;
    char invariant[48];
    int calm;                  /* it broke when there were no more faults: by what did not end */
    uint64_t played, may_play; /* events, in all worlds that were tried */
    struct kept *happened;     /* owned: the faults of the best so far */
    size_t n_happened;
};

static int spent(const struct attempt *a)
{
    return a->played >= a->may_play;
}

static int is_short(const struct attempt *a)
{
    return a->s->events <= SHORT || spent(a);
}

/* Plays it. 1: the same invariant broke, no later than in the best so far; faults of that world are remembered. */
static int breaks(struct attempt *a, const struct world_options *o, uint64_t *events)
{
    struct world_options with = *o;
    struct err e;
    int found = 0;

    with.stop_after = a->s->events;
    struct world *w = world_make(&with, &e);
    a->s->runs++;
    if (!w) return 0;
    w->remember = 1;
    world_run(w);
    if (w->broken[0] && strcmp(w->invariant, a->invariant) == 0 && w->calm == a->calm) {
        found = 1;
        *events = w->counts.events;
        free(a->happened);
        a->happened = w->happened;
        a->n_happened = w->n_happened;
        w->happened = NULL;
    }
    a->played += w->counts.events + 200; /* to make a world costs about that */
    world_free(w);
    return found;
}

/* ---- a smaller world: with the same seed, or the next that shows it ---- */

static int try_shape(struct attempt *a, const struct shape *shape)
{
    char text[sizeof a->s->shape];
    struct world_options o = a->s->options;
    uint64_t events;

    shape_text(shape, text, sizeof text);
    o.shape = text;
    for (int k = 0; k < NEXT_SEEDS && !spent(a); k++, o.seed++) {
        if (!breaks(a, &o, &events)) continue;
        memcpy(a->s->shape, text, sizeof text);
        a->s->options.seed = o.seed;
        a->s->events = events;
        return 1;
    }
    return 0;
}

static int smaller(struct attempt *a)
{
    struct shape best;
    int any = 0;

    for (const struct shape_number *n = shape_numbers; n->name && !spent(a); n++) {
        if (shape_choose(&best, &a->s->options, NULL)) return 0;
        uint32_t was = *shape_at(&best, n);
        uint32_t tries[] = {n->least, n->least + (was - n->least) / 4,
                            n->least + (was - n->least) / 2, was - 1};
        for (int i = 0; i < 4 && was > n->least; i++) {
            if (tries[i] >= was) continue;
            *shape_at(&best, n) = tries[i];
            if (try_shape(a, &best)) {
                any = 1;
                break;
            }
        }
    }
    return any;
}

static int other_seeds(struct attempt *a)
{
    struct world_options o = a->s->options;
    uint64_t events, was = a->s->events;

    for (int k = 0; k < OTHER_SEEDS && !is_short(a); k++) {
        o.seed++;
        if (!breaks(a, &o, &events) || events >= a->s->events) continue;
        a->s->options.seed = o.seed;
        a->s->events = events;
    }
    return a->s->events < was;
}

/* Where something never ends it matters how much was begun. */
static int fewer_events(struct attempt *a)
{
    struct world_options o = a->s->options;
    uint64_t events;
    int any = 0;

    for (uint64_t part = 8; a->calm && part && !spent(a); part /= 2) {
        o.events = a->s->options.events * (8 - part) / 8 + 1;
        if (o.events >= a->s->options.events || !breaks(a, &o, &events)) continue;
        a->s->options.events = o.events;
        a->s->events = events;
        any = 1;
    }
    return any;
}

/* ---- fewer faults ---- */

/* Without [from, to) of those that happened. */
static int try_without(struct attempt *a, size_t from, size_t to)
{
    struct story *s = a->s;
    size_t n = s->options.n_kept - (to - from);
    struct kept *fewer = malloc((n ? n : 1) * sizeof *fewer), *was = s->kept;
    struct world_options o = s->options;
    uint64_t events;

    if (!fewer) abort();
    memcpy(fewer, was, from * sizeof *fewer);
    memcpy(fewer + from, was + to, (s->options.n_kept - to) * sizeof *fewer);
    o.kept = fewer;
    o.n_kept = n;
    if (!breaks(a, &o, &events)) {
        free(fewer);
        return 0;
    }
    free(was);
    s->kept = fewer;
    s->options.kept = fewer;
    s->options.n_kept = n;
    s->events = events;
    return 1;
}

static void fewer_faults(struct attempt *a)
{
    struct story *s = a->s;

    s->kept = malloc((a->n_happened ? a->n_happened : 1) * sizeof *s->kept);
    if (!s->kept) abort();
    memcpy(s->kept, a->happened, a->n_happened * sizeof *s->kept);
    s->options.kept = s->kept;
    s->options.n_kept = a->n_happened;
    for (size_t chunk = s->options.n_kept; chunk && !spent(a);
         chunk = chunk > 1 ? (chunk + 1) / 2 : 0)
        for (size_t from = 0; from < s->options.n_kept && !spent(a);) {
            size_t to = from + chunk < s->options.n_kept ? from + chunk : s->options.n_kept;
            if (!try_without(a, from, to)) from = to;
        }
}

/* ---- all of it ---- */

void shrink(const struct world_options *o, const struct world *broken, uint64_t may_play,
            struct story *out)
{
    struct attempt a = {.s = out, .may_play = may_play};
    struct shape shape = broken->shape;
    uint64_t events;

    *out = (struct story){.options = *o, .events = broken->counts.events};
    memcpy(a.invariant, broken->invariant, sizeof a.invariant);
    a.calm = broken->calm;
    shape_text(&shape, out->shape, sizeof out->shape);
    out->options.shape = out->shape;
    out->options.folder = NULL;
    out->options.tell = 0;
    if (breaks(&a, &out->options, &events)) {
        for (int i = 0; i < 8 && !is_short(&a); i++)
            if (!smaller(&a) + !other_seeds(&a) + !fewer_events(&a) == 3) break;
        a.may_play += may_play / 4; /* whatever was spent before */
        breaks(&a, &out->options, &events);
        fewer_faults(&a);
    }
    /* One more than it takes: what is noticed between two events is noticed before the faults stop. */
    if (!a.calm) out->options.events = out->events + 1;
    out->command = story_command(&out->options);
    free(a.happened);
}

/* ---- as a command ---- */

static void append(char **text, size_t *n, const char *more)
{
    size_t length = strlen(more);
    char *longer = realloc(*text, *n + length + 1);

    if (!longer) abort();
    memcpy(longer + *n, more, length + 1);
    *text = longer;
    *n += length;
}

char *story_command(const struct world_options *o)
{
    char *text = NULL, one[640];
    size_t n = 0;

    snprintf(one, sizeof one, "make simulate SEED=%llu EVENTS=%llu", (unsigned long long)o->seed,
             (unsigned long long)o->events);
    append(&text, &n, one);
    if (o->bug) {
        snprintf(one, sizeof one, " BUG=%s", bug_names[o->bug]);
        append(&text, &n, one);
    }
    if (o->mutant) {
        snprintf(one, sizeof one, " BUG=%s", o->mutant);
        append(&text, &n, one);
    }
    if (o->shape) {
        snprintf(one, sizeof one, " WORLD=%s", o->shape);
        append(&text, &n, one);
    }
    if (o->kept) append(&text, &n, o->n_kept ? " KEEP=" : " KEEP=none");
    for (size_t i = 0; o->kept && i < o->n_kept; i++) {
        snprintf(one, sizeof one, "%s%s.%llu.%u", i ? "," : "", fault_names[o->kept[i].fault],
                 (unsigned long long)o->kept[i].who, o->kept[i].ordinal);
        append(&text, &n, one);
    }
    return text;
}

static int read_one(const char *text, size_t n, struct kept *k)
{
    char name[64];
    unsigned long long who;
    unsigned ordinal;

    if (n >= sizeof name) return 0;
    memcpy(name, text, n);
    name[n] = '\0';
    char *dot = strchr(name, '.');
    if (!dot || sscanf(dot + 1, "%llu.%u", &who, &ordinal) != 2) return 0;
    *dot = '\0';
    for (int f = 0; f < FAULTS; f++)
        if (strcmp(name, fault_names[f]) == 0) {
            *k = (struct kept){(uint8_t)f, ordinal, who};
            return 1;
        }
    return 0;
}

enum code story_keep(const char *text, struct kept **kept, size_t *n, struct err *e)
{
    *n = 0;
    *kept = malloc((strlen(text) + 1) * sizeof **kept);
    if (!*kept) abort();
    if (strcmp(text, "none") == 0) return OK;
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        if (!read_one(at, length, &(*kept)[(*n)++]))
            return err_set(e, ERR_USAGE, "`%.*s` is no fault: name.who.number", (int)length, at);
        at += length + (at[length] == ',');
    }
    return OK;
}

void story_fini(struct story *s)
{
    free(s->kept);
    free(s->command);
}
