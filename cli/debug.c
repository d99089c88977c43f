/* debug.c - `engram debug PART`: reads tensors, runs one part of a model on them, writes what comes out. Thin on purpose: what
 * a part is stands in pipeline/model/parts.h, and the golden tests run the very same tables. */
#include "cli/debug.h"

#include "pipeline/method/parts_cns.h"
#include "pipeline/model/parts.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct part_table *const tables[] = {
    &parts_model, &parts_sample, &parts_cns}; /* another method's parts: one more line here */
#define TABLES (sizeof tables / sizeof tables[0])

struct request {
    const char *model, *in, *out, *options, *backend;
};

static void print_tensors(const char *head, const struct part_tensor *t)
{
    for (int i = 0; i < PART_TENSORS && t[i].name; i++)
        printf("  %-7s %-22s %-16s %s\n", i ? "" : head, t[i].name, t[i].shape, t[i].what);
}

static void print_part(const struct part *p)
{
    printf("\n%s: %s\n", p->name, p->what);
    print_tensors("in", p->in);
    print_tensors("out", p->out);
    for (int i = 0; i < PART_OPTIONS && p->option[i].name; i++) {
        const struct part_option *o = &p->option[i];
        printf("  %-7s %-22s %-16s %s, default", i ? "" : "options", o->name,
               o->n > 1 ? "list"
               : o->n   ? "number"
                        : "text",
               o->what);
        if (!o->n) printf(" %s", o->text);
        for (int j = 0; j < o->n; j++) printf("%s %g", j ? "," : "", o->v[j]);
        printf("\n");
    }
}

static void print_help(void)
{
    printf("engram debug unet --model examples/storybook/model --in unet.in.safetensors --out "
           "unet.out.safetensors\n"
           "engram debug sample --model model --in noise.safetensors --out latents.safetensors "
           "--options euler.json\n"
           "engram debug text --model model --in ids.safetensors --out states.safetensors "
           "--backend check\n"
           "\n"
           "Runs one part of a base model on tensors from a safetensors file and writes the "
           "results to another. Tensors are\n"
           "named and laid out as in diffusers: NCHW, float32 unless said otherwise.\n"
           "\n"
           "  --model PATH      base model: a directory or a single file; clip-* use its CLIP\n"
           "  --in FILE         inputs\n"
           "  --out FILE        results; replaced whole or not at all\n"
           "  --options FILE    JSON object of the part's options\n"
           "  --backend NAME    cpu (default), check (cpu that watches every buffer), cuda\n"
           "  --help            this text\n"
           "\n"
           "Parts. B batch, C c channels, H W image or latent, h w latent, T tokens, D text width, "
           "P projection.\n");
    for (size_t i = 0; i < TABLES; i++)
        for (size_t j = 0; j < tables[i]->n; j++) print_part(&tables[i]->part[j]);
}

static enum code backend_find(const char *name, const struct kernels **out, struct err *e)
{
    *out = NULL;
    if (!strcmp(name, "cpu")) *out = kernels_cpu();
    else if (!strcmp(name, "check")) *out = kernels_check();
    else if (strcmp(name, "cuda") != 0)
        return err_set(e, ERR_USAGE, "--backend %s: choose cpu, check or cuda", name);
    else if (!(*out = kernels_cuda()))
        return err_set(e, ERR_ENVIRONMENT, "--backend cuda: no device or not in this build");
    return OK;
}

static enum code request_run(const struct request *q, const struct part *p, struct err *e)
{
    struct part_run r;
    const struct kernels *k;
    enum code rc = backend_find(q->backend, &k, e);
    if (rc || (rc = part_open(&r, p, q->model, k, q->in, q->options, e))) return rc;
    rc = p->run(&r, e);
    if (!rc) rc = safetensors_write(q->out, r.out, r.n_out, NULL, e);
    part_close(&r);
    return rc;
}

static enum code part_named(const char *name, const struct part **out, struct err *e)
{
    *out = part_find(tables, TABLES, name);
    return *out ? OK
                : err_set(e, ERR_USAGE, "no part \"%s\"; engram debug --help lists them", name);
}

enum { HELP = 'h', MODEL = 256, IN, OUT, OPTIONS, BACKEND };
static const struct option long_options[] = {
    {"model", required_argument, NULL, MODEL},
    {"in", required_argument, NULL, IN},
    {"out", required_argument, NULL, OUT},
    {"options", required_argument, NULL, OPTIONS},
    {"backend", required_argument, NULL, BACKEND},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* Reads the command line; *help is set when that is all that was asked. */
static enum code request_read(int argc, char **argv, struct request *q, const struct part **p,
                              int *help, struct err *e)
{
    int c;
    *q = (struct request){.backend = "cpu"};
    *help = 0;
    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) switch (c) {
        case HELP: *help = 1; return OK;
        case MODEL: q->model = optarg; break;
        case IN: q->in = optarg; break;
        case OUT: q->out = optarg; break;
        case OPTIONS: q->options = optarg; break;
        case BACKEND: q->backend = optarg; break;
        default:
            return err_set(e, ERR_USAGE,
                           "%s: unknown, or without its value; see engram debug --help",
                           argv[optind - 1]);
        }
    if (optind == argc) return err_set(e, ERR_USAGE, "which part? engram debug --help lists them");
    if (optind + 1 < argc) return err_set(e, ERR_USAGE, "%s: one part at a time", argv[optind + 1]);
    enum code rc = part_named(argv[optind], p, e);
    if (!rc && (!q->model || !q->in || !q->out))
        rc = err_set(e, ERR_USAGE, "--model, --in and --out are needed");
    return rc;
}

int verb_debug(int argc, char **argv)
{
    struct err e = {0};
    struct request q;
    const struct part *p = NULL;
    int help;
    enum code rc = request_read(argc, argv, &q, &p, &help, &e);
    if (!rc && help) print_help();
    else if (!rc && p) rc = request_run(&q, p, &e);
    if (rc) fprintf(stderr, "engram: %s\n", e.text);
    return err_exit_status(rc);
}
