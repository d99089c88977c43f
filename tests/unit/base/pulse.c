/* pulse.c - long work passes a pulse often, on the thread that called for it and on no other. */
#include "base/pulse.h"
#include "base/parallel.h"
#include "tests/tap.h"

#include <pthread.h>

static pthread_t main_thread;
static int beats, elsewhere;

static void beat(void *self)
{
    *(int *)self += 1;
    elsewhere += !pthread_equal(pthread_self(), main_thread);
}

static void tile(void *args, long i)
{
    ((volatile long *)args)[i] = i;
}

int main(void)
{
    long done[64];
    main_thread = pthread_self();
    pulse();
    for (int threads = 1; threads <= 3; threads += 2) {
        parallel_start(threads);
        beats = 0;
        pulse_listen(beat, &beats);
        for (int round = 0; round < 50; round++) parallel_for(64, tile, done);
        pulse_listen(NULL, NULL);
        if (threads == 1) is_int(beats, 50 * 64, "one thread shows every tile");
        else
            ok(beats >= 50 && beats <= 50 * 65, "of %d threads one shows every piece of work: %d",
               threads, beats);
        parallel_stop();
    }
    is_int(elsewhere, 0, "no other thread ever calls the listener");
    pulse();
    ok(beats > 0, "a pulse that nobody hears is nothing");
    return done_testing();
}
