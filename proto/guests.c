/* guests.c - a sorted list of keys behind a mutex. */
#include "proto/guests.h"

#include "base/arena.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIRST_SECONDS = 2 };

struct guests {
    pthread_mutex_t lock;
    pthread_cond_t set;
    struct hash *keys; /* owned, sorted; NULL: no list yet */
    size_t n;
    int knocked;
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

struct guests *guests_make(void)
{
    struct guests *g = mem_alloc(1, sizeof *g);

    if (g) {
        pthread_mutex_init(&g->lock, NULL);
        pthread_cond_init(&g->set, NULL);
    }
    return g;
}

void guests_free(struct guests *g)
{
    if (!g) return;
    pthread_cond_destroy(&g->set);
    pthread_mutex_destroy(&g->lock);
    free(g->keys);
    free(g);
}

enum code guests_set(struct guests *g, const struct hash *keys, size_t n, struct err *e)
{
    struct hash *fresh = mem_alloc(n + 1, sizeof *fresh), *old;

    if (!fresh) return err_set(e, ERR_NOMEM, "out of memory for %zu keys", n);
    if (n) memcpy(fresh, keys, n * sizeof *fresh);
    qsort(fresh, n, sizeof *fresh, compare);
    pthread_mutex_lock(&g->lock);
    old = g->keys;
    g->keys = fresh;
    g->n = n;
    pthread_cond_broadcast(&g->set);
    pthread_mutex_unlock(&g->lock);
    free(old);
    return OK;
}

/* With the lock held. */
static void wait_for_list(struct guests *g)
{
    struct timespec until;

    if (g->keys) return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FIRST_SECONDS;
    while (!g->keys && pthread_cond_timedwait(&g->set, &g->lock, &until) == 0) continue;
}

int guests_let_in(struct guests *g, struct hash key)
{
    int known;

    pthread_mutex_lock(&g->lock);
    wait_for_list(g);
    known = g->n && bsearch(&key, g->keys, g->n, sizeof key, compare) != NULL;
    g->knocked |= !known;
    pthread_mutex_unlock(&g->lock);
    return known;
}

int guests_knocked(struct guests *g)
{
    int was;

    pthread_mutex_lock(&g->lock);
    was = g->knocked;
    g->knocked = 0;
    pthread_mutex_unlock(&g->lock);
    return was;
}
