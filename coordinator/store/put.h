/* put.h - one put of a batch, inside its transaction. For store/ only. */
#ifndef COORDINATOR_STORE_PUT_H
#define COORDINATOR_STORE_PUT_H

#include "coordinator/store/store.h"

enum code put_one(struct store *s, const struct core_put *p, struct arena *a, struct err *e);

#endif
