/* shape.c - how large a world is and how unlucky. Most are small, where everything that can meet meets soon; some are crowds, farms, chains. */
#include "tests/simulation/support/world.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of 2^20 tries; a try is a message, an action of a group, a batch, a start, as dice.h tells. */
const uint32_t fault_rates[FAULTS] = {
    [FAULT_drop] = 15000,
    [FAULT_doubled] = 15000,
    [FAULT_late] = 8000,
    [FAULT_corrupt] = 6000,
    [FAULT_kill_before] = 900,
    [FAULT_kill_during] = 900,
    [FAULT_kill_after] = 900,
    [FAULT_kill_between] = 700,
    [FAULT_disk_refuses] = 2000,
    [FAULT_disk_blind] = 100000,
    [FAULT_clock_stands] = 700,
    [FAULT_clock_leaps] = 60,
    [FAULT_clock_back] = 200000,
    [FAULT_group_dies] = 2500,
    [FAULT_group_sleeps] = 25000,
    [FAULT_group_fails] = 60000,
    [FAULT_unseen] = 300000,
    [FAULT_false_death] = 5000,
    [FAULT_late_death] = 100000,
    [FAULT_second_start] = 50000,
    [FAULT_twin] = 2500,
    [FAULT_impostor] = 1500,
    [FAULT_false_good] = 8000,
    [FAULT_no_memory] = 400,
    [FAULT_no_memory_to_load] = 80000,
    [FAULT_lost_start] = 60000,
};

/* ---- by the seed ---- */

static uint32_t between(struct dice *d, uint32_t least, uint32_t most)
{
    return least + (uint32_t)dice_roll(d, most - least + 1);
}

static void usual(struct shape *s, struct dice *d)
{
    static const uint32_t bytes[] = {20, 50, 50, 100, 1000};
    *s = (struct shape){.users = between(d, 1, 4),
                        .groups = between(d, 1, 5),
                        .lineages = between(d, 1, 6),
                        .wishes = 100000,
                        .backlog = dice_roll(d, 4) ? between(d, 5, 60) : between(d, 60, 400),
                        .hurry = between(d, 0, 3),
                        .batch = dice_roll(d, 3) ? between(d, 1, 6) : between(d, 6, 32),
                        .bytes = bytes[dice_roll(d, 5)],
                        .steps = between(d, 1, 6),
                        .priors = between(d, 1, 6),
                        .weights = (uint32_t)dice_roll(d, 3) > 0,
                        .operations = (uint32_t)dice_roll(d, 4) > 0,
                        .luck = between(d, 4, 24)};
}

static void crowd(struct shape *s, struct dice *d)
{
    s->users = between(d, 20, 300);
    s->lineages = between(d, 10, s->users);
    s->groups = between(d, 4, 40);
    s->backlog = between(d, s->users, 4 * s->users);
    s->bytes = 20;
    s->hurry += 4;
}

static void farm(struct shape *s, struct dice *d)
{
    s->groups = dice_roll(d, 4) ? between(d, 50, 400) : between(d, 400, 2500);
    s->users = between(d, 4, 60);
    s->lineages = between(d, s->users, 4 * s->users);
    s->backlog = between(d, s->groups / 2 + 20, 3 * s->groups);
    s->hurry = 9;
    s->bytes = 10;
    s->batch = between(d, 8, 32);
}

static void zombies(struct shape *s, struct dice *d)
{
    s->groups = between(d, 4, 12);
    s->lineages = between(d, 4, 12);
    s->steps = 2;
    s->hurry = 4;
    s->luck = between(d, 24, 48);
}

static void chains(struct shape *s, struct dice *d)
{
    s->lineages = between(d, 1, 2);
    s->steps = 1;
    s->hurry = 4;
    s->groups = between(d, 2, 6);
}

static void choose(struct shape *s, struct dice *d)
{
    usual(s, d);
    switch (dice_roll(d, 16)) {
    case 0: crowd(s, d); break;
    case 1: farm(s, d); break;
    case 2:
    case 3: zombies(s, d); break;
    case 4: chains(s, d); break;
    case 5: s->luck = 0; break;
    case 6: s->luck = 1; break;
    default: break;
    }
    s->sqlite = dice_roll(d, 100) == 0;
}

/* ---- by hand ---- */

const struct shape_number shape_numbers[] = {
#define NUMBER(name, least) {#name, offsetof(struct shape, name), least},
    SHAPE_LIST
#undef NUMBER
    {NULL, 0, 0}};

uint32_t *shape_at(struct shape *s, const struct shape_number *n)
{
    return (uint32_t *)(void *)((char *)s + n->offset);
}

static enum code set(struct shape *s, const char *name, size_t length, uint32_t value,
                     struct err *e)
{
    for (const struct shape_number *n = shape_numbers; n->name; n++)
        if (strlen(n->name) == length && strncmp(n->name, name, length) == 0) {
            *shape_at(s, n) = value < n->least ? n->least : value;
            return OK;
        }
    return err_set(e, ERR_USAGE, "a world has no number `%.*s`; world.h lists them", (int)length,
                   name);
}

enum code shape_choose(struct shape *s, const struct world_options *o, struct err *e)
{
    struct dice d = {.seed = o->seed, .who = 2};
    enum code rc = OK;

    choose(s, &d);
    for (const char *at = o->shape; at && *at && !rc;) {
        size_t n = strcspn(at, "=");
        char *end = NULL;
        if (at[n] != '=') return err_set(e, ERR_USAGE, "`%s`: name=number is expected", at);
        unsigned long value = strtoul(at + n + 1, &end, 10);
        rc = set(s, at, n, (uint32_t)value, e);
        at = *end == ',' ? end + 1 : end;
    }
    return rc;
}

void shape_text(const struct shape *s, char *out, size_t room)
{
    struct shape copy = *s;
    size_t used = 0;

    for (const struct shape_number *n = shape_numbers; n->name && used < room; n++)
        used += (size_t)snprintf(out + used, room - used, "%s%s=%u", used ? "," : "", n->name,
                                 *shape_at(&copy, n));
}
