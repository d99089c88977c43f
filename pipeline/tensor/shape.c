/* shape.c - shapes, and one rule per operator: which inputs it accepts and what it gives.
 *
 * A rule reads c->in and c->attr, writes c->out and returns NULL, or says in a few words what is wrong. Types and
 * presence are checked from the table at the end before a rule runs, so a rule sees only complete inputs.
 * Reshape carries its wanted shape in attr.reduce.
 */
#include "pipeline/tensor/graph.h"

#include <inttypes.h>
#include <stdio.h>

/* Above this a shape is a mistake, and products of such shapes could overflow 64 bits. */
#define COUNT_MAX ((int64_t)1 << 40)

int64_t shape_count(struct shape s)
{
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) n *= s.dim[i];
    return n;
}

int shape_equal(struct shape a, struct shape b)
{
    if (a.rank != b.rank) return 0;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return 0;
    return 1;
}

char *shape_text(struct shape s, char out[80])
{
    size_t used = (size_t)snprintf(out, 80, "[");
    for (int i = 0; i < s.rank && i < SHAPE_RANK && used < 80; i++)
        used += (size_t)snprintf(out + used, 80 - used, "%s%" PRId64, i ? ", " : "", s.dim[i]);
    if (used < 80) snprintf(out + used, 80 - used, "]");
    return out;
}

const char *shape_mistake(struct shape s)
{
    if (s.rank < 0 || s.rank > SHAPE_RANK) return "rank out of range";
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] < 0) return "negative dimension";
        if (s.dim[i] > COUNT_MAX) return "too large";
        if (s.dim[i] && n > COUNT_MAX / s.dim[i]) return "too large";
        n *= s.dim[i] ? s.dim[i] : 1; /* a zero must not hide the size of the others */
    }
    return NULL;
}

static int64_t last(struct shape s)
{
    return s.dim[s.rank - 1];
}

static struct shape with_last(struct shape s, int64_t n)
{
    s.dim[s.rank - 1] = n;
    return s;
}

/* a and b agree in all dimensions but one. */
static int equal_except(struct shape a, struct shape b, int axis)
{
    if (a.rank != b.rank) return 0;
    b.dim[axis] = a.dim[axis];
    return shape_equal(a, b);
}

static const char *same(struct shape_case *c)
{
    c->out[0] = c->in[0];
    return NULL;
}

/* Forward. */

static const char *linear(struct shape_case *c)
{
    struct shape x = c->in[0], w = c->in[1];
    if (x.rank < 1) return "x needs at least one dimension";
    if (w.rank != 2) return "w must be [O, I]";
    if (last(x) != w.dim[1]) return "the last dimension of x is not w's I";
    if (c->present[2] && !shape_equal(c->in[2], SHAPE(w.dim[0]))) return "bias must be [O]";
    c->out[0] = with_last(x, w.dim[0]);
    return NULL;
}

static const char *linear_indexed(struct shape_case *c)
{
    struct shape x = c->in[0], w = c->in[1];
    if (x.rank != 3) return "x must be [N, T, I]";
    if (w.rank != 3) return "w must be [V, O, I]";
    if (x.dim[2] != w.dim[2]) return "the last dimension of x is not w's I";
    if (!shape_equal(c->in[2], SHAPE(x.dim[0]))) return "idx must be [N]";
    c->out[0] = with_last(x, w.dim[1]);
    return NULL;
}

/* Size of one axis after a convolution; -1: the kernel does not fit. */
static int64_t conv_size(int64_t size, int64_t kernel, int before, int after, int stride)
{
    int64_t room = size + before + after - kernel;
    return room < 0 ? -1 : room / stride + 1;
}

static const char *conv_out(struct conv_attr a, struct shape x, struct shape w, struct shape *out)
{
    if (a.stride < 1) return "stride must be 1 or more";
    for (int i = 0; i < 4; i++)
        if (a.pad[i] < 0) return "negative padding";
    if (w.dim[0] < 1 || w.dim[1] < 1) return "w has no kernel";
    int64_t h = conv_size(x.dim[1], w.dim[0], a.pad[0], a.pad[2], a.stride);
    int64_t v = conv_size(x.dim[2], w.dim[1], a.pad[1], a.pad[3], a.stride);
    if (h < 0 || v < 0) return "the kernel is larger than the padded image";
    *out = SHAPE(x.dim[0], h, v, w.dim[3]);
    return NULL;
}

static const char *conv(struct shape_case *c)
{
    struct shape x = c->in[0], w = c->in[1];
    if (x.rank != 4) return "x must be [N, H, W, I]";
    if (w.rank != 4) return "w must be [kh, kw, I, O]";
    if (x.dim[3] != w.dim[2]) return "the channels of x are not w's I";
    if (c->present[2] && !shape_equal(c->in[2], SHAPE(w.dim[3]))) return "bias must be [O]";
    return conv_out(c->attr->conv, x, w, &c->out[0]);
}

