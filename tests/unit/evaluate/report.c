/* report.c - a report of invented concepts: complete, honest where something is missing, safe with hostile names, and the
 * same bytes twice. With KEEP=1 the page stays, to be looked at. */
#include "pipeline/evaluate/report.h"
#include "base/file.h"
#include "pipeline/data/image.h"
#include "tests/tap.h"

#include <jansson.h>

enum { CONCEPTS = 4, PHOTOS = 5, PICTURES = 8, SIDE = 64 };

static struct objects *store;

/* A face on a ground: round, two ears, the hue of the concept; `blur` makes it less like itself. */
static struct hash face(int concept, int variant, double blur)
{
    static const uint8_t hue[CONCEPTS][3] = {
        {200, 120, 60}, {90, 130, 200}, {110, 170, 90}, {190, 90, 150}};
    static const uint8_t ground[3][3] = {{235, 225, 205}, {205, 225, 235}, {215, 230, 205}};
    struct image im = {malloc(SIDE * SIDE * 3), SIDE, SIDE};
    struct bytes png;
    struct hash h;
    double cx = 32 + 6 * sin(variant * 2.1), cy = 36 + 4 * cos(variant * 1.7),
           r = 15 + 2 * sin(variant);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double d = hypot(x - cx, y - cy),
                   ear = fmin(hypot(x - cx + 11, y - cy + 13), hypot(x - cx - 11, y - cy + 13));
            double eye = fmin(hypot(x - cx + 5, y - cy + 2), hypot(x - cx - 5, y - cy + 2));
            int body = d < r || ear < 6 + concept,
                dark = eye < 2.2 || hypot(x - cx, y - cy - 6) < 1.8;
            for (int c = 0; c < 3; c++) {
                double v = body ? hue[concept][c] : ground[variant % 3][c] - 20.0 * (y > 46);
                if (dark) v = 30;
                im.rgb[(y * SIDE + x) * 3 + c] = (uint8_t)(v * (1 - blur) + 150 * blur);
            }
        }
    image_encode_png(&im, NULL, &png, NULL);
    objects_put(store, png.data, png.n, &h, NULL);
    free(png.data);
    image_fini(&im);
    return h;
}

static const char *const names[CONCEPTS][3] = {{"<rex>", "dog", "animal"},
                                               {"<blue-mug>", "mug", "object"},
                                               {"<mira>", "cat", "animal"},
                                               {"<ink>", "sketch", "style"}};

static struct hash evaluation_put(int m)
{
    struct evaluation v = {.commit = {{(uint8_t)(m + 1)}}, .n = m + 1};
    struct text json = {0};
    struct hash h;
    v.concept = calloc((size_t)v.n, sizeof *v.concept);
    v.iou = calloc((size_t)v.n * (size_t)v.n, sizeof *v.iou);
    for (int k = 0; k <= m; k++) {
        struct concept_score *s = &v.concept[k];
        double age = m - k;
        snprintf(s->token, sizeof s->token, "%s", names[k][0]);
        snprintf(s->class_word, sizeof s->class_word, "%s", names[k][1]);
        snprintf(s->kind, sizeof s->kind, "%s", names[k][2]);
        s->clip_i = 0.842 - 0.03 * k - 0.009 * age, s->before_i = 0.55 + 0.03 * k;
        s->clip_t = 0.291 - 0.004 * k + 0.001 * age, s->before_t = 0.312;
        s->clip_t_scaled = 2.5 * s->clip_t, s->before_t_scaled = 2.5 * s->before_t;
        s->drift = 0.021 * age, s->pixel_drift = 0.013 * age, s->owned = 0.0421 + 0.004 * k,
        s->regularised = 0.11 * k;
        s->n_pictures = PICTURES;
        for (int i = 0; i < PICTURES; i++) {
            s->picture[i] = face(k, 10 + i, 0.06 * age);
            s->before[i] = face((k + 1) % CONCEPTS, 30 + i, 0.2);
        }
        for (int j = 0; j <= m; j++) v.iou[k * v.n + j] = k == j ? 1 : 0.18 + 0.03 * ((k + j) % 3);
    }
    evaluation_write(&v, &json);
    objects_put(store, json.s, json.n, &h, NULL);
    text_fini(&json);
    evaluation_fini(&v);
    return h;
}

