/* The Slurm launcher beside a Slurm played by three scripts, in time that the test makes: what is promised, what is believed, what is
 * ended. The scripts keep their jobs in a file that the test changes behind the launcher's back. */
#include "base/file.h"
#include "coordinator/launch/launcher.h"
#include "coordinator/launch/site.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TURN_MS = 200, START_MS = 1700000000 };

static char folder[200], jobs[300], groups[300];
static const struct launcher_table *table;
static struct launcher *l;
static struct site site;
static struct launch_options options;
static struct launch_want want;
static struct launch_seen seen[8];
static int64_t now;
static struct hash lost[64];
static int n_lost;
static int hangs; /* one of the scripts does: do not wait for it */
static struct err e;

/* ---- the scripts ---- */

/* mode.PROGRAM: absent: as it should be; fail, cut, hang. calls: one line per call. */
static const char SBATCH[] =
    "echo \"sbatch $*\" >>calls\n"
    "[ \"$mode\" != fail ] || { echo 'sbatch: error: invalid partition specified: gpu' >&2; exit "
    "1; }\n"
    "read -r id <id; id=$((id + 1)); echo $id >id\n"
    "for w; do case $w in --job-name=*) name=${w#*=} ;; esac; done\n"
    "echo \"$name|$id|PENDING|Priority\" >>jobs\n"
    "[ \"$mode\" != silent ] || { echo 'sbatch: error: Socket timed out' >&2; exit 1; }\n"
    "echo $id\n";
static const char SQUEUE[] =
    "echo \"squeue $*\" >>calls\n"
    "[ \"$mode\" != fail ] || { echo 'slurm_load_jobs error: no controller' >&2; exit 1; }\n"
    "[ \"$mode\" != cut ] || { printf 'engram-'; exit 0; }\n"
    "while read -r line; do echo \"$line\"; done <jobs\n";
static const char SCANCEL[] =
    "echo \"scancel $*\" >>calls\n"
    "for name; do :; done\n"
    "[ \"$mode\" = deaf ] || { grep -v \"^$name|\" jobs >jobs.new; mv jobs.new jobs; }\n";

static void put(const char *name, const char *text)
{
    char path[400];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if ((f = fopen(path, "w"))) {
        fputs(text, f);
        fclose(f);
    }
}

static void script(const char *name, const char *body)
{
    char text[2000], path[400];
    snprintf(text, sizeof text,
             "#!/bin/sh\ncd '%s'\n[ ! -f mode.%s ] || read -r mode <mode.%s\n"
             "[ \"$mode\" != hang ] || exec sleep 1000\n%s",
             folder, name, name, body);
    snprintf(path, sizeof path, "bin/%s", name);
    put(path, text);
    snprintf(path, sizeof path, "%s/bin/%s", folder, name);
    chmod(path, 0755);
}

static void mode(const char *program, const char *how)
{
    char name[100], line[40];
    snprintf(name, sizeof name, "mode.%s", program);
    snprintf(line, sizeof line, "%s\n", how);
    put(name, line);
    hangs = !strcmp(how, "hang");
}

/* Calls so far that begin with text. */
static int calls(const char *text)
{
    char path[300], line[4000];
    int n = 0;
    snprintf(path, sizeof path, "%s/calls", folder);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) n += !strncmp(line, text, strlen(text));
    if (f) fclose(f);
    return n;
}

/* ---- jobs as the scripts have them ---- */

/* The name of the newest job that is listed; "" without one. */
static const char *newest(void)
{
    static char line[300];
    char next[300];
    FILE *f = fopen(jobs, "r");
    line[0] = '\0';
    while (f && fgets(next, sizeof next, f)) memcpy(line, next, sizeof line);
    if (f) fclose(f);
    line[strcspn(line, "|\n")] = '\0';
    return line;
}

static void list(const char *name, const char *rest)
{
    char text[400];
    snprintf(text, sizeof text, "%s|%s\n", name, rest);
    put("jobs", text);
}

static int count_files(const char *suffix)
{
    DIR *d = opendir(groups);
    int n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        size_t length = strlen(f->d_name), tail = strlen(suffix);
        n += length > tail && !strcmp(f->d_name + length - tail, suffix);
    }
    if (d) closedir(d);
    return n;
}

