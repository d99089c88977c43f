/* What squeue and sbatch print, also when they should not: cut off, other people's jobs, words that nobody has seen. */
#include "coordinator/launch/squeue.h"
#include "tests/tap.h"

#include <stdlib.h>

#define HOME 0x1a2b3c4du
#define OURS "engram-1a2b3c4d-g1-5e6f7a8b"

static struct squeue q;
static struct err e;

static enum code reads(const char *text)
{
    squeue_fini(&q);
    return squeue_read(&q, text, strlen(text), HOME, &e);
}

/* The state in which a job of ours is seen, or -1: the answer is none. */
static int state_in(const char *text)
{
    const struct squeue_row *r;
    if (reads(text)) return -1;
    r = squeue_find(&q, OURS);
    return r ? (int)r->state : SQUEUE_ABSENT;
}

static void test_names(void)
{
    char name[SQUEUE_NAME];
    uint32_t home;
    int number;

    squeue_name_make(name, HOME, 12, 0x00000abc);
    is_str(name, "engram-1a2b3c4d-g12-00000abc", "a name is made");
    ok(squeue_name_read(name, strlen(name), &home, &number) && home == HOME && number == 12,
       "and taken apart again");
    static const char *const others[] = {"",
                                         "engram",
                                         "engram-worker",
                                         "engram-1a2b3c4d",
                                         "engram-1a2b3c4d-g-5e6f7a8b",
                                         "engram-1a2b3c4d-g0-5e6f7a8b",
                                         "engram-1a2b3c4d-g01-5e6f7a8b",
                                         "engram-1A2B3C4D-g1-5e6f7a8b",
                                         "engram-1a2b3c4d-g1-5e6f7a8",
                                         "engram-1a2b3c4d-g1-5e6f7a8bc",
                                         "engram-1a2b3c4d-g1234567-5e6f7a8b",
                                         "engram-1a2b3c4d-g1-5e6f7a8b ",
                                         "engram-1a2b3c4d-g1-5e6f7a8b-extra-extra-extra-extra",
                                         "%j"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ok(!squeue_name_read(others[i], strlen(others[i]), &home, &number),
           "`%s` is no name of ours", others[i]);
}

static void test_states(void)
{
    is_int(state_in(""), SQUEUE_ABSENT, "an empty answer is an answer: no job is there");
    is_int(state_in(OURS "|17|PENDING|Priority\n"), SQUEUE_WAITING, "pending waits");
    is_int(state_in(OURS "|17|RUNNING|None\n"), SQUEUE_RUNNING, "running runs");
    is_int(state_in(OURS "|17|CONFIGURING|None\n"), SQUEUE_RUNNING,
           "a node that boots counts as running");
    is_int(state_in(OURS "|17|COMPLETING|None\n"), SQUEUE_ENDING, "completing ends");
    is_int(state_in(OURS "|17|PENDING|JobHeldUser\n"), SQUEUE_HELD, "held by somebody");
    is_int(state_in(OURS "|17|PENDING|launch failed requeued held\n"), SQUEUE_HELD,
           "held by Slurm");
    is_int(state_in(OURS "|17|PENDING|DependencyNeverSatisfied\n"), SQUEUE_HELD, "never to start");
    is_int(state_in(OURS "|17|REQUEUE_HOLD|\n"), SQUEUE_HELD, "requeued and held");
    is_int(state_in(OURS "|17|HIBERNATING|Winter\n"), SQUEUE_WAITING,
           "a state that nobody has seen: listed, so not gone");
    is_int(state_in(OURS "|17|RUNNING|None\n" OURS "|17|COMPLETING|None\n"), SQUEUE_RUNNING,
           "twice in the list: the more alive one counts");
    is_int(state_in(OURS "|17|COMPLETING|None\n" OURS "|18|PENDING|\n"), SQUEUE_WAITING,
           "in either order");
}

static void test_strangers(void)
{
    is_int(state_in("bash|1|RUNNING|None\n" OURS "|17|RUNNING|None\nx|y\n|||\n\n%j|%i|%T|%r\n"),
           SQUEUE_RUNNING, "ours is found among odd ones");
    is_int((int)q.n, 1, "and they are not kept");
    is_int(state_in("engram-99999999-g1-5e6f7a8b|17|RUNNING|None\n"), SQUEUE_ABSENT,
           "another home's is not ours");
    is_int(state_in("x|" OURS "|17|RUNNING|None\n"), SQUEUE_ABSENT,
           "a name in the wrong place is no name");
    is_int(state_in("a " OURS "|17|RUNNING|None\n"), SQUEUE_ABSENT,
           "nor is one with something before it");
    is_int(state_in(OURS "|1042_[1-5%2]|PENDING|JobArrayTaskLimit\n"), SQUEUE_WAITING,
           "an array's number is a text");
    is_str(squeue_find(&q, OURS)->id, "1042_[1-5%2]", "and is kept as it is");
    is_int(state_in(OURS "|123456789012345678901234567890|RUNNING|None\n"), SQUEUE_RUNNING,
           "an endless number");
    is_int((int)strlen(squeue_find(&q, OURS)->id), SQUEUE_ID - 1, "is cut");
    is_int(state_in(OURS "|17|PENDING|a reason with | bars | and \xff bytes\n"), SQUEUE_WAITING,
           "a reason may hold anything");
}

static void test_refusals(void)
{
    is_int(state_in(OURS "|17|RUNN"), -1, "an answer that is cut off says nothing");
    is_int(state_in("bash|1|RUNNING|None\n" OURS "|17|RUNNING|None"), -1,
           "not even that ours is there");
    is_int(state_in("slurm_load_jobs error: Unable to contact slurm controller"), -1,
           "an error is no answer");
    is_int(state_in(OURS "\n"), -1, "a job of ours without fields");
    is_int(state_in(OURS "|17\n"), -1, "with too few");
    is_int(state_in(OURS "||RUNNING|None\n"), -1, "with an empty one");
    is_code(squeue_read(&q, "a\0b\n", 4, HOME, &e), ERR_PROTOCOL, &e, "zero bytes");
    ok(e.text[0] && q.n == 0, "and a refusal says why: %s", e.text);
}

static void test_huge(void)
{
    enum { LINES = 100000 };
    static const char line[] = "somebody's job|1234567_8|PENDING|Resources\n";
    char *text = malloc(LINES * (sizeof line - 1) + 64), *at = text;

    for (int i = 0; i < LINES; i++) at = memcpy(at, line, sizeof line - 1), at += sizeof line - 1;
    at += sprintf(at, OURS "|17|RUNNING|None\n");
    *at = '\0';
    is_int(state_in(text), SQUEUE_RUNNING, "one of ours behind a hundred thousand others");
    free(text);
}

static void test_submitted(void)
{
    char id[SQUEUE_ID];

    is_code(squeue_read_submitted("1042\n", 5, id, &e), OK, &e, "a number");
    is_str(id, "1042", "is kept");
    is_code(squeue_read_submitted("7;cluster\n", 10, id, &e), OK, &e, "a number and a cluster");
    is_str(id, "7", "of which the number is kept");
    static const char *const none[] = {
        "", "\n", "1042", "Submitted batch job 7\n", "12a\n", "999999999999999999999999999\n"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        is_code(squeue_read_submitted(none[i], strlen(none[i]), id, &e), ERR_PROTOCOL, &e,
                "no number");
}

int main(void)
{
    test_names();
    test_states();
    test_strangers();
    test_refusals();
    test_huge();
    test_submitted();
    squeue_fini(&q);
    return done_testing();
}
