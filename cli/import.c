/* import.c - `engram import`: concept folders of Engram from what other programs keep: all of them or none.
 *
 * Everything is read and checked first. What is written goes into OUT.part, which takes its name OUT when it is whole; a run
 * that was killed leaves OUT.part, and the next one begins it anew. The source is only read.
 */
#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"
#include "pipeline/data/concept.h"
#include "pipeline/data/concept_list.h"
#include "pipeline/data/words.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FEWEST_PIXELS 32
#define PROMPT_BYTES (1u << 20)

struct importing {
    const char *source, *root, *out, *token, *class_word, *kind;
    char part[4096];
    struct concept_list list;
    struct concept *concept; /* owned, [list.n] */
    struct problems problems;
};

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void read_one(struct importing *m, size_t i)
{
    const struct listed *from = &m->list.concept[i];
    int alone = m->list.n == 1; /* then the command line may speak for it */
    struct concept_options o = {.token = alone && m->token ? m->token : from->token,
                                .class_word = alone && m->class_word ? m->class_word
                                              : *from->class_word    ? from->class_word
                                                                     : m->class_word,
                                .kind = m->kind ? m->kind : from->kind,
                                .least_side = FEWEST_PIXELS};
    struct err e = {0};
    size_t before = m->problems.n;
    char path[4200];
    /* A folder of ours, or one with a concept.yaml, knows its own token better than its name does. */
    snprintf(path, sizeof path, "%s/concept.yaml", from->folder);
    if (file_exists(path) && !(alone && m->token)) o.token = NULL;
    if (concept_read(from->folder, &o, &m->concept[i], &m -> problems, &e) &&
        m->problems.n == before)
        problems_add(&m->problems, e.code, "%s", e.text);
}

static void read_all(struct importing *m)
{
    concept_list_read(m->source, m->root, &m->list, &m->problems);
    if (m->list.n > 1 && m->token)
        problems_add(&m->problems, ERR_USAGE, "--token names one concept, but %s has %zu",
                     m->source, m->list.n);
    m->concept = mem_alloc(m->list.n + 1, sizeof *m->concept);
    if (!m->concept) problems_add(&m->problems, ERR_NOMEM, "out of memory");
    for (size_t i = 0; m->concept && i < m->list.n; i++) read_one(m, i);
    if (file_exists(m->out))
        problems_add(&m->problems, ERR_EXISTS, "%s is there already; choose another folder",
                     m->out);
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static enum code remove_tree(const char *path, struct err *e)
{
    if (!file_exists(path)) return OK;
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS)) return err_errno(e, "%s", path);
    return OK;
}

static enum code copy_file(const char *from, const char *to, struct err *e)
{
    struct file_map m;
    enum code rc = file_map_open(&m, from, e);
    if (rc) return rc;
    rc = file_write(to, m.data, m.n, e);
    file_map_close(&m);
    return rc;
}

static enum code write_words(const char *path, const char *words, struct err *e)
{
    struct text line = {0};
    text_printf(&line, "%s\n", words);
    enum code rc = text_ok(&line) ? file_write(path, line.s, line.n, e)
                                  : err_set(e, ERR_NOMEM, "out of memory");
    text_fini(&line);
    return rc;
}

static enum code write_image(const char *dir, const struct listed *from, const struct concept *c,
                             int i, struct err *e)
{
    const char *path = c->image[i].path, *name = strrchr(path, '/') + 1, *dot = strrchr(name, '.');
    int stem = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    int nobody = c->image[i].caption_source == CAPTION_CLASS;
    const char *caption = nobody ? from->caption : c->image[i].caption;
    char to[4608];
    snprintf(to, sizeof to, "%.4096s/%.255s", dir, name);
    enum code rc = copy_file(path, to, e);
    if (rc || !*caption) return rc; /* nobody said anything: learn will say so, too */
    snprintf(to, sizeof to, "%.4096s/%.*s.txt", dir, stem, name);
    return write_words(to, caption, e);
}

