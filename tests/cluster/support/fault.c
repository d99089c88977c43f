/* fault.c - a process that dies, or stops, exactly there. Loaded into every program of a test by LD_PRELOAD:
 *
 *     ENGRAM_FAULT="engram-worker 1 rename:/checkpoints/ 3 KILL"    rank 1 kills itself before its third checkpoint has its name
 *     ENGRAM_FAULT="engram-coordinator - sync 7 STOP"               the coordinator stops before its seventh sync, to be killed
 *     ENGRAM_FAULT_HIT=FILE                                         made when it happens; it happens once
 *
 * Places: rename:<part of the new path>, sync (fsync and fdatasync), masks (MPI_Iallreduce of more than a few words: `score`).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char program[64], rank[16], place[160], action[8];
    int n, armed;
} fault;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_fault(void)
{
    const char *text = getenv("ENGRAM_FAULT"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!text || sscanf(text, "%63s %15s %159s %d %7s", fault.program, fault.rank, fault.place,
                        &fault.n, fault.action) != 5)
        return;
    fault.armed = !strcmp(fault.program, program_invocation_short_name) &&
                  (fault.rank[0] == '-' || (rank && !strcmp(rank, fault.rank)));
}

static void pass(const char *place, const char *path)
{
    static int passed;
    pthread_once(&once, read_fault);
    size_t n = strlen(place);
    if (!fault.armed || strncmp(fault.place, place, n) != 0 ||
        (fault.place[n] == ':' && !strstr(path, fault.place + n + 1)))
        return;
    if (__atomic_add_fetch(&passed, 1, __ATOMIC_SEQ_CST) != fault.n) return;
    const char *hit = getenv("ENGRAM_FAULT_HIT");
    int fd = hit ? open(hit, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    dprintf(fd, "%d\n", (int)getpid());
    close(fd);
    raise(!strcmp(fault.action, "STOP") ? SIGSTOP : SIGKILL);
}

/* POSIX hands out functions as object pointers. */
#define REAL(type, name) ((type)(__extension__(void (*)(void)) dlsym(RTLD_NEXT, name)))

int rename(const char *from, const char *to)
{
    pass("rename", to);
    return REAL(int (*)(const char *, const char *), "rename")(from, to);
}

int fsync(int fd)
{
    pass("sync", "");
    return REAL(int (*)(int), "fsync")(fd);
}

int fdatasync(int fd)
{
    pass("sync", "");
    return REAL(int (*)(int), "fdatasync")(fd);
}

int MPI_Iallreduce(const void *in, void *out, int n, void *type, void *op, void *comm,
                   void *request);
int MPI_Iallreduce(const void *in, void *out, int n, void *type, void *op, void *comm,
                   void *request)
{
    if (n > 8) pass("masks", "");
    return REAL(int (*)(const void *, void *, int, void *, void *, void *, void *),
                "MPI_Iallreduce")(in, out, n, type, op, comm, request);
}
