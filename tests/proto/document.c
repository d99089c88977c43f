/* PROTOCOL.md says what messages.def says: each message and record with its number, its fields in order, types, limits and the
 * version since which they are there.
 * `document --print` writes the tables as they should stand there. */
#include "base/file.h"
#include "base/text.h"
#include "proto/proto.h"
#include "tests/tap.h"

struct table {
    const char *title;
    struct text lines;
};

static struct table tables[128];
static int n_tables;
static int
    later; /* the fields that come now are there since this version; 0: as long as their message */

static void begin(int since, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void begin(int since, const char *fmt, ...)
{
    static char titles[128][80];
    va_list args;
    va_start(args, fmt);
    vsnprintf(titles[n_tables], sizeof titles[0], fmt, args);
    va_end(args);
    tables[n_tables].title = titles[n_tables];
    if (since > 1) text_printf(&tables[n_tables].lines, "Since %d.\n", since);
    n_tables++;
    later = 0;
}

static const char *number(uint64_t v)
{
    static char out[4][24];
    static int turn;
    char *s = out[turn++ % 4];
    if (v == UINT64_MAX) return "2^64-1";
    if (v == INT64_MAX) return "2^63-1";
    snprintf(s, sizeof out[0], "%llu", (unsigned long long)v);
    return s;
}

static void field(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void field(const char *fmt, ...)
{
    struct table *t = &tables[n_tables - 1];
    char line[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    text_printf(&t->lines, "| %s |", line);
    if (later) text_printf(&t->lines, " since %d.", later);
    text_add(&t->lines, "\n");
}

static void describe(void)
{
/* clang-format off */
#define RECORD(name) begin(1, "### record %s\n", #name);
#define MESSAGE(number, name, from, since) begin(since, "### %d %s\n", number, #name);
#define SINCE(version) later = version;
#define U64(name, max) field("`%s` | u64 <= %s", #name, number(max));
#define I64(name) field("`%s` | i64", #name);
#define F64(name) field("`%s` | f64", #name);
#define STR(name, max) field("`%s` | str <= %s", #name, number(max));
#define BYTES(name, max) field("`%s` | bytes <= %s", #name, number(max));
#define HASH(name) field("`%s` | hash", #name);
#define STRS(name, n, max) field("`%s` | list <= %s of str <= %s", #name, number(n), number(max));
#define HASHES(name, n) field("`%s` | hashes <= %s", #name, number(n));
#define ROWS(name, record, n) field("`%s` | list <= %s of %s", #name, number(n), #record);
/* clang-format on */
#include "proto/messages.def"
}

/* ---- numbers that stand for words ---- */

typedef const char *(*word_fn)(uint64_t number);

static const char *code_word(uint64_t code)
{
    return err_name((enum code)code);
}

static void words_add(struct text *t, const char *name, word_fn word, uint64_t first, uint64_t n)
{
    text_printf(t, "| `%s` |", name);
    for (uint64_t i = first; i < n; i++)
        text_printf(t, "%s %llu %s", i == first ? "" : ",", (unsigned long long)i, word(i));
    text_add(t, " |\n");
}

static void numbers_write(struct text *t)
{
    words_add(t, "job_kind", proto_job_kind, JOB_LEARN, JOB_EVALUATE + 1);
    words_add(t, "job_state", proto_job_state, JOB_QUEUED, JOB_CANCELLED + 1);
    words_add(t, "stage_kind", proto_stage_kind, STAGE_PRIOR, STAGE_KINDS);
    words_add(t, "stage_state", proto_stage_state, STAGE_WAITING, STAGE_DROPPED + 1);
    words_add(t, "concept_kind", proto_concept_kind, CONCEPT_ANIMAL, CONCEPT_STYLE + 1);
    words_add(t, "priority", proto_priority, 0, PRIORITIES);
    words_add(t, "role", proto_role, ROLE_USER, ROLE_WORKER + 1);
    words_add(t, "visibility", proto_visibility, 0, VISIBLE_PUBLIC + 1);
    words_add(t, "on_failure", proto_on_failure, 0, FAILURE_WAIT + 1);
    text_printf(t, "| `learn_wants` | bits: %d prior, %d score, %d sample, %d evaluate |\n",
                WANT_PRIOR, WANT_SCORE, WANT_SAMPLE, WANT_EVALUATE);
    text_printf(t, "| `event_type` | %d state, %d stage, %d progress |\n", EVENT_STATE, EVENT_STAGE,
                EVENT_PROGRESS);
    words_add(t, "code", code_word, OK, ERR_CODES);
}

static void numbers_compare(const char *page)
{
    struct text want = {0};
    const char *at = strstr(page, "## Numbers\n");

    numbers_write(&want);
    ok(at && strstr(at, want.s), "PROTOCOL.md tells which numbers stand for which words");
    if (!at || !strstr(at, want.s)) note("as it should be:\n%s", want.s);
    text_fini(&want);
}

/* ---- sections ---- */

/* What the section says to programs: "Since N." and its table rows, of their last column "since N." alone. */
static void rows_of(const char *at, struct text *out)
{
    const char *end = strstr(at + 1, "\n#");
    for (const char *line = at; line && (!end || line < end); line = strchr(line, '\n')) {
        const char *stop = ++line;
        if (strncmp(line, "Since ", 6) == 0) stop += strcspn(line, ".") + 1;
        else if (strncmp(line, "| `", 3)) continue;
        else {
            for (int bars = 0; *stop && *stop != '\n' && bars < 3; stop++) bars += *stop == '|';
            if (strncmp(stop, " since ", 7) == 0) stop += strcspn(stop, ".") + 1;
        }
        text_add_bytes(out, line, (size_t)(stop - line));
        text_add(out, "\n");
    }
}

static void compare(const char *page, const struct table *t)
{
    const char *at = strstr(page, t->title);
    struct text rows = {0};

    if (at) rows_of(at, &rows);
    is_str(rows.s ? rows.s : "", t->lines.s, "PROTOCOL.md tells of %.*s", (int)strlen(t->title) - 5,
           t->title + 4);
    text_fini(&rows);
}

int main(int argc, char **argv)
{
    struct bytes page;
    struct err e;

    describe();
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        struct text numbers = {0};
        numbers_write(&numbers);
        printf("%s\n", numbers.s);
        text_fini(&numbers);
        for (int i = 0; i < n_tables; i++) printf("%s\n%s\n", tables[i].title, tables[i].lines.s);
        return 0;
    }
    if (!is_code(file_read("proto/PROTOCOL.md", 1 << 20, &page, &e), OK, &e, "the page is there"))
        return done_testing();
    char *text = calloc(1, page.n + 1);
    memcpy(text, page.data, page.n);
    numbers_compare(text);
    for (int i = 0; i < n_tables; i++) {
        compare(text, &tables[i]);
        text_fini(&tables[i].lines);
    }
    free(text);
    free(page.data);
    return done_testing();
}
