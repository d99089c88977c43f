/* comm_mpi.h - collectives (base/collectives.h) over MPI for host memory. The only place that knows mpi.h.
 *
 *     comm_mpi_start(&argc, &argv, &c, &e);     // MPI_Init, before any thread is made
 *     ...
 *     comm_mpi_finish(&c);                      // MPI_Finalize
 *
 * An MPI error or a dead rank takes the whole group down (Open MPI has no way back from it); the coordinator sees the lease
 * fall silent and gives the stage to the next group.
 */
#ifndef WORKERS_COMM_MPI_H
#define WORKERS_COMM_MPI_H

#include "base/collectives.h"

enum code comm_mpi_start(int *argc, char ***argv, struct collectives *out, struct err *e);
void comm_mpi_finish(struct collectives *c);

/* The ranks of this group on this host, which share its cores and memory. Asked of all ranks together. */
struct comm_mpi_here {
    int ranks, lowest;                /* their number; the lowest of them */
};
struct comm_mpi_here comm_mpi_here(void);

/* Ends all ranks of the group at once, with this exit status. Does not return. */
void comm_mpi_abort(int status);

/* Broadcast for idle ranks: like c->broadcast, but a waiting rank sleeps between looks instead of burning its core. */
enum code comm_mpi_broadcast_patiently(struct collectives *c, void *data, size_t bytes, int root, struct err *e);

#endif
