/* concept_list.c - concepts_list.json, CustomConcept101, folders of folders.
 *
 * The lists are somebody else's text. Their paths are opened for reading only, and nothing in them becomes a path that is
 * written to but `name`, which is made of harmless letters here.
 */
#include "pipeline/data/concept_list.h"

#include "base/arena.h"
#include "base/file.h"
#include "pipeline/data/concept.h"
#include "pipeline/data/words.h"

#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIST_BYTES (4u << 20)

struct listing {
    const char *path, *root;
    struct concept_list *out;
    struct problems *p;
};

__attribute__((format(printf, 3, 4))) static void wrong(struct listing *l, size_t entry,
                                                        const char *fmt, ...)
{
    char line[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    problems_add(l->p, ERR_INPUT, "%s: concept %zu %s", l->path, entry + 1, line);
}

static int is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* root/path; path alone if it is absolute or there is no root. malloc'ed. */
static char *joined(const char *root, const char *path)
{
    while (root && path[0] == '.' && path[1] == '/') path += 2;
    size_t room = (root ? strlen(root) : 0) + strlen(path) + 2;
    char *out = mem_alloc(room, 1);
    if (out && (!root || *path == '/')) snprintf(out, room, "%s", path);
    else if (out) snprintf(out, room, "%s/%s", root, path);
    return out;
}

/* ---- names and tokens ------------------------------------------------------------------------------------------------ */

static const char *base_name(const char *path, size_t *n)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    *n = end - begin;
    return path + begin;
}

/* The folder's name in the letters that tokens and files everywhere can have. */
static void harmless(const char *text, size_t n, char *out, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < n && at + 1 < room; i++) {
        int c = tolower((unsigned char)text[i]);
        int fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (at && strchr("-_.", c));
        if (fine) out[at++] = (char)c;
        else if (at && out[at - 1] != '-') out[at++] = '-';
    }
    while (at && strchr("-_.", out[at - 1])) at--;
    out[at] = 0;
    if (!at) snprintf(out, room, "concept");
}

/* The name that text[n] makes, or name-2, name-3 ... whichever no earlier concept has. */
static void name_concept(const struct concept_list *l, struct listed *c, const char *text, size_t n)
{
    char plain[32];
    harmless(text, n, plain, sizeof plain);
    snprintf(c->name, sizeof c->name, "%s", plain);
    for (size_t i = 0, tries = 1; i < l->n; i++)
        if (!strcmp(l->concept[i].name, c->name)) {
            snprintf(c->name, sizeof c->name, "%s-%zu", plain, ++tries);
            i = SIZE_MAX; /* from the beginning */
        }
}

static int token_is_own(const struct concept_list *l, size_t i)
{
    const char *token = l->concept[i].token;
    int others = 0;
    for (size_t k = 0; k < l->n; k++) others += k != i && !strcmp(l->concept[k].token, token);
    return !others && !concept_token_check(token, NULL);
}

/* Tokens that are missing, shared, or spelt as ours are not become <name>. */
static void settle_tokens(struct listing *l)
{
    struct concept_list *out = l->out;
    unsigned char *own = mem_alloc(out->n + 1, 1);
    if (!own) {
        problems_add(l->p, ERR_NOMEM, "%s: out of memory", l->path);
        return;
    }
    for (size_t i = 0; i < out->n; i++) own[i] = (unsigned char)token_is_own(out, i);
    for (size_t i = 0; i < out->n; i++)
        if (!own[i])
            snprintf(out->concept[i].token, sizeof out->concept[i].token, "<%s>",
                     out->concept[i].name);
    free(own);
}

/* ---- prompts of the lists -------------------------------------------------------------------------------------------- */

/* "a photo of a dog" -> "dog"; "dog" stays. Lists give either as class_prompt. */
static const char *noun(const char *prompt)
{
    static const char *const front[] = {
        "a photo of", "photo of", "a picture of", "picture of", "an image of",
        "image of",   "a",        "an",           "the",        "one"};
    for (int again = 1; again;) {
        again = 0;
        while (*prompt == ' ') prompt++;
        for (size_t i = 0; i < sizeof front / sizeof *front; i++) {
            size_t n = strlen(front[i]);
            if (strncasecmp(prompt, front[i], n) != 0 || prompt[n] != ' ') continue;
            prompt += n;
            again = 1;
            break;
        }
    }
    return prompt;
}

