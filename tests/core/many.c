/* Three thousand jobs in three messages, looked through page by page, some of them forgotten with what they alone had named. */
#include "base/objects.h"
#include "tests/core/support/living.h"

enum { MANY = 3000, AT_ONCE = 1000 };

static struct objects *objects;

static struct message lineage(const char *name)
{
    return (struct message){.kind = MSG_lineage_create,
                            .lineage_create = {.key = hash_bytes(name, strlen(name)),
                                               .name = name,
                                               .base_path = "/models/base",
                                               .base_hash = hash_bytes("base", 4)}};
}

static struct hash key_of(uint64_t n)
{
    return hash_bytes(&n, sizeof n);
}

/* Requests first .. first + AT_ONCE - 1; each hundredth names a lineage that is not there. */
static struct message thousand(uint64_t first)
{
    static struct request_row rows[AT_ONCE];
    const char *prompt = "a photo of a dog";

    for (uint64_t i = 0; i < AT_ONCE; i++) {
        struct message m = {.kind = MSG_sample,
                            .sample = {.key = key_of(first + i),
                                       .lineage = i % 100 == 99 ? "none"
                                                  : i % 2       ? "toys"
                                                                : "pets",
                                       .per_prompt = 1,
                                       .prompts = {1, &prompt},
                                       .settings = "{}"}};
        if (proto_encode(&m, &arena, &rows[i].request, &e)) note("%s", e.text);
    }
    return ask((struct message){.kind = MSG_submit_many, .submit_many.rows = {AT_ONCE, rows}});
}

static void submit(void)
{
    int accepted = 0, refused = 0, in_order = 1;
    struct message r;

    is_int(ask(lineage("pets")).kind, MSG_done, "a lineage is made");
    is_int(ask(lineage("toys")).kind, MSG_done, "and another");
    for (uint64_t first = 0; first < MANY; first += AT_ONCE) {
        uint64_t last = 0;
        r = thousand(first);
        for (size_t i = 0; i < r.accepted_many.rows.n && r.kind == MSG_accepted_many; i++) {
            const struct accepted_row *row = &r.accepted_many.rows.v[i];
            accepted += row->job > 0;
            refused += row->code == ERR_NOT_FOUND && i % 100 == 99;
            if (row->job) in_order &= row->job > last;
            if (row->job) last = row->job;
        }
    }
    is_int(accepted, MANY * 99 / 100, "%d requests in three messages are accepted", MANY);
    is_int(refused, MANY / 100, "those that name no lineage are refused by themselves");
    ok(in_order, "in their order");
    r = thousand(0);
    ok(r.kind == MSG_accepted_many && r.accepted_many.rows.v[0].job == 1 &&
           r.accepted_many.rows.v[98].job == 99,
       "the same message again is answered in the same way");
}

/* Pages of 700 from the newest on; how many rows, and whether each was below the one before. */
static int page_through(const char *lineage_name, const char *owner, uint64_t states, int *falling)
{
    uint64_t below = 0;
    int rows = 0;

    *falling = 1;
    for (int page = 0; page < 20; page++) {
        struct message r = ask((struct message){.kind = MSG_queue,
                                                .queue = {.states = states,
                                                          .lineage = lineage_name,
                                                          .owner = owner,
                                                          .limit = 700,
                                                          .below = below}});
        if (r.kind != MSG_jobs || r.jobs.rows.n == 0) break;
        for (size_t i = 0; i < r.jobs.rows.n; i++) {
            *falling &= !below || r.jobs.rows.v[i].job < below;
            below = r.jobs.rows.v[i].job;
        }
        rows += (int)r.jobs.rows.n;
    }
    return rows;
}

