/* progress_bytes.c - a bar over bytes, and signals that stop at the next of them. */
#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR 28
#define REDRAW_S 0.1
#define LINE_S 30.0 /* not on a terminal */

static const int STOPPING[] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction before[3];
static volatile sig_atomic_t stopped;

static void on_stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_bytes_begin(struct progress_bytes *p, const char *what)
{
    struct sigaction handler = {.sa_handler = on_stop};
    const char *term = getenv("TERM");
    *p = (struct progress_bytes){.what = what, .began = now_s()};
    p->said = p->began;
    p->terminal = !cli.json && isatty(2) && !(term && !strcmp(term, "dumb"));
    stopped = 0;
    for (int i = 0; i < 3; i++) sigaction(STOPPING[i], &handler, &before[i]);
}

void progress_bytes_end(struct progress_bytes *p)
{
    if (p->width) fprintf(stderr, "\r%*s\r", p->width, "");
    for (int i = 0; i < 3; i++) sigaction(STOPPING[i], &before[i], NULL);
}

static void draw(struct progress_bytes *p, uint64_t done, uint64_t of, double seconds)
{
    char line[160], bar[BAR + 1], left[32];
    int full = (int)((double)done * BAR / (double)of);
    for (int i = 0; i < BAR; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    cli_duration(done ? seconds * ((double)of / (double)done - 1) : -1, left);
    int n = snprintf(line, sizeof line, "%s [%s] %.0f/%.0f MB  %s left", p->what, bar,
                     (double)done / 1e6, (double)of / 1e6, left);
    if (!p->terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    fprintf(stderr, "\r%s%*s", line, p->width > n ? p->width - n : 0, "");
    p->width = n;
}

int progress_bytes_tick(void *self, uint64_t done, uint64_t of)
{
    struct progress_bytes *p = self;
    double now = now_s();
    if (!cli.json && of && now - p->said >= (p->terminal ? REDRAW_S : LINE_S)) {
        draw(p, done, of, now - p->began);
        p->said = now;
    }
    return stopped;
}
