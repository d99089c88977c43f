/* concept.c - a folder becomes a concept, or a list of everything that is wrong with it.
 *
 * Nothing in the folder is passed over in silence: a file is concept.yaml, metadata.jsonl, an image, the caption of an image,
 * hidden (its name begins with a dot), or a problem. */
#include "pipeline/data/concept.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "pipeline/data/captions.h"
#include "pipeline/data/words.h"
#include "pipeline/data/yaml.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN_LETTERS 40
/* A failed export, a closed lens. Compression moves a flat colour by 2 or 3; of the 5,030 pictures of a Debian desktop that
 * show anything the faintest has a contrast of 37. */
#define FLAT 8
#define FOLDER_ENTRIES 4096 /* a folder with more is not a concept but a mistake */

static const char *const kinds[] = {"animal", "object", "scene", "style"};
static const char *const keys[] = {"token", "class", "kind"};
enum { N_KINDS = sizeof kinds / sizeof *kinds, N_KEYS = sizeof keys / sizeof *keys };

struct reading {
    const char *dir;
    const struct concept_options *o;
    struct concept *c;
    struct problems *p;
    struct dirent **entry; /* owned, sorted by bytes, hidden ones dropped */
    int n;
    int *is_caption_of;   /* owned; the entry's image or -1 */
    struct captions list; /* metadata.jsonl; empty where there is none */
};

const char *caption_source_name(enum caption_source s)
{
    static const char *const name[] = {[CAPTION_FILE] = "x.txt",
                                       [CAPTION_LIST] = "metadata.jsonl",
                                       [CAPTION_COMMAND] = "command",
                                       [CAPTION_ENDPOINT] = "endpoint",
                                       [CAPTION_CLASS] = "class word"};
    return name[s];
}

enum code concept_kind_check(const char *kind, struct err *e)
{
    for (int i = 0; i < N_KINDS; i++)
        if (!strcmp(kind, kinds[i])) return OK;
    return err_set(e, ERR_INPUT, "kind \"%s\": choose animal, object, scene or style", kind);
}

enum code concept_token_check(const char *token, struct err *e)
{
    size_t n = strlen(token),
           good = n > 2 ? strspn(token + 1, "abcdefghijklmnopqrstuvwxyz0123456789-_.") : 0;
    if (n >= 3 && n <= TOKEN_LETTERS + 2 && *token == '<' && token[n - 1] == '>' && good == n - 2)
        return OK;
    return err_set(e, ERR_INPUT,
                   "token \"%s\": write it as <rex>, 1 to %d of a-z 0-9 - _ . between < and >",
                   token, TOKEN_LETTERS);
}

static enum code class_check(const char *word, char *out, size_t room, struct err *e)
{
    struct err why = {0};
    enum code rc = words_clean(word, strlen(word), "class word", out, room, &why);
    if (rc) return err_set(e, rc, "%s", why.text);
    if (!*out) return err_set(e, ERR_INPUT, "the class word is empty; write a noun such as dog");
    if (strpbrk(out, "<>{}|"))
        return err_set(e, ERR_INPUT, "class word \"%s\": a plain noun, without < > { } or |", out);
    return OK;
}

/* ---- concept.yaml and options ---- */

static void take(struct reading *r, int key, const char *value, const char *place)
{
    struct err e = {0};
    enum code rc;
    char *to = key == 0 ? r->c->token : key == 1 ? r->c->class_word : r->c->kind;
    size_t room = key == 0   ? sizeof r->c->token
                  : key == 1 ? sizeof r->c->class_word
                             : sizeof r->c->kind;
    if (key == 0) rc = concept_token_check(value, &e);
    else if (key == 1) rc = class_check(value, to, room, &e);
    else rc = concept_kind_check(value, &e);
    if (rc) problems_add(r->p, rc, "%s%s%s", place, *place ? ": " : "", e.text);
    else if (key != 1) snprintf(to, room, "%s", value);
}

