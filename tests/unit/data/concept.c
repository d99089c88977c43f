/* concept.c - folders of concepts and files of prompts: what is understood, and that all problems are told at once. */
#include "pipeline/data/concept.h"
#include "base/file.h"
#include "tests/tap.h"
#include "tests/unit/data/support/encode.h"

#include <sys/stat.h>

static char dir[300];

static const char *in(const char *name)
{
    static char path[4][600];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "wb");
    fputs(text, f);
    fclose(f);
}

/* Contrast: how far the brightest pixel is from the darkest. */
static void write_contrast(const char *name, int w, int h, int contrast)
{
    uint8_t *grey = calloc((size_t)w, (size_t)h);
    for (int i = 0; i < w * h; i++) grey[i] = (uint8_t)(100 + i % (contrast + 1));
    struct bytes b = png_make(
        &(struct png_wish){.w = w, .h = h, .depth = 8, .rows = grey, .row_bytes = (size_t)w});
    FILE *f = fopen(in(name), "wb");
    fwrite(b.data, 1, b.n, f);
    fclose(f);
    free(grey);
    free(b.data);
}

static void write_image(const char *name, int w, int h)
{
    write_contrast(name, w, h, 40);
}

static void folder(const char *name)
{
    snprintf(dir, sizeof dir, "%s/%s", tap_folder(), name);
    mkdir(dir, 0700);
}

TAP_PRINTF(2) static int says(const struct problems *p, const char *line, ...)
{
    char full[800];
    va_list args;
    va_start(args, line);
    vsnprintf(full, sizeof full, line, args);
    va_end(args);
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->line[i], full)) return 1;
    printf("#   want %s\n", full);
    for (size_t i = 0; i < p->n; i++) printf("#   have %s\n", p->line[i]);
    return 0;
}

static void good_folder(void)
{
    struct concept c;
    struct problems p = {0};
    struct err e;
    folder("rex");
    write_image("b.png", 40, 30);
    write_image("a.jpg", 20, 31);
    write_image("C.PNG", 16, 16);
    write_text("a.txt", "\xef\xbb\xbf  a dog\r\n  on a\tbeach \xc2\xa0 at  dusk, caf\xc3\xa9\n\n");
    write_text("concept.yaml", "token: \"<rex>\"\nclass: dog\nkind: animal\n");
    write_text(".DS_Store", "mac");
    struct concept_options o = {.least_side = 16};
    is_code(concept_read(dir, &o, &c, &p, &e), OK, &e, "a good folder is read");
    is_str(c.token, "<rex>", "its token");
    is_str(c.class_word, "dog", "its class");
    is_str(c.kind, "animal", "its kind");
    is_int(c.n, 3, "three images");
    is_str(c.image[0].path, in("C.PNG"), "in byte order of their names");
    is_str(c.image[1].caption, "a dog on a beach at dusk, caf\xc3\xa9",
           "a caption is one clean line");
    ok(c.image[1].caption_source == CAPTION_FILE && c.image[0].caption_source == CAPTION_CLASS,
       "and it is known where it came from");
    is_str(c.image[2].caption, "a photo of a dog", "without a file the fallback stands");
    ok(c.image[2].w == 40 && c.image[2].h == 30, "sizes are noted");
    is_str(c.image[1].info.format, "PNG", "what the bytes say counts");
    concept_fini(&c);

    o = (struct concept_options){.token = "<max>", .class_word = "teddy bear", .kind = "object"};
    is_code(concept_read(dir, &o, &c, &p, &e), OK, &e, "options are taken");
    ok(!strcmp(c.token, "<max>") && !strcmp(c.class_word, "teddy bear") &&
           !strcmp(c.kind, "object"),
       "and win over the file");
    concept_fini(&c);
    unlink(in("concept.yaml"));
    o.kind = NULL;
    is_code(concept_read(dir, &o, &c, &p, &e), OK, &e, "a folder needs no concept.yaml");
    is_str(c.kind, "object", "the kind is then object");
    concept_fini(&c);
    is_int(p.n, 0, "no problem was told");
    problems_fini(&p);
}

