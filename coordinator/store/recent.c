#include "coordinator/store/recent.h"

#include <stdlib.h>
#include <string.h>

const char *recent_find(const struct recent *r, uint64_t id, struct hash *hash)
{
    const struct recent_row *row = &r->row[id % RECENT_ROWS];

    if (!row->text || row->id != id) return NULL;
    if (hash) *hash = row->hash;
    return row->text;
}

void recent_keep(struct recent *r, uint64_t id, const char *text, const struct hash *hash)
{
    struct recent_row *row = &r->row[id % RECENT_ROWS];

    free(row->text);
    *row = (struct recent_row){.id = id};
    if (strlen(text) <= RECENT_MOST) row->text = strdup(text); /* NULL: it is read again */
    if (hash) row->hash = *hash;
}

void recent_forget(struct recent *r)
{
    for (size_t i = 0; i < RECENT_ROWS; i++) free(r->row[i].text);
    memset(r, 0, sizeof *r);
}
