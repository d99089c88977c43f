/* A question as it stands in the first line of a request: method, blank, path. Whatever it is, the answer is a status of ours and a whole
 * page; only the three paths are found. Header lines are the library's, which is Debian's (docs/fuzzing.md). */
#include "coordinator/web/web.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void ask(const char *method, const char *path, const struct web_snapshot *s)
{
    struct web_page p;
    int reads = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    int known = !strcmp(path, "/") || !strcmp(path, "/metrics") || !strcmp(path, "/healthz");

    web_page(method, path, s, 2000, &p);
    must(p.type && text_ok(&p.body) && p.body.n && p.body.n < 65536);
    must(strlen(p.body.s) == p.body.n && p.body.s[p.body.n - 1] == '\n');
    must((p.status == 405) == !reads);
    must((p.status == 404) == (reads && !known));
    must(p.status != 200 || s);
    text_fini(&p.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct web_snapshot s = {
        .turned_ms = 1000,
        .counts = {.batch = {.bounds = WEB_MESSAGES}, .transaction = {.bounds = WEB_SECONDS}}};
    char *line = fuzz_text((struct fuzz_part){data ? data : &(uint8_t){0}, n});
    char *blank = strchr(line, ' '), *path = blank ? blank + 1 : line + strlen(line);

    if (blank) *blank = '\0';
    ask(line, path, &s);
    ask(line, path, NULL);
    free(line);
    return 0;
}
