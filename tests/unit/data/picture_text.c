/* picture_text: the line that A1111 reads, by its own regular expressions put into words, and our JSON. */
#include "pipeline/data/picture_text.h"
#include "tests/tap.h"

#include <jansson.h>

static const char *const tokens[] = {"<rex>", "<mug>"};

static struct picture_facts facts(void)
{
    return (struct picture_facts){.prompt = "a <rex> dog, at \"sunset\"",
                                  .negative = "",
                                  .setting = "dpm++2m-karras",
                                  .sampler = "DPM++ 2M Karras",
                                  .steps = 20,
                                  .guidance = 7.5,
                                  .seed = 7,
                                  .index = 3,
                                  .w = 64,
                                  .h = 48,
                                  .model = "model",
                                  .base = "0123456789abcdef0123",
                                  .commit = "feed",
                                  .lineage = "pets",
                                  .token = tokens,
                                  .n_tokens = 2};
}

static void parameters_are(const struct picture_facts *f, const char *want, const char *what)
{
    struct text t = {0};
    picture_text_parameters(f, &t);
    is_str(t.s, want, "%s", what);
    text_fini(&t);
}

#define TAIL "Size: 64x48, Model hash: 0123456789, Model: "
#define HEAD "\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 7, "
#define VERSION ", Version: Engram " ENGRAM_VERSION

int main(void)
{
    struct picture_facts f = facts();
    struct err e = {0};
    parameters_are(&f, "a <rex> dog, at \"sunset\"" HEAD TAIL "model" VERSION, "prompt and line");
    f.negative = "blurry, dark";
    f.model = "sd, v1: \"old\"";
    f.guidance = 4;
    parameters_are(&f,
                   "a <rex> dog, at \"sunset\"\nNegative prompt: blurry, dark\nSteps: 20, Sampler: "
                   "DPM++ 2M Karras, CFG scale: 4, Seed: 7, " TAIL
                   "\"sd, v1: \\\"old\\\"\"" VERSION,
                   "a negative prompt has its line; a name with commas is quoted");
    f = facts();
    f.eta = 0.5;
    f.sampler = "DDIM";
    parameters_are(&f,
                   "a <rex> dog, at \"sunset\"\nSteps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 7, "
                   "Eta DDIM: 0.5, " TAIL "model" VERSION,
                   "eta is told where there is some");

    struct text t = {0};
    f = facts();
    f.prompt = "caf\xc3\xa9 \xe7\x8c\xab";
    is_code(picture_text_json(&f, &t, &e), OK, &e, "JSON is made");
    is_str(t.s,
           "{\"prompt\":\"caf\xc3\xa9 \xe7\x8c\xab\",\"negative\":\"\",\"seed\":7,\"index\":3,"
           "\"sampler\":\"dpm++2m-karras\",\"steps\":20,\"guidance\":7.5,\"eta\":0.0,\"size\":[64,"
           "48],\"base\":\"0123456789abcdef0123\",\"lineage\":\"pets\",\"commit\":\"feed\","
           "\"version\":\"" ENGRAM_VERSION "\",\"tokens\":[\"<rex>\",\"<mug>\"]}",
           "compact, in a fixed order");
    text_fini(&t);
    f.prompt = "\xff";
    is_code(picture_text_json(&f, &t, &e), ERR_INPUT, &e, "what is not UTF-8 is refused");
    text_fini(&t);
    return done_testing();
}
