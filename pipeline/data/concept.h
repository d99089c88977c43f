/* concept.h - a folder of a concept: its images, a caption for each, a class word, a token.
 *
 *     struct concept c;
 *     concept_read("photos/rex", &(struct concept_options){...}, &c, &problems, &e);   // ALL problems at once
 *
 * Images are the PNG, JPEG and WebP files of the folder, in byte order of their names. The caption of x.jpg is x.txt (one
 * paragraph, UTF-8), else its line in metadata.jsonl (captions.h), else what the captioner says of it, else "a photo of a
 * {class}"; caption_source says which: never silently invented. concept.yaml in the folder may give token, class and kind;
 * options win over it. Files whose names begin with a dot are ignored; anything else in the folder is a problem, for
 * nothing is passed over in silence.
 */
#ifndef DATA_CONCEPT_H
#define DATA_CONCEPT_H

#include "base/err.h"
#include "pipeline/data/image.h"

#define CONCEPT_IMAGES 64             /* more than any paper uses; a folder with more is refused */
#define CONCEPT_TEXT 1024             /* bytes of one caption */

/* animal, object (the default), scene or style: decides which prompt patterns are used. ERR_INPUT names the four. */
enum code concept_kind_check(const char *kind, struct err *e);

enum caption_source {                 /* in order: the first that has a caption wins */
    CAPTION_FILE,                     /* x.txt beside x.jpg */
    CAPTION_LIST,                     /* metadata.jsonl */
    CAPTION_COMMAND,                  /* a program on this machine was asked */
    CAPTION_ENDPOINT,                 /* a vision model behind an address was asked */
    CAPTION_CLASS                     /* nobody knew: "a photo of a {class}" */
};
/* "x.txt", "metadata.jsonl", "command", "endpoint", "class word": for tables and JSON. */
const char *caption_source_name(enum caption_source s);

/* Asked for the images that have no caption of their own, once every image of the folder is known to be good. Writes one
 * clean line of less than `room` bytes (words_clean). A failure is a problem of the folder, not a fallback. */
struct captioner {
    enum caption_source source;
    enum code (*ask)(void *self, const char *image, const char *class_word, char *out, size_t room, struct err *e);
    void *self;
};

struct concept {
    char token[64], class_word[64], kind[16];
    int n;
    struct {
        char *path;                   /* owned */
        char *caption;                /* owned */
        enum caption_source caption_source;
        int w, h;                     /* of the upright image */
        struct image_info info;
    } *image;                         /* owned */
};
struct concept_options {
    const char *token, *class_word, *kind;    /* NULL: from concept.yaml or default */
    int least_side;
    const struct captioner *captioner;        /* NULL: nobody is asked */
};

/* Decodes every image (to refuse bad ones now), keeps none. Returns OK only if nothing was wrong; each problem is a line
 * in p that names the file, and e holds the first and their number. After a failure out is empty. */
enum code concept_read(const char *dir, const struct concept_options *o, struct concept *out, struct problems *p,
                       struct err *e);
void concept_fini(struct concept *c);
/* "<rex>": '<', 1 to 40 of a-z 0-9 - _ ., '>'. */
enum code concept_token_check(const char *token, struct err *e);

/* Prompt files: "id | concepts | text" lines, '#' comments, or one prompt a line (its id is then the line's number). */
struct prompt { char *id, *concepts, *text; };            /* owned */
struct prompts { struct prompt *prompt; int n; };
enum code prompts_read(const char *path, struct prompts *out, struct err *e);
void prompts_fini(struct prompts *p);

#endif
