/* engram_side.c - Engram's half of the peer table: makes one row ready, then obeys lines.
 *
 *     engram_side KIND MODEL IN.safetensors OPTIONS.json THREADS
 *
 *     stdin          stdout
 *                    ready {"planned": bytes of activations, "flops": of one run}
 *     run N          seconds of N runs
 *     write FILE     written              (the results of the last run, a safetensors file)
 *     end of file    -
 *
 * It does nothing between two lines: bench/peer/run.py lets the PyTorch half work then. A failure is one line on stderr
 * and exit status 1.
 */
#include "base/parallel.h"
#include "bench/peer/support/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum code write_results(struct row *r, const struct row_kind *kind, const char *path,
                               struct err *e)
{
    r->part.n_out = 0;
    enum code rc = kind->give(r, e);
    if (!rc) rc = safetensors_write(path, r->part.out, r->part.n_out, NULL, e);
    if (!rc) printf("written\n");
    return rc;
}

static enum code obey(struct row *r, const struct row_kind *kind, const char *line, struct err *e)
{
    if (!strncmp(line, "write ", 6)) return write_results(r, kind, line + 6, e);
    if (strncmp(line, "run ", 4) != 0) return err_set(e, ERR_USAGE, "unknown line \"%s\"", line);
    double start = now();
    enum code rc = OK;
    for (int i = atoi(line + 4); !rc && i > 0; i--) rc = kind->run(r, e);
    if (!rc) printf("%.9f\n", now() - start);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct row row;
    char line[4096];
    const struct row_kind *kind = argc == 6 ? row_find(argv[1]) : NULL;
    if (!kind) {
        fprintf(stderr,
                "engram_side: KIND MODEL IN OPTIONS THREADS; this is for bench/peer/run.py\n");
        return 2;
    }
    parallel_start(atoi(argv[5]));
    enum code rc = row_open(&row, kind, argv[2], argv[3], argv[4], &e);
    if (!rc) {
        printf("ready {\"planned\": %zu, \"flops\": %.0f}\n", row.planned, row.flops);
        fflush(stdout);
        while (!rc && fgets(line, sizeof line, stdin)) {
            line[strcspn(line, "\n")] = 0;
            rc = obey(&row, kind, line, &e);
            fflush(stdout);
        }
        row_close(&row, kind);
    }
    if (rc) fprintf(stderr, "engram_side: %s\n", e.text);
    parallel_stop();
    return rc ? 1 : 0;
}
