/* settings.h - the typed configuration of a personalization.
 *
 *     struct settings s;
 *     settings_default(&s);
 *     settings_read(&s, "engram.yaml", &problems, &e);      // YAML: unknown keys with line, column and nearest key
 *     settings_set(&s, "train.steps=300", &e);              // --set on the command line
 *     settings_write(&s, &text);                            // canonical JSON, every key
 *     settings_record(&s, &text);                           // what a commit records: without those that change no result
 *
 * YAML files have one mapping per group: "train:\n  steps: 300". The list of settings is settings.def.
 */
#ifndef METHOD_SETTINGS_H
#define METHOD_SETTINGS_H

#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

#define SETTING_TEXT_BYTES 256

struct settings {                  /* one field per line of settings.def: <group>_<name> */
#define SETTING_REAL(group, name, ...) double group##_##name;
#define SETTING_INT(group, name, ...) int64_t group##_##name;
#define SETTING_ENUM(group, name, ...) int group##_##name;           /* index into "a|b|c" */
#define SETTING_HOW(group, name, ...) int group##_##name;            /* likewise; not recorded */
#define SETTING_TEXT(group, name, ...) char group##_##name[SETTING_TEXT_BYTES];
#include "pipeline/method/settings.def"
#undef SETTING_REAL
#undef SETTING_INT
#undef SETTING_ENUM
#undef SETTING_HOW
#undef SETTING_TEXT
};

enum recompute { RECOMPUTE_AUTO, RECOMPUTE_NEVER, RECOMPUTE_ALWAYS };        /* order of settings.def */

void settings_default(struct settings *s);
enum code settings_read(struct settings *s, const char *path, struct problems *p, struct err *e);     /* YAML file */
enum code settings_parse(struct settings *s, const char *json, struct err *e);                        /* canonical JSON */
enum code settings_set(struct settings *s, const char *assignment, struct err *e);                    /* "group.name=value" */
enum code settings_check(const struct settings *s, struct err *e);                                    /* values that contradict each other */
void settings_write(const struct settings *s, struct text *out);                                      /* canonical JSON */
void settings_record(const struct settings *s, struct text *out);                                     /* likewise */
void settings_help(struct text *out);                                                                 /* a table for people */

#endif
