/* What record.h writes: a line for each request, a fuller one for each answer, and the checker reads them. */
#include "tests/history/record.h"

#include "base/file.h"
#include "proto/proto.h"
#include "tests/tap.h"

#include <sys/wait.h>

static struct record ann, group;

static void said(struct record *r, const struct message *ask, const struct message *answer)
{
    struct record_call c = record_ask(r, ask);
    record_answer(r, &c, answer);
}

static char *whole_file(const char *path)
{
    struct bytes b;
    if (file_read(path, 1 << 20, &b, NULL)) return calloc(1, 1);
    char *s = calloc(1, b.n + 1);
    memcpy(s, b.data, b.n);
    free(b.data);
    return s;
}

static int count(const char *s, const char *what)
{
    int n = 0;
    for (; (s = strstr(s, what)); s++) n++;
    return n;
}

/* ann makes a lineage, learns, looks; a group trains. One answer is lost, one is a refusal. */
static void a_day(void)
{
    struct hash key = hash_bytes("key", 3), commit = hash_bytes("commit", 6), zero = {{0}};
    struct message
        done = {.kind = MSG_done},
        go_on = {.kind = MSG_go_on}, full = {.kind = MSG_refused, .refused.code = ERR_FULL},
        create = {.kind = MSG_lineage_create,
                  .lineage_create = {.name = "pets", .key = hash_bytes("k0", 2)}},
        learn = {.kind = MSG_learn,
                 .learn = {.lineage = "pets", .token = "<\"rex\\\n>", .key = key}},
        accepted = {.kind = MSG_accepted, .accepted.job = 1}, ready = {.kind = MSG_ready},
        stage = {.kind = MSG_stage, .stage = {.job = 1, .stage = STAGE_TRAIN, .epoch = 7}},
        beat = {.kind = MSG_heartbeat, .heartbeat = {.job = 1, .stage = STAGE_TRAIN, .epoch = 7}},
        result = {.kind = MSG_result,
                  .result = {.job = 1, .stage = STAGE_TRAIN, .epoch = 7, .outputs = {1, &commit}}},
        job = {.kind = MSG_job, .job.job = 1}, queue = {.kind = MSG_queue},
        log = {.kind = MSG_log, .log.lineage = "pets"}, list = {.kind = MSG_lineage_list},
        ping = {.kind = MSG_ping};
    struct job_row row = {
        .job = 1, .kind = JOB_LEARN, .state = JOB_DONE, .lineage = "pets", .commit = commit};
    struct commit_row link = {.number = 1, .commit = commit, .parent = zero, .job = 1};
    struct lineage_row pets = {.name = "pets", .head = commit, .n_commits = 1};
    struct message info = {.kind = MSG_job_info, .job_info.rows = {1, &row}},
                   jobs = {.kind = MSG_jobs, .jobs = {.rows = {1, &row}, .total = 1}},
                   commits = {.kind = MSG_commits, .commits = {.rows = {1, &link}, .total = 1}},
                   lineages = {.kind = MSG_lineages, .lineages.rows = {1, &pets}};

    said(&ann, &ping, &done);
    said(&ann, &create, &full);
    said(&ann, &create, &done);
    said(&ann, &learn, NULL);
    said(&ann, &learn, &accepted);
    said(&group, &ready, &stage);
    said(&group, &beat, &go_on);
    said(&group, &result, NULL);
    said(&group, &result, &done);
    said(&ann, &job, &info);
    said(&ann, &queue, &jobs);
    said(&ann, &log, &commits);
    said(&ann, &list, &lineages);
    row.state = JOB_RUNNING;
    said(&ann, &job, &info);
}

static void checker_reads(const char *path)
{
    char command[800];

    if (system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null") != 0) {
        skip("no python3", "the checker reads what was written");
        return;
    }
    snprintf(command, sizeof command,
             "PYTHONDONTWRITEBYTECODE=1 python3 tests/history/check.py %s >%s.said", path, path);
    int rc = system(command);
    snprintf(command, sizeof command, "%s.said", path);
    char *verdict = whole_file(command);
    ok(WIFEXITED(rc) && WEXITSTATUS(rc) == 1 && count(verdict, "comes before the next") == 1,
       "the checker reads it, and sees that a job that was done runs again");
    note("%.300s", verdict);
    free(verdict);
}

int main(void)
{
    char path[300];

    snprintf(path, sizeof path, "%s/history.jsonl", tap_folder());
    record_open(&ann, path, "ann-1", "ann");
    record_open(&group, path, "group-1", "");
    a_day();
    record_close(&ann);
    record_close(&group);

    char *text = whole_file(path);
    is_int(count(text, "\n"), 13 + 11,
           "a line for each request that matters and one for each answer");
    is_int(count(text, "\"back\":null"), 13, "those of requests have no answer");
    is_int(count(text, "ping"), 0, "a ping leaves none");
    ok(strstr(text, "\"ask\":\"learn\",\"key\":"
                    "\"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683\","
                    "\"lineage\":\"pets\",\"token\":\"<\\\"rex\\\\\\u000a>\",\"body\":\"") != NULL,
       "a request says what it asks for, fit for JSON");
    ok(strstr(text, "\"answer\":\"refused\",\"code\":\"full\"}\n") != NULL,
       "a refusal has its code");
    ok(strstr(text, ",\"complete\":true}\n") != NULL, "a whole list says so");
    free(text);
    checker_reads(path);
    return done_testing();
}
