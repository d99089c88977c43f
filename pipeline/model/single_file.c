/* single_file.c - an original checkpoint as three lists of tensors under inside names.
 *
 * A tensor keeps its place in the map; only its name and shape are written anew: the VAE's attention loses its [1, 1], an
 * OpenCLIP in_proj becomes three tensors of a third of its rows each. So a part has the hash that the same weights have in
 * a diffusers folder.
 */
#include "pipeline/model/single_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".safetensors"
#define UNET "model.diffusion_model."

int single_file_is(const char *path)
{
    struct stat st;
    return !stat(path, &st) && !S_ISDIR(st.st_mode);
}

enum code single_file_beside(const char *path, const char *tail, char *out, size_t room,
                             struct err *e)
{
    size_t n = strlen(path), n_suffix = sizeof SUFFIX - 1;
    if (n > n_suffix && !strcmp(path + n - n_suffix, SUFFIX)) n -= n_suffix;
    if ((size_t)snprintf(out, room, "%.*s%s", (int)n, path, tail) < room) return OK;
    return err_set(e, ERR_INPUT, "path too long: %.200s%s", path, tail);
}

/* ---- one tensor ----------------------------------------------------------------------------------------------------- */

static enum code add(struct single_file *f, enum original_component c, struct stored t,
                     const char *name, struct err *e)
{
    struct single_file_part *p = &f->part[c];
    t.name = arena_strdup(&f->arena, name);
    if (t.name && p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 512;
        struct stored *grown = mem_grow(p->tensor, p->n, room, sizeof *grown);
        if (grown) *p = (struct single_file_part){grown, p->n, room};
    }
    if (!t.name || p->n == p->room)
        return err_set(e, ERR_NOMEM, "%s: no memory for its tensors", f->path);
    p->tensor[p->n++] = t;
    return OK;
}

/* Rows of q, then k, then v. */
static enum code add_thirds(struct single_file *f, const struct stored *t,
                            const struct original_name *n, struct err *e)
{
    char name[WEIGHTS_NAME_MOST];
    char *letter = strstr(n->name, ".q_proj.");
    struct stored third = *t;
    enum code rc = OK;
    if (t->rank < 1 || t->dim[0] % 3 || !letter)
        return err_set(e, ERR_INPUT, "%s: the rows of %.160s are not three equal parts", f->path,
                       t->name);
    third.dim[0] /= 3;
    third.bytes /= 3;
    memcpy(name, n->name, sizeof name);
    letter = name + (letter - n->name) + 1;
    for (int i = 0; i < 3 && !rc; i++) {
        *letter = "qkv"[i];
        third.data = t->data + (size_t)i * third.bytes;
        rc = add(f, n->component, third, name, e);
    }
    return rc;
}

/* A layer of the text encoder beyond those that are read. */
static int is_beyond(const struct single_file *f, const struct original_name *n)
{
    static const char layers[] = "text_model.encoder.layers.";
    return n->component == ORIGINAL_TEXT && !strncmp(n->name, layers, sizeof layers - 1) &&
           strtol(n->name + sizeof layers - 1, NULL, 10) >= f->shape.text.layers;
}

static int is_flat_attention(const struct original_name *n, const struct stored *t)
{
    return n->component == ORIGINAL_VAE && strstr(n->name, ".attentions.") && t->rank == 4 &&
           t->dim[2] == 1 && t->dim[3] == 1;
}

static enum code add_tensor(struct single_file *f, const struct stored *t, struct err *e)
{
    struct original_name n;
    struct stored flat = *t;
    if (!original_name_read(&f->shape.layout, t->name, &n)) {
        if (strncmp(t->name, UNET, sizeof UNET - 1) != 0) return OK;
        return err_set(e, ERR_INPUT,
                       "%s: the UNet has %.160s, which Stable Diffusion 1.x and 2.x have not",
                       f->path, t->name);
    }
    if (is_beyond(f, &n)) return OK;
    if (n.third == 0) return add_thirds(f, t, &n, e);
    if (is_flat_attention(&n, t)) flat.rank = 2;
    return add(f, n.component, flat, n.name, e);
}

enum code single_file_pad(const char *path, const char **pad, struct err *e)
{
    struct safetensors *s;
    enum code rc = safetensors_open(&s, path, e);
    if (rc) return rc;
    *pad = safetensors_find(s, "cond_stage_model.model.token_embedding.weight") ? "!"
                                                                                : "<|endoftext|>";
    safetensors_close(s);
    return OK;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static enum code fill_parts(struct single_file *f, struct err *e)
{
    enum code rc = OK;
    for (size_t i = 0; i < safetensors_count(f->file) && !rc; i++)
        rc = add_tensor(f, safetensors_at(f->file, i), e);
    return rc;
}

/* What depends on more than one part. SD 2.x was trained on pictures of 768 for v, of 512 for noise, as SD 1.x was. */
static void settle(struct single_file *f)
{
    int is_large = f->shape.layout.open_clip && f->schedule.prediction == PREDICT_V;
    if (!f->shape.unet.sample_size) f->shape.unet.sample_size = is_large ? 96 : 64;
}

enum code single_file_open(struct single_file **out, const char *path, struct err *e)
{
    enum code rc = ERR_NOMEM;
    struct single_file *f = mem_alloc(1, sizeof *f);
    *out = NULL;
    if (!f) return err_set(e, rc, "%s: no memory to open it", path);
    if (!(f->path = arena_strdup(&f->arena, path))) {
        err_set(e, rc, "%s: no memory to open it", path);
        goto close;
    }
    if ((rc = safetensors_open(&f->file, path, e))) goto close;
    if ((rc = single_file_family_check(f->file, path, e))) goto close;
    if ((rc = single_file_shape_read(f->file, path, &f->shape, e))) goto close;
    if ((rc = single_file_schedule_read(f, e))) goto close;
    if ((rc = fill_parts(f, e))) goto close;
    settle(f);
    *out = f;
    f = NULL;
close:
    single_file_close(f);
    return rc;
}

void single_file_close(struct single_file *f)
{
    if (!f) return;
    for (int c = 0; c < ORIGINAL_COMPONENTS; c++) free(f->part[c].tensor);
    safetensors_close(f->file);
    arena_fini(&f->arena);
    free(f);
}
