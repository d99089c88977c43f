/* main.c - engram-worker, one rank of a worker group. Started by a launcher through mpirun or Slurm, seldom by hand.
 *
 * Order of life: MPI first (it may fork), then threads, models, the link of rank 0, the loop; everything down in reverse.
 */
#include "base/err.h"
#include "base/log.h"
#include "base/parallel.h"
#include "proto/link.h"
#include "workers/comm_mpi.h"
#include "workers/group.h"
#include "workers/lease.h"
#include "workers/rank_loop.h"
#include "workers/supply.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char HELP[] =
    "engram-worker - one rank of a worker group: runs stages that a coordinator hands out\n"
    "\n"
    "  mpirun -np 2 engram-worker --connect ipc://HOME/run/worker.sock --home HOME\n"
    "  mpirun -np 8 engram-worker --connect tcp://HOST:PORT --server-key KEY --key FILE --home "
    "HOME\n"
    "  mpirun -np 8 engram-worker --connect tcp://HOST:PORT --server-key KEY --key FILE --cache "
    "DIR\n"
    "\n"
    "  --connect ENDPOINT   where the coordinator listens for workers\n"
    "  --server-key KEY     tcp: the coordinator's public key, or a file with it (default: "
    "$ENGRAM_SERVER_KEY)\n"
    "  --key FILE           tcp: the worker's secret key (default: $ENGRAM_KEY); docs/users.md\n"
    "  --home DIR           its home: objects/ and checkpoints/ are read and written there\n"
    "  --cache DIR          instead of --home, where its file system is not: objects are fetched "
    "into DIR and sent from it\n"
    "  --cache-bytes N      of objects that are kept there (default 34359738368); running stages "
    "may need more\n"
    "  --base-path OLD=NEW  base models at OLD, or below it, lie at NEW here; may be repeated\n"
    "  --name NAME          of the group, in logs and `engram queue` (default: group-<pid>)\n"
    "  --nonce HEX          64 hex digits that tell this group from its predecessor (default: made "
    "here)\n"
    "  --threads N          per rank (default: cores of this host / ranks on it)\n"
    "  --log plain|json     how lines on stderr are written (default: $ENGRAM_LOG, else plain)\n"
    "\n"
    "Signals: TERM, INT and USR1 end the stage at its next step, with a checkpoint. Exit status: 0 "
    "told to leave, 2 usage,\n"
    "4 environment, 75 the coordinator has been silent for too long.\n";

/* Blocks of this size and more go back to the system when they are freed. Left alone, the C library learns to keep them, and a rank
 * would hold the arena of its last stage beside that of the next. */
#define LARGE_BYTES (1 << 20)

#define CACHE_BYTES (UINT64_C(32) << 30)

enum { PLACES = 16 };

struct options {
    const char *connect, *server_key, *key, *home, *cache, *name, *nonce, *log;
    uint64_t cache_bytes;
    int threads, n_places;
    struct base_place place[PLACES];
};

/* "OLD=NEW", split in place: the words of a command line are the program's own. */
static enum code add_place(struct options *o, char *text, struct err *e)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return err_set(e, ERR_USAGE, "--base-path %s: expected OLD=NEW", text);
    if (o->n_places == PLACES)
        return err_set(e, ERR_USAGE, "--base-path: at most %d of them", PLACES);
    *equals = '\0';
    o->place[o->n_places++] = (struct base_place){text, equals + 1};
    return OK;
}

static enum code check(const struct options *o, struct err *e)
{
    if (!o->connect || !o->home == !o->cache)
        return err_set(e, ERR_USAGE,
                       "--connect and one of --home and --cache are needed; see engram-worker "
                       "--help");
    if (o->cache && strncmp(o->connect, "tcp:", 4))
        return err_set(e, ERR_USAGE, "--cache is for tcp; beside the coordinator give --home");
    if (!o->cache_bytes)
        return err_set(e, ERR_USAGE, "--cache-bytes: expected a number of bytes, at least 1");
    return o->log ? log_format(o->log, e) : OK;
}

static enum code options_read(int argc, char **argv, struct options *o, struct err *e)
{
    static const struct option LONG[] = {{"connect", 1, 0, 'c'},
                                         {"server-key", 1, 0, 's'},
                                         {"key", 1, 0, 'k'},
                                         {"home", 1, 0, 'd'},
                                         {"name", 1, 0, 'n'},
                                         {"nonce", 1, 0, 'x'},
                                         {"threads", 1, 0, 't'},
                                         {"log", 1, 0, 'l'},
                                         {"cache", 1, 0, 'C'},
                                         {"cache-bytes", 1, 0, 'B'},
                                         {"base-path", 1, 0, 'b'},
                                         {"help", 0, 0, 'h'},
                                         {0, 0, 0, 0}};
    *o = (struct options){.cache_bytes = CACHE_BYTES,
                          .server_key = getenv("ENGRAM_SERVER_KEY"),
                          .key = getenv("ENGRAM_KEY")};
    for (int c; (c = getopt_long(argc, argv, "h", LONG, NULL)) != -1;) {
        if (c == 'c') o->connect = optarg;
        else if (c == 's') o->server_key = optarg;
        else if (c == 'k') o->key = optarg;
        else if (c == 'd') o->home = optarg;
        else if (c == 'C') o->cache = optarg;
        else if (c == 'B') o->cache_bytes = strtoull(optarg, NULL, 10);
        else if (c == 'b') {
            enum code rc = add_place(o, optarg, e);
            if (rc) return rc;
        } else if (c == 'n') o->name = optarg;
        else if (c == 'x') o->nonce = optarg;
        else if (c == 't') o->threads = atoi(optarg);
        else if (c == 'l') o->log = optarg;
        else if (c == 'h') {
            fputs(HELP, stdout);
            exit(0);
        } else return err_set(e, ERR_USAGE, "see engram-worker --help");
    }
    return check(o, e);
}

