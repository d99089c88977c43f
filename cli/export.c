/* export.c - `engram export`: a lineage as files for other programs. Done here and now, without a worker group: the coordinator
 * says which commits there are, the objects are read from the home. */
#include "cli/cli.h"
#include "cli/progress.h"

#include "base/text.h"
#include "pipeline/evaluate/evaluate.h"
#include "pipeline/exchange/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECT_BYTES (UINT64_C(1) << 31)

static const struct {
    const char *name;
    enum code (*plan)(const struct exchange *x, struct output *out, struct err *e);
    int is_whole; /* W_m, of which one concept cannot be taken out */
} FORMS[] = {
    {"diffusers", diffusers_plan, 1},
    {"single-file", single_file_plan, 1},
    {"embeddings", embeddings_plan, 0},
    {"delta", delta_plan, 0},
};
enum { N_FORMS = sizeof FORMS / sizeof FORMS[0] };

struct exporting {
    const char *lineage, *commit, *to, *out, *dtype, *token;
    int wanted[N_FORMS];
    struct arena arena;
    struct lineage_row row;
    struct commit_rows commits; /* 1..m */
    struct objects *store;
    struct base_model *model;
    float *w0;
    struct lineage state;
    struct exchange x;
    struct output *output;
};

/* ---- the command line ----------------------------------------------------------------------------------------------- */

static enum code want_form(struct exporting *v, const char *name, size_t n, struct err *e)
{
    const char *names[N_FORMS];
    char word[32];
    for (int i = 0; i < N_FORMS; i++) {
        names[i] = FORMS[i].name;
        if (strlen(names[i]) != n || memcmp(names[i], name, n) != 0) continue;
        v->wanted[i] = 1;
        return OK;
    }
    snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), name);
    const char *near = text_nearest(word, names, N_FORMS);
    return err_set(e, ERR_USAGE,
                   near ? "--to %s: did you mean %s?"
                        : "--to %s: there are diffusers, single-file, embeddings, delta%s",
                   word, near ? near : "");
}

static enum code read_forms(struct exporting *v, struct err *e)
{
    enum code rc = OK;
    for (const char *at = v->to; !rc; at++) {
        size_t n = strcspn(at, ",");
        rc = want_form(v, at, n, e);
        at += n;
        if (!*at) break;
    }
    for (int i = 0; !rc && i < N_FORMS; i++)
        if (v->token && v->wanted[i] && FORMS[i].is_whole)
            rc =
                err_set(e, ERR_USAGE,
                        "--token is for embeddings and delta; %s holds all concepts up to --commit",
                        FORMS[i].name);
    return rc;
}

static enum code read_dtype(struct exporting *v, struct err *e)
{
    v->x.dtype = STORED_OTHER;
    if (!v->dtype) return OK;
    if (!strcmp(v->dtype, "fp32")) v->x.dtype = STORED_F32;
    else if (!strcmp(v->dtype, "fp16")) v->x.dtype = STORED_F16;
    else return err_set(e, ERR_USAGE, "--dtype %s: choose fp32 or fp16", v->dtype);
    return OK;
}

/* ---- what the lineage is -------------------------------------------------------------------------------------------- */

/* Commits 1..m; "0" is the base itself. */
static enum code choose_commits(struct exporting *v, struct err *e)
{
    struct hash commit;
    enum code rc = cli_lineage(v->lineage, &v->arena, &v->row, e);
    if (!rc) rc = cli_commits(v->lineage, &v->arena, &v->commits, e);
    if (rc) return rc;
    if ((rc = cli_commit_or_base(v->lineage, v->commit, &v->arena, &commit, e))) return rc;
    if (hash_equal(commit, proto_base_alone())) v->commits.n = 0;
    for (size_t i = 0; i < v->commits.n; i++)
        if (hash_equal(v->commits.v[i].commit, commit)) v->commits.n = i + 1;
    for (int i = 0; i < N_FORMS; i++)
        if (!v->commits.n && v->wanted[i] && !FORMS[i].is_whole)
            return err_set(e, ERR_NOT_FOUND,
                           "%s has no concepts there to export as %s; engram log %s lists them",
                           v->lineage, FORMS[i].name, v->lineage);
    for (size_t i = 0; v->token && i <= v->commits.n; i++) {
        if (i == v->commits.n)
            return err_set(e, ERR_NOT_FOUND,
                           "%s has not learned %s; engram log %s lists what it has", v->lineage,
                           v->token, v->lineage);
        if (!strcmp(v->commits.v[i].token, v->token)) break;
    }
    return OK;
}