/* ---- time ---- */

static void turn(void)
{
    struct hash gone[LAUNCH_LOST];
    int n;
    siginfo_t info;

    table->poll(l, now, &want, gone, &n);
    for (int i = 0; i < n && n_lost < 64; i++) lost[n_lost++] = gone[i];
    if (hangs) usleep(2000);
    /* A script that was started here is over before time goes on. */
    while (!hangs && waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0) {
        table->poll(l, now, &want, gone, &n);
        for (int i = 0; i < n && n_lost < 64; i++) lost[n_lost++] = gone[i];
    }
}

static void pass(int64_t ms)
{
    for (int64_t until = now + ms; now < until; now += TURN_MS) {
        for (size_t i = 0; i < want.n_seen; i++)
            seen[i].seen_ms = now; /* they are heard as long as they stand there */
        turn();
    }
}

static struct hash nonce(const char *of)
{
    return hash_bytes(of, strlen(of));
}

static int was_lost(const char *of)
{
    for (int i = 0; i < n_lost; i++)
        if (hash_equal(lost[i], nonce(of))) return 1;
    return 0;
}

/* A start of the group of that name says hello, and is heard from then on. */
static int hello(const char *name, const char *start)
{
    static char names[8][64];
    int yes = table->knows(l, name, nonce(start), now);
    size_t i = want.n_seen;
    if (!yes) return 0;
    snprintf(names[i], sizeof names[i], "%s", name);
    seen[i] = (struct launch_seen){.name = names[i], .nonce = nonce(start), .seen_ms = now};
    want.n_seen++;
    return 1;
}

static void backlog(size_t ready, size_t leased)
{
    want.ready = ready;
    want.leased = leased;
}

/* ---- a fresh world ---- */

static void open_launcher(void)
{
    if (table->open(&l, &options, &e)) note("%s", e.text);
}

static void begin(int min, int max)
{
    char text[1000];
    if (l) table->close(l);
    snprintf(text, sizeof text, "rm -rf '%s'/mode.* '%s'/groups '%s'/jobs.new", folder, folder,
             folder);
    if (system(text)) note("%s", text);
    put("jobs", "");
    put("calls", "");
    hangs = n_lost = 0;
    want = (struct launch_want){.seen = seen};
    options.min_groups = min;
    options.max_groups = max;
    options.idle_ms = 20000;
    open_launcher();
}

