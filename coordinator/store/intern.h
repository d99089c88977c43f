/* intern.h - texts that come more than once stand once in the database.
 *
 *     id = intern_text(s, "a photo of <rex>", n, &e);        // 0: keep it where it is
 *     intern_text_of(s, id, arena, &text, &e);
 *     intern_release(s, id);                                 // one request less names it
 *     intern_flush(s, &e);                                   // before the commit: how often each is used
 *
 * A text is kept where it is the first time it is seen and stands in the table from the second time on, so that a million
 * different prompts cost nothing more and a million equal settings one row. What was seen lately is remembered in a table of
 * fixed size, by half a SHA-256; the database knows all that stand in it, by 64 bits and the text itself. A text that no
 * request names any more is removed. For store/ only.
 */
#ifndef COORDINATOR_STORE_INTERN_H
#define COORDINATOR_STORE_INTERN_H

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

struct store;
struct intern;

enum { INTERN_SHORT = 16 };              /* shorter texts are kept where they are */

struct intern *intern_make(void);        /* NULL: out of memory */
void intern_free(struct intern *t);
void intern_forget(struct intern *t);    /* a transaction was rolled back: nothing that is remembered counts */

/* One use more. 0: not in the table, or an error, see *rc (which is not touched otherwise). */
uint64_t intern_text(struct store *s, const char *text, size_t n, enum code *rc, struct err *e);
enum code intern_text_of(struct store *s, uint64_t id, struct arena *a, const char **text, struct err *e);
enum code intern_release(struct store *s, uint64_t id, struct err *e);
enum code intern_flush(struct store *s, struct err *e);

#endif
