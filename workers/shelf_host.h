/* shelf_host.h - a shelf (base/shelf.h) that the ranks of one host share: what one of them made, all read.
 *
 *     shelf_host_open(&shelf, SHELF_NUMBERS, &where, &ranks, &e);     // all ranks of the group, together
 *     ...
 *     shelf_host_close(&shelf);                                       // each when it has put everything
 *
 * Whoever asks for an item first makes it; who comes meanwhile waits. Nothing else ties the ranks together: each may build other
 * graphs, in another order. The memory has no name in any file system and ends with the last process that holds it, so a kill at any
 * instant leaves nothing behind.
 *
 * Alone on its host a rank gets a private shelf. So does a rank that cannot reach the others' memory (containers of their own): that costs
 * memory, is logged, and changes no result. The same goes item by item when memory for shared ones runs out.
 */
#ifndef WORKERS_SHELF_HOST_H
#define WORKERS_SHELF_HOST_H

#include "base/collectives.h"
#include "base/shelf.h"

struct shelf_host_where {
    int ranks_here, lowest;           /* ranks of the group on this host; the lowest of them, whose memory it is */
};

/* For numbers below n. Errors: only those of the collectives. */
enum code shelf_host_open(struct shelf *s, uint64_t n, struct shelf_host_where where, struct collectives *ranks, struct err *e);
void shelf_host_close(struct shelf *s);

#endif
