/* caption.h - captions for images that have none: asked of a program, or of a vision model behind an address. Never silently.
 *
 *     struct captioning c;
 *     caption_open(&c, &wish, &e);
 *     concept_read(dir, &(struct concept_options){.captioner = caption_captioner(&c)}, ...);
 *     caption_close(&c);
 *
 * A command is split into words as a shell would ('..', "..", \), without a shell; {image} in a word becomes the path. What
 * it writes to standard output is the caption.
 *
 * An endpoint is whatever speaks OpenAI's chat completions with pictures. Its address, model and key come from the environment:
 * ENGRAM_CAPTION_URL ("http://localhost:8080/v1"), ENGRAM_CAPTION_MODEL, ENGRAM_CAPTION_KEY (may be unset). It sees the image
 * upright, at most 768 pixels on its shorter side, without its metadata. Redirects are not followed: photos go to the address
 * that was named and to no other.
 */
#ifndef CLI_CAPTION_H
#define CLI_CAPTION_H

#include "cli/options.h"
#include "pipeline/data/concept.h"

#define CAPTION_ENV_URL "ENGRAM_CAPTION_URL"
#define CAPTION_ENV_MODEL "ENGRAM_CAPTION_MODEL"
#define CAPTION_ENV_KEY "ENGRAM_CAPTION_KEY"

struct caption_wish { const char *command; int endpoint; };       /* what the command line said */
/* The two options of every verb that reads concept folders; wish is the verb's struct caption_wish. */
#define CAPTION_OPTIONS(wish)                                                                                  \
    {"caption-command", OPTION_TEXT, &(wish).command, "COMMAND", "ask a program for missing captions"},          \
    {"caption-endpoint", OPTION_FLAG, &(wish).endpoint, NULL,                                                  \
     "ask the vision model at $" CAPTION_ENV_URL " for missing captions; sends it the images"}

struct captioning { struct captioner captioner; void (*close)(void *self); };
/* ERR_USAGE: both, a command without {image}, an address or model that is not set. */
enum code caption_open(struct captioning *c, const struct caption_wish *w, struct err *e);
const struct captioner *caption_captioner(const struct captioning *c);            /* NULL: nobody is to be asked */
void caption_close(struct captioning *c);

/* ---- the two that can be asked: each fills c (caption_command.c, caption_endpoint.c) ---- */
enum code caption_command_open(struct captioning *c, const char *command, struct err *e);
enum code caption_endpoint_open(struct captioning *c, struct err *e);

#endif