static enum code open_base(struct exporting *v, struct err *e)
{
    char want[HASH_TEXT], have[HASH_TEXT];
    enum code rc = base_model_open(&v->model, v->row.base_path, e);
    if (rc) return rc;
    if (!hash_equal(v->model->hash, v->row.base_hash))
        return err_set(e, ERR_CORRUPT,
                       "base model %s has changed: it is %.12s now, %s was made on %.12s",
                       v->row.base_path, hash_text(v->model->hash, have), v->lineage,
                       hash_text(v->row.base_hash, want));
    v->w0 = mem_alloc(v->model->kv.n_weights + 1, sizeof(float));
    if (!v->w0) return err_set(e, ERR_NOMEM, "out of memory for base model %s", v->row.base_path);
    rc = kv_read(&v->model->kv, v->model->unet_weights, v->w0, e);
    return rc ? rc
              : lineage_start(&v->state, v->w0, v->model->kv.n_weights, v->model->hash,
                              (uint32_t)v->model->text.hidden, e);
}

static enum code apply_commit(struct exporting *v, const struct commit_row *row,
                              struct exchange_concept *out, struct err *e)
{
    struct bytes b = {0};
    struct commit c = {0};
    char name[HASH_TEXT];
    enum code rc =
        cli_object(v->store, (struct origin){.job = row->job}, row->commit, OBJECT_BYTES, &b, e);
    if (!rc) rc = commit_decode(b.data, b.n, &c, e);
    if (!rc) rc = lineage_apply(&v->state, &c, row->commit, e);
    if (rc) err_context(e, "commit %.12s", hash_text(row->commit, name));
    *out = (struct exchange_concept){.commit = row->commit,
                                     .parent = c.parent,
                                     .token = arena_strdup(&v->arena, c.token),
                                     .class_word = arena_strdup(&v->arena, c.class_word),
                                     .kind = arena_strdup(&v->arena, c.kind),
                                     .made = arena_strdup(&v->arena, c.made ? c.made : ""),
                                     .n_neurons = c.n_values,
                                     .image = row->images.v,
                                     .n_images = row->images.n};
    if (!rc && (!out->token || !out->class_word || !out->kind || !out->made))
        rc = err_set(e, ERR_NOMEM, "out of memory for commits of %s", v->lineage);
    commit_fini(&c);
    free(b.data);
    return rc;
}

/* The figures of the newest commit's evaluation, where there is one. */
static enum code add_figures(struct exporting *v, struct exchange_concept *concept, struct err *e)
{
    struct bytes b = {0};
    struct evaluation figures = {0};
    const struct commit_row *newest = &v->commits.v[v->commits.n - 1];
    if (hash_is_zero(newest->evaluation)) return OK;
    enum code rc = cli_object(v->store, (struct origin){.job = newest->job}, newest->evaluation,
                              OBJECT_BYTES, &b, e);
    if (!rc) rc = evaluation_read((const char *)b.data, b.n, &figures, e);
    for (int i = 0; !rc && i < figures.n; i++)
        for (size_t k = 0; k < v->commits.n; k++) {
            const struct concept_score *s = &figures.concept[i];
            struct exchange_concept *c = &concept[k];
            if (strcmp(s->token, c->token) != 0) continue;
            c->is_measured = 1;
            c->clip_i = s->clip_i;
            c->before_i = s->before_i;
            c->clip_t = s->clip_t;
            c->before_t = s->before_t;
            c->drift = s->drift;
        }
    evaluation_fini(&figures);
    free(b.data);
    return rc;
}

static enum code gather(struct exporting *v, struct err *e)
{
    enum code rc = choose_commits(v, e);
    if (!rc) rc = cli_objects(&v->store, e);
    if (!rc) rc = open_base(v, e);
    if (rc) return rc;
    size_t n = v->commits.n;
    struct exchange_concept *concept = arena_alloc(&v->arena, (n + 1) * sizeof *concept);
    if (!concept) return err_set(e, ERR_NOMEM, "out of memory for commits of %s", v->lineage);
    for (size_t i = 0; !rc && i < n; i++) rc = apply_commit(v, &v->commits.v[i], &concept[i], e);
    if (!rc && n) rc = add_figures(v, concept, e);
    v->x.lineage = v->lineage;
    v->x.base_path = v->row.base_path;
    v->x.model = v->model;
    v->x.state = &v->state;
    v->x.concept = concept;
    v->x.only = v->token;
    v->x.store = v->store;
    v->x.date_ms = n ? v->commits.v[n - 1].committed_ms : 0;
    return rc;
}

/* ---- writing and telling -------------------------------------------------------------------------------------------- */

static enum code plan_all(struct exporting *v, struct err *e)
{
    enum code rc = output_open(&v->output, v->out, e);
    for (int i = 0; !rc && i < N_FORMS; i++)
        if (v->wanted[i]) rc = FORMS[i].plan(&v->x, v->output, e);
    return rc ? rc : card_plan(&v->x, v->output, e);
}

