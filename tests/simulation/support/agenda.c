/* agenda.c - a heap with four children: half the levels of one with two, and the children share a cache line or two. */
#include "tests/simulation/support/agenda.h"

#include <stdlib.h>
#include <string.h>

static int sooner(const struct entry *a, const struct entry *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

void agenda_add(struct agenda *a, int64_t at_ms, uint32_t what, uint32_t who, uint64_t stamp)
{
    struct entry e = {at_ms, a->order++, what, who, stamp};
    size_t i = a->n++;

    if (a->n > a->room) {
        a->room = a->room ? 2 * a->room : 256;
        a->heap = realloc(a->heap, a->room * sizeof *a->heap);
        if (!a->heap) abort();
    }
    for (; i && sooner(&e, &a->heap[(i - 1) / 4]); i = (i - 1) / 4)
        a->heap[i] = a->heap[(i - 1) / 4];
    a->heap[i] = e;
}

int agenda_next(struct agenda *a, struct entry *out)
{
    if (a->n == 0) return 0;
    *out = a->heap[0];
    struct entry last = a->heap[--a->n];
    size_t i = 0, k;
    while ((k = 4 * i + 1) < a->n) {
        size_t end = k + 4 < a->n ? k + 4 : a->n, best = k;
        while (++k < end)
            if (sooner(&a->heap[k], &a->heap[best])) best = k;
        if (!sooner(&a->heap[best], &last)) break;
        a->heap[i] = a->heap[best];
        i = best;
    }
    if (a->n) a->heap[i] = last;
    return 1;
}

void agenda_fini(struct agenda *a)
{
    free(a->heap);
    memset(a, 0, sizeof *a);
}
