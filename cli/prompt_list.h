/* prompt_list.h - what to draw: prompts from the command line and from files, and what stands in their placeholders.
 *
 *     prompt_list_read(&list, "prompts/dog.txt", a, &e);               // one a line
 *     prompt_list_fill(&list, &tokens, "pets", &known, a, &e);         // "photo of a {}." -> "photo of a <rex> dog."
 *
 * {} and {0} {1} ... are those of CustomConcept101's prompt files: a concept as "token class". Every prompt has a second form
 * without tokens, for judges that do not know them: "photo of a dog." All memory is the arena's.
 */
#ifndef CLI_PROMPT_LIST_H
#define CLI_PROMPT_LIST_H

#include "base/arena.h"
#include "base/err.h"
#include "cli/options.h"
#include "proto/proto.h"

#include <stddef.h>

struct prompt_list {
    const char **drawn;                /* [n] what the model reads */
    const char **plain;                /* [n] the same with class words only; set by prompt_list_fill */
    size_t n;
};
/* Adds what was given on the command line, as it is. */
enum code prompt_list_add(struct prompt_list *l, const struct words *given, struct arena *a, struct err *e);
/* Adds the lines of a file; empty ones are left out, white space at the ends is dropped. ERR_INPUT with file and line. */
enum code prompt_list_read(struct prompt_list *l, const char *path, struct arena *a, struct err *e);
/* concepts: tokens that {} (counted from the left) and {0} {1} stand for; none: the newest of `known`. lineage: its name, for
 * messages. ERR_NOT_FOUND: a token that is not known, a placeholder without a concept. */
enum code prompt_list_fill(struct prompt_list *l, const struct words *concepts, const char *lineage,
                       const struct commit_rows *known, struct arena *a, struct err *e);

#endif
