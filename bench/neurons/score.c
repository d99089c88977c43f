/* score.c - how long neuron scoring takes on Stable Diffusion 1.5.
 *
 *     build/plain/bench/neurons/score [threads] [rounds]
 *
 * Random weights in the shapes of its 32 K and V projections (24,960 rows of 768, 19.17 million weights), 20 prompts, the
 * largest 230 of each row, ANDed. Beside it one plain read of the weights, which no scoring can undercut. One thread: the
 * process's own CPU time, best round. PyTorch's answer to the same question is, per prompt,
 *
 *     s = w.abs() * v;  mask.scatter_(1, torch.topk(s, 230, dim=1).indices, True)
 */
#include "base/arena.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "pipeline/neurons/score.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PROMPTS = 20, D = 768, MATRICES = 32 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(parallel_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Channels of the 16 cross-attentions, from the input down and up again. */
static size_t layout_fill(struct kv_matrix *m)
{
    static const int channels[MATRICES / 2] = {320,  320,  640, 640, 1280, 1280, 1280, 1280,
                                               1280, 1280, 640, 640, 640,  320,  320,  320};
    size_t at = 0;
    for (int i = 0; i < MATRICES; i++) {
        m[i] = (struct kv_matrix){
            .layer = i / 2, .is_v = i % 2, .rows = channels[i / 2], .cols = D, .offset = at};
        at += (size_t)channels[i / 2] * D;
    }
    return at;
}

static double sum_of(const float *w, size_t n)
{
    float lane[16] = {0};
    for (size_t i = 0; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) lane[j] += w[i + (size_t)j];
    double sum = 0;
    for (int j = 0; j < 16; j++) sum += (double)lane[j];
    return sum;
}

int main(int argc, char **argv)
{
    parallel_start(argc > 1 ? atoi(argv[1]) : 1);
    int rounds = argc > 2 ? atoi(argv[2]) : 7;
    struct kv_matrix matrix[MATRICES];
    struct kv_layout l = {matrix, MATRICES, layout_fill(matrix)};
    struct score_options o = {.fraction = 0.30};
    struct collectives one = collectives_single();
    float *w = malloc(l.n_weights * sizeof *w), noise[D];
    double *norms = malloc(PROMPTS * D * sizeof *norms), best = INFINITY, read = INFINITY, sum = 0;
    struct mask out;
    struct err e;
    assert(w && norms);
    if (mask_init(&out, l.n_weights, &e)) {
        free(norms);
        free(w);
        return 1;
    }
    philox_normal(philox_key(1, PHILOX_TEST), 0, 0, w, l.n_weights);
    for (int p = 0; p < PROMPTS; p++) {
        philox_normal(philox_key(2, PHILOX_TEST), (uint64_t)p, 0, noise, D);
        for (int i = 0; i < D; i++) norms[p * D + i] = 8.0 * exp(0.2 * (double)noise[i]);
    }
    for (int r = 0; r < rounds; r++) {
        double start = seconds();
        sum += sum_of(w, l.n_weights);
        double middle = seconds();
        if (score_common(&l, w, &o, norms, PROMPTS, D, 1.0, &one, &out, &e)) {
            printf("%s\n", e.text);
            return 1;
        }
        double end = seconds();
        read = fmin(read, middle - start);
        best = fmin(best, end - middle);
    }
    printf("%d threads: %d prompts over %.2f M weights, %.1f ms (%.0f ns a row and prompt; "
           "one read of the weights %.1f ms); AND %.2f %% (sum %.3g)\n",
           parallel_threads(), PROMPTS, 1e-6 * (double)l.n_weights, 1e3 * best,
           1e9 * best / (double)(l.n_weights / D * PROMPTS), 1e3 * read, 100 * mask_density(&out),
           sum);
    mask_fini(&out);
    free(w);
    free(norms);
    parallel_stop();
    return 0;
}