static void prepare(void)
{
    char text[5000];
    snprintf(folder, sizeof folder, "%s/slurm-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid());
    snprintf(jobs, sizeof jobs, "%s/jobs", folder);
    snprintf(groups, sizeof groups, "%s/groups", folder);
    snprintf(text, sizeof text, "%s/bin", folder);
    file_make_dirs(text, &e);
    script("sbatch", SBATCH);
    script("squeue", SQUEUE);
    script("scancel", SCANCEL);
    put("id", "1000\n");
    const char *path = getenv("PATH");
    snprintf(text, sizeof text, "%s/bin:%s", folder, path ? path : "");
    setenv("PATH", text, 1);
    setenv("SQUEUE_STATES", "COMPLETED", 1);
    table = launcher_slurm();
    site_defaults(&site, &e);
    site.worker = "/bin/true";
    options =
        (struct launch_options){.home = folder, .endpoint = "ipc:///x", .ranks = 2, .site = &site};
    now = START_MS;
}

/* ---- what must hold ---- */

static void test_day(void)
{
    char name[64];

    begin(0, 4);
    pass(10000);
    is_int(calls("sbatch"), 0, "without work nothing is submitted");
    backlog(1, 0);
    pass(3000);
    is_int(calls("sbatch"), 1, "one stage is one group");
    is_int(count_files(".group"), 1, "and one promise on the disk");
    ok(!strncmp(newest(), "engram-", 7), "its name is ours: %s", newest());
    pass(20000);
    is_int(calls("sbatch"), 1, "while it waits in Slurm no other is submitted");
    ok(strstr(table->trouble(l), "waits in Slurm: Priority") != NULL, "and people hear why: %s",
       table->trouble(l));
    snprintf(name, sizeof name, "%s", newest());
    list(name, "1001|RUNNING|None");
    pass(3000);
    ok(hello(name, "a"), "its hello is welcome");
    seen[0].leased = 1;
    backlog(0, 1);
    pass(40000);
    is_str(table->trouble(l), "", "a group that works is no trouble");
    is_int(calls("sbatch") * 10 + n_lost, 10, "it is the only one, and is there");
    seen[0].leased = 0;
    backlog(0, 0);
    pass(15000);
    ok(table->knows(l, NULL, nonce("a"), now), "without work it may stay a while");
    pass(8000);
    ok(!table->knows(l, NULL, nonce("a"), now), "then it is told to leave when it asks");
    ok(!table->knows(l, name, nonce("a"), now), "and if it says hello");
    want.n_seen = 0;
    list("somebody's job", "1001|RUNNING|None");
    pass(12000);
    is_int(calls("scancel"), 0, "it left by itself, and nobody was ended");
    is_int(count_files(".group"), 0, "no promise is left");
    ok(was_lost("a"), "the coordinator has heard that it is gone");
}

static void test_backlog(void)
{
    begin(0, 3);
    backlog(7, 0);
    pass(6000);
    is_int(calls("sbatch"), 3, "a large backlog starts as many as are allowed");
    backlog(1, 0);
    pass(15000);
    is_int(calls("scancel"), 0, "those that wait are kept for a while");
    pass(22000);
    is_int(calls("scancel"), 2, "and ended when there is nothing for them");
    is_int(count_files(".group"), 1, "but one");
    begin(2, 3);
    pass(6000);
    is_int(calls("sbatch"), 2, "the least number is there without work");
    pass(30000);
    is_int(calls("sbatch") * 10 + calls("scancel"), 20, "and stays");
}

static void test_acknowledged_and_lost(void)
{
    char name[64];
    int64_t since;

    begin(0, 4);
    backlog(1, 0);
    pass(1000);
    snprintf(name, sizeof name, "%s", newest());
    list("somebody's job",
         "1001|RUNNING|None"); /* the controller forgot it, and gave its number away */
    put("id", "1000\n");
    since = now;
    while (calls("sbatch") < 2 && now - since < 60000) pass(TURN_MS);
    ok(now - since >= 2500 && now - since <= 5000,
       "a job that was acknowledged and never listed is replaced after %d ms", (int)(now - since));
    ok(strcmp(newest(), name) != 0, "under another name");
    is_int(calls("scancel"), 0, "whoever has its number now is left alone");
    list(name, "1001|RUNNING|None");
    pass(3000);
    ok(!hello(name, "late"), "when the lost one turns up after all, it is told to leave");
    pass(3000);
    is_int(calls("scancel --user"), 1, "and ended by its name");

    begin(0, 4);
    backlog(1, 0);
    pass(3000);
    put("jobs", "");
    since = now;
    while (calls("sbatch") < 2 && now - since < 60000) pass(TURN_MS);
    ok(now - since <= 3000, "one that was listed before, after %d ms", (int)(now - since));
}

/* Time goes on while a script hangs, until it has been ended. */
static void recover(void)
{
    siginfo_t info;
    put("mode.squeue", "\n");
    pass(24000);
    while (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) == 0) turn();
    hangs = 0;
}

static void test_unknown(void)
{
    static const char *const how[] = {"fail", "cut", "hang"};
    char name[64];

    for (int i = 0; i < 3; i++) {
        begin(0, 4);
        backlog(1, 0);
        pass(3000);
        snprintf(name, sizeof name, "%s", newest());
        list(name, "1001|RUNNING|None");
        pass(3000);
        hello(name, "a");
        pass(1000);
        mode("squeue", how[i]);
        put("jobs", "");
        want.n_seen = 0; /* it is silent, too, which would be the end of it if squeue agreed */
        pass(i == 2 ? 34000 : 13000);
        backlog(5, 1);
        pass(i == 2 ? 60000 : 20000);
        is_int(calls("sbatch"), 1, "squeue %ss: nothing is started", how[i]);
        is_int(n_lost, 0, "and nothing is lost");
        is_int(count_files(".group"), 1, "and nothing is given up");
        ok(strstr(table->trouble(l), "squeue has not answered for") != NULL,
           "and people hear of it: %s", table->trouble(l));
        if (hangs) recover();
    }
}

