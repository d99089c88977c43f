/* yaml.h - a YAML file as a flat list: "train.steps" -> "300" with the place where the key stands.
 *
 *     struct yaml y;
 *     yaml_read("engram.yaml", &y, &e);            // syntax errors: file:line:column: why
 *     for (i...) y.entry[i].path, .value, .line, .column
 *     yaml_fini(&y);
 *
 * Mappings may nest four deep; values are scalars kept as text, so that a typed table (method/settings.def,
 * data/concept.c) decides what they mean and "1e-4" is a number. Sequences, anchors and duplicate keys are refused.
 */
#ifndef DATA_YAML_H
#define DATA_YAML_H

#include "base/err.h"

#define YAML_BYTES (1u << 20)      /* a configuration file larger than this is no configuration file */

struct yaml_entry { char *path, *value; int line, column; };      /* owned; line and column from 1 */
struct yaml { struct yaml_entry *entry; size_t n; };

enum code yaml_read(const char *path, struct yaml *out, struct err *e);
enum code yaml_parse(const char *text, size_t bytes, const char *name, struct yaml *out, struct err *e);
void yaml_fini(struct yaml *y);

#endif