static void take_entry(struct reading *r, const char *path, const struct yaml_entry *y)
{
    const char *const given[N_KEYS] = {r->o->token, r->o->class_word, r->o->kind};
    char place[600];
    snprintf(place, sizeof place, "%.500s:%d:%d", path, y->line, y->column);
    for (int k = 0; k < N_KEYS; k++)
        if (!strcmp(y->path, keys[k])) {
            if (!given[k])
                take(r, k, y->value, place); /* an option wins over the file, right or wrong */
            return;
        }
    const char *near = text_nearest(y->path, keys, N_KEYS);
    if (near)
        problems_add(r->p, ERR_INPUT, "%s: unknown key \"%s\"; did you mean \"%s\"?", place,
                     y->path, near);
    else
        problems_add(r->p, ERR_INPUT, "%s: unknown key \"%s\"; there are token, class and kind",
                     place, y->path);
}

static void settings_read(struct reading *r, const char *path)
{
    struct yaml y = {0};
    struct err e = {0};
    enum code rc = file_exists(path) ? yaml_read(path, &y, &e) : OK;
    if (rc) problems_add(r->p, rc, "%s", e.text);
    for (size_t i = 0; i < y.n; i++) take_entry(r, path, &y.entry[i]);
    yaml_fini(&y);
    if (r->o->token) take(r, 0, r->o->token, "");
    if (r->o->class_word) take(r, 1, r->o->class_word, "");
    if (r->o->kind) take(r, 2, r->o->kind, "");
}

/* After the file and the options: what nobody said. A wrong value was reported already. */
static void settings_complete(struct reading *r, size_t problems_before)
{
    if (!*r->c->kind) snprintf(r->c->kind, sizeof r->c->kind, "object");
    if (r->p->n > problems_before) return;
    if (!*r->c->token)
        problems_add(r->p, ERR_INPUT,
                     "%s has no token; write token: \"<rex>\" into %s/concept.yaml or give one",
                     r->dir, r->dir);
    if (!*r->c->class_word)
        problems_add(r->p, ERR_INPUT,
                     "%s has no class word; write class: dog into %s/concept.yaml or give one",
                     r->dir, r->dir);
}

/* ---- the folder ---- */

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int has_end(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

static size_t stem(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

static int same_stem(const char *a, const char *b)
{
    size_t n = stem(a);
    return n == stem(b) && !memcmp(a, b, n);
}

static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir), room = n + strlen(name) + 2;
    char *path = mem_alloc(room, 1);
    while (n > 1 && dir[n - 1] == '/') n--;
    if (path) snprintf(path, room, "%.*s/%s", (int)n, dir, name);
    return path;
}

/* Is entry i an image by its place in the folder? Whether it is one by its bytes is found out when it is decoded. */
static int is_image(const struct reading *r, int i)
{
    const char *name = r->entry[i]->d_name;
    return !has_end(name, ".txt") && strcmp(name, "concept.yaml") != 0 &&
           strcmp(name, "metadata.jsonl") != 0;
}

/* The caption's file for image i, or -1. Two images that could own it are a problem, told once, at the second. */
static int caption_of(struct reading *r, int i)
{
    for (int j = 0; j < r->n; j++) {
        if (!has_end(r->entry[j]->d_name, ".txt") ||
            !same_stem(r->entry[i]->d_name, r->entry[j]->d_name))
            continue;
        if (r->is_caption_of[j] >= 0) {
            problems_add(r->p, ERR_INPUT,
                         "%s/%s could be the caption of %s or of %s; rename one of them", r->dir,
                         r->entry[j]->d_name, r->entry[r->is_caption_of[j]]->d_name,
                         r->entry[i]->d_name);
            return -1;
        }
        r->is_caption_of[j] = i;
        return j;
    }
    return -1;
}

/* What the folder itself says of entry i: its file (or -1), else its line in the list. NULL: nothing, and *text is "". */
static void caption_known(struct reading *r, int i, int file, char text[CONCEPT_TEXT],
                          enum caption_source *source)
{
    const char *listed = captions_find(&r->list, r->entry[i]->d_name);
    struct err e = {0};
    *text = 0;
    *source = CAPTION_CLASS;
    if (file >= 0) {
        char *path = join(r->dir, r->entry[file]->d_name);
        enum code rc = path ? words_read(path, text, CONCEPT_TEXT, &e)
                            : err_set(&e, ERR_NOMEM, "out of memory");
        if (rc) problems_add(r->p, rc, "%s", e.text);
        free(path);
        *source = CAPTION_FILE;
    } else if (listed) {
        snprintf(text, CONCEPT_TEXT, "%s", listed);
        *source = CAPTION_LIST;
    }
}

