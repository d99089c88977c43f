/* A table of comma-separated values. What is accepted has as many cells in each row, each UTF-8 that ends, and is the same when it is
 * written between quotes and read again. */
#include "base/text.h"
#include "cli/csv.h"
#include "proto/wire.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void write_quoted(const struct csv *t, struct text *out)
{
    for (size_t i = 0; i < t->n_rows; i++)
        for (size_t k = 0; k < t->n_columns; k++) {
            text_add(out, "\"");
            for (const char *s = t->row[i].cell[k].text; *s; s++) {
                if (*s == '"') text_add(out, "\"");
                text_add_bytes(out, s, 1);
            }
            text_add(out, k + 1 < t->n_columns ? "\"," : "\"\n");
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = {0};
    struct csv t, again;
    struct text quoted = {0};
    struct err e = {0};
    enum code rc = csv_parse(&t, "t.csv", data ? data : (const uint8_t *)"", n, &a, &e);

    if (rc) {
        fuzz_refused(rc, &e);
        must(rc == ERR_INPUT || rc == ERR_NOMEM);
    } else {
        must(t.n_rows && t.n_columns && t.n_columns <= CSV_COLUMNS);
        write_quoted(&t, &quoted);
        must(text_ok(&quoted));
        must(!csv_parse(&again, "t.csv", quoted.s, quoted.n, &a, &e));
        must(again.n_rows == t.n_rows && again.n_columns == t.n_columns);
        for (size_t i = 0; i < t.n_rows; i++)
            for (size_t k = 0; k < t.n_columns; k++) {
                const struct csv_cell *c = &t.row[i].cell[k];
                must(!strcmp(c->text, again.row[i].cell[k].text));
                must(wire_utf8((const uint8_t *)c->text, strlen(c->text)) && c->line && c->column);
            }
    }
    text_fini(&quoted);
    arena_fini(&a);
    return 0;
}
