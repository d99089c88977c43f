/* shelf.c - the shelf of one process: every item is a block of the heap, and numbers mean nothing. */
#include "base/shelf.h"
#include "base/arena.h"

#include <stdlib.h>

static enum code private_get(struct shelf *s, const struct shelf_item *item, const void **out,
                             struct err *e)
{
    void *memory = mem_alloc(item->bytes ? item->bytes : 1, 1);
    enum code rc = memory ? OK : err_set(e, ERR_NOMEM, "no memory for %zu bytes", item->bytes);
    (void)s;
    if (!rc) rc = item->make(item->self, memory, e);
    if (rc) {
        free(memory);
        memory = NULL;
    }
    *out = memory;
    return rc;
}

static void private_put(struct shelf *s, const void *data)
{
    (void)s;
    free((void *)(uintptr_t)data);
}

struct shelf shelf_private(void)
{
    return (struct shelf){.name = "private", .get = private_get, .put = private_put};
}
