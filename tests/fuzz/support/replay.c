/* replay.c - the driver without libFuzzer: the kept inputs of tests/fuzz/corpus/<program>/ once more, or those that are
 * named on the command line. An input of exactly its size, so that a sanitizer sees a read past it. */
#include "base/file.h"
#include "tests/fuzz/support/fuzz.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>

#define INPUT_BYTES (64u << 20)

/* The name goes out first: it is the last line of a program that dies. */
static int replay(const char *path)
{
    struct bytes b;
    struct err e;
    printf("# %s\n", path);
    fflush(stdout);
    if (file_read(path, INPUT_BYTES, &b, &e)) {
        note("%s", e.text);
        return 0;
    }
    uint8_t *exact = malloc(b.n ? b.n : 1);
    memcpy(exact, b.data, b.n);
    free(b.data);
    LLVMFuzzerTestOneInput(exact, b.n);
    free(exact);
    return 1;
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    char dir[256], path[600];
    struct dirent **entry;
    int n, replayed = 0;
    for (int i = 1; i < argc; i++) replayed += replay(argv[i]);
    if (argc > 1) {
        is_int(replayed, argc - 1, "every input is survived");
        return done_testing();
    }
    snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", program_invocation_short_name);
    n = scandir(dir, &entry, visible, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name);
        replayed += replay(path);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    ok(replayed > 0 && replayed == n, "every kept input of %s is survived: %d", dir, n);
    return done_testing();
}
