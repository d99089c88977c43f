/* A process that submits, works and commits as fast as it can is killed at random moments, again and again, on one database. After
 * each kill: all that was acknowledged is there, every invariant holds, and it goes on. TEST_KILLS=n for more. */
#include "tests/store/support/office.h"
#include "tests/tap.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* One word of the child, written after the store has said yes. */
struct word {
    uint64_t kind, number;
    struct hash hash;
}; /* kind 1: job accepted; 2: commit accepted */

enum { BATCH = 64 };

static void speak(int fd, uint64_t kind, uint64_t number, struct hash hash)
{
    struct word w = {kind, number, hash};
    if (write(fd, &w, sizeof w) != sizeof w) _exit(3);
}

static void child_turn(struct office *o, int fd, uint64_t *n)
{
    struct message m = office_learn("pets", *n, *n % 16), r;
    struct err e;

    if (*n < 900) {
        if (office_ask(o, &m, (struct hash){{0}}, &r, &e)) _exit(4);
        if (r.kind == MSG_accepted) speak(fd, 1, r.accepted.job, m.learn.key);
        ++*n;
    }
    for (int i = 0; i < 3; i++) {
        if (office_work(o, *n, *n % 7 ? OK : ERR_IO, &r, &e)) _exit(5);
        if (r.kind == MSG_stage && r.stage.stage == STAGE_TRAIN && *n % 7)
            speak(fd, 2, r.stage.job, office_hash("train", r.stage.job));
    }
    o->now += 60000; /* back-off and old leases end */
}

static _Noreturn void child(const char *path, int fd)
{
    struct office o;
    struct message m = office_lineage("pets"), r;
    struct err e;

    if (office_open(&o, path, &e)) {
        fprintf(stderr, "# %s\n", e.text);
        _exit(2);
    }
    o.now += 86400000;
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    for (uint64_t n = core_last_job(o.core) + 1;;) child_turn(&o, fd, &n);
}

static struct word words[20000];
static size_t n_words;

/* Waits for the first word, so that a slow disk does not make every kill an early one. */
static void await_word(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 15000);
}

/* Runs the child for so long after its first word (early: from its start), kills it, keeps what it said. 0: it ended by itself. */
static int run_and_kill(const char *path, int early, unsigned us)
{
    int ends[2], status;
    pid_t pid;

    if (pipe(ends)) return 0;
    if ((pid = fork()) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves nobody behind */
        close(ends[0]);
        child(path, ends[1]);
    }
    close(ends[1]);
    if (!early) await_word(ends[0]);
    usleep(us);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    while (n_words < 20000 && read(ends[0], &words[n_words], sizeof *words) == sizeof *words)
        n_words++;
    close(ends[0]);
    return WIFSIGNALED(status);
}

static const char *missing(const struct office *o)
{
    static char line[128];

    for (size_t i = 0; i < n_words; i++) {
        struct arena a = {0};
        struct store_job j;
        int there = store_job(o->store, words[i].number, &a, &j, NULL) == OK;
        if (there && words[i].kind == 1)
            there = memcmp(j.past.job.key, words[i].hash.v, CORE_KEY) == 0;
        else if (there) there = hash_equal(core_job_commit(o->core, &j.past.job), words[i].hash);
        arena_fini(&a);
        if (there) continue;
        snprintf(line, sizeof line, "%s of job %llu", words[i].kind == 1 ? "submission" : "commit",
                 (unsigned long long)words[i].number);
        return line;
    }
    return NULL;
}

int main(void)
{
    const char *more = getenv("TEST_KILLS");
    int kills = more ? atoi(more) : 25, sound = 0, whole = 0, killed = 0;
    uint64_t dice = tap_seed(3), jobs = 0;
    size_t commits = 0;
    char path[512];
    struct err e = {0};

    snprintf(path, sizeof path, "%s/crash.db", tap_folder());
    for (int i = 0; i < kills; i++) {
        struct office o;
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        killed += run_and_kill(path, i % 4 == 3, (unsigned)(dice >> 33) % 80000);
        if (office_open(&o, path, &e) == OK) sound++;
        else note("kill %d: %s", i, e.text);
        const char *lost = o.core ? missing(&o) : "everything";
        if (lost) note("kill %d: acknowledged and lost: %s", i, lost);
        whole += !lost;
        if (o.core && core_last_lineage(o.core)) {
            jobs = core_last_job(o.core);
            commits = core_lineage(o.core, 1)->n_commits;
        }
        office_close(&o);
    }
    is_int(killed, kills, "the process was killed %d times", kills);
    is_int(sound, kills, "each time the database opens and every invariant holds");
    is_int(whole, kills, "each time all that was acknowledged is there");
    ok(n_words > (size_t)kills && commits > 0,
       "and it had not been idle: %zu acknowledgements, %d jobs, %zu commits", n_words, (int)jobs,
       commits);
    return done_testing();
}