static enum code write_concept(struct importing *m, size_t i, struct err *e)
{
    const struct concept *c = &m->concept[i];
    char dir[4352], path[4608];
    struct text yaml = {0};
    snprintf(dir, sizeof dir, "%s/%s", m->part, m->list.concept[i].name);
    enum code rc = file_make_dirs(dir, e);
    for (int k = 0; !rc && k < c->n; k++) rc = write_image(dir, &m->list.concept[i], c, k, e);
    if (rc) return rc;
    snprintf(path, sizeof path, "%s/concept.yaml", dir);
    text_printf(&yaml, "token: \"%s\"\nclass: \"%s\"\nkind: %s\n", c->token, c->class_word,
                c->kind);
    rc = text_ok(&yaml) ? file_write(path, yaml.s, yaml.n, e)
                        : err_set(e, ERR_NOMEM, "out of memory");
    text_fini(&yaml);
    return rc;
}

/* One line of a foreign prompt file with its places filled: {} and {0} the first concept, {1} the second .. */
static void fill_places(struct text *out, const char *line, size_t n,
                        const struct concept *const *c, size_t n_concepts)
{
    for (size_t i = 0; i < n; i++) {
        size_t which = 0, length = 2;
        int place = line[i] == '{' && i + 1 < n && line[i + 1] == '}';
        if (!place && i + 2 < n && line[i] == '{' && line[i + 2] == '}') {
            which = (size_t)(line[i + 1] - '0');
            length = 3;
            place = line[i + 1] >= '0' && which < n_concepts;
        }
        if (place) {
            text_printf(out, "%s %s", c[which]->token, c[which]->class_word);
            i += length - 1;
        } else text_add_bytes(out, line + i, 1);
    }
}

/* A prompt file of ours from one of theirs. Lines that are not clean text are refused with their place. */
static enum code write_prompts(struct importing *m, const char *from, const char *name,
                               const struct concept *const *c, size_t n, struct err *e)
{
    struct bytes b = {0};
    struct text out = {0};
    char path[4608], place[4608], line[CONCEPT_TEXT];
    int number = 0;
    snprintf(path, sizeof path, "%s/prompts", m->part);
    enum code rc = file_make_dirs(path, e);
    if (!rc) rc = file_read(from, PROMPT_BYTES, &b, e);
    for (const char *at = (const char *)b.data, *end = at + b.n; !rc && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        snprintf(place, sizeof place, "%s:%d", from, ++number);
        rc = words_clean(at, length, place, line, sizeof line, e);
        if (!rc && *line) {
            fill_places(&out, line, strlen(line), c, n);
            text_add(&out, "\n");
        }
        at += length + (stop != NULL);
    }
    snprintf(path, sizeof path, "%s/prompts/%.200s.txt", m->part, name);
    if (!rc && out.n)
        rc = text_ok(&out) ? file_write(path, out.s, out.n, e)
                           : err_set(e, ERR_NOMEM, "out of memory for %s", from);
    text_fini(&out);
    free(b.data);
    return rc;
}

static enum code write_set(struct importing *m, const struct listed_set *s, struct err *e)
{
    const struct concept *c[LISTED_TOGETHER];
    struct text name = {0};
    for (size_t i = 0; i < s->n; i++) {
        c[i] = &m->concept[s->concept[i]];
        text_printf(&name, "%s%s", i ? "+" : "", m->list.concept[s->concept[i]].name);
    }
    enum code rc = text_ok(&name) ? write_prompts(m, s->prompts, name.s, c, s->n, e)
                                  : err_set(e, ERR_NOMEM, "out of memory");
    text_fini(&name);
    return rc;
}

static enum code write_all(struct importing *m, struct err *e)
{
    size_t n = strlen(m->out);
    while (n > 1 && m->out[n - 1] == '/') n--;
    if (snprintf(m->part, sizeof m->part, "%.*s.part", (int)n, m->out) > 4000)
        return err_set(e, ERR_INPUT, "path too long: %.100s...", m->out);
    enum code rc = remove_tree(m->part, e);
    for (size_t i = 0; !rc && i < m->list.n; i++) {
        const struct concept *c = &m->concept[i];
        rc = write_concept(m, i, e);
        if (!rc && m->list.concept[i].prompts)
            rc = write_prompts(m, m->list.concept[i].prompts, m->list.concept[i].name, &c, 1, e);
    }
    for (size_t i = 0; !rc && i < m->list.n_sets; i++) rc = write_set(m, &m->list.set[i], e);
    if (!rc && rename(m->part, m->out)) rc = err_errno(e, "%s", m->out);
    if (rc) remove_tree(m->part, NULL);
    return rc;
}

