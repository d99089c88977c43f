#include "coordinator/store/intern.h"
#include "coordinator/store/db.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SEEN = 4096, MARK = 16 };

/* What was seen lately. id 0: once, it stands where it came. uses: not in the database yet. */
struct seen {
    uint8_t mark[MARK];
    uint64_t id;
    int64_t uses;
};

struct intern {
    struct seen seen[SEEN];
    uint16_t dirty[SEEN];
    size_t n_dirty;
};

struct intern *intern_make(void)
{
    return mem_alloc(1, sizeof(struct intern));
}

void intern_free(struct intern *t)
{
    free(t);
}

void intern_forget(struct intern *t)
{
    memset(t, 0, sizeof *t);
}

static enum code write_uses(struct store *s, struct seen *n, struct err *e)
{
    struct query q = query_begin(s, SQL_USE_TEXT, "count a text", e);

    query_u64(&q, n->id);
    query_i64(&q, n->uses);
    n->uses = 0;
    return query_run(&q);
}

enum code intern_flush(struct store *s, struct err *e)
{
    struct intern *t = s->intern;
    enum code rc = OK;

    for (size_t i = 0; i < t->n_dirty && !rc; i++)
        if (t->seen[t->dirty[i]].uses) rc = write_uses(s, &t->seen[t->dirty[i]], e);
    t->n_dirty = 0;
    return rc;
}

static int64_t mark_of(struct hash h)
{
    int64_t mark;
    memcpy(&mark, h.v, sizeof mark);
    return mark;
}

static enum code find(struct store *s, struct hash h, const char *text, uint64_t *id, struct err *e)
{
    struct query q = query_begin(s, SQL_FIND_TEXT, "find a text", e);

    query_i64(&q, mark_of(h));
    query_text(&q, text);
    *id = query_row(&q) ? query_get_u64(&q) : 0;
    return query_end(&q);
}

static enum code add(struct store *s, struct hash h, const char *text, uint64_t *id, struct err *e)
{
    struct query q = query_begin(s, SQL_ADD_TEXT, "keep a text", e);
    enum code rc;

    query_i64(&q, mark_of(h));
    query_text(&q, text);
    rc = query_run(&q);
    *id = (uint64_t)sqlite3_last_insert_rowid(s->db);
    return rc;
}

static uint64_t use(struct intern *t, struct seen *n)
{
    size_t at = (size_t)(n - t->seen);

    if (n->uses++ == 0 && t->n_dirty < SEEN) t->dirty[t->n_dirty++] = (uint16_t)at;
    return n->id;
}

uint64_t intern_text(struct store *s, const char *text, size_t n, enum code *rc, struct err *e)
{
    struct hash h;
    struct seen *here;
    int again;

    if (n < INTERN_SHORT || *rc) return 0;
    h = hash_bytes(text, n);
    here = &s->intern->seen[(h.v[MARK] | h.v[MARK + 1] << 8) % SEEN];
    again = memcmp(here->mark, h.v, MARK) == 0;
    if (again && here->id) return use(s->intern, here);
    if (!again) {
        if (here->uses && (*rc = write_uses(s, here, e))) return 0;
        *here = (struct seen){.id = 0};
        memcpy(here->mark, h.v, MARK);
        if ((*rc = find(s, h, text, &here->id, e)) || !here->id) return 0;
    } else if ((*rc = add(s, h, text, &here->id, e))) {
        return 0;
    }
    return use(s->intern, here);
}

enum code intern_text_of(struct store *s, uint64_t id, struct arena *a, const char **text,
                         struct err *e)
{
    const char *known = recent_find(&s->texts, id, NULL);
    struct query q;

    if (known) {
        *text = arena_strdup(a, known);
        return *text ? OK : err_set(e, ERR_NOMEM, "out of memory");
    }
    q = query_begin(s, SQL_TEXT, "read a text", e);
    query_u64(&q, id);
    *text = "";
    if (query_row(&q)) {
        *text = query_copy_text(&q, a);
        if (!q.code) recent_keep(&s->texts, id, *text, NULL);
    } else if (!q.code) {
        q.code =
            err_set(e, ERR_CORRUPT, "text %llu is not in the database", (unsigned long long)id);
    }
    return query_end(&q);
}

/* Rare: what is remembered may name a text that is gone, so nothing is remembered. */
enum code intern_release(struct store *s, uint64_t id, struct err *e)
{
    struct query q;
    enum code rc = intern_flush(s, e);

    if (rc) return rc;
    intern_forget(s->intern);
    recent_forget(&s->texts);
    q = query_begin(s, SQL_USE_TEXT, "count a text", e);
    query_u64(&q, id);
    query_i64(&q, -1);
    if ((rc = query_run(&q))) return rc;
    q = query_begin(s, SQL_DROP_TEXT, "forget a text", e);
    query_u64(&q, id);
    return query_run(&q);
}
