/* A thousand jobs in one message, while somebody else asks: they go in by pieces, and questions are answered in between. Killed in the
 * middle of it, the same message said again ends with each of them there once. */
#include "tests/core/support/living.h"

enum { MANY = 1000 };

static struct request_row rows[MANY];

/* Each hundredth has no lineage. */
static struct message thousand(uint64_t first)
{
    const char *prompt = "a photo of a dog";

    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t n = first + i;
        struct message m = {.kind = MSG_sample,
                            .sample = {.key = hash_bytes(&n, sizeof n),
                                       .lineage = i % 100 == 99 ? "none" : "pets",
                                       .per_prompt = 1,
                                       .prompts = {1, &prompt},
                                       .settings = "{}"}};
        if (proto_encode(&m, &arena, &rows[i].request, &e)) note("%s", e.text);
    }
    return (struct message){.kind = MSG_submit_many, .submit_many.rows = {MANY, rows}};
}

/* Rising ids, as many as there should be, and each refused row at its place. */
static int is_whole(const struct message *r)
{
    uint64_t last = 0, n = 0;

    if (r->kind != MSG_accepted_many || r->accepted_many.rows.n != MANY) return 0;
    for (size_t i = 0; i < MANY; i++) {
        const struct accepted_row *row = &r->accepted_many.rows.v[i];
        if (i % 100 == 99 ? row->code != ERR_NOT_FOUND || !row->line[0] : row->job <= last)
            return 0;
        if (row->job) last = row->job, n++;
    }
    return n == MANY / 100 * 99;
}

/* Another person, who says it until it is answered. Ends with 0 when the answer is whole. */
static pid_t submitter(uint64_t first)
{
    char users[400];
    struct link_options o = {.endpoint = users, .timeout_ms = 3000, .tries = 10};
    struct message m = thousand(first), r = {0};
    struct link *own;
    pid_t pid = fork();

    if (pid) return pid;
    snprintf(users, sizeof users, "ipc://%s/run/engram.sock", home);
    if (link_open(&own, &o, &e)) _exit(3);
    _exit(link_call(own, &m, &arena, &r, &e) ? 4 : is_whole(&r) ? 0 : 5);
}

static long long waiting(void)
{
    struct message r = ask((struct message){.kind = MSG_queue, .queue.limit = 1});
    return r.kind == MSG_jobs ? (long long)r.jobs.total : -1;
}

/* Asks until something between none and all of `whole` more jobs is there. */
static int seen_in_part(long long before, long long whole)
{
    for (int i = 0; i < 20000; i++) {
        long long now = waiting() - before;
        if (now > 0) return now < whole;
    }
    return 0;
}

int main(void)
{
    struct message lineage = {.kind = MSG_lineage_create,
                              .lineage_create = {.key = hash_bytes("k", 1),
                                                 .name = "pets",
                                                 .base_path = "/models/base",
                                                 .base_hash = hash_bytes("base", 4)}};
    int whole = MANY / 100 * 99;
    pid_t pid, other;

    if (!living_begin()) return skip_all("engram-coordinator is not built");
    pid = living_start();
    if (!ok(comes_up(), "a coordinator comes up")) return done_testing();
    is_int(ask(lineage).kind, MSG_done, "a lineage is made");
    other = submitter(0);
    ok(seen_in_part(0, whole), "while somebody asks, a thousand jobs go in by pieces");
    is_int(status_of(other), 0, "and are answered as one, each refused one at its place");
    is_int(waiting(), whole, "all are there");
    struct message again = ask(thousand(0));
    ok(is_whole(&again) && again.accepted_many.rows.v[0].job == 1,
       "said again, it is answered in the same way");
    is_int(waiting(), whole, "and adds nothing");

    other = submitter(MANY);
    ok(seen_in_part(whole, whole), "in the middle of another thousand");
    kill(pid, SIGKILL);
    status_of(pid);
    pid = launch();
    ok(comes_up(), "the coordinator is killed and started again");
    is_int(status_of(other), 0, "the message is said again and answered as one");
    is_int(waiting(), 2 * whole, "each job is there once");

    other = submitter(2 * MANY);
    ok(seen_in_part(2 * whole, whole), "in the middle of a third");
    kill(pid, SIGTERM);
    is_int(status_of(pid), 0, "a coordinator that is told to leave leaves");
    pid = launch();
    ok(comes_up(), "and comes back");
    is_int(status_of(other), 0, "the rest goes in then");
    is_int(waiting(), 3 * whole, "each job is there once");
    kill(pid, SIGTERM);
    is_int(status_of(pid), 0, "the end");
    living_end();
    return done_testing();
}
