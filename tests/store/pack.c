/* A request is put away in pieces and comes back byte for byte, in every version; texts that come twice stand once, and go when the
 * last request that names them is forgotten. */
#include "tests/store/support/office.h"
#include "tests/tap.h"

#include <sqlite3.h>

static char path[512];
static struct err e;
static uint64_t dice;

static uint64_t roll(uint64_t bound)
{
    uint64_t z = dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % bound;
}

static long long number(const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    long long n = -1;

    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, query, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* ---- requests of all shapes ---- */

static const char *some_text(struct arena *a, size_t most)
{
    static const char *const often[] = {"a photo of <rex> on the beach", "{\"train.steps\":500}",
                                        "", "short",
                                        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x95 with a dog in it"};
    size_t n = (size_t)roll(most);
    char *s;

    if (roll(3)) return often[roll(5)];
    s = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++) s[i] = (char)('a' + roll(26));
    return s;
}

static struct strs some_texts(struct arena *a, size_t n, size_t most)
{
    struct strs v = {.n = n, .v = arena_alloc(a, (n + 1) * sizeof *v.v)};
    for (size_t i = 0; i < n; i++) v.v[i] = some_text(a, most);
    return v;
}

static struct message some_request(struct arena *a, uint64_t n, struct hash images[PROTO_IMAGES])
{
    uint64_t seed = roll(2) ? roll(100) : roll(UINT64_MAX), version = 1 + roll(2);
    uint64_t priority = version > 1 ? roll(PRIORITIES) : 0;
    struct hash key = office_hash("key", n);
    struct message m = {.kind = MSG_evaluate, .version = version};

    switch (roll(3)) {
    case 0:
        m.kind = MSG_learn;
        m.learn = (struct msg_learn){.key = key,
                                     .lineage = "pets",
                                     .token = arena_printf(a, "<t%d>", (int)n),
                                     .class_word = "dog",
                                     .kind = 1 + roll(4),
                                     .images = {1 + (size_t)roll(8), images},
                                     .wants = roll(16),
                                     .seed = seed,
                                     .preview_prompts = some_texts(a, 1 + (size_t)roll(4), 300),
                                     .settings = some_text(a, 4000),
                                     .priority = priority};
        for (size_t i = 0; i < m.learn.images.n; i++) images[i] = office_hash("image", roll(1000));
        if (roll(2)) m.learn.captions = some_texts(a, m.learn.images.n, 200);
        if (m.learn.wants & WANT_PRIOR) m.learn.prior_key = office_hash("prior", roll(3));
        break;
    case 1:
        m.kind = MSG_sample;
        m.sample = (struct msg_sample){.key = key,
                                       .lineage = "pets",
                                       .prompts = some_texts(a, 1 + (size_t)roll(20), 500),
                                       .negative = some_text(a, 100),
                                       .per_prompt = 1 + roll(64),
                                       .seed = seed,
                                       .settings = some_text(a, 4000),
                                       .priority = priority};
        break;
    default:
        m.evaluate = (struct msg_evaluate){.key = key,
                                           .lineage = "pets",
                                           .prompts = some_texts(a, (size_t)roll(20), 500),
                                           .per_prompt = roll(65),
                                           .seed = seed,
                                           .settings = some_text(a, 4000),
                                           .priority = priority};
    }
    return m;
}

static void come_back(void)
{
    enum { REQUESTS = 400 };
    struct arena a = {0};
    struct office o;
    struct message m = office_lineage("pets"), r;
    struct hash images[PROTO_IMAGES];
    int same = 0, older = 0, taken = 0;

    snprintf(path, sizeof path, "%s/pack.db", tap_folder());
    office_open(&o, path, &e);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    for (uint64_t n = 1; n <= REQUESTS; n++) {
        struct slice sent, kept, first;
        m = some_request(&a, n, images);
        if (proto_encode(&m, &a, &sent, &e)) note("%s", e.text);
        if (office_ask(&o, &m, (struct hash){{0}}, &r, &e) || r.kind != MSG_accepted) continue;
        taken++;
        if (store_request(o.store, r.accepted.job, 0, &a, NULL, &kept, &e)) note("%s", e.text);
        else same += kept.n == sent.n && memcmp(kept.data, sent.data, kept.n) == 0;
        m.version = 1;
        proto_encode(&m, &a, &sent, &e);
        if (store_request(o.store, r.accepted.job, 1, &a, NULL, &first, &e)) note("%s", e.text);
        else older += first.n == sent.n && memcmp(first.data, sent.data, first.n) == 0;
    }
    ok(taken > REQUESTS * 9 / 10, "%d requests of all shapes are taken", taken);
    is_int(same, taken, "each comes back byte for byte");
    is_int(older, taken, "and as a peer of version 1 would have it");
    arena_fini(&a);
    office_close(&o);
    ok(number("SELECT count(*) FROM texts") > 0, "texts that came more than once stand in a table");
    is_int(
        number("SELECT count(*) FROM (SELECT text FROM texts GROUP BY text HAVING count(*) > 1)"),
        0, "each of them once");
    ok(number("SELECT min(length(text)) FROM texts") >= 9, "short ones are kept where they are");
}

/* ---- one text, several requests ---- */

static const char LONG[] = "a portrait of <rex> that nobody else would ask for, in oil, at dusk";

static uint64_t ask_sample(struct office *o, uint64_t n)
{
    const char *prompt = LONG;
    struct message m = {.kind = MSG_sample,
                        .sample = {.key = office_hash("sample", n),
                                   .lineage = "pets",
                                   .per_prompt = 1,
                                   .prompts = {1, &prompt},
                                   .negative = "",
                                   .settings = ""}},
                   r;
    if (office_ask(o, &m, (struct hash){{0}}, &r, &e)) note("%s", e.text);
    return r.accepted.job;
}

static void forget(struct office *o, uint64_t job)
{
    struct message m = {.kind = MSG_cancel, .cancel.job = job}, r;
    office_ask(o, &m, (struct hash){{0}}, &r, &e);
    m = (struct message){.kind = MSG_ping};
    m = (struct message){.kind = MSG_forget, .forget.job = job};
    if (office_ask(o, &m, (struct hash){{0}}, &r, &e) || r.kind != MSG_done)
        note("forget: %s", r.kind == MSG_refused ? r.refused.line : e.text);
}

static void are_forgotten(void)
{
    struct arena a = {0};
    struct office o;
    struct message m = office_lineage("pets"), r;
    uint64_t job[3];

    snprintf(path, sizeof path, "%s/forget.db", tap_folder());
    office_open(&o, path, &e);
    office_ask(&o, &m, (struct hash){{0}}, &r, &e);
    for (uint64_t i = 0; i < 3; i++) job[i] = ask_sample(&o, i);
    is_int(number("SELECT uses FROM texts"), 2, "a prompt that came three times is named twice");
    forget(&o, job[0]);
    is_int(number("SELECT count(*) FROM texts"), 1,
           "forgotten where it stood itself, it is still named");
    forget(&o, job[1]);
    is_int(number("SELECT uses FROM texts"), 1, "then once");
    office_close(&o);
    office_open(&o, path, &e);
    forget(&o, job[2]);
    is_int(number("SELECT count(*) FROM texts"), 0, "and when nobody names it any more it is gone");
    is_int(number("SELECT count(*) FROM jobs WHERE instr(request, 'portrait')"), 0,
           "from every row");
    is_code(store_request(o.store, job[1], 0, &a, &m, NULL, &e), OK, &e,
            "what is left can be read");
    ok(m.sample.prompts.n == 0 && m.sample.per_prompt == 1 &&
           hash_equal(m.sample.key, office_hash("sample", 1)),
       "and is the request without its prompts");
    job[0] = ask_sample(&o, 10);
    is_code(store_request(o.store, job[0], 0, &a, &m, NULL, &e), OK, &e,
            "the same text may come again");
    is_str(m.sample.prompts.v[0], LONG, "as it was");
    arena_fini(&a);
    office_close(&o);
}

int main(void)
{
    dice = tap_seed(21);
    come_back();
    are_forgotten();
    return done_testing();
}
