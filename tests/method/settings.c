/* Settings: every default, the three ways in (YAML, JSON, assignments), and what they refuse. */
#include "pipeline/method/settings.h"

#include "base/file.h"
#include "tests/tap.h"

/* Pinned on purpose: a default is the paper's or docs/settings.md's, and a changed one changes every commit. */
static const char DEFAULTS[] =
    "{\"method.name\":\"cns\",\"score.fraction\":0.3,\"score.group\":\"row\",\"score.tokens\":"
    "\"all\","
    "\"score.rownorm\":0,\"score.weights\":\"w0\",\"score.caption_token\":0,\"general.k\":20,"
    "\"base.vote\":1,"
    "\"reg.form\":\"l2\",\"reg.lambda1\":0.001,\"reg.lambda2\":0.0001,\"prior.weight\":1,\"prior."
    "count\":200,"
    "\"prior.prompt\":\"a photo of a {class}\",\"prior.style_prompt\":\"a "
    "painting\",\"prior.steps\":50,"
    "\"prior.guidance\":6,\"prior.eta\":1,\"train.steps\":500,\"train.batch\":1,"
    "\"train.prompt\":\"photo of a {token} {class}\",\"train.style_prompt\":\"a painting in "
    "{token} style\","
    "\"train.use_captions\":0,\"token.init\":\"class\",\"train.detach_bos\":1,\"train.augment\":"
    "\"flip\","
    "\"train.clip\":1,\"train.lr\":3e-05,\"train.lr_token\":0.0005,\"train.beta1\":0.9,\"train."
    "beta2\":0.999,"
    "\"train.eps\":1e-08,\"train.checkpoint_every\":50,\"train.recompute\":\"auto\",\"sample."
    "sampler\":\"ddim\",\"sample."
    "steps\":50,\"sample.guidance\":7.5,"
    "\"sample.eta\":0,"
    "\"sample.negative\":\"\",\"sample.side\":0,\"evaluate.per_prompt\":4,\"seed.value\":0}";

static struct settings defaults(void)
{
    struct settings s;
    settings_default(&s);
    return s;
}

static void is_json(const struct settings *s, const char *want, const char *what)
{
    struct text t = {0};
    settings_write(s, &t);
    is_str(t.s, want, "%s", what);
    text_fini(&t);
}

/* Written, read, written: the same bytes. */
static void round_trip(const char *const *set, const char *what)
{
    struct settings s = defaults(), back;
    struct text a = {0}, b = {0};
    struct err e;
    for (; *set; set++) is_code(settings_set(&s, *set, &e), OK, &e, "%s is taken", *set);
    settings_write(&s, &a);
    is_code(settings_parse(&back, a.s ? a.s : "", &e), OK, &e, "%s: its own JSON is read", what);
    settings_write(&back, &b);
    is_str(b.s, a.s, "%s: and written again, byte for byte", what);
    text_fini(&a);
    text_fini(&b);
}

static void assignments(void)
{
    static const struct {
        const char *set, *says;
    } BAD[] = {{"train.steps", "group.name=value"},
               {"=3", "group.name=value"},
               {"train.step=3", "did you mean train.steps"},
               {"nothing.like.it=3", "lists them"},
               {"train.steps=0", "outside 1 to"},
               {"train.steps=1000001", "outside 1 to"},
               {"train.steps=2.5", "whole number"},
               {"train.steps=", "whole number"},
               {"train.steps=12x", "whole number"},
               {"train.lr=nan", "outside"},
               {"train.lr=inf", "outside"},
               {"train.lr=-1e-9", "outside"},
               {"train.lr=1e999", "number"},
               {"score.fraction=0.0009", "outside"},
               {"score.fraction=1.01", "outside"},
               {"reg.form=l1", "l2|l2_global|l2sq|mse"},
               {"reg.form=l2|l2sq", "one of"},
               {"reg.form=", "one of"},
               {"reg.form=l2s", "one of"},
               {"method.name=dreambooth", "one of cns"},
               {"train.prompt=\xff\xfe", "not UTF-8"},
               {"seed.value=9007199254740992", "outside"}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct settings s = defaults(), before = s;
        struct err e = {0};
        is_code(settings_set(&s, BAD[i].set, &e), ERR_USAGE, &e, "refused: assignment %zu", i);
        ok(strstr(e.text, BAD[i].says) != NULL, "says \"%s\": %s", BAD[i].says, e.text);
        ok(!memcmp(&s, &before, sizeof s), "and nothing changed (%zu)", i);
    }
    struct settings s = defaults();
    struct err e;
    char longest[300] = "sample.negative=";
    memset(longest + 16, 'n', 255);
    is_code(settings_set(&s, longest, &e), OK, &e, "a text of 255 bytes");
    is_int(strlen(s.sample_negative), 255, "is kept whole");
    longest[16 + 255] = 'n';
    is_code(settings_set(&s, longest, &e), ERR_USAGE, &e, "one of 256 is refused");
    is_code(settings_set(&s, "sample.negative=a=b", &e), OK, &e, "a value may hold '='");
    is_str(s.sample_negative, "a=b", "and keeps it, and nothing of the longer one");
    is_code(settings_set(&s, "seed.value=9007199254740991", &e), OK, &e, "the largest seed");
    ok(s.seed_value == INT64_C(9007199254740991), "is exact");
}

