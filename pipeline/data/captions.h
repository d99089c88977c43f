/* captions.h - metadata.jsonl: the captions of a folder in one file, as image data sets are published.
 *
 *     struct captions c;
 *     captions_read("photos/rex/metadata.jsonl", &c, &problems);
 *     const char *text = captions_find(&c, "03.jpg");          // NULL: it has no line
 *     captions_fini(&c);
 *
 * One JSON object a line: "file_name" (a name in this folder) and "text"; other members are for other programs. Every
 * line that cannot be used is a problem with its place: a caption that was meant and is not used would be a silent loss.
 */
#ifndef DATA_CAPTIONS_H
#define DATA_CAPTIONS_H

#include "base/err.h"

#include <stddef.h>

#define CAPTIONS_BYTES (4u << 20)      /* of the file; 64 captions of 1 KB are 64 KB */

#define CAPTIONS_MOST 4096             /* as many files as a concept's folder may hold; each name is compared with all */

struct caption { char *file, *text; int line; };            /* owned; line from 1 */
struct captions { struct caption *caption; size_t n; };

/* Adds a problem per mistake; what was good is in *out either way. */
void captions_read(const char *path, struct captions *out, struct problems *p);
void captions_parse(const char *text, size_t bytes, const char *name, struct captions *out, struct problems *p);
const char *captions_find(const struct captions *c, const char *file);
void captions_fini(struct captions *c);

#endif
