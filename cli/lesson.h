/* lesson.h - a request to learn, from a concept's folder to its message. `learn` makes one, `submit` many.
 *
 *     struct lesson l = {.dir = "photos/rex", .settings = &settings, .settings_json = json, ...};
 *     lesson_read(&l, captioner, &problems);               // every image, every caption
 *     lesson_check(&l, &target, &problems);                // token, texts
 *     lesson_room(&l, &target, memory, &problems);         // does it fit? the same for all with these settings
 *     lesson_message(&l, &target, arena, &m, &e);          // with the images' hashes
 *     lesson_upload(&l, &m.images, objects, &e);           // then they are there
 *     lesson_fini(&l);
 *
 * Nothing is written or sent before lesson_upload. Problems are collected, all of them.
 */
#ifndef CLI_LESSON_H
#define CLI_LESSON_H

#include "cli/target.h"
#include "pipeline/data/concept.h"
#include "pipeline/method/settings.h"

struct lesson {
    const char *dir;
    const char *token, *class_word, *kind;   /* NULL: concept.yaml says it */
    struct words previews;
    uint64_t priority;                       /* enum priority */
    int no_evaluate;                         /* asked for, or there is no CLIP (lesson_room) */
    const struct settings *settings;
    const char *settings_json;
    struct concept concept;                  /* owned, of lesson_read */
};

void lesson_read(struct lesson *l, const struct captioner *captioner, struct problems *p);
void lesson_fini(struct lesson *l);
void lesson_check(struct lesson *l, struct target *t, struct problems *p);
/* memory: text like "8G", NULL: what is free here. Looks at the model without reading it; tenths of a second. */
void lesson_room(struct lesson *l, const struct target *t, const char *memory, struct problems *p);
void lesson_say_captions(const struct lesson *l);          /* a caption that nobody wrote is said */

/* Everything but the key. Hashes the images. Lives in the arena. */
enum code lesson_message(const struct lesson *l, const struct target *t, struct arena *a, struct msg_learn *m, struct err *e);
/* ERR_INPUT: an image is not what lesson_message saw. */
enum code lesson_upload(const struct lesson *l, const struct hashes *images, struct objects *store, struct err *e);

#endif
