/* scale - what a job that waits costs, what a restart costs among them, and whether a step is as quick among a million as
 * among a thousand. The core and the store as the coordinator runs them, without its sockets.
 *
 *     build/plain/bench/coordinator/scale [jobs [folder]]        1000000 jobs, a folder of its own under TMPDIR
 *
 * Per kind of job (sample with a short prompt and all settings; learn of five images) and for `jobs` of them by 100 users:
 *     submitted per second, durably, in batches of 1000
 *     bytes of the database file per job; bytes of resident memory per job after a restart
 *     seconds from opening the database to the first stage handed out, with 64 leases
 *     no-op stages per second: submitted, granted, finished, durable in batches; with a thousand waiting and with all
 */
#include "coordinator/core/core.h"
#include "coordinator/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { USERS = 100, LEASES = 64, BATCH = 1000, LINEAGES = 2000, STAGES = 40000 };

static const char SETTINGS[] =
    "{\"method.name\":\"cns\",\"score.fraction\":0.3,\"score.group\":\"row\",\"score.tokens\":"
    "\"all\","
    "\"score.rownorm\":0,\"score.weights\":\"w0\",\"score.caption_token\":0,\"general.k\":20,"
    "\"base.vote\":1,"
    "\"reg.form\":\"l2\",\"reg.lambda1\":0.001,\"reg.lambda2\":0.0001,\"prior.weight\":1,\"prior."
    "count\":200,"
    "\"prior.prompt\":\"a photo of a {class}\",\"prior.style_prompt\":\"a "
    "painting\",\"prior.steps\":50,"
    "\"prior.guidance\":6,\"prior.eta\":1,\"train.steps\":500,\"train.batch\":1,"
    "\"train.prompt\":\"photo of a {token} {class}\",\"train.style_prompt\":\"a painting in "
    "{token} style\","
    "\"train.use_captions\":0,\"token.init\":\"class\",\"train.detach_bos\":1,\"train.augment\":"
    "\"flip\","
    "\"train.clip\":1,\"train.lr\":3e-05,\"train.lr_token\":0.0005,\"train.beta1\":0.9,\"train."
    "beta2\":0.999,"
    "\"train.eps\":1e-08,\"train.checkpoint_every\":50,\"train.recompute\":\"auto\",\"sample."
    "sampler\":\"ddim\","
    "\"sample.steps\":50,\"sample.guidance\":7.5,\"sample.eta\":0,\"sample.negative\":\"\","
    "\"sample.side\":0,"
    "\"evaluate.per_prompt\":4,\"seed.value\":0}";

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "scale: %s: %s\n", what, e->text);
    exit(1);
}

/* ---- the machine ---- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double resident(void)
{
    long pages = 0, size = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &size, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void remove_database(const char *path)
{
    static const char *const beside[] = {"", "-wal", "-shm", "-mark"};
    char name[600];

    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(name, sizeof name, "%s%s", path, beside[i]);
        unlink(name);
    }
}

/* ---- a coordinator without sockets ---- */

struct place {
    struct core *core;
    struct store *store;
    struct core_actions actions;
    struct arena messages; /* of the batch: puts point at them */
    int64_t now;
    char path[512];
};

static void open_place(struct place *p)
{
    struct err e;
    p->core = core_make(NULL);
    if (store_open(&p->store, p->path, &e)) die("open", &e);
    if (store_load(p->store, p->core, p->now, &e)) die("load", &e);
}

static void close_place(struct place *p)
{
    core_free(p->core);
    core_actions_fini(&p->actions);
    arena_fini(&p->messages);
    store_close(p->store);
}

static void make_durable(struct place *p)
{
    struct err e = {.text = "out of memory"};
    if (p->actions.failed || store_apply(p->store, &p->actions, &e)) die("apply", &e);
    core_actions_clear(&p->actions);
    arena_reset(&p->messages, (struct arena_mark){0});
    store_tidy(p->store);
}

static struct hash name(const char *what, uint64_t n)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)n);
    return hash_bytes(text, (size_t)len);
}

static struct message *travel(struct place *p, const struct message *m, struct slice *bytes)
{
    struct message *there = arena_alloc(&p->messages, sizeof *there);
    struct err e = {.text = "out of memory"};

    if (!there || proto_encode(m, &p->messages, bytes, &e) ||
        proto_decode(bytes->data, bytes->n, &p->messages, there, &e))
        die("message", &e);
    return there;
}

