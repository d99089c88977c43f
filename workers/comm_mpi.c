/* comm_mpi.c - MPI behind the collectives table. */
#include "workers/comm_mpi.h"
#include "base/pulse.h"

#include <assert.h>
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1u << 30) /* MPI counts are ints */
#define LOOK_NS \
    300000 /* an idle rank looks about 3000 times a second: unseen beside a stage's length */

/* The one translation of MPI's errors into ours. */
static enum code translate(int rc, const char *what, struct err *e)
{
    char text[MPI_MAX_ERROR_STRING];
    int n = 0;
    if (rc == MPI_SUCCESS) return OK;
    MPI_Error_string(rc, text, &n);
    return err_set(e, ERR_IO, "MPI %s: %.*s", what, n, text);
}

/* Waits as a blocking call would, but shows that it lives: the rank that waits may have to wait for another's whole picture. */
static enum code finish(int rc, MPI_Request *request, const char *what, struct err *e)
{
    int done = 0;
    while (!rc && !done) {
        rc = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (rc || done) break;
        pulse();
        sched_yield();
    }
    return translate(rc, what, e);
}

static enum code band(struct collectives *c, uint64_t *words, size_t n, struct err *e)
{
    (void)c;
    for (size_t at = 0; at < n; at += CHUNK) {
        int count = (int)(n - at < CHUNK ? n - at : CHUNK);
        MPI_Request request;
        int sent = MPI_Iallreduce(MPI_IN_PLACE, words + at, count, MPI_UINT64_T, MPI_BAND,
                                  MPI_COMM_WORLD, &request);
        enum code rc = finish(sent, &request, "allreduce", e);
        if (rc) return rc;
    }
    return OK;
}

/* One datatype as long as a rank's share, so that shares beyond 2 GiB stay one call. */
static enum code gather(struct collectives *c, const void *in, size_t bytes, void *out,
                        struct err *e)
{
    (void)c;
    MPI_Request request;
    if (bytes <= INT_MAX)
        return finish(MPI_Iallgather(in, (int)bytes, MPI_BYTE, out, (int)bytes, MPI_BYTE,
                                     MPI_COMM_WORLD, &request),
                      &request, "allgather", e);
    MPI_Datatype page, share = MPI_DATATYPE_NULL;
    int pages = (int)(bytes / 4096), rest = (int)(bytes % 4096);
    int lengths[2] = {pages, rest};
    MPI_Aint at[2] = {0, (MPI_Aint)pages * 4096};
    int rc = MPI_Type_contiguous(4096, MPI_BYTE, &page);
    if (rc) return translate(rc, "type", e);
    MPI_Datatype types[2] = {page, MPI_BYTE};
    rc = MPI_Type_create_struct(2, lengths, at, types, &share);
    if (!rc) rc = MPI_Type_commit(&share);
    if (!rc) rc = MPI_Iallgather(in, 1, share, out, 1, share, MPI_COMM_WORLD, &request);
    enum code code = finish(rc, &request, "allgather", e);
    if (share != MPI_DATATYPE_NULL) MPI_Type_free(&share);
    MPI_Type_free(&page);
    return code;
}

static enum code broadcast(struct collectives *c, void *data, size_t bytes, int root, struct err *e)
{
    (void)c;
    for (size_t at = 0; at < bytes; at += CHUNK) {
        int count = (int)(bytes - at < CHUNK ? bytes - at : CHUNK);
        MPI_Request request;
        int sent = MPI_Ibcast((char *)data + at, count, MPI_BYTE, root, MPI_COMM_WORLD, &request);
        enum code rc = finish(sent, &request, "broadcast", e);
        if (rc) return rc;
    }
    return OK;
}

static enum code barrier(struct collectives *c, struct err *e)
{
    MPI_Request request;
    (void)c;
    return finish(MPI_Ibarrier(MPI_COMM_WORLD, &request), &request, "barrier", e);
}

/* For idle ranks: sleeps between two looks. */
enum code comm_mpi_broadcast_patiently(struct collectives *c, void *data, size_t bytes, int root,
                                       struct err *e)
{
    (void)c;
    struct timespec nap = {0, LOOK_NS};
    MPI_Request request;
    int done = 0;
    assert(bytes <= INT_MAX);
    int rc = MPI_Ibcast(data, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD, &request);
    while (!rc && !done) {
        rc = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (!rc && !done) nanosleep(&nap, NULL);
    }
    return translate(rc, "broadcast", e);
}

/* mpirun's death must be ours: without it nobody restarts or cleans up after us. The parent may have died between
 * MPI_Init and prctl, so it is compared afterwards. */
static void die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
}

enum code comm_mpi_start(int *argc, char ***argv, struct collectives *out, struct err *e)
{
    pid_t parent = getppid();
    int level;
    int rc = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level);
    if (rc) return translate(rc, "init", e);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    *out = (struct collectives){
        .name = "mpi", .band = band, .gather = gather, .broadcast = broadcast, .barrier = barrier};
    MPI_Comm_rank(MPI_COMM_WORLD, &out->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &out->size);
    die_with_parent(parent);
    return OK;
}

void comm_mpi_finish(struct collectives *c)
{
    (void)c;
    MPI_Finalize();
}

struct comm_mpi_here comm_mpi_here(void)
{
    struct comm_mpi_here here = {.ranks = 1};
    MPI_Comm comm;
    MPI_Comm_rank(MPI_COMM_WORLD, &here.lowest);
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm))
        return here;
    MPI_Comm_size(comm, &here.ranks);
    MPI_Bcast(&here.lowest, 1, MPI_INT, 0, comm); /* equal keys: in the order of the group */
    MPI_Comm_free(&comm);
    return here;
}

void comm_mpi_abort(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
    _exit(status);
}
