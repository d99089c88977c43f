/* A checkpoint: the header is read, every tensor converted, and what was read can be written and read again. */
#include "pipeline/model/safetensors.h"
#include "tests/fuzz/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* Tensors lie one behind the other and fill the file, each found by its name. */
static void look(const struct safetensors *s, const uint8_t *data, size_t n)
{
    const uint8_t *at = NULL;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct stored *t = safetensors_at(s, i);
        must(t->data >= data + 8 && t->bytes <= n && t->data <= data + n - t->bytes);
        must(!at || t->data == at);
        must(safetensors_find(s, t->name) == t);
        at = t->data + t->bytes;
    }
    must(!at || at == data + n);
    safetensors_metadata(s, "format");
}

static void convert(const struct stored *t)
{
    struct err e = {0};
    size_t count = (size_t)stored_count(t);
    must(count <= 8 * t->bytes); /* no type has less than a bit */
    void *room = malloc(count * sizeof(int64_t) + 1);
    enum code rc = stored_to_float(t, room, &e);
    if (rc) fuzz_refused(rc, &e);
    if ((rc = stored_to_int(t, room, &e))) fuzz_refused(rc, &e);
    free(room);
}

static void write_again(const struct safetensors *s)
{
    size_t n = safetensors_count(s);
    struct stored_entry *entry = calloc(n + 1, sizeof *entry);
    struct safetensors *again;
    struct bytes b;
    struct err e = {0};
    int writable = 1;
    for (size_t i = 0; i < n; i++) {
        const struct stored *t = safetensors_at(s, i);
        writable &= t->dtype != STORED_OTHER;
        entry[i] = (struct stored_entry){t->name, t->dtype, t->rank, {0}, t->data};
        memcpy(entry[i].dim, t->dim, sizeof t->dim);
    }
    if (writable) {
        must(!safetensors_encode(entry, n, NULL, &b, &e));
        must(!safetensors_parse(&again, b.data, b.n, "written", &e));
        must(safetensors_count(again) == n);
        safetensors_close(again);
        free(b.data);
    }
    free(entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct safetensors *s;
    struct err e = {0};
    enum code rc = safetensors_parse(&s, data, n, "input", &e);
    if (rc) fuzz_refused(rc, &e);
    else {
        look(s, data, n);
        for (size_t i = 0; i < safetensors_count(s); i++) convert(safetensors_at(s, i));
        write_again(s);
    }
    safetensors_close(s);
    return 0;
}
