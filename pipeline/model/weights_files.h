/* weights_files.h - which files hold a component's tensors. Private to weights.c. */
#ifndef MODEL_WEIGHTS_FILES_H
#define MODEL_WEIGHTS_FILES_H

#include "base/err.h"
#include "pipeline/model/safetensors.h"

struct weights_files {
    struct safetensors **file;      /* owned, each one too */
    size_t n;
};

/* Tries, in this order: <stem>.safetensors, <stem>.safetensors.index.json, the same two with ".fp16" as diffusers spells
 * it. Another variant alone (non_ema: other values) is named, never taken. A folder that has only pickles is refused with
 * the way out; otherwise the line says what is expected where. */
enum code weights_files_open(struct weights_files *f, const char *dir, const char *stem, struct err *e);
void weights_files_close(struct weights_files *f);

#endif
