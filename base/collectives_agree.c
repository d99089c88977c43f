/* collectives_agree.c - one outcome for all ranks.
 *
 * Each rank clears its own bit if it failed; after the AND every rank knows who failed, and the first of them tells
 * its line. Nothing here allocates: agreement must work on a rank that is out of memory.
 */
#include "base/collectives.h"

#include <assert.h>
#include <string.h>

enum { RANKS_MOST = 4096, WORD = 64 };

static int first_failed(const uint64_t *ok, int size)
{
    for (int r = 0; r < size; r++)
        if (!(ok[r / WORD] >> (r % WORD) & 1)) return r;
    return -1;
}

enum code collectives_agree(struct collectives *c, enum code mine, struct err *e)
{
    assert(c->size <= RANKS_MOST);
    uint64_t ok[RANKS_MOST / WORD];
    memset(ok, 0xff, sizeof ok);
    if (mine) ok[c->rank / WORD] &= ~((uint64_t)1 << (c->rank % WORD));
    size_t words = ((size_t)c->size + WORD - 1) / WORD;
    enum code rc = c->band(c, ok, words, e);
    if (rc) return rc;

    int teller = first_failed(ok, c->size);
    if (teller < 0) return OK;
    struct err said = {0};
    if (teller == c->rank) {
        err_set(&said, mine, "rank %d failed (%s)", c->rank, err_name(mine));
        if (e && e->text[0]) err_set(&said, mine, "%s", e->text);
    }
    if ((rc = c->broadcast(c, &said, sizeof said, teller, e))) return rc;
    return err_set(e, said.code, "%s", said.text);
}
