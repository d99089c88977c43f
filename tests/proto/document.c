/* PROTOCOL.md says what messages.def says: each message and record with its number, its fields in order, types and limits.
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

static void begin(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void begin(const char *fmt, ...)
{
    static char titles[128][80];
    va_list args;
    va_start(args, fmt);
    vsnprintf(titles[n_tables], sizeof titles[0], fmt, args);
    va_end(args);
    tables[n_tables].title = titles[n_tables];
    n_tables++;
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

#define FIELD(...) text_printf(&tables[n_tables - 1].lines, __VA_ARGS__)

static void describe(void)
{
/* clang-format off */
#define RECORD(name) begin("### record %s\n", #name);
#define MESSAGE(number, name, from) begin("### %d %s\n", number, #name);
#define U64(name, max) FIELD("| `%s` | u64 <= %s |\n", #name, number(max));
#define I64(name) FIELD("| `%s` | i64 |\n", #name);
#define F64(name) FIELD("| `%s` | f64 |\n", #name);
#define STR(name, max) FIELD("| `%s` | str <= %s |\n", #name, number(max));
#define BYTES(name, max) FIELD("| `%s` | bytes <= %s |\n", #name, number(max));
#define HASH(name) FIELD("| `%s` | hash |\n", #name);
#define STRS(name, n, max) FIELD("| `%s` | list <= %s of str <= %s |\n", #name, number(n), number(max));
#define HASHES(name, n) FIELD("| `%s` | hashes <= %s |\n", #name, number(n));
#define ROWS(name, record, n) FIELD("| `%s` | list <= %s of %s |\n", #name, number(n), #record);
/* clang-format on */
#include "proto/messages.def"
}

/* The section's table rows, without their last column. */
static void rows_of(const char *at, struct text *out)
{
    const char *end = strstr(at + 1, "\n#");
    for (const char *line = at; line && (!end || line < end); line = strchr(line, '\n')) {
        line++;
        if (strncmp(line, "| `", 3)) continue;
        const char *stop = line;
        for (int bars = 0; *stop && *stop != '\n' && bars < 3; stop++) bars += *stop == '|';
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
        for (int i = 0; i < n_tables; i++) printf("%s\n%s\n", tables[i].title, tables[i].lines.s);
        return 0;
    }
    if (!is_code(file_read("proto/PROTOCOL.md", 1 << 20, &page, &e), OK, &e, "the page is there"))
        return done_testing();
    char *text = calloc(1, page.n + 1);
    memcpy(text, page.data, page.n);
    for (int i = 0; i < n_tables; i++) {
        compare(text, &tables[i]);
        text_fini(&tables[i].lines);
    }
    free(text);
    free(page.data);
    return done_testing();
}
