/* Pages without a server: which question gets which answer, and the numbers of extreme snapshots through a strict reader. */
#include "coordinator/web/web.h"
#include "base/arena.h"
#include "tests/tap.h"

#include <fnmatch.h>

#define like(got, glob, ...) ok(!fnmatch(glob, got, 0), __VA_ARGS__)

static struct web_snapshot quiet(void)
{
    struct web_snapshot s = {.turned_ms = 1000, .started_s = 1.7e9};
    s.counts.batch.bounds = WEB_MESSAGES;
    s.counts.transaction.bounds = WEB_SECONDS;
    return s;
}

/* Status, type and first line in the buffer. */
static const char *ask(const char *method, const char *path, const struct web_snapshot *s,
                       int64_t now_ms)
{
    static char said[700];
    struct web_page p;

    web_page(method, path, s, now_ms, &p);
    snprintf(said, sizeof said, "%u %.*s", p.status, (int)strcspn(p.body.s ? p.body.s : "", "\n"),
             p.body.s ? p.body.s : "");
    text_fini(&p.body);
    return said;
}

/* What the strict reader has to say. */
static const char *read_strictly(const char *page)
{
    static char said[4000];
    char path[300], command[400];
    snprintf(path, sizeof path, "%s/metrics", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    FILE *f = fopen(path, "w");
    if (!f) return "no file";
    fputs(page, f);
    fclose(f);
    snprintf(command, sizeof command, "awk -f tests/web/exposition.awk %s", path);
    if (!(f = popen(command, "r"))) return "no awk";
    size_t n = fread(said, 1, sizeof said - 1, f);
    said[n] = '\0';
    if (pclose(f) && !n) return "awk failed";
    unlink(path);
    return said;
}

static int has(const struct text *t, const char *line)
{
    const char *at = strstr(t->s, line);
    size_t n = strlen(line);
    return at && (at == t->s || at[-1] == '\n') && at[n] == '\n';
}

static void questions(void)
{
    struct web_snapshot s = quiet();

    is_str(ask("GET", "/healthz", &s, 1100), "200 well", "a loop that turns is well");
    is_str(ask("HEAD", "/healthz", &s, 1100), "200 well", "HEAD asks the same");
    is_str(ask("GET", "/healthz", &s, 1000 + WEB_STALE_MS), "200 well",
           "a slow turn is no illness");
    is_str(ask("GET", "/healthz", &s, 9000), "503 the loop has not turned for 8 s",
           "a loop that is stuck is said");
    snprintf(s.trouble, sizeof s.trouble, "the disk is full");
    is_str(ask("GET", "/healthz", &s, 1100), "503 the disk is full",
           "so is why nothing can be promised");
    is_str(ask("GET", "/healthz", NULL, 5), "503 the coordinator only just starts",
           "before the first snapshot it is not well yet");
    is_str(ask("GET", "/metrics", NULL, 5), "503 the coordinator only just starts",
           "and has no numbers");
    like(ask("GET", "/", &s, 1100), "200 engram-coordinator *",
         "the first page says what there is");
    like(ask("GET", "/metrics/", &s, 1100), "404 *", "other paths are not found");
    like(ask("GET", "", &s, 1100), "404 *", "nor is none");
    like(ask("POST", "/metrics", &s, 1100), "405 *", "nothing can be changed");
    like(ask("get", "/metrics", &s, 1100), "405 *", "methods have capitals");
}

static void numbers(void)
{
    struct web_snapshot s = quiet();
    struct web_page p;

    web_page("GET", "/metrics", &s, 1100, &p);
    is_str(p.type, "text/plain; version=0.0.4; charset=utf-8", "the format has its type");
    is_str(read_strictly(p.body.s), "", "numbers of a quiet coordinator are well-formed");
    ok(has(&p.body, "engram_up 1"), "it is up");
    text_fini(&p.body);

    memset(&s, 0x7f, sizeof s);
    s.trouble[0] = '\0';
    s.started_s = 1e308;
    s.oldest_waiting_s = 1e-300;
    for (int k = 0; k < STAGE_KINDS; k++) s.counts.stage_seconds[k] = 1e300;
    s.counts.batch = (struct web_histogram){.bounds = WEB_MESSAGES};
    s.counts.transaction = (struct web_histogram){.bounds = WEB_SECONDS};
    for (int i = 0; i < 1000; i++) web_observe(&s.counts.batch, i);
    web_observe(&s.counts.transaction, 0.0005);
    web_observe(&s.counts.transaction, 100);
    web_page("GET", "/metrics", &s, 1100, &p);
    is_str(read_strictly(p.body.s), "", "so are those of one that has seen much");
    ok(has(&p.body, "engram_batch_messages_bucket{le=\"256\"} 257"),
       "a bound belongs to its bucket");
    ok(has(&p.body, "engram_batch_messages_bucket{le=\"+Inf\"} 1000"), "the last bucket has all");
    ok(has(&p.body, "engram_transaction_seconds_sum 100.0005"), "sums are sums");
    ok(!strstr(p.body.s, "caption"), "a stage that does not exist yet has no numbers");
    text_fini(&p.body);
}

static void out_of_memory(void)
{
    struct web_snapshot s = quiet();
    struct web_page p;
    int failed = 0;

    for (long n = 1; n < 100; n++) {
        arena_fail_after(n);
        web_page("GET", "/metrics", &s, 1100, &p);
        arena_fail_after(0);
        if (p.status == 200) {
            text_fini(&p.body);
            break;
        }
        failed += p.status == 503 && !p.body.s;
    }
    ok(failed > 0, "a page for which there is no memory is an empty 503, never half a page");
}

static void addresses(void)
{
    static const char *const wrong[] = {"",        "x",      "99999", "localhost:1", ":1",
                                        "1.2.3.4", "[::1:9", "-1",    "1 ",          "::1:9"};
    struct web *w;
    struct err e;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        is_code(web_open(&w, wrong[i], &e), ERR_USAGE, &e, "\"%s\" is no address", wrong[i]);
    if (!is_code(web_open(&w, "0", &e), OK, &e, "port 0 is any free one of loopback")) return;
    like(web_url(w), "http://127.0.0.1:[1-9]*", "and it is told");
    ok(!web_is_public(w), "which only this machine reaches");
    struct web *second;
    is_code(web_open(&second, strrchr(web_url(w), ':') + 1, &e), ERR_EXISTS, &e,
            "a port that is taken is said");
    web_close(w);
    if (is_code(web_open(&w, "0.0.0.0:0", &e), OK, &e, "others may be allowed in"))
        ok(web_is_public(w), "which is known");
    web_close(w);
}

int main(void)
{
    questions();
    numbers();
    out_of_memory();
    addresses();
    return done_testing();
}
