/* Tables of comma-separated values: what RFC 4180 says, and where what does not follow it stands. */
#include "cli/csv.h"
#include "tests/tap.h"

static struct arena arena;
static struct csv t;

/* "row|row", cells with ';' between; or the error's line. */
static const char *read_all(const char *s, size_t n)
{
    static char out[1000];
    struct err e = {0};
    size_t at = 0;
    arena_fini(&arena);
    if (csv_parse(&t, "t.csv", s, n, &arena, &e)) {
        snprintf(out, sizeof out, "%s", e.text);
        return out;
    }
    out[0] = '\0';
    for (size_t i = 0; i < t.n_rows; i++)
        for (size_t k = 0; k < t.n_columns; k++)
            at += (size_t)snprintf(out + at, sizeof out - at, "%s%s",
                                   k   ? ";"
                                   : i ? "|"
                                       : "",
                                   t.row[i].cell[k].text);
    return out;
}
#define reads(text, want, ...) is_str(read_all(text, sizeof(text) - 1), want, __VA_ARGS__)

int main(void)
{
    reads("a,b\n1,2\n", "a;b|1;2", "rows and cells");
    reads("a,b\r\n1,2", "a;b|1;2", "CR LF, and no end at the end");
    reads("\xef\xbb\xbf"
          "a,b\n,\n",
          "a;b|;", "a mark at the beginning, empty cells");
    reads("a\n\n\r\nb\n\n", "a|b", "blank lines are passed over");
    reads("a\n\"\"\n", "a|", "but a quoted empty cell is a row");
    reads("\"a,b\",\"say \"\"no\"\"\"\n", "a,b;say \"no\"", "quotes, and quotes between quotes");
    reads("\"two\r\nlines\",x\n", "two\nlines;x", "a line may end between quotes");
    is_int((long long)t.row[0].cell[1].line, 2, "which counts");
    reads("a,b\n  1 ,\t2\n", "a;b|  1 ;\t2", "blanks belong to their cell");
    is_int((long long)t.row[1].cell[1].column, 6, "columns are counted in bytes");
    reads("<r\xc3\xa9x>\n", "<r\xc3\xa9x>", "UTF-8 is read");
    reads("", "t.csv: nothing stands in it", "an empty file is none");
    reads("\n\n", "t.csv: nothing stands in it", "nor are blank lines");
    reads("a,b\n1\n", "t.csv:2: 1 cells, but the first line has 2", "rows have as many cells");
    reads("a\n1,2\n", "t.csv:2: 2 cells, but the first line has 1", "and no more");
    reads("a,b\n1,x\"y\n", "t.csv:2:4: a quote inside of a cell without quotes", "a stray quote");
    reads("a\n\"x\"y\n", "t.csv:2:4: something behind the closing quote", "an early end");
    reads("a,b\nc,\"x\ny\nz", "t.csv:2:3: a quote that is not closed", "an end that never comes");
    reads("a\n\xff\n", "t.csv:2:1: this is no UTF-8", "other bytes");
    reads("a\nx\x01y\n", "t.csv:2:2: a control character", "control characters");
    reads("a\nx\ry\n", "t.csv:2:2: a control character", "a lone CR is one");
    reads("a\nx\0y\n", "t.csv:2:2: a control character", "so is NUL");
    static char wide[2 * (CSV_COLUMNS + 1)];
    memset(wide, ',', sizeof wide);
    is_str(read_all(wide, CSV_COLUMNS), "t.csv:1:257: more columns than 256",
           "columns have a limit");
    for (long n = 1; n < 12; n++) {
        struct err e = {0};
        arena_fini(&arena);
        arena_fail_after(n);
        enum code rc = csv_parse(&t, "t.csv", "a,b\n1,2\n", 8, &arena, &e);
        arena_fail_after(0);
        if (rc && rc != ERR_NOMEM) ok(0, "memory that runs out is said as such");
    }
    arena_fini(&arena);
    return done_testing();
}
