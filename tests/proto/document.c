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