static void test_refused(void)
{
    begin(0, 4);
    mode("sbatch", "fail");
    backlog(1, 0);
    pass(100000);
    ok(calls("sbatch") >= 3 && calls("sbatch") <= 7,
       "sbatch that refuses is asked less and less: %d times in 100 s", calls("sbatch"));
    is_str(table->trouble(l), "sbatch: sbatch: error: invalid partition specified: gpu",
           "with its own words for people");
    ok(count_files(".group") <= 1, "one promise at a time");
    mode("sbatch", "");
    pass(50000);
    ok(strstr(table->trouble(l), "waits in Slurm") != NULL, "when it takes one, that is over");

    begin(0, 4);
    mode("sbatch", "silent");
    backlog(1, 0);
    pass(14000);
    is_int(calls("sbatch"), 1, "a job that was taken without a word is found by its name");
}

static void test_starts_again(void)
{
    char name[64];

    begin(0, 4);
    backlog(1, 0);
    pass(3000);
    snprintf(name, sizeof name, "%s", newest());
    list(name, "1001|RUNNING|None");
    pass(3000);
    hello(name, "first");
    seen[0].leased = 1;
    backlog(0, 1);
    pass(5000);
    ok(hello(name, "second"), "a start that Slurm did not tell of is welcome");
    pass(TURN_MS);
    ok(was_lost("first"), "the earlier one has lost its leases");
    ok(!table->knows(l, name, nonce("first"), now) && !table->knows(l, NULL, nonce("first"), now),
       "and is told to leave, if it lives");
    ok(table->knows(l, NULL, nonce("second"), now), "the later one goes on");
    is_int(calls("sbatch"), 1, "and is not replaced");

    want.n_seen = 0;
    list(name, "1001|PENDING|BeginTime");
    pass(8000);
    ok(was_lost("second"), "a group that was requeued has lost its leases");
    is_int(calls("sbatch"), 1, "and its name");
    list(name, "1001|RUNNING|None");
    pass(3000);
    ok(hello(name, "third"), "with which it comes back");
}

static void test_corpse(void)
{
    char name[64];
    int64_t since;

    begin(0, 4);
    backlog(1, 0);
    pass(3000);
    snprintf(name, sizeof name, "%s", newest());
    list(name, "1001|RUNNING|None");
    pass(3000);
    hello(name, "a");
    pass(5000);
    want.n_seen = 0;
    since = now;
    while (calls("sbatch") < 2 && now - since < 60000) pass(TURN_MS);
    ok(now - since <= 12000,
       "a group that Slurm calls running, and that is silent, is replaced after %d ms",
       (int)(now - since));
    is_int(calls("scancel"), 0, "it is not ended yet");
    is_int(table->knows(l, NULL, nonce("a"), now), 1, "and may come back");
    pass(65000);
    is_int(calls("scancel"), 1, "after a minute it is ended, by name");
    ok(strstr(newest(), name) == NULL, "and no other");

    mode("scancel", "deaf");
    begin(0, 1);
    backlog(1, 0);
    pass(3000);
    snprintf(name, sizeof name, "%s", newest());
    list(name, "1001|PENDING|JobHeldAdmin");
    pass(10000);
    is_int(calls("sbatch"), 2, "a job that somebody holds does not count, and another is tried");
    pass(16000);
    is_int(calls("sbatch"), 2, "but not a third beside them");
}