static void pages(void)
{
    int falling, jobs = MANY * 99 / 100;
    struct message r = ask((struct message){.kind = MSG_queue, .queue.limit = 1});

    is_int((long long)r.jobs.total, jobs, "a page knows how many there are");
    is_int(page_through("", "", 0, &falling), jobs, "pages show them all");
    ok(falling, "the newest first");
    is_int(page_through("", "*", 0, &falling), jobs, "also those of everybody");
    ok(falling, "in the same order");
    is_int(page_through("toys", "", 0, &falling), MANY / 2 - MANY / 100, "or of one lineage");
    for (uint64_t id = 10; id <= 200; id += 10)
        ask((struct message){.kind = MSG_cancel, .cancel.job = id});
    is_int(page_through("", "", 1 << JOB_CANCELLED, &falling), 20, "or those that were cancelled");
    is_int(page_through("", "", 0, &falling), jobs, "which are still among all");
    ok(falling, "at their place");
    is_int(page_through("", "", 1 << JOB_QUEUED, &falling), jobs - 20,
           "and not among those that wait");
    ask((struct message){.kind = MSG_retry, .retry.job = 100});
    is_int(page_through("", "", 1 << JOB_QUEUED, &falling), jobs - 19,
           "one that is retried is again");
    ok(falling, "at its place");
}

/* ---- forget ---- */

static int there(struct hash h)
{
    return objects_has(objects, h);
}

static uint64_t learn(const char *token, struct hash own, struct hash shared)
{
    struct hash images[2] = {own, shared};
    struct message m = {.kind = MSG_learn,
                        .learn = {.key = hash_bytes(token, strlen(token)),
                                  .lineage = "pets",
                                  .token = token,
                                  .class_word = "dog",
                                  .kind = CONCEPT_ANIMAL,
                                  .images = {2, images},
                                  .settings = "{}"}};
    return ask(m).accepted.job;
}

/* What this user's jobs keep. */
static long long kept(void)
{
    struct message r = ask((struct message){.kind = MSG_user_list, .user_list.name = ""});
    return r.kind == MSG_users && r.users.rows.n ? (long long)r.users.rows.v[0].bytes : -1;
}

static void forget(void)
{
    struct hash own, shared, other;
    uint64_t a, b;
    long long nothing = kept(), one;

    objects_put(objects, "mine", 4, &own, &e);
    objects_put(objects, "ours", 4, &shared, &e);
    objects_put(objects, "theirs", 6, &other, &e);
    ok(learn("<c>", hash_bytes("c", 1), hash_bytes("d", 1)), "a concept whose photos are not here");
    one = kept() - nothing;
    ok(one > 64 && one < 1000, "counts its request, %lld bytes", one);
    a = learn("<a>", own, shared);
    b = learn("<b>", other, shared);
    ok(a && b, "two concepts share a photo");
    is_int(kept(), nothing + 3 * one + 8 + 10, "and count both of theirs");
    is_int(ask((struct message){.kind = MSG_cancel, .cancel.job = a}).kind, MSG_done,
           "one is cancelled");
    struct message r = {0};
    for (int i = 0; i < 50 && r.kind != MSG_done; i++) /* `again`: it ended a moment ago */
        r = ask((struct message){.kind = MSG_forget, .forget.job = a});
    is_int(r.kind, MSG_done, "and forgotten");
    is_int(kept(), nothing + 2 * one + 10, "which gives back what it counted");
    for (int i = 0; i < 200 && there(own); i++) {
        ask((struct message){.kind = MSG_ping});
        usleep(10000);
    }
    ok(!there(own), "its own photo is gone");
    ok(there(shared), "the shared one stays");
    ok(there(other), "and the other one's");
    r = ask((struct message){.kind = MSG_job, .job.job = a});
    struct message request;
    ok(r.kind == MSG_job_info &&
           proto_decode(r.job_info.request.data, r.job_info.request.n, &arena, &request, &e) ==
               OK &&
           request.learn.images.n == 2 && hash_equal(request.learn.images.v[0], own),
       "its hash is still known");
}

int main(void)
{
    char path[400];
    pid_t pid;

    if (!living_begin()) return skip_all("engram-coordinator is not built");
    pid = living_start();
    if (!ok(comes_up(), "a coordinator comes up")) return done_testing();
    snprintf(path, sizeof path, "%s/objects", home);
    objects_open(&objects, path, &e);
    submit();
    pages();
    forget();
    kill(pid, SIGKILL);
    status_of(pid);
    pid = launch();
    ok(comes_up(), "killed and started again");
    int falling;
    is_int(page_through("", "", 0, &falling), MANY * 99 / 100 + 3, "it has them all");
    kill(pid, SIGTERM);
    is_int(status_of(pid), 0, "and leaves when it is told to");
    objects_close(objects);
    living_end();
    return done_testing();
}