static const char *norm_params(struct shape x, struct shape gamma, struct shape beta)
{
    if (!shape_equal(gamma, SHAPE(last(x)))) return "gamma must be [C]";
    if (!shape_equal(beta, SHAPE(last(x)))) return "beta must be [C]";
    return NULL;
}

static const char *group_norm(struct shape_case *c)
{
    struct shape x = c->in[0];
    int groups = c->attr->norm.groups;
    if (x.rank < 2) return "x must be [N, .., C]";
    if (groups < 1 || last(x) % groups) return "the number of groups does not divide C";
    c->out[0] = x;
    return norm_params(x, c->in[1], c->in[2]);
}

static const char *layer_norm(struct shape_case *c)
{
    if (c->in[0].rank < 1) return "x must be [.., C]";
    c->out[0] = c->in[0];
    return norm_params(c->in[0], c->in[1], c->in[2]);
}

static const char *add(struct shape_case *c)
{
    struct shape a = c->in[0], b = c->in[1];
    if (a.rank != b.rank) return "a and b differ in rank";
    for (int i = 0; i < a.rank; i++)
        if (b.dim[i] != a.dim[i] && b.dim[i] != 1) return "b must have a's dimensions, or 1";
    c->out[0] = a;
    return NULL;
}

static const char *geglu(struct shape_case *c)
{
    if (c->in[0].rank < 1 || last(c->in[0]) % 2) return "the last dimension must be even";
    c->out[0] = with_last(c->in[0], last(c->in[0]) / 2);
    return NULL;
}

static const char *attention_inputs(struct attention_attr a, const struct shape *qkv)
{
    struct shape q = qkv[0], k = qkv[1], v = qkv[2];
    if (q.rank != 3 || k.rank != 3) return "q must be [N, T, C], k and v [N, S, C]";
    if (!equal_except(q, k, 1)) return "q and k differ in N or C";
    if (!shape_equal(k, v)) return "k and v differ";
    if (a.heads < 1 || q.dim[2] % a.heads) return "the number of heads does not divide C";
    if (k.dim[1] < 1) return "there is no token to attend to";
    return NULL;
}

static const char *attention(struct shape_case *c)
{
    c->out[0] = c->in[0];
    return attention_inputs(c->attr->attention, c->in);
}

static const char *concat(struct shape_case *c)
{
    int axis = c->attr->axis.axis;
    if (axis < 0 || axis >= c->in[0].rank) return "no such axis";
    if (!equal_except(c->in[0], c->in[1], axis)) return "a and b may differ along the axis only";
    c->out[0] = c->in[0];
    c->out[0].dim[axis] += c->in[1].dim[axis];
    return NULL;
}

static const char *slice(struct shape_case *c)
{
    struct slice_attr a = c->attr->slice;
    if (a.axis < 0 || a.axis >= c->in[0].rank) return "no such axis";
    int64_t full = c->in[0].dim[a.axis];
    if (a.begin < 0 || a.begin > full || a.size < 0 || a.size > full - a.begin)
        return "the slice leaves the tensor";
    c->out[0] = c->in[0];
    c->out[0].dim[a.axis] = a.size;
    return NULL;
}

static const char *upsample(struct shape_case *c)
{
    struct shape x = c->in[0];
    struct size_attr a = c->attr->size;
    if (x.rank != 4) return "x must be [N, H, W, C]";
    if (x.dim[1] < 1 || x.dim[2] < 1 || a.h < 1 || a.w < 1) return "an image has no pixels";
    c->out[0] = SHAPE(x.dim[0], a.h, a.w, x.dim[3]);
    return NULL;
}

static const char *repeat(struct shape_case *c)
{
    if (c->in[0].rank < 1 || c->in[0].dim[0] != 1) return "x must be [1, ..]";
    c->out[0] = c->in[0];
    c->out[0].dim[0] = c->attr->repeat.n;
    return NULL;
}

static const char *reshape(struct shape_case *c)
{
    c->out[0] = c->attr->reduce.shape;
    const char *mistake = shape_mistake(c->out[0]);
    if (!mistake && shape_count(c->out[0]) != shape_count(c->in[0]))
        mistake = "the new shape has another count";
    return mistake;
}

static const char *embed(struct shape_case *c)
{
    struct shape ids = c->in[0], table = c->in[1], extra = c->in[2];
    if (ids.rank != 2) return "ids must be [N, T]";
    if (table.rank != 2) return "table must be [V, D]";
    if (c->present[2] && (extra.rank != 2 || extra.dim[1] != table.dim[1]))
        return "extra must be [R, D]";
    c->out[0] = SHAPE(ids.dim[0], ids.dim[1], table.dim[1]);
    return NULL;
}

