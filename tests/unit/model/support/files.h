/* files.h - small files for the tests of pipeline/model: containers from a header's text, folders copied from golden ones.
 *
 *     struct bytes b = container("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
 *     char *dir = folder_copy("classic", "here");           // tests/golden/classic/model -> <tap folder>/here
 */
#ifndef TESTS_MODEL_FILES_H
#define TESTS_MODEL_FILES_H

#include "base/arena.h"
#include "base/file.h"
#include "tests/tap.h"

#include <jansson.h>

/* A safetensors file: the length of the header, the header, n_data bytes 0, 1, 2 ... free(b.data). */
TAP_FN struct bytes container(const char *header, size_t n_data)
{
    size_t n = strlen(header);
    struct bytes b = {malloc(8 + n + n_data), 8 + n + n_data};
    for (size_t i = 0; i < 8; i++) b.data[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(b.data + 8, header, n);
    for (size_t i = 0; i < n_data; i++) b.data[8 + n + i] = (uint8_t)i;
    return b;
}

/* <tap folder>/<name>. The text stays until the fourth call from now. */
TAP_FN char *inside(const char *name)
{
    static char path[4][1024];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", tap_folder(), name);
    return path[next];
}

TAP_FN void run_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
TAP_FN void run_shell(const char *fmt, ...)
{
    char command[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    if (system(command)) printf("# failed: %s\n", command);
}

TAP_FN char *folder_copy(const char *golden_case, const char *name)
{
    char *to = inside(name);
    run_shell("rm -rf '%s' && cp -r tests/golden/%s/model '%s' && chmod -R u+w '%s'", to, golden_case, to, to);
    return to;
}

/* Writes text to <tap folder>/<name> and returns the path. */
TAP_FN char *text_file(const char *name, const char *text)
{
    char *path = inside(name);
    struct err e;
    if (file_write(path, text, strlen(text), &e)) printf("# %s\n", e.text);
    return path;
}

/* Sets one key of a JSON file; value is JSON text, NULL removes the key. */
TAP_FN void set_key(const char *path, const char *key, const char *value)
{
    json_t *root = json_load_file(path, 0, NULL);
    if (value) json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else json_object_del(root, key);
    if (!root || json_dump_file(root, path, 0)) printf("# cannot edit %s\n", path);
    json_decref(root);
}

/* The line of e holds a text. */
#define says(e, part, ...) \
    do { \
        if (!ok(strstr((e).text, part), __VA_ARGS__)) printf("#   the line is '%s'\n", (e).text); \
    } while (0)

/* jansson allocates through base/arena.h from now on, so that arena_fail_after reaches it. */
TAP_FN void *json_memory(size_t n)
{
    return mem_alloc(1, n);
}

TAP_FN void json_memory_fails_too(void)
{
    json_set_alloc_funcs(json_memory, free);
}

#endif
