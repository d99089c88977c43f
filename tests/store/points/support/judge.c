#include "tests/store/points/support/judge.h"
#include "tests/store/points/support/work.h"
#include "tests/store/support/office.h"

#include "base/file.h"
#include "base/objects.h"
#include "coordinator/care/care.h"
#include "coordinator/store/vfs.h"

#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- asking the database ---- */

/* The first column of the first row as a number; -1: none. Text other than "ok" goes into said. */
static long long number(sqlite3 *db, const char *sql, char *said)
{
    sqlite3_stmt *st = NULL;
    long long n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        n = sqlite3_column_int64(st, 0);
        if (said) snprintf(said, 200, "%s", (const char *)sqlite3_column_text(st, 0));
    } else if (said) {
        snprintf(said, 200, "%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(st);
    return n;
}

static int sound(sqlite3 *db, const char *what, char line[JUDGE_LINE])
{
    char said[200] = "";

    number(db, "PRAGMA integrity_check", said);
    if (strcmp(said, "ok") != 0) {
        snprintf(line, JUDGE_LINE, "%s: %s", what, said);
        return 0;
    }
    if (number(db, "SELECT count(*) FROM pragma_foreign_key_check", NULL) != 0)
        snprintf(line, JUDGE_LINE, "%s: rows without parents", what);
    else if (number(db, "SELECT count(*) - count(DISTINCT key) FROM jobs", NULL) != 0)
        snprintf(line, JUDGE_LINE, "%s: a job is there twice", what);
    else if (number(db, "SELECT count(*) - count(DISTINCT job) FROM commits", NULL) != 0)
        snprintf(line, JUDGE_LINE, "%s: a job has committed twice", what);
    else return 1;
    return 0;
}

/* ---- promises ---- */

/* A backup is a home to fsck, down to each object. */
static int check_backup(const char *home, unsigned long long jobs, const char *name,
                        char line[JUDGE_LINE])
{
    char path[PATH_MAX], file[PATH_MAX];
    struct care c = {.home = path, .json = 1, .out = json_object(), .lines = json_array()};
    struct err e = {0};
    sqlite3 *db = NULL;
    long long there;

    snprintf(path, sizeof path, "%.3900s/%.60s", home, name);
    snprintf(file, sizeof file, "%.4000s/coordinator.db", path);
    if (care_fsck(&c, &e)) {
        snprintf(line, JUDGE_LINE, "%.40s: %.150s %.100s", name, e.text,
                 json_string_value(json_array_get(c.lines, 0)));
        return 0;
    }
    sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, VFS_NAME);
    there = number(db, "SELECT count(*) FROM jobs", NULL);
    sqlite3_close(db);
    json_decref(c.lines);
    json_decref(c.out);
    if (there >= (long long)jobs) return 1;
    snprintf(line, JUDGE_LINE, "%s: %lld jobs of %llu", name, there, jobs);
    return 0;
}

static int check_row(sqlite3 *db, const char *what, unsigned long long id, const char *hex,
                     char line[JUDGE_LINE])
{
    char sql[400];

    if (strcmp(what, "job") == 0)
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM jobs WHERE id = %llu AND substr(key, 1, 16) = x'%.32s'", id,
                 hex);
    else
        snprintf(sql, sizeof sql, "SELECT count(*) FROM commits WHERE job = %llu AND hash = x'%s'",
                 id, hex);
    if (number(db, sql, NULL) == 1) return 1;
    snprintf(line, JUDGE_LINE, "promised and lost: %s %llu", what, id);
    return 0;
}

static int check_object(struct objects *o, const char *hex, char line[JUDGE_LINE])
{
    struct hash h;
    struct bytes b;
    struct err e;

    if (hash_parse(hex, &h, NULL) == OK && objects_get(o, h, 1 << 20, &b, &e) == OK) {
        free(b.data);
        return 1;
    }
    snprintf(line, JUDGE_LINE, "promised and lost: object %.10s: %.200s", hex, e.text);
    return 0;
}