/* As the server does it: decoded, the digest of the bytes, a look for the key. */
static void ask(struct place *p, const char *user, const struct message *m)
{
    struct slice bytes;
    struct core_request *r = arena_alloc(&p->messages, sizeof *r);
    struct core_event ev = {.type = CORE_MESSAGE,
                            .message = travel(p, m, &bytes),
                            .user = user,
                            .role = ROLE_USER,
                            .requests = r,
                            .n_requests = 1};
    struct store_job past;
    struct hash key;
    struct err e;
    uint64_t job;
    int there = 0;

    *r = (struct core_request){
        .message = ev.message, .digest = hash_bytes(bytes.data, bytes.n), .bytes = bytes.n};
    if (core_wants_past(p->core, m, &key, &job) == CORE_PAST_KEY &&
        store_job_by_key(p->store, key, &p->messages, &past, &there, &e))
        die("look for a key", &e);
    core_step(p->core, &ev, p->now, &p->actions);
}

static void user_name(char out[32], uint64_t n)
{
    snprintf(out, 32, "user-%03d", (int)(n % USERS));
}

static void lineage_name(char out[32], uint64_t n)
{
    snprintf(out, 32, "lineage-%05d", (int)n);
}

static void make_lineages(struct place *p)
{
    char user[32], lineage[32];

    for (uint64_t n = 0; n < LINEAGES; n++) {
        lineage_name(lineage, n);
        user_name(user, n);
        struct message m = {.kind = MSG_lineage_create,
                            .lineage_create = {.key = name("lineage", n),
                                               .name = lineage,
                                               .base_path = "/models/base",
                                               .base_hash = name("base", 0)}};
        ask(p, user, &m);
    }
    make_durable(p);
}

static void submit_sample(struct place *p, uint64_t n)
{
    char user[32], lineage[32], prompt[96];
    const char *prompts[1] = {prompt};

    lineage_name(lineage, n % LINEAGES);
    user_name(user, n % LINEAGES);
    snprintf(prompt, sizeof prompt, "a photo of <rex> in the snow, number %d", (int)(n % 1000));
    struct message m = {.kind = MSG_sample,
                        .sample = {.key = name("sample", n),
                                   .lineage = lineage,
                                   .prompts = {1, prompts},
                                   .per_prompt = 4,
                                   .seed = n * 0x9e3779b97f4a7c15u,
                                   .settings = SETTINGS}};
    ask(p, user, &m);
}

static void submit_learn(struct place *p, uint64_t n)
{
    static const char *previews[] = {"photo of a <rex> dog on the beach",
                                     "photo of a <rex> dog in the city"};
    char user[32], lineage[32], token[32];
    struct hash images[5];

    lineage_name(lineage, n % LINEAGES);
    user_name(user, n % LINEAGES);
    snprintf(token, sizeof token, "<t%d>", (int)(n / LINEAGES));
    for (uint64_t i = 0; i < 5; i++) images[i] = name("image", 5 * n + i);
    struct message m = {.kind = MSG_learn,
                        .learn = {.key = name("learn", n),
                                  .lineage = lineage,
                                  .token = token,
                                  .class_word = "dog",
                                  .kind = CONCEPT_ANIMAL,
                                  .wants = 15,
                                  .images = {5, images},
                                  .prior_key = name("prior", n % 20),
                                  .seed = n * 0x9e3779b97f4a7c15u,
                                  .preview_prompts = {2, previews},
                                  .settings = SETTINGS}};
    ask(p, user, &m);
}

/* ---- worker groups ---- */

static void say(struct place *p, struct hash group, struct message m)
{
    struct slice bytes;
    struct core_event ev = {.type = CORE_MESSAGE, .message = travel(p, &m, &bytes), .group = group};
    core_step(p->core, &ev, p->now, &p->actions);
}

/* Groups say hello and ask for work; who holds a lease gets it again. How many new leases there are. */
static int ask_for_work(struct place *p, uint64_t groups)
{
    int before = core_leased(p->core);

    for (uint64_t n = 1; n <= groups; n++) {
        struct hash g = name("group", n);
        say(p, g,
            (struct message){
                .kind = MSG_worker_hello,
                .worker_hello = {
                    .name = "g", .nonce = g, .ranks = 2, .host = "here", .device = "cpu"}});
        say(p, g, (struct message){.kind = MSG_ready});
    }
    make_durable(p);
    return core_leased(p->core) - before;
}