static void json(void)
{
    static const struct {
        const char *json, *says;
    } BAD[] = {{"", "line 1"},
               {"[1]", "object"},
               {"{\"train.steps\":1,\"train.steps\":2}", "duplicate"},
               {"{\"train.stepz\":3}", "did you mean train.steps"},
               {"{\"train.steps\":\"3\"}", "wrong type"},
               {"{\"train.steps\":true}", "wrong type"},
               {"{\"train.steps\":2.5}", "whole number"},
               {"{\"train.steps\":0}", "outside"},
               {"{\"reg.form\":0}", "wrong type"},
               {"{\"reg.form\":\"l1\"}", "one of"},
               {"{\"train.prompt\":\"a\\u0000b\"}", "\\u0000"},
               {"{\"train.lr\":null}", "wrong type"},
               {"{} x", "end of file"}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct settings s;
        struct err e = {0};
        is_code(settings_parse(&s, BAD[i].json, &e), ERR_USAGE, &e, "refused: %s", BAD[i].json);
        ok(strstr(e.text, BAD[i].says) != NULL, "says \"%s\": %s", BAD[i].says, e.text);
    }
    struct settings s;
    struct err e;
    memset(&s, 0x55, sizeof s);
    is_code(settings_parse(&s, "{\"train.steps\":7}", &e), OK, &e, "JSON may name a few");
    is_int(s.train_steps, 7, "what it names is set");
    is_int(s.prior_count, 200, "all else is the default");
}

static enum code read_yaml(const char *text, struct settings *s, struct problems *p, struct err *e)
{
    char path[400];
    snprintf(path, sizeof path, "%s/engram.yaml", tap_folder());
    *p = (struct problems){0};
    file_write(path, text, strlen(text), NULL);
    return settings_read(s, path, p, e);
}

static void yaml(void)
{
    struct settings s = defaults();
    struct problems p;
    struct err e;
    is_code(read_yaml("train:\n  steps: 300\n  lr: 1e-4\nreg:\n  form: mse\n", &s, &p, &e), OK, &e,
            "YAML");
    ok(s.train_steps == 300 && s.train_lr == 1e-4 && s.reg_form == 3 && p.n == 0, "is taken");
    problems_fini(&p);
    is_code(read_yaml("train:\n  steps: 300\n  lrate: 1\nreg:\n    fom: l2\n  \n", &s, &p, &e),
            ERR_USAGE, &e, "unknown keys are errors");
    is_int(p.n, 2, "all of them are told");
    ok(p.n == 2 && strstr(p.line[0], "engram.yaml:3:3: unknown setting train.lrate"),
       "with line and column: %s", p.n ? p.line[0] : "");
    ok(p.n == 2 && strstr(p.line[1], "engram.yaml:5:5:") &&
           strstr(p.line[1], "did you mean reg.form?"),
       "and the nearest key: %s", p.n == 2 ? p.line[1] : "");
    problems_fini(&p);
    is_code(read_yaml("train:\n  steps: 0\n", &s, &p, &e), ERR_USAGE, &e, "a value out of range");
    ok(p.n == 1 && strstr(p.line[0], ":2:"), "has its place too: %s", p.n ? p.line[0] : "");
    problems_fini(&p);
    enum code rc = read_yaml("train:\n  steps: 3\n  steps: 4\n", &s, &p, &e);
    ok(rc != OK && strstr(e.text, ":3:"), "a key twice is refused with its line: %s", e.text);
    problems_fini(&p);
    rc = read_yaml("train:\n  steps: 3\nreg:\n  form: l2\ntrain:\n  lr: 1\n", &s, &p, &e);
    ok(rc != OK && strstr(e.text, ":5:1: train is given twice"), "and so is a group: %s", e.text);
    problems_fini(&p);
    is_code(settings_read(&s, "/nowhere/engram.yaml", &p, &e), ERR_NOT_FOUND, &e, "no file");
    problems_fini(&p);
}

int main(void)
{
    struct settings s = defaults();
    is_json(&s, DEFAULTS, "every default, in canonical JSON");
    round_trip((const char *const[]){NULL}, "defaults");
    round_trip(
        (const char *const[]){"train.lr=0.1", "train.beta2=0.9999999", "reg.lambda1=1e9",
                              "reg.lambda2=0.30000000000000004", "seed.value=9007199254740991",
                              "train.prompt=\"\\ \xc3\xa9\t{token}", "reg.form=l2_global", NULL},
        "awkward values");
    round_trip((const char *const[]){"reg.lambda1=-0", "sample.eta=-0.0", "train.clip=0e5", NULL},
               "minus zero");
    assignments();
    json();
    yaml();
    struct text help = {0};
    settings_help(&help);
    ok(text_ok(&help) && strstr(help.s, "train:") && strstr(help.s, "lambda1") &&
           strstr(help.s, "(l2|l2_global|l2sq|mse)"),
       "help lists groups, names and choices");
    text_fini(&help);
    return done_testing();
}
