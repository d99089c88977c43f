/* map.c - open addressing. Keys are hashes already: any eight bytes of them will do. A client that chose its keys to
 * collide would slow down its own single-user coordinator. */
#include "coordinator/core/state.h"

#include <stdlib.h>
#include <string.h>

static size_t slot(const struct map *m, struct hash key)
{
    uint64_t at;
    memcpy(&at, key.v + 8, sizeof at);
    at &= m->room - 1;
    while (m->value[at] && !hash_equal(m->key[at], key)) at = (at + 1) & (m->room - 1);
    return (size_t)at;
}

uint64_t map_get(const struct map *m, struct hash key)
{
    return m->room ? m->value[slot(m, key)] : 0;
}

static int grow(struct map *m)
{
    struct map big = {.room = m->room ? 2 * m->room : 64, .n = m->n};

    big.key = mem_alloc(big.room, sizeof *big.key);
    big.value = mem_alloc(big.room, sizeof *big.value);
    if (!big.key || !big.value) {
        map_fini(&big);
        return 0;
    }
    for (size_t i = 0; i < m->room; i++) {
        if (!m->value[i]) continue;
        size_t at = slot(&big, m->key[i]);
        big.key[at] = m->key[i];
        big.value[at] = m->value[i];
    }
    map_fini(m);
    *m = big;
    return 1;
}

int map_set(struct map *m, struct hash key, uint64_t value)
{
    assert(value);
    if (m->n * 4 >= m->room * 3 && !grow(m)) return 0;
    size_t at = slot(m, key);
    m->n += !m->value[at];
    m->key[at] = key;
    m->value[at] = value;
    return 1;
}

void map_fini(struct map *m)
{
    free(m->key);
    free(m->value);
    memset(m, 0, sizeof *m);
}
