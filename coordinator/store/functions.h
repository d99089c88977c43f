/* functions.h - functions for the SQL of a rung: request_of(job, 'bytes' | 'key' | 'images' | 'prior_key'), as version 1 of the protocol
 * says them, and sha256(bytes). For store/ only. */
#ifndef COORDINATOR_STORE_FUNCTIONS_H
#define COORDINATOR_STORE_FUNCTIONS_H

#include "base/err.h"

struct store;
enum code functions_add(struct store *s, struct err *e);

#endif
