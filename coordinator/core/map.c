/* map.c - open addressing, linear probing, entries of eight bytes: 32 bits of a hash and a number. The numbers name things that
 * know their own keys, so a map of a million jobs costs 16 MB at most. What is taken out closes its gap: nothing is
 * left behind, and a map that was full once stays fast. The seed is a secret of the process: clients choose keys.
 */
#include "coordinator/core/state.h"

#include <stdlib.h>

uint64_t map_hash64(uint64_t seed, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u ^ n, w;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 29 ^ seed;
    }
    for (w = 0; n; n--) w = w << 8 | p[n - 1];
    h = (h ^ w) * 0xc4ceb9fe1a85ec53u;
    h = (h ^ h >> 32) * 0x9fb21c651e98df25u;
    return h ^ h >> 29;
}

uint32_t map_hash(uint64_t seed, const void *bytes, size_t n)
{
    return (uint32_t)(map_hash64(seed, bytes, n) >> 32);
}

uint32_t map_hash_id(uint64_t seed, uint64_t id)
{
    return map_hash(seed, &id, sizeof id);
}

static uint32_t walk(const struct map *m, uint32_t hash, size_t *at)
{
    for (; m->e[*at].value; *at = (*at + 1) & (m->room - 1))
        if (m->e[*at].hash == hash) return m->e[*at].value;
    return 0;
}

uint32_t map_first(const struct map *m, uint32_t hash, size_t *at)
{
    if (!m->room) return 0;
    *at = hash & (m->room - 1);
    return walk(m, hash, at);
}

uint32_t map_next(const struct map *m, uint32_t hash, size_t *at)
{
    *at = (*at + 1) & (m->room - 1);
    return walk(m, hash, at);
}

static void place(struct map *m, struct map_entry e)
{
    size_t at = e.hash & (m->room - 1);
    while (m->e[at].value) at = (at + 1) & (m->room - 1);
    m->e[at] = e;
}

static int grow(struct map *m)
{
    struct map big = {.room = m->room ? 2 * m->room : 64, .n = m->n};

    if (!(big.e = mem_alloc(big.room, sizeof *big.e))) return 0;
    for (size_t i = 0; i < m->room; i++)
        if (m->e[i].value) place(&big, m->e[i]);
    free(m->e);
    *m = big;
    return 1;
}

int map_add(struct map *m, uint32_t hash, uint32_t value)
{
    assert(value);
    if (m->n * 4 >= m->room * 3 && !grow(m)) return 0;
    place(m, (struct map_entry){hash, value});
    m->n++;
    return 1;
}

/* Whoever stands behind the gap and could stand in it moves up. */
static void close_gap(struct map *m, size_t gap)
{
    size_t mask = m->room - 1;

    for (size_t at = (gap + 1) & mask; m->e[at].value; at = (at + 1) & mask) {
        size_t home = m->e[at].hash & mask;
        if (((at - home) & mask) < ((at - gap) & mask)) continue;
        m->e[gap] = m->e[at];
        gap = at;
    }
    m->e[gap] = (struct map_entry){0, 0};
}

void map_remove(struct map *m, uint32_t hash, uint32_t value)
{
    size_t at;

    for (uint32_t v = map_first(m, hash, &at); v; v = map_next(m, hash, &at)) {
        if (v != value) continue;
        close_gap(m, at);
        m->n--;
        return;
    }
}

void map_fini(struct map *m)
{
    free(m->e);
    memset(m, 0, sizeof *m);
}