/* The captions that nobody wrote. Asking may cost minutes and money, so nobody is asked about a folder that will be
 * refused anyway. */
static enum code captions_complete(struct reading *r, size_t problems_before, struct err *e)
{
    const struct captioner *a = r->o->captioner;
    for (int i = 0; i < r->c->n; i++) {
        char text[CONCEPT_TEXT] = "";
        struct err why = {0};
        if (r->c->image[i].caption) continue;
        if (!a) snprintf(text, sizeof text, "a photo of a %s", r->c->class_word);
        else if (r->p->n > problems_before) return OK;
        else if (a->ask(a->self, r->c->image[i].path, r->c->class_word, text, sizeof text, &why)) {
            problems_add(r->p, why.code, "%s", why.text);
            return OK;
        } else r->c->image[i].caption_source = a->source;
        char *copy = mem_alloc(strlen(text) + 1, 1);
        if (!copy) return err_set(e, ERR_NOMEM, "out of memory");
        memcpy(copy, text, strlen(text));
        r->c->image[i].caption = copy;
    }
    return OK;
}

static enum code image_add(struct reading *r, int i, struct err *e)
{
    struct image im = {0};
    struct err why = {0};
    struct image_info info = {0};
    char *path = join(r->dir, r->entry[i]->d_name);
    struct stat st;
    if (!path) return err_set(e, ERR_NOMEM, "out of memory");
    if (!stat(path, &st) && S_ISDIR(st.st_mode))
        problems_add(r->p, ERR_INPUT,
                     "%s is a folder; the images of a concept lie side by side: move it elsewhere",
                     path);
    else {
        enum code rc = image_read(path, &im, &info, &why);
        int side = im.w < im.h ? im.w : im.h;
        if (rc) problems_add(r->p, rc, "%s", why.text);
        else if (side < r->o->least_side)
            problems_add(r->p, ERR_INPUT, "image %s is %dx%d; the shorter side needs %d", path,
                         im.w, im.h, r->o->least_side);
        else if (image_contrast(&im) <= FLAT)
            problems_add(r->p, ERR_INPUT,
                         "image %s is of one colour: no two pixels are more than %d of 255 apart, "
                         "so there is nothing to learn from it; remove it",
                         path, FLAT);
    }
    int w = im.w, h = im.h;
    char text[CONCEPT_TEXT];
    enum caption_source source;
    image_fini(&im);
    caption_known(r, i, caption_of(r, i), text, &source);
    char *caption = *text ? mem_alloc(strlen(text) + 1, 1) : NULL;
    if (caption) memcpy(caption, text, strlen(text));
    void *grown = mem_grow(r->c->image, (size_t)r->c->n, (size_t)r->c->n + 1, sizeof *r->c->image);
    if (grown) r->c->image = grown;
    if (!grown || (*text && !caption)) {
        free(path);
        free(caption);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    int at = r->c->n++;
    r->c->image[at].path = path;
    r->c->image[at].caption = caption;
    r->c->image[at].caption_source = source;
    r->c->image[at].w = w;
    r->c->image[at].h = h;
    r->c->image[at].info = info;
    return OK;
}

/* Captions without an image, and files that were meant to be concept.yaml. */
static void strays(struct reading *r)
{
    for (int j = 0; j < r->n; j++)
        if (has_end(r->entry[j]->d_name, ".txt") && r->is_caption_of[j] < 0) {
            int waits = 0; /* for an image that was not looked at: there were too many */
            for (int i = 0; i < r->n; i++)
                waits |= is_image(r, i) && same_stem(r->entry[i]->d_name, r->entry[j]->d_name);
            if (!waits)
                problems_add(r->p, ERR_INPUT,
                             "%s/%s is the caption of no image; name it like its image or move it",
                             r->dir, r->entry[j]->d_name);
        }
}

/* Lines of metadata.jsonl whose image is not there. */
static void list_strays(struct reading *r)
{
    for (size_t k = 0; k < r->list.n; k++) {
        const struct caption *c = &r->list.caption[k];
        int i = 0;
        while (i < r->n && (strcmp(r->entry[i]->d_name, c->file) != 0 || !is_image(r, i))) i++;
        if (i == r->n)
            problems_add(r->p, ERR_INPUT,
                         "%s/metadata.jsonl:%d: there is no image %.200s in the folder; remove the "
                         "line or bring the image",
                         r->dir, c->line, c->file);
    }
}

static void list_read(struct reading *r)
{
    for (int i = 0; i < r->n; i++) {
        if (strcmp(r->entry[i]->d_name, "metadata.jsonl") != 0) continue;
        char *path = join(r->dir, r->entry[i]->d_name);
        if (path) captions_read(path, &r->list, r->p);
        else problems_add(r->p, ERR_NOMEM, "out of memory");
        free(path);
        list_strays(r);
    }
}

static enum code folder_read(struct reading *r, struct err *e)
{
    int images = 0;
    enum code rc = OK;
    list_read(r);
    for (int i = 0; i < r->n; i++) images += is_image(r, i);
    if (!images)
        problems_add(r->p, ERR_INPUT,
                     "%s holds no PNG, JPEG or WebP image; put 3 to 20 of the concept there",
                     r->dir);
    if (images > CONCEPT_IMAGES) {
        problems_add(r->p, ERR_INPUT,
                     "%s holds %d files beside captions; at most %d images make a concept", r->dir,
                     images, CONCEPT_IMAGES);
        return OK;
    }
    for (int i = 0; !rc && i < r->n; i++) {
        const char *name = r->entry[i]->d_name;
        if (!strcmp(name, "concept.yml") || !strcmp(name, "concept.json"))
            problems_add(r->p, ERR_INPUT, "%s/%s is not read; name it concept.yaml", r->dir, name);
        else if (is_image(r, i)) rc = image_add(r, i, e);
    }
    if (!rc) strays(r);
    return rc;
}

static enum code folder_open(struct reading *r, struct err *e)
{
    r->n = scandir(r->dir, &r->entry, visible, by_bytes);
    if (r->n < 0) {
        r->n = 0;
        return err_errno(e, "%s", r->dir);
    }
    if (r->n > FOLDER_ENTRIES)
        return err_set(e, ERR_INPUT, "%s holds %d files; at most %d images make a concept", r->dir,
                       r->n, CONCEPT_IMAGES);
    r->is_caption_of = mem_alloc((size_t)r->n + 1, sizeof *r->is_caption_of);
    if (!r->is_caption_of) return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < r->n; i++) r->is_caption_of[i] = -1;
    return OK;
}

