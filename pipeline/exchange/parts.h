/* parts.h - the tensors of a base model as sources, with what a lineage changed. Private to pipeline/exchange. */
#ifndef EXCHANGE_PARTS_H
#define EXCHANGE_PARTS_H

#include "pipeline/exchange/exchange.h"

struct parts { struct source *source; size_t n; };        /* in the arena of an output; in byte order of inside names */

/* Inside names and the shapes that diffusers and transformers save. The UNet with the K and V matrices of W_m; the text
 * encoder as it is in the base; parts_grow_vocabulary appends the lineage's rows. */
enum code parts_unet(const struct exchange *x, struct output *out, struct parts *p, struct err *e);
enum code parts_vae(const struct exchange *x, struct output *out, struct parts *p, struct err *e);
enum code parts_text(const struct exchange *x, struct output *out, struct parts *p, struct err *e);
enum code parts_grow_vocabulary(const struct exchange *x, struct parts *p, struct err *e);

struct source *parts_find(const struct parts *p, const char *name);       /* NULL: absent */

#endif