static void leave(int signal)
{
    (void)signal;
    lease_leaving = 1;
}

/* Without SA_RESTART, so that a wait on the link ends too. */
static void handle_signals(void)
{
    struct sigaction s = {.sa_handler = leave};
    sigaction(SIGTERM, &s, NULL);
    sigaction(SIGINT, &s, NULL);
    sigaction(SIGUSR1, &s, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static enum code hello_make(const struct options *o, const struct collectives *c,
                            struct msg_worker_hello *out, struct err *e)
{
    static char name[64], host[64];
    snprintf(name, sizeof name, "group-%d", (int)getpid());
    gethostname(host, sizeof host - 1);
    *out = (struct msg_worker_hello){.name = o->name ? o->name : name,
                                     .ranks = (uint64_t)c->size,
                                     .pid = (uint64_t)getpid(),
                                     .host = host,
                                     .device = kernels_cuda() ? "cuda" : "cpu"};
    if (o->nonce) return hash_parse(o->nonce, &out->nonce, e);
    while (getrandom(out->nonce.v, sizeof out->nonce.v, 0) != sizeof out->nonce.v) continue;
    return OK;
}

/* Over the network each side shows a key. */
static enum code link_keys(const struct options *o, struct link_options *l, struct err *e)
{
    if (strncmp(o->connect, "tcp:", 4)) return OK;
    if (!o->server_key || !o->key)
        return err_set(e, ERR_USAGE, "%s needs --server-key and --key; see engram-worker --help",
                       o->connect);
    enum code rc = keys_parse(o->server_key, &l->server_key, e);
    return rc ? rc : keys_read(&l->keys, o->key, e);
}

/* Rank 0 speaks: one link for stages and, where the home is far away, another one for objects. */
static enum code open_links(const struct options *o, struct collectives *c, struct link **link,
                            struct supply **supply, struct err *e)
{
    struct msg_worker_hello hello;
    enum code rc = hello_make(o, c, &hello, e);
    struct link_options l = {
        .endpoint = o->connect, .timeout_ms = 5000, .tries = 2, .hello = &hello};
    struct supply_options s = {.dir = o->cache, .cache_bytes = o->cache_bytes, .link = &l};
    if (!rc) rc = link_keys(o, &l, e);
    if (!rc) rc = link_open(link, &l, e);
    if (!rc && o->cache) rc = supply_open(supply, &s, e);
    memset(&l.keys, 0, sizeof l.keys);
    return rc;
}

static enum code serve(const struct options *o, struct collectives *c, struct err *e)
{
    struct group g;
    struct link *link = NULL;
    struct supply *supply = NULL;
    struct comm_mpi_here here = comm_mpi_here();
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN), share = cores / here.ranks;
    parallel_start(o->threads > 0 ? o->threads : share > 0 ? share : 1);
    enum code rc = group_open(&g, o->home ? o->home : o->cache, c, e);
    rc = collectives_agree(c, rc, e);
    g.ranks_here = here.ranks;
    g.lowest_here = here.lowest;
    g.place = o->place;
    g.n_places = o->n_places;
    if (!rc && c->rank == 0) rc = open_links(o, c, &link, &supply, e);
    rc = collectives_agree(c, rc, e);
    if (!rc && o->cache) rc = supply_is_shared(o->cache, c, e);
    if (!rc) rc = rank_loop(&g, link, supply, e);
    supply_close(supply);
    link_close(link);
    group_close(&g);
    parallel_stop();
    return rc;
}

int main(int argc, char **argv)
{
    struct options o;
    struct collectives c;
    struct err e = {0};
    log_open("worker", LOG_INFO);
    enum code rc = options_read(argc, argv, &o, &e);
    if (rc) {
        fprintf(stderr, "engram-worker: %s\n", e.text);
        return err_exit_status(rc);
    }
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    rc = comm_mpi_start(&argc, &argv, &c, &e);
    if (o.name) log_as(o.name);
    handle_signals();
    if (!rc) rc = serve(&o, &c, &e);
    if (rc) {
        if (c.rank == 0) log_line(LOG_ERROR, "%s", e.text);
        comm_mpi_abort(err_exit_status(rc));
    }
    comm_mpi_finish(&c);
    return 0;
}
