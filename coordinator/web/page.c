/* page.c - from a question to a page. Pure: everything that a visitor can choose comes in as method and path, and neither is
 * repeated in an answer. */
#include "coordinator/web/web.h"

#include <inttypes.h>
#include <string.h>

#define PLAIN "text/plain; charset=utf-8"
#define EXPOSITION "text/plain; version=0.0.4; charset=utf-8"

static void metrics(const struct web_snapshot *s, int64_t now_ms, struct web_page *out)
{
    (void)now_ms;
    out->type = EXPOSITION;
    web_metrics(s, &out->body);
}

/* Well: the loop turns, and what it promises becomes durable. That nobody works is no illness of the coordinator. */
static void health(const struct web_snapshot *s, int64_t now_ms, struct web_page *out)
{
    int64_t silent_ms = now_ms - s->turned_ms;

    out->status = 503;
    if (s->trouble[0]) {
        text_add(&out->body, s->trouble);
        text_add(&out->body, "\n");
    } else if (silent_ms > WEB_STALE_MS) {
        text_printf(&out->body, "the loop has not turned for %" PRId64 " s\n", silent_ms / 1000);
    } else {
        out->status = 200;
        text_add(&out->body, "well\n");
    }
}

static void index_page(const struct web_snapshot *s, int64_t now_ms, struct web_page *out)
{
    (void)s;
    (void)now_ms;
    text_add(&out->body, "engram-coordinator " ENGRAM_VERSION "\n\n"
                         "/metrics  numbers, for Prometheus\n"
                         "/healthz  200 when it is well, else 503 and why\n");
}

static const struct {
    const char *path;
    void (*make)(const struct web_snapshot *s, int64_t now_ms, struct web_page *out);
} PAGES[] = {{"/", index_page}, {"/metrics", metrics}, {"/healthz", health}};

static void answer(const char *method, const char *path, const struct web_snapshot *s,
                   int64_t now_ms, struct web_page *out)
{
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        out->status = 405;
        text_add(&out->body, "only GET and HEAD: there is nothing to be changed here\n");
        return;
    }
    for (size_t i = 0; i < sizeof PAGES / sizeof *PAGES; i++) {
        if (strcmp(path, PAGES[i].path) != 0) continue;
        if (s) {
            PAGES[i].make(s, now_ms, out);
        } else {
            out->status = 503;
            text_add(&out->body, "the coordinator only just starts\n");
        }
        return;
    }
    out->status = 404;
    text_add(&out->body, "there are /, /metrics and /healthz\n");
}

void web_page(const char *method, const char *path, const struct web_snapshot *s, int64_t now_ms,
              struct web_page *out)
{
    *out = (struct web_page){.status = 200, .type = PLAIN};
    answer(method, path, s, now_ms, out);
    if (text_ok(&out->body)) return;
    text_fini(&out->body);
    out->body = (struct text){0};
    out->status = 503;
    out->type = PLAIN;
}