/* Each group gives its stage back as done and asks for the next; a new job comes for each that ends. CPU seconds. */
static double cycle(struct place *p, uint64_t stages, uint64_t *next)
{
    struct hash out = name("picture", 0);
    double began = cpu_seconds();

    for (uint64_t done = 0; done < stages;) {
        struct core_stage leases[LEASES];
        size_t n = 0;
        const struct core_stage *s;
        for (uint32_t at = 0; n < LEASES && (s = core_each_lease(p->core, &at));) leases[n++] = *s;
        for (size_t i = 0; i < n; i++) {
            say(p, leases[i].group,
                (struct message){.kind = MSG_result,
                                 .result = {.job = leases[i].job,
                                            .stage = (uint64_t)leases[i].kind,
                                            .epoch = leases[i].epoch,
                                            .line = "",
                                            .report = "",
                                            .seconds = 1,
                                            .outputs = {1, &out}}});
            say(p, leases[i].group, (struct message){.kind = MSG_ready});
            submit_sample(p, (*next)++);
        }
        make_durable(p);
        p->now += 5;
        done += n;
    }
    return cpu_seconds() - began;
}

/* ---- the measurements ---- */

static void fill(struct place *p, uint64_t jobs, void submit(struct place *p, uint64_t n))
{
    double began = seconds();

    for (uint64_t n = 0; n < jobs; n++) {
        submit(p, n);
        if (n % BATCH == BATCH - 1) {
            p->now += 5;
            make_durable(p);
        }
    }
    make_durable(p);
    printf("  submitted         %10.0f per second\n", (double)jobs / (seconds() - began));
}

/* In a process of its own: what was freed before does not help it. */
static int measure_restart(const char *path, uint64_t jobs)
{
    struct place p = {.now = 1800000000000};
    double before = resident(), began = seconds(), cpu = cpu_seconds(), loaded;
    uint64_t next = 10 * jobs;
    int held, fresh;

    snprintf(p.path, sizeof p.path, "%s", path);
    open_place(&p);
    loaded = seconds() - began;
    held = core_leased(p.core);
    fresh = ask_for_work(&p, LEASES + 1);
    began = seconds() - began;
    cpu = cpu_seconds() - cpu;
    printf("  memory            %10.0f bytes per job, with the pages that SQLite keeps\n",
           (resident() - before) / (double)jobs);
    printf("  restart           %10.2f s, %.2f of them loading, %.2f s of CPU; %d leases held, %d "
           "new\n",
           began, loaded, cpu, held, fresh);
    if (held >= LEASES)
        printf("  no-op stages      %10.0f per CPU second\n", STAGES / cycle(&p, STAGES, &next));
    close_place(&p);
    return 0;
}

static void measure_kind(const char *folder, const char *kind, uint64_t jobs,
                         void submit(struct place *p, uint64_t n))
{
    struct place p = {.now = 1700000000000};
    struct stat st;
    double empty;
    pid_t pid;

    printf("%s, %llu of them by %d users in %d lineages\n", kind, (unsigned long long)jobs, USERS,
           LINEAGES);
    snprintf(p.path, sizeof p.path, "%s/%s.db", folder, kind);
    open_place(&p);
    make_lineages(&p);
    store_close(p.store); /* the log goes into the file */
    stat(p.path, &st);
    empty = (double)st.st_size;
    p.store = NULL;
    core_free(p.core);
    open_place(&p);
    fill(&p, jobs, submit);
    ask_for_work(&p, LEASES);
    close_place(&p);
    stat(p.path, &st);
    printf("  disk              %10.0f bytes per job\n",
           ((double)st.st_size - empty) / (double)jobs);
    if ((pid = fork()) == 0) {
        char number[32];
        snprintf(number, sizeof number, "%llu", (unsigned long long)jobs);
        execl("/proc/self/exe", "scale", "--restart", p.path, number, (char *)NULL);
        _exit(99);
    }
    waitpid(pid, NULL, 0);
    remove_database(p.path);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && strcmp(argv[1], "--restart") == 0)
        return measure_restart(argv[2], strtoull(argv[3], NULL, 0));
    uint64_t jobs = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
    char own[256];
    const char *tmp = getenv("TMPDIR"), *folder = argc > 2 ? argv[2] : own;

    snprintf(own, sizeof own, "%s/engram-scale-XXXXXX", tmp ? tmp : "/tmp");
    if (argc < 3 && !mkdtemp(own)) {
        perror(own);
        return 1;
    }
    measure_kind(folder, "sample", BATCH, submit_sample);
    measure_kind(folder, "sample", jobs, submit_sample);
    measure_kind(folder, "learn", jobs, submit_learn);
    if (argc < 3) rmdir(own);
    return 0;
}
