/* campaign.h - very many worlds, in the background, for hours: what was done is written down after each hundred, and a second call goes on
 * where the first one stopped, or was killed. Several processes may each take a range of seeds of their own.
 *
 *     campaign("build/campaign", 1, 10000, 10000, "/dev/shm/worlds");
 *
 * The folder gets one file for the range, `seeds-1-10000.txt`: a line for each hundred seeds with what was counted, a line for each violation.
 */
#ifndef TESTS_SIMULATION_CAMPAIGN_H
#define TESTS_SIMULATION_CAMPAIGN_H

#include <stdint.h>

/* Worlds first .. first+count-1 with `events` each; databases lie in `databases` (NULL: none on the real store). The exit status of
 * a program: 0 when no world broke. */
int campaign(const char *folder, uint64_t first, uint64_t count, uint64_t events, const char *databases);

#endif