/* Kept until the next report of its concept. */
static const char *made(int k)
{
    static struct text kept[CONCEPTS];
    struct text t = {0};
    text_printf(&t,
                "{\"method\":\"cns\",\"steps\":400,\"densities\":{\"base\":0.118,\"general\":0.076,"
                "\"concept\":%g,"
                "\"reg\":%g},\"losses\":[",
                0.0421 + 0.004 * k, 0.005 * k);
    for (int i = 0; i < 100; i++)
        text_printf(&t, "%s%.4f", i ? "," : "",
                    0.09 + 0.11 * exp(-i / (18.0 + 4 * k)) + 0.012 * sin(i * (1.3 + k)));
    text_add(&t, "]}");
    text_fini(&kept[k]);
    kept[k] = t;
    return kept[k].s;
}

static struct hash photos[CONCEPTS][PHOTOS];
static struct report_commit commits[CONCEPTS];
static struct report_sample samples[2];

static struct report full_report(void)
{
    for (int k = 0; k < CONCEPTS; k++) {
        for (int i = 0; i < PHOTOS; i++) photos[k][i] = face(k, i, 0);
        commits[k] = (struct report_commit){.commit = {{(uint8_t)(k + 1), 0xab}},
                                            .token = names[k][0],
                                            .class_word = names[k][1],
                                            .kind = names[k][2],
                                            .photo = photos[k],
                                            .n_photos = PHOTOS,
                                            .evaluation = evaluation_put(k),
                                            .made = made(k),
                                            .seconds = 38.4 + 31 * k};
    }
    samples[0] =
        (struct report_sample){.prompt = "<rex> dog with <mira> cat in the forest", .n = 4};
    samples[1] = (struct report_sample){.prompt = "<blue-mug> mug in <ink> style", .n = 4};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 4; i++) samples[s].picture[i] = face(s, 50 + i, 0.03);
    return (struct report){.title = "Four friends",
                           .lineage = "pets",
                           .base_model = "Storybook 1",
                           .store = store,
                           .commit = commits,
                           .n = CONCEPTS,
                           .sample = samples,
                           .n_samples = 2};
}

static struct bytes written(const char *name, const struct report *r)
{
    char path[400];
    struct bytes b = {0};
    struct err e;
    snprintf(path, sizeof path, "%s/%s", tap_folder(), name);
    is_code(report_write(path, r, &e), OK, &e, "%s is written", name);
    file_read(path, 64 << 20, &b, &e);
    return b;
}

static int count(const struct bytes *b, const char *what)
{
    int n = 0;
    for (const char *at = (char *)b->data; (at = strstr(at, what)); at++) n++;
    return n;
}

/* Elements are closed in the order of their opening; those without an end do not count. */
static int well_nested(const struct bytes *b)
{
    static const char *const alone[] = {"!doctype", "meta", "img",   "line",
                                        "path",     "rect", "circle"};
    char stack[64][16], name[16];
    int depth = 0;
    for (const char *at = (char *)b->data; (at = strchr(at, '<')); at++) {
        int closes = at[1] == '/', n = (int)strcspn(at + 1 + closes, " >/\n"), skip_it = 0;
        snprintf(name, sizeof name, "%.*s", n < 15 ? n : 15, at + 1 + closes);
        for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
            skip_it |= !strcmp(name, alone[i]);
        if (skip_it) continue;
        if (!closes && depth < 64) snprintf(stack[depth++], 16, "%s", name);
        else if (!depth || strcmp(stack[--depth], name) != 0) {
            printf("#   </%s> closes <%s>\n", name, depth ? stack[depth] : "nothing");
            return 0;
        }
    }
    return depth == 0;
}

static void the_whole(void)
{
    struct report r = full_report();
    struct bytes b = written("report.html", &r), again = written("again.html", &r);
    printf("# %zu bytes in %s\n", b.n, tap_folder());
    ok(b.n == again.n && !memcmp(b.data, again.data, b.n), "the same input gives the same bytes");
    ok(well_nested(&b), "its elements are closed");
    ok(!count(&b, "<script") && !count(&b, "http") && !count(&b, "url(") && !count(&b, "@import"),
       "no script and no outside address");
    ok(!count(&b, "nan") && !count(&b, "inf\""), "no figure that is none");
    is_int(count(&b, "<section class=\"card\">"), CONCEPTS, "a card for each concept");
    /* Strip: 2 per concept. Card: photos, before, now, and for all but the newest then. Samples: 8. */
    is_int(count(&b, "<img"), 2 * CONCEPTS + CONCEPTS * (PHOTOS + 6 + 6) + (CONCEPTS - 1) * 6 + 8,
           "every picture is shown");
    is_int(count(&b, "<svg"), 7, "seven plots");
    ok(count(&b, "(CLIP-I) was 0.812 when learned and is 0.794 now"),
       "forgetting is said in a sentence");
    ok(count(&b, "&lt;rex&gt; dog with &lt;mira&gt; cat in the forest"),
       "the gallery has its prompts");
    free(b.data);
    free(again.data);
}