static const char *pick(struct shape_case *c)
{
    struct shape x = c->in[0];
    if (x.rank != 3) return "x must be [N, T, D]";
    if (!shape_equal(c->in[1], SHAPE(x.dim[0]))) return "at must be [N]";
    c->out[0] = SHAPE(x.dim[0], x.dim[2]);
    return NULL;
}

static const char *detach_first(struct shape_case *c)
{
    if (c->in[0].rank != 3) return "x must be [N, T, C]";
    return same(c);
}

static const char *mse_inputs(struct shape p, struct shape t, struct shape weight)
{
    if (p.rank < 1 || !shape_equal(p, t)) return "p and t must be equal [N, ..]";
    if (!shape_equal(weight, SHAPE(p.dim[0]))) return "weight must be [N]";
    return NULL;
}

static const char *mse(struct shape_case *c)
{
    c->out[0] = SHAPE(c->in[0].dim[0]);
    return mse_inputs(c->in[0], c->in[1], c->in[2]);
}

/* Backward. */

static const char *linear_dx(struct shape_case *c)
{
    struct shape dy = c->in[0], w = c->in[1];
    if (dy.rank < 1 || w.rank != 2 || last(dy) != w.dim[0]) return "dy must be [.., O], w [O, I]";
    c->out[0] = with_last(dy, w.dim[1]);
    return NULL;
}

static const char *linear_dw(struct shape_case *c)
{
    struct shape dy = c->in[0], x = c->in[1];
    if (dy.rank < 1 || !equal_except(dy, x, dy.rank - 1)) return "dy must be [.., O], x [.., I]";
    c->out[0] = SHAPE(last(dy), last(x));
    return NULL;
}

static const char *linear_indexed_dx(struct shape_case *c)
{
    struct shape dy = c->in[0], w = c->in[1];
    if (dy.rank != 3 || w.rank != 3 || dy.dim[2] != w.dim[1])
        return "dy must be [N, T, O], w [V, O, I]";
    if (!shape_equal(c->in[2], SHAPE(dy.dim[0]))) return "idx must be [N]";
    c->out[0] = with_last(dy, w.dim[2]);
    return NULL;
}

static const char *linear_indexed_dw(struct shape_case *c)
{
    struct shape dy = c->in[0], x = c->in[1];
    if (dy.rank != 3 || !equal_except(dy, x, 2)) return "dy must be [N, T, O], x [N, T, I]";
    if (!shape_equal(c->in[2], SHAPE(dy.dim[0]))) return "idx must be [N]";
    c->out[0] = SHAPE(c->attr->rows.rows, dy.dim[2], x.dim[2]);
    return NULL;
}

static const char *conv_dx(struct shape_case *c)
{
    struct shape dy = c->in[0], w = c->in[1], y;
    struct conv_dx_attr a = c->attr->conv_dx;
    if (dy.rank != 4 || w.rank != 4) return "dy must be [N, H, W, O], w [kh, kw, I, O]";
    struct shape x = SHAPE(dy.dim[0], a.h, a.w, w.dim[2]);
    const char *reason = conv_out(a.conv, x, w, &y);
    if (!reason && !shape_equal(y, dy)) reason = "dy is not the output of an input of this size";
    c->out[0] = x;
    return reason;
}

static const char *norm_dx(struct shape_case *c)
{
    struct shape x = c->in[1];
    if (x.rank < 1 || !shape_equal(c->in[0], x)) return "dy and x differ";
    c->out[0] = x;
    return norm_params(x, c->in[2], c->in[3]);
}

static const char *unary_dx(struct shape_case *c)
{
    if (!shape_equal(c->in[0], c->in[1])) return "dy and x differ";
    return same(c);
}

static const char *reduce(struct shape_case *c)
{
    struct shape x = c->in[0], y = c->attr->reduce.shape;
    if (x.rank != y.rank) return "the ranks differ";
    for (int i = 0; i < x.rank; i++)
        if (y.dim[i] != x.dim[i] && y.dim[i] != 1) return "a dimension is neither kept nor 1";
    c->out[0] = y;
    return NULL;
}

static const char *geglu_dx(struct shape_case *c)
{
    struct shape dy = c->in[0], x = c->in[1];
    if (x.rank < 1 || !shape_equal(with_last(x, last(x) / 2), dy) || last(x) % 2)
        return "dy must be [.., C], x [.., 2C]";
    c->out[0] = x;
    return NULL;
}

