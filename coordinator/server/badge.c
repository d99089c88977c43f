#include "coordinator/server/badge.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 1024, WAYS = 8, SILENT_MS = 60000 };

struct badge {
    struct hash nonce, key;
    int64_t seen_ms; /* 0: free */
};

struct badges {
    uint64_t seed;
    struct badge v[SETS][WAYS];
};

struct badges *badges_make(uint64_t seed)
{
    struct badges *b = mem_alloc(1, sizeof *b);
    if (b) b->seed = seed;
    return b;
}

void badges_free(struct badges *b)
{
    free(b);
}

static struct badge *set_of(struct badges *b, struct hash nonce)
{
    uint64_t h = b->seed, part;

    for (size_t i = 0; i < HASH_BYTES; i += sizeof part) {
        memcpy(&part, nonce.v + i, sizeof part);
        h = (h ^ part) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return b->v[h % SETS];
}

enum code badge_check(struct badges *b, struct hash nonce, struct hash key, int64_t now_ms,
                      struct err *e)
{
    struct badge *set = set_of(b, nonce), *oldest = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].seen_ms && hash_equal(set[i].nonce, nonce)) {
            if (!hash_equal(set[i].key, key))
                return err_set(e, ERR_DENIED, "another key speaks for this worker group");
            set[i].seen_ms = now_ms;
            return OK;
        }
        if (set[i].seen_ms < oldest->seen_ms) oldest = &set[i];
    }
    if (oldest->seen_ms && now_ms - oldest->seen_ms < SILENT_MS)
        return err_set(e, ERR_FULL, "too many worker groups speak at once: try again later");
    *oldest = (struct badge){nonce, key, now_ms};
    return OK;
}