/* "photo of a <new1> cat": token "<new1>", caption "photo of a cat". Without brackets: no token, no caption. */
static void take_instance(struct listed *c, const char *prompt)
{
    const char *open = strchr(prompt, '<'), *close = open ? strchr(open, '>') : NULL;
    if (!close || (size_t)(close - open) + 2 > sizeof c->token) return;
    snprintf(c->token, sizeof c->token, "%.*s", (int)(close - open + 1), open);
    const char *rest = close + 1;
    while (*rest == ' ') rest++;
    snprintf(c->caption, sizeof c->caption, "%.*s%s", (int)(open - prompt), prompt, rest);
}

/* CustomConcept101 names its folders category_name. */
static const char *kind_of(const char *name)
{
    if (!strncmp(name, "scene_", 6)) return "scene";
    return strncmp(name, "pet_", 4) != 0 ? NULL : "animal";
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : NULL;
}

static struct listed *add(struct listing *l)
{
    struct concept_list *out = l->out;
    void *grown = NULL;
    if (out->n == LISTED_MOST) {
        problems_add(l->p, ERR_INPUT, "%s lists more than %d concepts; cut it in parts", l->path,
                     LISTED_MOST);
        return NULL;
    }
    grown = mem_grow(out->concept, out->n, out->n + 1, sizeof *out->concept);
    if (!grown) {
        problems_add(l->p, ERR_NOMEM, "%s: out of memory", l->path);
        return NULL;
    }
    out->concept = grown;
    out->concept[out->n] = (struct listed){0};
    return &out->concept[out->n];
}

/* A file of prompts that the entry names under `key`; NULL without a word if it names none. */
static char *prompt_file(struct listing *l, const json_t *object, const char *key, size_t entry)
{
    const char *given = member(object, key);
    char *path = given ? joined(l->root, given) : NULL;
    if (!path || file_exists(path)) return path;
    wrong(l, entry, "names the prompts %.200s, which is not there", path);
    free(path);
    return NULL;
}

/* The index of the entry's concept in the list, new or known; SIZE_MAX if it is no good. */
static size_t take_entry(struct listing *l, const json_t *object, size_t entry)
{
    const char *given = member(object, "instance_data_dir"), *word = member(object, "class_prompt");
    const char *prompt = member(object, "instance_prompt");
    struct err e = {0};
    struct listed *c;
    if (!given || !word) {
        wrong(l, entry, "has no \"%s\"", given ? "class_prompt" : "instance_data_dir");
        return SIZE_MAX;
    }
    char *folder = joined(l->root, given);
    if (!folder || !is_folder(folder)) {
        wrong(l, entry, "names the folder %.200s, which is not there (say where paths begin)",
              folder ? folder : given);
        free(folder);
        return SIZE_MAX;
    }
    for (size_t i = 0; i < l->out->n; i++)
        if (!strcmp(l->out->concept[i].folder, folder)) {
            free(folder);
            return i;
        }
    if (!(c = add(l))) {
        free(folder);
        return SIZE_MAX;
    }
    size_t n;
    const char *name = base_name(folder, &n);
    name_concept(l->out, c, name, n);
    c->folder = folder;
    c->kind = kind_of(name);
    if (prompt) take_instance(c, prompt);
    if (words_clean(noun(word), strlen(noun(word)), "class_prompt", c->class_word,
                    sizeof c->class_word, &e))
        wrong(l, entry, "%s", e.text);
    if (!*c->caption && strchr(word, ' ')) snprintf(c->caption, sizeof c->caption, "%s", word);
    c->prompts = prompt_file(l, object, "prompt_filename", entry);
    return l->out->n++;
}

