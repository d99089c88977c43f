/* dice.h - all chance of a simulated world, from one seed.
 *
 * Numbers are counted, not drawn from one stream: the n-th throw of an actor depends on the seed, the actor and n alone. So when a
 * fault is left out of a replay, the dice of everybody else fall as before, and a story can be shortened fault by fault.
 */
#ifndef TESTS_SIMULATION_DICE_H
#define TESTS_SIMULATION_DICE_H

#include <stdint.h>

/* What goes wrong on purpose. FAULT(name, what happened, for people) */
#define FAULT_LIST                                                                                 \
    FAULT(drop, "a message is lost")                                                               \
    FAULT(doubled, "a message comes twice")                                                        \
    FAULT(late, "a message comes up to 40 s late, behind others")                                  \
    FAULT(corrupt, "bits of a message flip")                                                       \
    FAULT(kill_before, "the coordinator dies before its transaction")                              \
    FAULT(kill_during, "the coordinator or the disk dies in the transaction: there or not")        \
    FAULT(kill_after, "the coordinator dies between the transaction and the first answer")         \
    FAULT(kill_between, "the coordinator dies between two answers")                                \
    FAULT(disk_refuses, "the disk is full or broken: nothing of a batch is there")                 \
    FAULT(no_memory, "memory runs out in the middle of a step")                                    \
    FAULT(no_memory_to_load, "memory runs out while the database is read")                         \
    FAULT(disk_blind, "the database cannot be read for a while")                                   \
    FAULT(clock_stands, "the coordinator's clock stands still")                                    \
    FAULT(clock_leaps, "the coordinator's clock leaps ahead by hours")                             \
    FAULT(clock_back, "a new coordinator begins with a clock that was set back")                   \
    FAULT(group_dies, "a worker group dies")                                                       \
    FAULT(group_sleeps, "a worker group is stopped, perhaps past its lease, and goes on")          \
    FAULT(group_fails, "a stage ends badly")                                                       \
    FAULT(false_good, "a stage calls itself done and gives nothing, or what was there before")     \
    FAULT(unseen, "the launcher does not see a death: a corpse that runs")                         \
    FAULT(false_death, "the launcher reports the death of a group that lives")                     \
    FAULT(late_death, "the launcher reports a death when the next group is there")                 \
    FAULT(second_start, "a batch system starts a group again, with the same nonce")                \
    FAULT(twin, "a batch system starts a group again while the first lives, with the same nonce")  \
    FAULT(impostor, "another group says what only the holder of the lease may say")                \
    FAULT(lost_start, "a batch system forgets a group that it promised to start")

enum fault {
#define FAULT(name, text) FAULT_##name,
    FAULT_LIST
#undef FAULT
    FAULTS
};

extern const char *const fault_names[FAULTS], *const fault_texts[FAULTS];

/* Three numbers and a seed to one, evenly: two rounds of a well-known finaliser. */
static inline uint64_t dice_mix(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t z = seed + a * 0x9e3779b97f4a7c15u + b * 0xd1b54a32d192ed03u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    z = (z ^ z >> 29) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 32;
}

/* Somebody with dice: a user, a group, the coordinator. */
struct dice { uint64_t seed, who; uint32_t thrown, tried[FAULTS]; };

static inline uint64_t dice_next(struct dice *d)
{
    return dice_mix(d->seed, d->who, d->thrown++);
}

/* 0..bound-1; bound > 0 and small beside 2^32, so that all are as likely as makes no difference. */
static inline uint64_t dice_roll(struct dice *d, uint64_t bound)
{
    return (dice_next(d) >> 32) * bound >> 32;
}

#endif