static void test_restart(void)
{
    char name[64], path[400];

    begin(0, 4);
    backlog(1, 0);
    pass(3000);
    snprintf(name, sizeof name, "%s", newest());
    list(name, "1001|RUNNING|None");
    pass(1000);
    table->close(l);
    open_launcher();
    ok(table->knows(l, name, nonce("a"), now), "a new coordinator knows the group of the last one");
    hello(name, "a");
    pass(14000);
    is_int(calls("sbatch"), 1, "and submits no second");
    is_int(n_lost, 0, "and loses none");

    table->close(l);
    snprintf(path, sizeof path, "groups/%s.group", name);
    put(path, "engram gro\377");
    open_launcher();
    pass(14000);
    is_int(calls("sbatch"), 1, "not even if the promise is damaged");

    table->close(l);
    want.n_seen = 0;
    put("jobs", "");
    open_launcher();
    pass(9000);
    is_int(calls("sbatch"), 1, "what is not listed may be on its way");
    pass(6000);
    is_int(calls("sbatch"), 2, "for ten seconds");

    backlog(0, 0);
    list("somebody's job", "1|RUNNING|None");
    snprintf(path, sizeof path, "%.15s-g9-00000000", name);
    list(path, "7|RUNNING|None");
    pass(3000);
    is_int(calls("scancel"), 1, "a job of our name that nobody promised is ended");
    is_str(newest(), "", "by name");
    list("engram-00000000-g9-00000000", "7|RUNNING|None");
    pass(12000);
    ok(newest()[0], "one of another home is not");
}

static void test_stop(void)
{
    char name[64];
    int64_t since;

    begin(0, 4);
    backlog(2, 0);
    pass(5000);
    snprintf(name, sizeof name, "%s", newest());
    char text[400];
    snprintf(text, sizeof text, "%s|1002|RUNNING|None\n", name);
    FILE *f = fopen(jobs, "r+");
    char line[300] = "";
    if (f && fgets(line, sizeof line, f)) {
        fseek(f, 0, SEEK_CUR);
        fputs(text, f);
        fclose(f);
    }
    pass(3000);
    hello(name, "a");
    want.stopping = 1;
    pass(3000);
    is_int(calls("scancel"), 1, "when the coordinator stops, what waits in Slurm is ended");
    ok(table->running(l) > 0, "what runs is waited for");
    since = now;
    while (table->running(l) && now - since < 60000) {
        table->stop(l, now);
        pass(TURN_MS);
    }
    is_int(calls("scancel"), 2, "and ended when it does not leave");
    ok(now - since <= 8000, "after %d ms", (int)(now - since));
    is_int(calls("sbatch"), 2, "nothing is started meanwhile");
    table->close(l);
    l = NULL;
    is_int(count_files(".group"), 0, "and no promise is left");
}

static void test_rate(void)
{
    begin(0, 4);
    backlog(4, 0);
    pass(40000);
    ok(calls("squeue") <= 21, "squeue is asked at most every two seconds: %d times in 40 s",
       calls("squeue"));
    is_int(calls("squeue --noheader --format=%j|%i|%T|%r --user"), calls("squeue"),
           "for all groups at once");
    is_int(calls("sbatch --parsable --job-name=engram-"), 4, "and sbatch by name");
}

/* Slurm lists a job that it will start again as COMPLETING first. */
static void test_stop_comes_back(void)
{
    char name[64];

    begin(0, 1);
    backlog(1, 0);
    pass(3000);
    snprintf(name, sizeof name, "%s", newest());
    list(name, "1001|RUNNING|None");
    hello(name, "a");
    pass(3000);
    mode("scancel", "deaf"); /* the list stays as it is */
    table->stop(l, now);
    list(name, "1001|COMPLETING|None");
    want.n_seen = 0;
    ok(table->running(l) > 0, "what is ending when the coordinator stops may come back");
    pass(6000);
    is_int(calls("scancel"), 1, "so it is cancelled, once");
    is_int(table->running(l), 0, "and is no longer waited for");
}

int main(void)
{
    prepare();
    test_day();
    test_backlog();
    test_acknowledged_and_lost();
    test_unknown();
    test_refused();
    test_starts_again();
    test_corpse();
    test_restart();
    test_stop();
    test_stop_comes_back();
    test_rate();
    char text[300];
    if (l) table->close(l);
    snprintf(text, sizeof text, "rm -rf '%s'", folder);
    return system(text) ? 1 : done_testing();
}
