/* launcher.c - who starts groups and says when they end; a batch system behind it lies, as cluster.md 1.4 measured it: it forgets
 * what it promised to start, starts again what died or what still lives, sees no end of what has ended, and an end of what has not. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>

static void later(struct world *w, uint32_t slot, int64_t in_ms)
{
    agenda_add(&w->agenda, w->now_ms + in_ms, DO_LAUNCH, slot, ++w->slots[slot].stamp);
}

static uint64_t new_nonce(struct world *w)
{
    if (w->n_nonces == w->nonces_room) {
        w->nonces_room = w->nonces_room ? 2 * w->nonces_room : 256;
        w->nonces = realloc(w->nonces, w->nonces_room * sizeof *w->nonces);
        if (!w->nonces) abort();
    }
    w->nonces[w->n_nonces] = (struct nonce){0};
    return w->n_nonces++;
}

static void report(struct world *w, uint32_t slot, uint64_t nonce, int64_t in_ms)
{
    agenda_add(&w->agenda, w->now_ms + in_ms, DO_DEATH, slot, nonce);
}

/* The launcher believes that there is none: it starts one. */
void launcher_act(struct world *w, uint32_t slot)
{
    struct slot *s = &w->slots[slot];

    s->nonce = new_nonce(w);
    if (fault(w, &s->dice, FAULT_lost_start)) {
        report(w, slot, s->nonce, 20000);
        later(w, slot, 20000 + (int64_t)dice_roll(&s->dice, 40000));
        return;
    }
    if (!group_begin(w, slot, s->nonce)) later(w, slot, 30000);
}

/* A program has ended. */
void launcher_saw_end(struct world *w, uint32_t slot, uint64_t nonce)
{
    struct slot *s = &w->slots[slot];
    int64_t soon = 500 + (int64_t)dice_roll(&s->dice, 3000);

    if (s->nonce != nonce || w->nonces[nonce].body[0])
        return; /* one it does not count, or a twin lives */
    if (fault(w, &s->dice, FAULT_second_start)) {
        group_begin(w, slot, nonce);
    } else if (fault(w, &s->dice, FAULT_unseen)) {
        later(w, slot, 60000 + (int64_t)dice_roll(&s->dice, 200000));
    } else if (fault(w, &s->dice, FAULT_late_death)) {
        later(w, slot, 100);
        report(w, slot, nonce, 100 + (int64_t)dice_roll(&s->dice, 20000));
    } else {
        report(w, slot, nonce, 10);
        later(w, slot, soon);
    }
}

/* It reports an end, and starts the next one; the group lives on. */
void launcher_lies(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];

    report(w, g->slot, g->nonce, 1);
    if (w->slots[g->slot].nonce == g->nonce)
        later(w, g->slot, 1000 + (int64_t)dice_roll(&g->dice, 5000));
}
