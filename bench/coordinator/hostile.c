/* What hostile peers cost honest ones: eight people ask over TCP at a steady pace, alone and beside each attack of tests/door, in turns
 * of the same run.
 *
 *     hostile [SECONDS per turn, default 5] [REQUESTS a second, default 400] [NICE of the attackers, default 19]
 *
 * Half of what is asked is a question (ping), half makes a durable job (sample). Printed per turn: requests answered a second and
 * their share of the quiet turns', median and 99th percentile of the time to an answer (from when it was due, so that a wait counts for
 * those behind it), how far the coordinator has grown, how often a door died. Attackers are nice: in life they bring their own
 * processors. What they got done is printed, too; on a busy machine it is less than their names say. Bars (scheduler.md): H1 rate >= 90 %, growth < 16 MiB; F3 p99 beside the flood within 10 % of the quiet one.
 */
#include "tests/door/support/attacks.h"
#include "tests/door/support/engram.h"
#include "tests/door/support/zmtp.h"
#include "tests/tap.h"

#include "proto/link.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { CLIENTS = 8, KEPT = 1 << 16, CONNECTIONS = 10000, HANDFUL = 100 };

static struct engram g;
static double seconds = 5, per_second = 400;
static int niceness = 19;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- honest people ---- */

static struct person {
    pthread_t thread;
    int i;
    double begin, took[KEPT / CLIENTS];
    size_t n, failed;
} people[CLIENTS];

static struct message request(struct person *p, uint64_t k)
{
    static const char *prompt = "a dog";
    uint64_t name[3] = {(uint64_t)p->i, k, (uint64_t)(p->begin * 1e6)};

    if (k % 2) return (struct message){.kind = MSG_ping, .ping.client = "bench"};
    return (struct message){.kind = MSG_sample,
                            .sample = {.key = hash_bytes(name, sizeof name),
                                       .lineage = "bench",
                                       .prompts = {1, &prompt},
                                       .per_prompt = 1,
                                       .settings = "{}"}};
}

