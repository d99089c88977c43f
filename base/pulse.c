/* pulse.c - who listens. */
#include "base/pulse.h"

static struct {
    void (*beat)(void *self);
    void *self;
} listener; /* set by the main thread between two pieces of work, read by it alone */

void pulse_listen(void (*beat)(void *self), void *self)
{
    listener.beat = beat;
    listener.self = self;
}

void pulse(void)
{
    if (listener.beat) listener.beat(listener.self);
}
