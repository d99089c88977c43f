#include "coordinator/launch/squeue.h"

#include "base/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

static int read_hex8(const char *s, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 8; i++) {
        const char *digit = s[i] ? strchr("0123456789abcdef", s[i]) : NULL;
        if (!digit) return 0;
        *out = *out << 4 | (uint32_t)(digit - "0123456789abcdef");
    }
    return 1;
}

void squeue_name_make(char out[SQUEUE_NAME], uint32_t home, int number, uint32_t nonce)
{
    snprintf(out, SQUEUE_NAME, "engram-%08" PRIx32 "-g%d-%08" PRIx32, home, number, nonce);
}

int squeue_name_read(const char *name, size_t n, uint32_t *home, int *number)
{
    char copy[SQUEUE_NAME] = {0};
    const char *at;
    uint32_t nonce;
    int digits = 0;

    if (n >= sizeof copy) return 0;
    memcpy(copy, name, n);
    if (strlen(copy) != n || strncmp(copy, "engram-", 7)) return 0;
    if (!read_hex8(copy + 7, home) || strncmp(copy + 15, "-g", 2)) return 0;
    *number = 0;
    for (at = copy + 17; *at >= '0' && *at <= '9' && digits < 6; at++, digits++)
        *number = *number * 10 + (*at - '0');
    return *number > 0 && copy[17] != '0' && *at == '-' && read_hex8(at + 1, &nonce) && !at[9];
}

/* ---- states ---- */

struct word {
    const char *word;
    enum squeue_state state;
};

/* Slurm 22.05's words; what a later one invents counts as waiting: it is listed, so it is not gone. */
static const struct word words[] = {
    {"RUNNING", SQUEUE_RUNNING},      {"CONFIGURING", SQUEUE_RUNNING},
    {"SUSPENDED", SQUEUE_RUNNING},    {"STOPPED", SQUEUE_RUNNING},
    {"RESIZING", SQUEUE_RUNNING},     {"SIGNALING", SQUEUE_RUNNING},
    {"COMPLETING", SQUEUE_ENDING},    {"STAGE_OUT", SQUEUE_ENDING},
    {"BOOT_FAIL", SQUEUE_ENDING},     {"CANCELLED", SQUEUE_ENDING},
    {"COMPLETED", SQUEUE_ENDING},     {"DEADLINE", SQUEUE_ENDING},
    {"FAILED", SQUEUE_ENDING},        {"NODE_FAIL", SQUEUE_ENDING},
    {"OUT_OF_MEMORY", SQUEUE_ENDING}, {"PREEMPTED", SQUEUE_ENDING},
    {"REVOKED", SQUEUE_ENDING},       {"TIMEOUT", SQUEUE_ENDING},
    {"SPECIAL_EXIT", SQUEUE_HELD},    {"REQUEUE_HOLD", SQUEUE_HELD},
    {"RESV_DEL_HOLD", SQUEUE_HELD},
};

/* Reasons for which a pending job stays until somebody changes it. */
static const char *const stuck[] = {"Held", "held", "NeverSatisfied", "BadConstraints", "Invalid"};

static enum squeue_state state_of(const char *word, size_t n, const char *reason)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == n && !memcmp(words[i].word, word, n)) return words[i].state;
    for (size_t i = 0; i < sizeof stuck / sizeof *stuck; i++)
        if (strstr(reason, stuck[i])) return SQUEUE_HELD;
    return SQUEUE_WAITING;
}

/* ---- squeue ---- */

/* The field that begins at *at and ends before |; *at moves behind it. 0: the line has no more fields. */
static int field(const char **at, const char *end, const char **begin, size_t *n)
{
    const char *bar = memchr(*at, '|', (size_t)(end - *at));

    if (!bar) return 0;
    *begin = *at;
    *n = (size_t)(bar - *at);
    *at = bar + 1;
    return 1;
}

static void cut(char *to, size_t room, const char *from, size_t n)
{
    size_t keep = n < room ? n : room - 1;
    memcpy(to, from, keep);
    to[keep] = '\0';
}

/* One line. 0: of somebody else. -1: ours, and not whole. */
static int read_line(const char *line, const char *end, uint32_t home, struct squeue_row *r)
{
    const char *name, *id, *state;
    size_t n_name, n_id, n_state;
    uint32_t whose;
    int number, whole;

    whole = field(&line, end, &name, &n_name);
    if (!whole) {
        name = line;
        n_name = (size_t)(end - line);
    }
    if (!squeue_name_read(name, n_name, &whose, &number) || whose != home) return 0;
    if (!whole || !field(&line, end, &id, &n_id) || !field(&line, end, &state, &n_state)) return -1;
    if (!n_id || !n_state) return -1;
    cut(r->name, sizeof r->name, name, n_name);
    cut(r->id, sizeof r->id, id, n_id);
    cut(r->reason, sizeof r->reason, line, (size_t)(end - line));
    r->state = state_of(state, n_state, r->reason);
    return 1;
}

static enum code add(struct squeue *q, const struct squeue_row *r, size_t *room, struct err *e)
{
    if (q->n == *room) {
        size_t more = *room ? 2 * *room : 16;
        struct squeue_row *grown = mem_grow(q->rows, *room, more, sizeof *grown);
        if (!grown) return err_set(e, ERR_NOMEM, "out of memory");
        q->rows = grown;
        *room = more;
    }
    q->rows[q->n++] = *r;
    return OK;
}

enum code squeue_read(struct squeue *q, const char *text, size_t bytes, uint32_t home,
                      struct err *e)
{
    const char *end = text + bytes, *line = text, *next;
    size_t room = 0;
    enum code rc = OK;

    *q = (struct squeue){0};
    if (!bytes) return OK;
    if (memchr(text, '\0', bytes)) return err_set(e, ERR_PROTOCOL, "squeue printed a zero byte");
    if (end[-1] != '\n') return err_set(e, ERR_PROTOCOL, "squeue's answer is cut off");
    for (; !rc && line < end; line = next + 1) {
        struct squeue_row r;
        next = memchr(line, '\n', (size_t)(end - line));
        int ours = read_line(line, next, home, &r);
        if (ours > 0) rc = add(q, &r, &room, e);
        else if (ours < 0)
            rc = err_set(e, ERR_PROTOCOL, "squeue printed `%.*s`, without its fields",
                         (int)(next - line < 100 ? next - line : 100), line);
    }
    if (rc) squeue_fini(q);
    return rc;
}

void squeue_fini(struct squeue *q)
{
    free(q->rows);
    *q = (struct squeue){0};
}

const struct squeue_row *squeue_find(const struct squeue *q, const char *name)
{
    const struct squeue_row *best = NULL;

    for (size_t i = 0; i < q->n; i++)
        if (!strcmp(q->rows[i].name, name) && (!best || q->rows[i].state > best->state))
            best = &q->rows[i];
    return best;
}

/* ---- sbatch ---- */

enum code squeue_read_submitted(const char *text, size_t bytes, char id[SQUEUE_ID], struct err *e)
{
    size_t n = 0;

    while (n < bytes && text[n] >= '0' && text[n] <= '9') n++;
    if (n == 0 || n >= SQUEUE_ID || n == bytes || (text[n] != '\n' && text[n] != ';'))
        return err_set(e, ERR_PROTOCOL, "sbatch printed `%.*s`, which is no job's number",
                       (int)(bytes < 100 ? bytes : 100), bytes ? text : "");
    cut(id, SQUEUE_ID, text, n);
    return OK;
}