/* Asks when it is due, or at once when it is late: an open loop, as people are. */
static void *ask(void *self)
{
    struct person *p = self;
    struct link *l = engram_link(&g, p->i % 2 ? ANN : BOB, NULL, 30000);
    double gap = CLIENTS / per_second, due = p->begin + gap * p->i / CLIENTS;
    struct arena a = {0};
    struct err e;

    for (uint64_t k = 0; due < p->begin + seconds && now() < p->begin + seconds; k++, due += gap) {
        struct message m = request(p, k), r;
        double wait = due - now();
        if (wait > 0)
            nanosleep(&(struct timespec){(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)},
                      NULL);
        if (link_call(l, &m, &a, &r, &e)) p->failed++;
        else if (p->n < sizeof p->took / sizeof *p->took) p->took[p->n++] = now() - due;
        arena_fini(&a);
    }
    link_close(l);
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct turn {
    double rate, p50, p99, door_cpu, coordinator_cpu; /* cpu: of one processor */
    size_t failed;
};

/* Seconds of processor time, from /proc/<pid>/stat. */
static double cpu(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *at = strrchr(text, ')');
    if (!at ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static struct turn measure(void)
{
    static double all[KEPT];
    struct turn t = {0};
    size_t n = 0;
    pid_t door = engram_door(&g, "users");
    double door_cpu = cpu(door), coordinator_cpu = cpu(g.coordinator), begin = now();

    for (int i = 0; i < CLIENTS; i++) {
        people[i] = (struct person){.i = i, .begin = now() + 0.2};
        pthread_create(&people[i].thread, NULL, ask, &people[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(people[i].thread, NULL);
        memcpy(all + n, people[i].took, people[i].n * sizeof *all);
        n += people[i].n;
        t.failed += people[i].failed;
    }
    qsort(all, n, sizeof *all, ascending);
    t.rate = (double)n / seconds;
    t.door_cpu = (cpu(door) - door_cpu) / (now() - begin);
    t.coordinator_cpu = (cpu(g.coordinator) - coordinator_cpu) / (now() - begin);
    if (n) t.p50 = all[n / 2], t.p99 = all[n * 99 / 100];
    return t;
}

/* ---- attackers, in a process of their own ---- */

static uint64_t *done; /* shared with them: what they got done, in the unit of the attack */

static void big_frames(void)
{
    attack_frames(engram_port(g.users_at), 60, 4000000, 3 << 20);
    *done += 60;
}

static void small_frames(void)
{
    attack_frames(engram_port(g.users_at), 500, 16000, 15900);
    *done += 500;
}

static void random_bytes(void)
{
    static uint64_t seed;
    attack_random(engram_port(g.users_at), 50, ++seed);
    *done += 50;
}

static void connections(void)
{
    static int fd[CONNECTIONS];
    int n = 0, got = 1;

    while (got > 0 && n + HANDFUL <= CONNECTIONS) {
        got = attack_connections(engram_port(g.users_at), HANDFUL, 1, fd + n);
        n += got;
        *done += (uint64_t)got;
    }
    attack_hang_up(fd, n);
}

static void unfinished(void)
{
    *done +=
        attack_unfinished(engram_port(g.users_at), g.server_key, &g.keys[MAL], 16000, 400u << 20) >>
        20;
}

/* Up to 50,000 questions a second. */
static void flood_with(struct message m)
{
    static struct link *l;
    double begin = now();
    struct err e;

    if (!l) l = engram_link(&g, MAL, NULL, 5000);
    for (int i = 0; i < 500; i++) *done += link_tell(l, &m, &e) == OK;
    double left = 0.01 - (now() - begin);
    if (left > 0) nanosleep(&(struct timespec){0, (long)(left * 1e9)}, NULL);
}

static void flood(void)
{
    flood_with((struct message){.kind = MSG_ping, .ping.client = "mal"});
}

static void flood_long(void)
{
    flood_with((struct message){.kind = MSG_queue, .queue = {.owner = "*", .lineage = "bench"}});
}

static const struct {
    const char *name, *unit;
    void (*attack)(void);
} ATTACKS[] = {
    {"4 MB frames before the handshake", "of them", big_frames},
    {"16 KB frames before the handshake", "of them", small_frames},
    {"random bytes", "connections", random_bytes},
    {"10,000 connections, again and again", "connections", connections},
    {"messages without end, with a key", "MB", unfinished},
    {"50,000 pings a second, with a key", "pings", flood},
    {"50,000 questions with long answers", "questions", flood_long},
};
enum { N_ATTACKS = sizeof ATTACKS / sizeof *ATTACKS };

static pid_t begin_attack(int i)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpriority(PRIO_PROCESS, 0, niceness);
        for (;;) ATTACKS[i].attack();
    }
    return pid;
}

static void end_attack(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- */

static void print_turn(const char *name, struct turn t, struct turn quiet, long grown)
{
    printf("%-38s %7.1f/s %5.1f %%  p50 %6.2f ms  p99 %7.2f ms  failed %zu  cpu door %3.0f %%, "
           "coordinator %3.0f %%, "
           "+%ld kB\n",
           name, t.rate, 100 * t.rate / quiet.rate, 1e3 * t.p50, 1e3 * t.p99, t.failed,
           100 * t.door_cpu, 100 * t.coordinator_cpu, grown);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct rlimit files;

    if (argc > 1) seconds = atof(argv[1]);
    if (argc > 2) per_second = atof(argv[2]);
    if (argc > 3) niceness = atoi(argv[3]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    done = mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (done == MAP_FAILED) return 1;
    if (!zmtp_has_curve()) return skip_all("no libsodium");
    if (!engram_open(&g, tap_folder(), NULL)) return 1;
    struct message r =
        engram_ask(g.local, (struct message){.kind = MSG_lineage_create,
                                             .lineage_create = {.key = hash_bytes("b", 1),
                                                                .name = "bench",
                                                                .base_path = "/models/base",
                                                                .base_hash = hash_bytes("b", 1),
                                                                .visibility = VISIBLE_PUBLIC}});
    if (r.kind == MSG_refused) printf("# %s\n", r.refused.line);
    measure();
    long first = engram_memory(g.coordinator, "VmHWM");
    for (int i = 0; i < N_ATTACKS; i++) {
        struct turn quiet = measure();
        print_turn("quiet", quiet, quiet, engram_memory(g.coordinator, "VmHWM") - first);
        *done = 0;
        pid_t door = engram_door(&g, "users"), attacker = begin_attack(i);
        struct turn t = measure();
        end_attack(attacker);
        print_turn(ATTACKS[i].name, t, quiet, engram_memory(g.coordinator, "VmHWM") - first);
        printf("%-38s %7.0f %s a second\n", "", (double)*done / seconds, ATTACKS[i].unit);
        if (engram_door(&g, "users") != door) printf("  the door died and was started again\n");
    }
    engram_close(&g);
    tap.points = 1;
    return done_testing();
}