static const char *attention_dx(struct shape_case *c)
{
    if (!shape_equal(c->in[0], c->in[1])) return "dy and q differ";
    for (int i = 0; i < 3; i++) c->out[i] = c->in[i + 1];
    return attention_inputs(c->attr->attention, c->in + 1);
}

static const char *place(struct shape_case *c)
{
    struct slice_attr a = c->attr->slice;
    if (a.axis < 0 || a.axis >= c->in[0].rank) return "no such axis";
    if (a.begin < 0 || a.begin > a.size || c->in[0].dim[a.axis] > a.size - a.begin)
        return "x does not fit there";
    c->out[0] = c->in[0];
    c->out[0].dim[a.axis] = a.size;
    return NULL;
}

static const char *embed_dextra(struct shape_case *c)
{
    struct shape dy = c->in[0], ids = c->in[1];
    if (dy.rank != 3 || !shape_equal(ids, SHAPE(dy.dim[0], dy.dim[1])))
        return "dy must be [N, T, D], ids [N, T]";
    c->out[0] = SHAPE(c->attr->rows.rows, dy.dim[2]);
    return NULL;
}

static const char *pick_dx(struct shape_case *c)
{
    struct shape dy = c->in[0];
    if (dy.rank != 2 || !shape_equal(c->in[1], SHAPE(dy.dim[0])))
        return "dy must be [N, D], at [N]";
    c->out[0] = SHAPE(dy.dim[0], c->attr->size.h, dy.dim[1]);
    return NULL;
}

static const char *mse_dp(struct shape_case *c)
{
    c->out[0] = c->in[1];
    const char *reason = mse_inputs(c->in[1], c->in[2], c->in[3]);
    if (!reason && !shape_equal(c->in[0], c->in[3])) reason = "dl must be [N]";
    return reason;
}

/* Bit i of `optional`: input i may be absent; of `ids`: input i is int32, all others float32. */
static const struct {
    const char *(*rule)(struct shape_case *c);
    unsigned optional, ids;
} rules[OP_COUNT] = {
    [OP_linear] = {linear, 4, 0},
    [OP_linear_indexed] = {linear_indexed, 0, 4},
    [OP_conv] = {conv, 4, 0},
    [OP_group_norm] = {group_norm, 0, 0},
    [OP_layer_norm] = {layer_norm, 0, 0},
    [OP_unary] = {same, 0, 0},
    [OP_add] = {add, 0, 0},
    [OP_geglu] = {geglu, 0, 0},
    [OP_attention] = {attention, 0, 0},
    [OP_concat] = {concat, 0, 0},
    [OP_slice] = {slice, 0, 0},
    [OP_upsample] = {upsample, 0, 0},
    [OP_repeat] = {repeat, 0, 0},
    [OP_reshape] = {reshape, 0, 0},
    [OP_embed] = {embed, 4, 1},
    [OP_pick] = {pick, 0, 2},
    [OP_detach_first] = {detach_first, 0, 0},
    [OP_mse] = {mse, 0, 0},
    [OP_linear_dx] = {linear_dx, 0, 0},
    [OP_linear_dw] = {linear_dw, 0, 0},
    [OP_linear_indexed_dx] = {linear_indexed_dx, 0, 4},
    [OP_linear_indexed_dw] = {linear_indexed_dw, 0, 4},
    [OP_conv_dx] = {conv_dx, 0, 0},
    [OP_group_norm_dx] = {norm_dx, 0, 0},
    [OP_layer_norm_dx] = {norm_dx, 0, 0},
    [OP_unary_dx] = {unary_dx, 0, 0},
    [OP_reduce] = {reduce, 0, 0},
    [OP_geglu_dx] = {geglu_dx, 0, 0},
    [OP_attention_dx] = {attention_dx, 0, 0},
    [OP_place] = {place, 0, 0},
    [OP_upsample_dx] = {upsample, 0, 0},
    [OP_embed_dextra] = {embed_dextra, 0, 2},
    [OP_pick_dx] = {pick_dx, 0, 2},
    [OP_detach_first_dx] = {detach_first, 0, 0},
    [OP_mse_dp] = {mse_dp, 0, 0},
};

const char *shape_infer(struct shape_case *c)
{
    static const char *const missing[] = {
        "the first input is missing", "the second input is missing", "the third input is missing",
        "the fourth input is missing"};
    for (int i = 0; i < op_inputs(c->op); i++) {
        if (!c->present[i] && !(rules[c->op].optional >> i & 1)) return missing[i];
        enum dtype wanted = rules[c->op].ids >> i & 1 ? DTYPE_I32 : DTYPE_F32;
        if (c->present[i] && c->dtype[i] != wanted)
            return wanted == DTYPE_I32 ? "ids and indices must be int32" : "values must be float32";
    }
    return rules[c->op].rule(c);
}
