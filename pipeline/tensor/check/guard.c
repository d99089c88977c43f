/* guard.c - poison in the arena, and who broke it. Slow on purpose: for tests. */
#include "pipeline/tensor/check/guard.h"

#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/plan.h"

#include <string.h>

#define POISON 0x7fdead05u /* a quiet NaN; no computation makes this one by itself */

void poison_fill(void *data, size_t bytes)
{
    const uint32_t word = POISON;
    uint8_t *at = data;
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word)
        memcpy(at, &word, sizeof word);
    memcpy(at, &word, bytes);
}

int poison_intact(const void *data, size_t bytes)
{
    const uint32_t word = POISON;
    const uint8_t *at = data;
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word)
        if (memcmp(at, &word, sizeof word) != 0) return 0;
    return memcmp(at, &word, bytes) == 0;
}

int64_t poison_find(const float *data, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, data + i, sizeof word);
        if ((word & 0x7fffffffu) == POISON) return i;
    }
    return -1;
}

void guard_begin(const struct plan *p, uint8_t *arena)
{
    poison_fill(arena, p->peak);
}

/* The tail of a workspace of odd size would break the rhythm of the pattern: start at a whole word. */
static size_t data_end(const struct buffer *b)
{
    return b->offset + (b->bytes + 3) / 4 * 4;
}

static enum code name_culprit(const struct graph *g, const struct buffer *b, int node,
                              const char *where, struct err *e)
{
    char text[160] = "a workspace";
    if (b->tensor >= 0) graph_describe(g, (struct value){b->tensor}, text, sizeof text);
    return err_set(e, ERR_INTERNAL, "check: %s#%d wrote outside its buffers: %s %s",
                   op_name(graph_node(g, node)->op), node, where, text);
}

enum code guard_node(const struct plan *p, const struct graph *g, uint8_t *arena, int node,
                     struct err *e)
{
    size_t red = p->kernels->red_zone;
    for (int i = 0; i < p->n_buffers; i++) {
        const struct buffer *b = &p->buffers[i];
        if (b->first > node || b->last < node) continue;
        if (!poison_intact(arena + b->offset - red, red))
            return name_culprit(g, b, node, "before", e);
        if (!poison_intact(arena + data_end(b), buffer_end(p, b) - data_end(b)))
            return name_culprit(g, b, node, "after", e);
        if (b->last == node) poison_fill(arena + b->offset, b->bytes);
    }
    return OK;
}

enum code guard_end(const struct plan *p, const uint8_t *arena, struct err *e)
{
    size_t at = 0;
    while (at < p->peak) { /* hop from one kept result to the next */
        const struct buffer *next = NULL;
        for (int i = 0; i < p->n_buffers; i++) {
            const struct buffer *b = &p->buffers[i];
            if (b->last != p->n_nodes || b->offset < at || !b->bytes) continue;
            if (!next || b->offset < next->offset) next = b;
        }
        size_t end = next ? next->offset : p->peak;
        if (!poison_intact(arena + at, end - at))
            return err_set(e, ERR_INTERNAL,
                           "check: memory was written after its last reader, "
                           "in bytes %zu..%zu of the arena",
                           at, end);
        at = next ? data_end(next) : p->peak;
    }
    return OK;
}