static void take_set(struct listing *l, const json_t *list, size_t entry)
{
    struct listed_set s = {0};
    json_t *object;
    size_t i;
    json_array_foreach(list, i, object)
    {
        if (member(object, "prompt_filename_compose")) {
            free(s.prompts);
            s.prompts = prompt_file(l, object, "prompt_filename_compose", entry);
            continue;
        }
        size_t at = take_entry(l, object, entry);
        if (at == SIZE_MAX || s.n == LISTED_TOGETHER) {
            if (at != SIZE_MAX) wrong(l, entry, "is a set of more than %d", LISTED_TOGETHER);
            free(s.prompts);
            return;
        }
        s.concept[s.n++] = at;
    }
    void *grown = s.prompts && s.n ? mem_grow(l->out->set, l->out->n_sets, l->out->n_sets + 1,
                                              sizeof *l->out->set)
                                   : NULL;
    if (grown) {
        l->out->set = grown;
        l->out->set[l->out->n_sets++] = s;
    } else free(s.prompts);
}

static void read_json(struct listing *l)
{
    struct bytes b = {0};
    struct err e = {0};
    json_error_t why;
    json_t *root = NULL, *entry;
    size_t i;
    if (file_read(l->path, LIST_BYTES, &b, &e)) problems_add(l->p, e.code, "%s", e.text);
    else if (!(root = json_loadb((const char *)b.data, b.n, JSON_REJECT_DUPLICATES, &why)))
        problems_add(l->p, ERR_INPUT, "%s:%d:%d: %s", l->path, why.line, why.column, why.text);
    else if (!json_is_array(root) || !json_array_size(root))
        problems_add(l->p, ERR_INPUT,
                     "%s is no list of concepts; it should begin with [{\"instance_prompt\": ..",
                     l->path);
    json_array_foreach(root, i, entry)
    {
        if (json_is_array(entry)) take_set(l, entry, i);
        else if (json_is_object(entry)) take_entry(l, entry, i);
        else wrong(l, i, "is neither an object nor a list of objects");
    }
    json_decref(root);
    free(b.data);
}

/* ---- folders --------------------------------------------------------------------------------------------------------- */

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* "10_sks dog": token and class. How often it is repeated in training is the other program's affair. Else the name is all. */
static void take_name(struct listing *l, struct listed *c, const char *name, size_t n)
{
    size_t digits = strspn(name, "0123456789");
    const char *space = memchr(name, ' ', n);
    if (digits && digits < n && name[digits] == '_' && space && space > name + digits + 1) {
        size_t from = digits + 1;
        name_concept(l->out, c, name + from, (size_t)(space - name) - from);
        words_clean(space, n - (size_t)(space - name), "class", c->class_word, sizeof c->class_word,
                    NULL);
    } else name_concept(l->out, c, name, n);
}

/* Takes the text, which may be NULL: no memory. */
static void take_folder(struct listing *l, char *folder)
{
    size_t n;
    struct listed *c = folder ? add(l) : NULL;
    if (!c) {
        if (!folder) problems_add(l->p, ERR_NOMEM, "%s: out of memory", l->path);
        free(folder);
        return;
    }
    const char *name = base_name(folder, &n);
    take_name(l, c, name, n);
    c->folder = folder;
    l->out->n++;
}

static void read_folder(struct listing *l)
{
    struct dirent **entry = NULL;
    int n = scandir(l->path, &entry, visible, by_bytes), folders = 0;
    struct err e = {0};
    if (n < 0) problems_add(l->p, err_errno(&e, "%s", l->path), "%s", e.text);
    for (int i = 0; i < n; i++) {
        char *inside = joined(l->path, entry[i]->d_name);
        if (inside && is_folder(inside)) {
            folders++;
            take_folder(l, inside);
        } else free(inside);
        free(entry[i]);
    }
    free(entry);
    if (n >= 0 && !folders) take_folder(l, joined(NULL, l->path));
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

void concept_list_read(const char *path, const char *root, struct concept_list *out,
                       struct problems *p)
{
    struct listing l = {.path = path, .root = root, .out = out, .p = p};
    char own[4096] = ".";
    size_t n;
    const char *name = base_name(path, &n);
    *out = (struct concept_list){0};
    if (name > path)
        snprintf(own, sizeof own, "%.*s", (int)(name - path - (name > path + 1)), path);
    if (!l.root) l.root = own;
    if (is_folder(path)) read_folder(&l);
    else read_json(&l);
    settle_tokens(&l);
}

void concept_list_fini(struct concept_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->concept[i].folder);
        free(l->concept[i].prompts);
    }
    for (size_t i = 0; i < l->n_sets; i++) free(l->set[i].prompts);
    free(l->concept);
    free(l->set);
    *l = (struct concept_list){0};
}