static void bad_folder(void)
{
    struct concept c;
    struct problems p = {0};
    struct err e;
    folder("bad");
    write_image("small.png", 300, 20);
    write_image("twice.png", 64, 64);
    write_contrast("flat.png", 64, 64, 8);
    write_contrast("faint.png", 64, 64, 9);
    write_image("twice.jpg", 64, 64);
    write_image("cut.png", 64, 64);
    write_image("fine.png", 64, 64);
    truncate(in("cut.png"), 60);
    write_text("empty.jpg", "");
    write_text("twice.txt", "a dog");
    write_text("lonely.txt", "a dog");
    write_text("fine.txt", "a dog\n\x01");
    write_text("notes.md", "hello there, world");
    write_text("cut.txt", "caf\xe9");
    write_text("empty.txt", " \n");
    write_text("concept.yaml", "tokn: \"<rex>\"\nclass: dog\ncolour: brown\nkind: beast\n");
    mkdir(in("old"), 0700);
    symlink("/dev/zero", in("zero.png"));
    struct concept_options o = {.least_side = 64};
    is_code(concept_read(dir, &o, &c, &p, &e), ERR_INPUT, &e, "a bad folder is refused");
    ok(says(&p, "%s/concept.yaml:1:1: unknown key \"tokn\"; did you mean \"token\"?", dir),
       "a slip of a key is told");
    ok(says(&p, "%s/concept.yaml:3:1: unknown key \"colour\"; there are token, class and kind",
            dir),
       "an unknown key too");
    ok(says(&p, "%s/concept.yaml:4:1: kind \"beast\": choose animal, object, scene or style", dir),
       "and a wrong kind");
    ok(says(&p, "image %s/small.png is 300x20; the shorter side needs 64", dir), "a small image");
    ok(says(&p,
            "image %s/flat.png is of one colour: no two pixels are more than 8 of 255 apart, so "
            "there "
            "is nothing to learn from it; remove it",
            dir),
       "an image of one colour, but not one that is faint");
    ok(says(&p, "%s/cut.png is truncated after 60 bytes; export it again", dir),
       "a truncated image");
    ok(says(&p, "%s/empty.jpg is empty; export it again", dir), "an empty image");
    ok(says(&p, "%s/notes.md is not a PNG, JPEG or WebP image", dir), "a file that is no image");
    ok(says(&p, "%s/old is a folder; the images of a concept lie side by side: move it elsewhere",
            dir),
       "a folder");
    ok(says(&p, "%s/zero.png is not a file", dir), "a device, without reading it for ever");
    ok(says(&p,
            "%s/twice.txt could be the caption of twice.jpg or of twice.png; rename one of them",
            dir),
       "a caption of two");
    ok(says(&p, "%s/lonely.txt is the caption of no image; name it like its image or move it", dir),
       "a caption of none");
    ok(says(&p, "%s/fine.txt:2:1: a control character; remove it", dir),
       "a control character with its place");
    ok(says(&p, "%s/cut.txt:1:4: this is not UTF-8; save the file as UTF-8", dir),
       "a caption in Latin-1");
    ok(says(&p, "%s/empty.txt is empty; write a sentence or remove the file", dir),
       "an empty caption");
    is_int(p.n, 15, "all at once and nothing twice");
    ok(strstr(e.text, "15 problems; the first: "), "the error sums them up: %s",
       strstr(e.text, "15"));
    ok(!c.image && !c.n, "and no concept comes out");
    problems_fini(&p);

    folder("none");
    is_code(concept_read(dir, &o, &c, &p, &e), ERR_INPUT, &e, "an empty folder is refused");
    ok(says(&p, "%s has no token; write token: \"<rex>\" into %s/concept.yaml or give one", dir,
            dir),
       "no token");
    ok(says(&p, "%s has no class word; write class: dog into %s/concept.yaml or give one", dir,
            dir),
       "no class");
    ok(says(&p, "%s holds no PNG, JPEG or WebP image; put 3 to 20 of the concept there", dir),
       "no image");
    problems_fini(&p);
    is_code(concept_read("/nowhere/rex", &o, &c, &p, &e), ERR_NOT_FOUND, &e,
            "a missing folder is not found");
    is_int(p.n, 1, "one problem");
    problems_fini(&p);

    folder("many");
    for (int i = 0; i < CONCEPT_IMAGES + 1; i++) {
        char name[32];
        snprintf(name, sizeof name, "%03d.png", i);
        write_text(name, "x");
    }
    o = (struct concept_options){.token = "<x>", .class_word = "cat"};
    is_code(concept_read(dir, &o, &c, &p, &e), ERR_INPUT, &e,
            "too many images are refused before one is decoded");
    is_int(p.n, 1, "with one line");
    problems_fini(&p);
}

