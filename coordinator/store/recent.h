/* recent.h - texts of rows that never change, as they were read lately: what a million stages ask for is read once.
 *
 *     if (!(text = recent_find(&s->texts, id, NULL))) { read the row; recent_keep(&s->texts, id, text, NULL); }
 *     recent_forget(&s->texts);              // whenever a row may have gone, or an id may come again
 *
 * A table of fixed size; a row pushes out the one in its place. At most ROWS * MOST bytes of text. For store/ only.
 */
#ifndef COORDINATOR_STORE_RECENT_H
#define COORDINATOR_STORE_RECENT_H

#include "base/hash.h"

#include <stdint.h>

enum { RECENT_ROWS = 128, RECENT_MOST = 4096 };          /* longer texts are read each time */

struct recent {
    struct recent_row {
        uint64_t id;
        char *text;                                      /* owned; NULL: empty */
        struct hash hash;
    } row[RECENT_ROWS];
};

/* NULL: not there. Until the next keep or forget. hash: what was kept with it; may be NULL, as below. */
const char *recent_find(const struct recent *r, uint64_t id, struct hash *hash);
void recent_keep(struct recent *r, uint64_t id, const char *text, const struct hash *hash);
void recent_forget(struct recent *r);

#endif
