/* weights_names.c - two small tables of old and new spellings. */
#include "pipeline/model/weights_names.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *old, *now;
} vae_names[] = {
    {".query.", ".to_q."},
    {".key.", ".to_k."},
    {".value.", ".to_v."},
    {".proj_attn.", ".to_out.0."},
};
static const char *const text_tops[] = {"embeddings.", "encoder.layers.", "final_layer_norm."};

static int begins(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

int weights_names_has_level(const char *name)
{
    return begins(name, WEIGHTS_TEXT_LEVEL);
}

int weights_names_lacks_level(const char *name)
{
    return begins(name, text_tops[0]) || begins(name, text_tops[1]) || begins(name, text_tops[2]);
}

int weights_names_is_left_out(const char *name)
{
    static const char ids[] = "position_ids";
    size_t n = strlen(name);
    return n >= sizeof ids - 1 && !strcmp(name + n - (sizeof ids - 1), ids);
}

int weights_names_write(int is_bare_text, const char *name, char out[WEIGHTS_NAME_MOST])
{
    const char *level = is_bare_text && weights_names_lacks_level(name) ? WEIGHTS_TEXT_LEVEL : "";
    const char *attentions = strstr(name, ".attentions.");
    int n = -1;
    for (size_t i = 0; attentions && n < 0 && i < sizeof vae_names / sizeof *vae_names; i++) {
        const char *at = strstr(attentions, vae_names[i].old);
        if (!at) continue;
        n = snprintf(out, WEIGHTS_NAME_MOST, "%.*s%s%s", (int)(at - name), name, vae_names[i].now,
                     at + strlen(vae_names[i].old));
    }
    if (n < 0) n = snprintf(out, WEIGHTS_NAME_MOST, "%s%s", level, name);
    return n < WEIGHTS_NAME_MOST;
}