static void tokens_and_kinds(void)
{
    static const char *const good[] = {"<rex>", "<a>", "<new-1_b.c>",
                                       "<0123456789012345678901234567890123456789>"};
    static const char *const bad[] = {
        "",       "rex",  "<>",      "<Rex>",        "<re x>",
        "<rex",   "rex>", "<<rex>>", "<r\xc3\xa9x>", "<01234567890123456789012345678901234567890>",
        "<rex>\n"};
    struct err e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        is_code(concept_token_check(good[i], &e), OK, &e, "%s is a token", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        is_code(concept_token_check(bad[i], &e), ERR_INPUT, &e, "bad token %zu is refused", i);
    is_code(concept_kind_check("style", &e), OK, &e, "style is a kind");
    is_code(concept_kind_check("Style", &e), ERR_INPUT, &e, "Style is not");
}

static enum code prompts_of(const char *text, struct prompts *p, struct err *e)
{
    write_text("prompts.txt", text);
    return prompts_read(in("prompts.txt"), p, e);
}

static void prompt_files(void)
{
    struct prompts p;
    struct err e;
    folder("prompts");
    is_code(prompts_of("# two\n\na  dog \r\n  # not this | a | b\nbeach | c1, c2 |  <c1> dog  near "
                       "<c2> | cat\n",
                       &p, &e),
            OK, &e, "a prompt file is read");
    is_int(p.n, 2, "two prompts");
    ok(!strcmp(p.prompt[0].id, "3") && !strcmp(p.prompt[0].text, "a dog") && !*p.prompt[0].concepts,
       "a plain line is named by its number");
    ok(!strcmp(p.prompt[1].id, "beach") && !strcmp(p.prompt[1].concepts, "c1, c2") &&
           !strcmp(p.prompt[1].text, "<c1> dog near <c2> | cat"),
       "a full line has three parts, the last may hold bars");
    prompts_fini(&p);
    is_code(prompts_of("# nothing\n", &p, &e), ERR_INPUT, &e, "a file without prompts is refused");
    is_code(prompts_of("a | b\n", &p, &e), ERR_INPUT, &e, "one bar is refused");
    ok(strstr(e.text, "prompts.txt:1: "), "with its line");
    is_code(prompts_of("a||x\na||y\n", &p, &e), ERR_INPUT, &e, "an id twice is refused");
    is_code(prompts_of("a|b|\n", &p, &e), ERR_INPUT, &e, "an empty text is refused");
    is_code(prompts_of("a\x07\n", &p, &e), ERR_INPUT, &e, "a bell is refused");
    is_code(prompts_read("/nowhere", &p, &e), ERR_NOT_FOUND, &e, "a missing file is not found");
}

int main(void)
{
    good_folder();
    bad_folder();
    tokens_and_kinds();
    prompt_files();
    return done_testing();
}