static enum code write_all(struct exporting *v, struct err *e)
{
    struct progress_bytes p;
    struct output_progress progress = {progress_bytes_tick, &p};
    progress_bytes_begin(&p, "export");
    enum code rc = plan_all(v, e);
    if (!rc) rc = output_write(v->output, &progress, e);
    if (rc) { /* clean up while signals wait */
        output_close(v->output);
        v->output = NULL;
    }
    progress_bytes_end(&p);
    return rc;
}

static json_t *files_json(const struct output *o)
{
    json_t *list = json_array();
    const char *path;
    uint64_t bytes;
    for (size_t i = 0; (path = output_file(o, i, &bytes)); i++)
        json_array_append_new(list,
                              json_pack("{s:s,s:I}", "path", path, "bytes", (json_int_t)bytes));
    return list;
}

static int tell(const struct exporting *v)
{
    char head[HASH_TEXT];
    const char *path;
    uint64_t bytes;
    size_t n = v->commits.n;
    if (cli.json)
        return cli_print(json_pack(
            "{s:s,s:I,s:o,s:o,s:s,s:I,s:o}", "lineage", v->lineage, "commits", (json_int_t)n,
            "commit", cli_hash_json(v->state.head), "base", cli_hash_json(v->model->hash), "out",
            v->out, "bytes", (json_int_t)output_bytes(v->output), "files", files_json(v->output)));
    for (size_t i = 0; (path = output_file(v->output, i, &bytes)); i++)
        printf("  %10.3f MB  %s\n", (double)bytes / 1e6, path);
    if (n)
        printf("%s: %s as of commit %zu, %s (%.12s), %.1f MB\n", v->out, v->lineage, n,
               v->commits.v[n - 1].token, hash_text(v->state.head, head),
               (double)output_bytes(v->output) / 1e6);
    else
        printf("%s: the base model of %s without concepts, %.1f MB\n", v->out, v->lineage,
               (double)output_bytes(v->output) / 1e6);
    if (v->wanted[0] || v->wanted[1])
        cli_say("there is no safety checker in it; README.md says what else to know");
    cli_close();
    return 0;
}

static void release(struct exporting *v)
{
    output_close(v->output);
    lineage_fini(&v->state);
    free(v->w0);
    base_model_close(v->model);
    objects_close(v->store);
    arena_fini(&v->arena);
}

static int run(int argc, char **argv)
{
    struct exporting v = {.to = "diffusers"};
    struct option_spec o[] = {
        {"lineage", OPTION_TEXT, &v.lineage, "NAME", "what to export"},
        {"out", OPTION_TEXT, &v.out, "DIR", "a new folder for it"},
        {"to", OPTION_TEXT, &v.to, "FORMS",
         "any of diffusers,single-file,embeddings,delta (default: diffusers)"},
        {"commit", OPTION_TEXT, &v.commit, "COMMIT",
         "as it was then: number, token or hash (default: now); 0: the base alone"},
        {"dtype", OPTION_TEXT, &v.dtype, "TYPE",
         "fp32 or fp16 (default: the base's, what was learned in fp32)"},
        {"token", OPTION_TEXT, &v.token, "TOKEN", "embeddings and delta of this concept alone"},
    };
    struct err e = {0};
    struct words rest;
    enum code rc = options_read(&verb_export, o, sizeof o / sizeof o[0], argc, argv, &rest, &e);
    if (!rc && (!v.lineage || !v.out || rest.n))
        rc = err_set(&e, ERR_USAGE, "usage: %s", verb_export.usage);
    if (!rc) rc = read_forms(&v, &e);
    if (!rc) rc = read_dtype(&v, &e);
    if (!rc) rc = output_check(v.out, &e);
    if (!rc) rc = gather(&v, &e);
    if (!rc) rc = write_all(&v, &e);
    int status = rc ? cli_fail(&e) : tell(&v);
    release(&v);
    return status;
}

const struct verb verb_export = {
    .name = "export",
    .what = "write a lineage as files that other programs open",
    .usage = "engram export --lineage NAME --out DIR [--to FORMS] [--dtype fp16]",
    .examples =
        "  engram export --lineage pets --out pets-diffusers\n"
        "  engram export --lineage pets --out pets-comfyui --to single-file,embeddings --dtype "
        "fp16\n"
        "  engram export --lineage pets --out rex --to embeddings,delta --token '<rex>'\n"
        "  engram export --lineage pets --out all --to diffusers,single-file,embeddings,delta "
        "--commit 2\n",
    .more =
        "diffusers    a folder for StableDiffusionPipeline.from_pretrained; its tokenizer knows "
        "the "
        "new words\n"
        "single-file  a checkpoint in original names, for ComfyUI and A1111; the words are the "
        "embeddings, so take both\n"
        "embeddings   one small file per word, for ComfyUI and A1111 and for diffusers\n"
        "delta        the commits themselves without the base; engram check FILE proves them\n"
        "\n"
        "A README.md with what was learned, from what, and under which licence is always there. "
        "DIR appears whole or not at all.\n"
        "Nothing of this needs a worker group.\n",
    .run = run,
};
