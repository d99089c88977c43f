/* agenda.h - what happens when, in virtual ms: a heap of small entries. Of two at the same moment the one that was written down
 * first happens first. An entry is not taken out when it is no longer true: it carries a stamp, and who wrote it down compares.
 */
#ifndef TESTS_SIMULATION_AGENDA_H
#define TESTS_SIMULATION_AGENDA_H

#include <stddef.h>
#include <stdint.h>

struct entry { int64_t at_ms; uint64_t order; uint32_t what, who; uint64_t stamp; };

struct agenda { struct entry *heap; size_t n, room; uint64_t order; };

void agenda_add(struct agenda *a, int64_t at_ms, uint32_t what, uint32_t who, uint64_t stamp);
int agenda_next(struct agenda *a, struct entry *out);      /* 0: nothing is left */
void agenda_fini(struct agenda *a);

#endif
