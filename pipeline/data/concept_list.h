/* concept_list.h - concepts as other programs list them: what is in their files, before anything is copied or learned.
 *
 *     struct concept_list l;
 *     concept_list_read("concepts_list.json", root, &l, &problems);
 *     for (i...) l.concept[i].folder, .token, .class_word ...
 *     concept_list_fini(&l);
 *
 * Read are
 *     concepts_list.json      [{"instance_prompt": "photo of a <new1> cat", "class_prompt": "cat",
 *                               "instance_data_dir": "./data/cat", ...}, ...]
 *     CustomConcept101        the same with "prompt_filename"; or a list of such lists, each a set of concepts that are
 *                             drawn together, closed by {"prompt_filename_compose": "prompts/pet_pet.txt"}
 *     a folder of folders     "10_sks dog" (repeats, token, class) or any names; each is one concept
 *     a folder of images      one concept
 *
 * A token that two concepts share, as every list of single concepts has <new1>, is replaced by the folder's name: a
 * lineage holds each token once. A folder that several sets name is one concept.
 */
#ifndef DATA_CONCEPT_LIST_H
#define DATA_CONCEPT_LIST_H

#include "base/err.h"

#include <stddef.h>

#define LISTED_MOST 1024               /* concepts of one list: ten times the largest that is published */
#define LISTED_TOGETHER 4              /* concepts of one set */

struct listed {
    char *folder;                      /* owned; of its images, as it can be opened */
    char name[48];                     /* for a folder of its own: letters, digits, - _ . ; unique in the list */
    char token[64], class_word[64];    /* "" where the list does not say */
    const char *kind;                  /* "animal", "scene", or NULL */
    char caption[256];                 /* for images without one; "" where the list does not say */
    char *prompts;                     /* owned; file of prompts with {} for the concept, or NULL */
};
struct listed_set {                    /* concepts drawn together */
    size_t concept[LISTED_TOGETHER], n;
    char *prompts;                     /* owned; file of prompts with {0}, {1} .. */
};
struct concept_list {
    struct listed *concept;            /* owned */
    size_t n;
    struct listed_set *set;            /* owned */
    size_t n_sets;
};

/* path: a JSON file or a folder. root: where relative paths of a JSON file begin; NULL: its own folder. Every mistake is a
 * problem that names the entry; what was good is in *out either way. */
void concept_list_read(const char *path, const char *root, struct concept_list *out, struct problems *p);
void concept_list_fini(struct concept_list *l);

#endif
