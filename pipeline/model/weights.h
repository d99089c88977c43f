/* weights.h - the tensors of one component, from one safetensors file or from shards, ready for graphs.
 *
 *     weights_open(&w, "model/unet", "diffusion_pytorch_model", &e);       // finds .safetensors, .fp16., .index.json
 *     struct value k = weights_conv(w, g, "conv_in", 4, 320, 3);           // and .bias
 *
 * A tensor is converted to float32 and to the engine's layout (convolutions [O,I,kh,kw] -> [kh,kw,I,O]) once, on first
 * use, and shared by every graph of the process; on a shelf that is shared, by those of other processes too. A missing tensor or a wrong shape becomes the graph's sticky error:
 * "unet: conv_in.weight is [320, 9, 3, 3], expected [320, 4, 3, 3]". Thread-compatible: build graphs from one thread.
 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "base/hash.h"
#include "base/shelf.h"
#include "pipeline/model/safetensors.h"
#include "pipeline/tensor/tensor.h"

struct weights;
enum code weights_open(struct weights **w, const char *dir, const char *stem, struct err *e);
/* The same over tensors that lie elsewhere, under inside names: nothing is copied, t[n] stays the caller's and must outlive
 * *w. label begins every message. */
enum code weights_view(struct weights **w, const char *label, const struct stored *t, size_t n, struct err *e);
void weights_close(struct weights *w);
/* Where converted tensors lie from now on, under the numbers from `first` to `first` + 2 weights_count(w) - 1; without it in memory of
 * their own. Before the first use. *s is the caller's and must outlive w. */
void weights_shelve(struct weights *w, struct shelf *s, uint64_t first);
/* One pass over every tensor: a NaN or an infinity, or a type that is no number, is said by name. */
enum code weights_check(const struct weights *w, struct err *e);
/* Of names, types, shapes and bytes; shards do not matter. Reads every byte. All zero: no memory. */
struct hash weights_hash(const struct weights *w);
const struct stored *weights_find(const struct weights *w, const char *name);      /* NULL: absent */

/* All of them by number, in byte order of the names that weights_find knows. */
size_t weights_count(const struct weights *w);
const struct stored *weights_at(const struct weights *w, size_t i, const char **name);

/* For plans: params of a sketch have a shape and no bytes. Nothing is read or converted, and graphs made of them can be
 * planned, never run. */
void weights_sketch(struct weights *w, int on);
struct weights_use {
    size_t mapped;             /* bytes read where they lie in the files: shared by the ranks of a host. What was converted was
                                * given back to the system */
    size_t converted;          /* bytes converted for the graphs built so far (of a sketch: that would be): one copy a shelf */
};
struct weights_use weights_use(const struct weights *w);

/* Params for a graph. `name` is a printf-style tensor name. All are frozen. */
struct value weights_param(struct weights *w, struct graph *g, struct shape shape, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* [out, in, k, k] in the file, [k, k, in, out] in the graph. k = 1 also accepts [out, in]. */
struct value weights_conv(struct weights *w, struct graph *g, int64_t in, int64_t out, int k, const char *name, ...)
    __attribute__((format(printf, 6, 7)));
/* [out, in] in graph and file; also accepts [out, in, 1, 1]. */
struct value weights_linear(struct weights *w, struct graph *g, int64_t in, int64_t out, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
/* The float32 bytes of a tensor in file layout (owned by w), or NULL with e set. */
const float *weights_float(struct weights *w, const char *name, int64_t count, struct err *e);

#endif
