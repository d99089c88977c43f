/* ceilings.h - what this machine does without us: the disk's syncs, ZeroMQ's round trips. Measured in the run they are held against. */
#ifndef BENCH_COORDINATOR_CEILINGS_H
#define BENCH_COORDINATOR_CEILINGS_H

/* fdatasync of 64-byte appends in that folder, a second. */
double ceiling_syncs(const char *folder, double seconds);

/* Units a second through a bare ROUTER: it hands 215 bytes to `peers` DEALERs, each has `depth` of them outstanding and sends
 * them back. Two processes, as coordinator and peers are; ipc. */
double ceiling_fan(const char *folder, int peers, int depth, double seconds);

/* Jobs a second that sbatch hands in, one after the other, to the Slurm of this environment; they are held, and cancelled. 0: there is
 * none. */
double peer_sbatch(double seconds);

#endif