static int check_word(sqlite3 *db, struct objects *o, const char *home, const char *word,
                      char line[JUDGE_LINE])
{
    unsigned long long id;
    char what[16], rest[80];

    if (sscanf(word, "object %79s", rest) == 1) return check_object(o, rest, line);
    if (sscanf(word, "backup %llu %79s", &id, rest) == 2) return check_backup(home, id, rest, line);
    if (sscanf(word, "%15s %llu %79s", what, &id, rest) == 3)
        return check_row(db, what, id, rest, line);
    snprintf(line, JUDGE_LINE, "a word that nobody knows: %s", word);
    return 0;
}

static int check_words(const char *home, const char *acks, size_t n, char line[JUDGE_LINE])
{
    char path[PATH_MAX], word[200];
    struct objects *o = NULL;
    sqlite3 *db = NULL;
    int well = 1;

    snprintf(path, sizeof path, "%.4000s/objects", home);
    if (objects_open(&o, path, NULL)) return 0;
    snprintf(path, sizeof path, "%.4000s/coordinator.db", home);
    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, VFS_NAME);
    well = sound(db, "coordinator.db", line);
    for (const char *end; well && n && (end = memchr(acks, '\n', n)); acks = end + 1) {
        size_t m = (size_t)(end - acks);
        snprintf(word, sizeof word, "%.*s", (int)m, acks);
        well = check_word(db, o, home, word, line);
        n -= m + 1;
    }
    sqlite3_close(db);
    objects_close(o);
    return well;
}

/* ---- the life that goes on ---- */

static int check_end(const char *home, char line[JUDGE_LINE])
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    long long jobs, open, done, commits;

    snprintf(path, sizeof path, "%.4000s/coordinator.db", home);
    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, VFS_NAME);
    jobs = number(db, "SELECT count(*) FROM jobs", NULL);
    open = number(db, "SELECT count(*) FROM jobs WHERE state < 4", NULL);
    done = number(db, "SELECT count(*) FROM jobs WHERE state = 4", NULL);
    commits = number(db, "SELECT count(*) FROM commits", NULL);
    sqlite3_close(db);
    if (jobs == WORK_OLD_JOBS + WORK_JOBS && !open && done >= 3 + WORK_JOBS &&
        commits >= 3 + WORK_JOBS)
        return 1;
    snprintf(line, JUDGE_LINE, "at the end %lld jobs (%lld open, %lld done) and %lld commits", jobs,
             open, done, commits);
    return 0;
}

static int judge(const char *home, const char *acks, size_t n, int life, char line[JUDGE_LINE])
{
    char path[PATH_MAX];
    struct office o;
    struct err e = {0};
    enum code rc;

    snprintf(path, sizeof path, "%.4000s/coordinator.db", home);
    if (office_open(&o, path, &e)) {
        snprintf(line, JUDGE_LINE, "it does not open: %.300s", e.text);
        return 0;
    }
    if ((rc = core_check(o.core, &e))) snprintf(line, JUDGE_LINE, "core_check: %.300s", e.text);
    office_close(&o);
    if (rc || !check_words(home, acks, n, line)) return 0;
    if (work_run(home, life, -1, &e)) {
        snprintf(line, JUDGE_LINE, "it does not go on: %.300s", e.text);
        return 0;
    }
    return check_words(home, acks, n, line) && check_end(home, line);
}

int judge_home(const char *home, const char *acks, size_t n, int life, char line[JUDGE_LINE])
{
    int ends[2], status = 0;
    pid_t pid;

    line[0] = '\0';
    fflush(stdout);
    if (pipe(ends) || (pid = fork()) < 0) return -1;
    if (pid == 0) {
        char said[JUDGE_LINE] = "";
        int well = judge(home, acks, n, life, said);
        if (!well && write(ends[1], said, JUDGE_LINE) < 0) _exit(3);
        _exit(well ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], line, JUDGE_LINE) < 0) line[0] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    line[JUDGE_LINE - 1] = '\0';
    if (status && !line[0]) snprintf(line, JUDGE_LINE, "the judge died: status %d", status);
    return status != 0;
}
