/* count.c - histograms with fixed bounds. */
#include "coordinator/web/web.h"

/* A batch has at most 256 messages. A transaction is a sync of the disk: tenths of a millisecond to seconds. */
const double WEB_MESSAGES[WEB_BUCKETS] = {1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 224, 256};
const double WEB_SECONDS[WEB_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                         0.05,   0.1,   0.25,   0.5,   1,    5};

void web_observe(struct web_histogram *h, double value)
{
    int i = 0;
    while (i < WEB_BUCKETS && value > h->bounds[i]) i++;
    h->n[i]++;
    h->sum += value;
}