static void summary(void)
{
    struct report r = full_report();
    struct err e;
    char path[400];
    snprintf(path, sizeof path, "%s/report.json", tap_folder());
    is_code(report_summary(path, &r, &e), OK, &e, "a summary is written");
    json_t *root = json_load_file(path, 0, NULL), *commits_json = json_object_get(root, "commits");
    is_int(json_array_size(commits_json), CONCEPTS, "with each commit");
    const json_t *last = json_array_get(commits_json, CONCEPTS - 1);
    is_int(json_array_size(json_object_get(last, "concepts")), CONCEPTS,
           "the last has seen all concepts");
    near(json_real_value(
             json_object_get(json_array_get(json_object_get(last, "concepts"), 0), "clip_i")),
         0.815, 1e-9, "with their CLIP-I");
    near(json_real_value(json_object_get(json_object_get(last, "densities"), "general")), 0.076,
         1e-9, "and densities");
    is_int(json_integer_value(json_object_get(last, "steps")), 400, "and steps");
    near(json_real_value(json_object_get(json_object_get(root, "forgetting"), "clip_i_now")), 0.794,
         1e-9, "and what was forgotten");
    json_decref(root);
}

static void what_is_missing(void)
{
    struct report r = full_report();
    struct err e;
    memset(&photos[0][1], 9, sizeof photos[0][1]);
    commits[1].evaluation = (struct hash){{0}};
    commits[1].made = "not JSON";
    commits[2].made = "{\"densities\":{\"base\":\"x\"},\"losses\":[0.1,null,0.2]}";
    struct bytes b = written("holes.html", &r);
    ok(well_nested(&b) && !count(&b, "nan"), "a report with holes is whole");
    is_int(count(&b, ">not kept<"), 1, "a lost photo is an empty frame");
    free(b.data);
    for (int k = 0; k < CONCEPTS; k++)
        commits[k].evaluation = (struct hash){{0}}, commits[k].made = NULL;
    b = written("bare.html", &r);
    ok(well_nested(&b) && !count(&b, "<svg"),
       "without evaluations and records there are photos alone");
    free(b.data);
    r = (struct report){.title = "None", .lineage = "empty", .base_model = "b", .store = store};
    b = written("empty.html", &r);
    ok(well_nested(&b), "an empty lineage has a page too");
    free(b.data);
    r = full_report();
    r.n = 1;
    b = written("one.html", &r);
    ok(well_nested(&b) && !count(&b, "earlier one"), "a single concept cannot be forgotten yet");
    free(b.data);
    commits[0].evaluation = commits[2].evaluation;
    is_code(report_write("/nowhere/x.html", &r, &e), ERR_CORRUPT, &e,
            "an evaluation of another commit is refused");
    ok(strstr(e.text, "evaluation after <rex>") != NULL, "and named: %s", e.text);
}

static void hostile_names(void)
{
    struct report r = full_report();
    r.n = 1;
    r.title = "</title><script>alert(1)</script>";
    r.lineage = "\"><img src=x onerror=alert(1)>";
    commits[0].class_word = "<b onclick='x'>";
    commits[0].evaluation = (struct hash){{0}};
    samples[0].prompt = "</div><script>";
    struct bytes b = written("hostile.html", &r);
    ok(well_nested(&b) && !count(&b, "<script") && !count(&b, "<b onclick") &&
           !count(&b, "<img src=x"),
       "names cannot become markup");
    free(b.data);
}

int main(void)
{
    char path[400];
    struct err e;
    snprintf(path, sizeof path, "%s/objects", tap_folder());
    if (!is_code(objects_open(&store, path, &e), OK, &e, "a store opens")) return done_testing();
    the_whole();
    summary();
    what_is_missing();
    hostile_names();
    objects_close(store);
    return done_testing();
}
