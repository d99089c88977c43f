/* What squeue prints, and, behind a line %%, what sbatch prints. */
#include "coordinator/launch/squeue.h"
#include "tests/fuzz/support/fuzz.h"

#include <string.h>

enum { HOME = 0x1a2b3c4d };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_part part[2];
    struct squeue q;
    struct err e = {0};
    char id[SQUEUE_ID];
    fuzz_split(data, n, part, 2);
    enum code rc = squeue_read(&q, (const char *)part[0].data, part[0].n, HOME, &e);
    if (rc) {
        fuzz_refused(rc, &e);
        must(!q.n && !q.rows);
    }
    for (size_t i = 0; i < q.n; i++) {
        uint32_t home;
        int number;
        const struct squeue_row *r = &q.rows[i], *best = squeue_find(&q, r->name);
        must(squeue_name_read(r->name, strlen(r->name), &home, &number) && home == HOME &&
             number > 0);
        must(r->id[0] && r->state > SQUEUE_ABSENT && best && best->state >= r->state);
        must(strlen(r->id) < SQUEUE_ID && strlen(r->reason) < SQUEUE_REASON);
    }
    squeue_fini(&q);
    rc = squeue_read_submitted((const char *)part[1].data, part[1].n, id, &e);
    if (rc) fuzz_refused(rc, &e);
    else must(id[0] && strspn(id, "0123456789") == strlen(id));
    return 0;
}
