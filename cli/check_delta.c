/* check_delta.c - opens a sparse delta, which proves every commit in it, and tells what they are. */
#include "cli/check_delta.h"

#include "cli/cli.h"
#include "pipeline/exchange/delta.h"

#include <stdio.h>
#include <string.h>

int check_delta_is(const char *path)
{
    static const char tail[] = ".safetensors";
    size_t n = strlen(path);
    return n >= sizeof tail && !strcmp(path + n - (sizeof tail - 1), tail);
}

static int print_json(const struct delta *d, const char *path)
{
    json_t *concepts = json_array();
    for (int i = 0; i < delta_count(d); i++) {
        const struct delta_concept *c = delta_at(d, i);
        json_array_append_new(concepts, json_pack("{s:i,s:o,s:o,s:s,s:s,s:s,s:I}", "number",
                                                  c->number, "commit", cli_hash_json(c->commit),
                                                  "parent", cli_hash_json(c->parent), "token",
                                                  c->token, "class", c->class_word, "kind", c->kind,
                                                  "neurons", (json_int_t)c->n_neurons));
    }
    return cli_print(json_pack("{s:s,s:s,s:o,s:I,s:o}", "file", path, "lineage", delta_lineage(d),
                               "base", cli_hash_json(delta_base(d)), "neurons",
                               (json_int_t)delta_neurons(d), "concepts", concepts));
}

int check_delta(const char *path)
{
    struct delta *d;
    struct err e = {0};
    char hash[HASH_TEXT];
    if (delta_open(&d, path, &e)) return cli_fail(&e);
    int status = 0, n = delta_count(d);
    if (cli.json) {
        status = print_json(d, path);
    } else {
        printf("%s: %d commit%s of %s on base model %.12s, each proved by its hash\n", path, n,
               n == 1 ? "" : "s", delta_lineage(d), hash_text(delta_base(d), hash));
        for (int i = 0; i < n; i++) {
            const struct delta_concept *c = delta_at(d, i);
            printf("%3d  %.12s  %-14s %-12s %-7s %zu of %zu neurons\n", c->number,
                   hash_text(c->commit, hash), c->token, c->class_word, c->kind, c->n_neurons,
                   delta_neurons(d));
        }
    }
    delta_close(d);
    return status;
}
