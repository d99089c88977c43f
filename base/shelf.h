/* shelf.h - where things lie that are made once and then only read: weights as the engine wants them.
 *
 *     struct shelf s = shelf_private();
 *     struct shelf_item kernel = {.number = 17, .bytes = bytes, .make = permute, .self = &job};
 *     s.get(&s, &kernel, &data, &e);        // runs permute(&job, memory), unless somebody has done it
 *     ... read data ...
 *     s.put(&s, data);
 *
 * The pipeline is handed this table, as it is handed collectives, and never learns who else reads what it made. Makers:
 * shelf_private (here: memory of this process) and shelf_host (workers/shelf_host.h: one memory for the ranks of a host).
 *
 * A number names a content: all who share a shelf must make the same bytes under the same number. They may come in any order, and not
 * all need come. Thread-compatible: one thread of a process.
 */
#ifndef BASE_SHELF_H
#define BASE_SHELF_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Writes every byte of an item; memory is aligned to 16 and may hold anything. An error is that of get. */
typedef enum code shelf_make_fn(void *self, void *memory, struct err *e);

struct shelf_item {
    uint64_t number;
    size_t bytes;
    shelf_make_fn *make;
    void *self;
};

struct shelf {
    const char *name;                 /* "private", "host" */
    void *self;                       /* owned by the maker */
    /* *out: the item's bytes, read-only, until put. May wait while another process makes them. ERR_NOMEM, or what make says. */
    enum code (*get)(struct shelf *s, const struct shelf_item *item, const void **out, struct err *e);
    /* Gives back what get gave; NULL is fine. */
    void (*put)(struct shelf *s, const void *data);
};

struct shelf shelf_private(void);

#endif