/* ---- telling --------------------------------------------------------------------------------------------------------- */

static int captions_of(const struct importing *m, size_t i)
{
    int n = 0;
    for (int k = 0; k < m->concept[i].n; k++)
    n += m->concept[i].image[k].caption_source != CAPTION_CLASS || *m->list.concept[i].caption;
    return n;
}

static json_t *json_of(const struct importing *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->list.n; i++) {
        const struct concept *c = &m->concept[i];
        struct text folder = {0};
        text_printf(&folder, "%s/%s", m->out, m->list.concept[i].name);
        json_array_append_new(list, json_pack("{s:s?,s:s,s:s,s:s,s:s,s:i,s:i}", "folder", folder.s,
                                              "from", m->list.concept[i].folder, "token", c->token,
                                              "class", c->class_word, "kind", c->kind, "images",
                                              c->n, "captions", captions_of(m, i)));
        text_fini(&folder);
    }
    return json_pack("{s:o,s:I}", "concepts", list, "prompt_sets", (json_int_t)m->list.n_sets);
}

static void tell(const struct importing *m)
{
    int bare = 0;
    for (size_t i = 0; i < m->list.n; i++) {
        const struct concept *c = &m->concept[i];
        int captions = captions_of(m, i);
        printf("  %-24s %-18s %-20s %-7s %2d images, %d captions\n", m->list.concept[i].name,
               c->token, c->class_word, c->kind, c->n, captions);
        bare += captions < c->n;
    }
    printf("%zu concept%s in %s; engram learn --lineage NAME %s/%s\n", m->list.n,
           m->list.n == 1 ? "" : "s", m->out, m->out, m->list.concept[0].name);
    if (bare)
        printf("%d of them have images without a caption: write x.txt beside x.jpg, or let engram "
               "check ask for them\n",
               bare);
}

static int run(int argc, char **argv)
{
    struct importing m = {0};
    struct option_spec o[] = {
        {"out", OPTION_TEXT, &m.out, "DIR", "the folder to make; one folder inside per concept"},
        {"root", OPTION_TEXT, &m.root, "DIR",
         "where relative paths of a list begin (default: beside the list)"},
        {"token", OPTION_TEXT, &m.token, "TOKEN", "of a single concept, like '<rex>'"},
        {"class", OPTION_TEXT, &m.class_word, "WORD", "of those that do not say, like dog"},
        {"kind", OPTION_TEXT, &m.kind, "KIND", "animal, object, scene or style, of all"},
    };
    struct err e = {0};
    struct words rest;
    if (options_read(&verb_import, o, sizeof o / sizeof *o, argc, argv, &rest, &e))
        return cli_fail(&e);
    if (!m.out || rest.n != 1) {
        err_set(&e, ERR_USAGE, "usage: %s", verb_import.usage);
        return cli_fail(&e);
    }
    m.source = rest.v[0];
    read_all(&m);
    int status = m.problems.n ? cli_fail_all(&m.problems) : 0;
    if (!status && write_all(&m, &e)) status = cli_fail(&e);
    if (!status && cli.json) status = cli_print(json_of(&m));
    else if (!status) tell(&m);
    for (size_t i = 0; m.concept && i < m.list.n; i++) concept_fini(&m.concept[i]);
    free(m.concept);
    concept_list_fini(&m.list);
    problems_fini(&m.problems);
    return status;
}

const struct verb verb_import = {
    .name = "import",
    .what = "make concept folders from the lists and folders of other programs",
    .usage = "engram import SOURCE --out DIR",
    .examples = "  engram import concepts_list.json --out concepts\n"
                "  engram import customconcept101/dataset.json --root data --out concepts\n"
                "  engram import train_images --out concepts                  folders named 10_sks "
                "dog, 20_mia cat ..\n"
                "  engram import downloads/rex --token '<rex>' --class dog --out concepts\n",
    .more = "Captions come from x.txt beside x.jpg, from metadata.jsonl, or from the list's "
            "instance_prompt without its token. A "
            "token\n"
            "that two concepts of a list share is replaced by the folder's name. Prompt files of a "
            "list, with {} for the concept, "
            "become\n"
            "DIR/prompts/*.txt for engram sample --prompts. Images are copied; the source is not "
            "changed.\n",
    .run = run,
};