static enum code concept_fill(struct reading *r, struct err *e)
{
    size_t before = r->p->n;
    char *path = join(r->dir, "concept.yaml");
    if (!path) return err_set(e, ERR_NOMEM, "out of memory");
    settings_read(r, path);
    free(path);
    settings_complete(r, before);
    enum code rc = folder_read(r, e);
    return rc ? rc : captions_complete(r, before, e);
}

enum code concept_read(const char *dir, const struct concept_options *o, struct concept *out,
                       struct problems *p, struct err *e)
{
    struct reading r = {.dir = dir, .o = o, .c = out, .p = p};
    struct err why = {0};
    size_t before = p->n, dropped = p->n_dropped;
    *out = (struct concept){0};
    enum code rc = folder_open(&r, &why);
    if (!rc) rc = concept_fill(&r, &why);
    for (int i = 0; i < r.n; i++) free(r.entry[i]);
    free(r.entry);
    free(r.is_caption_of);
    captions_fini(&r.list);
    if (rc) problems_add(p, rc, "%s", why.text);
    size_t n = p->n - before + p->n_dropped - dropped;
    if (!n) return OK;
    concept_fini(out);
    if (p->n == before) return err_set(e, rc ? rc : ERR_INPUT, "%s: %zu problems", dir, n);
    rc = p->code[before];
    if (n == 1) return err_set(e, rc, "%s", p->line[before]);
    return err_set(e, rc, "%s: %zu problems; the first: %s", dir, n, p->line[before]);
}

void concept_fini(struct concept *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->image[i].path);
        free(c->image[i].caption);
    }
    free(c->image);
    *c = (struct concept){0};
}
