/* living.h - a coordinator as a process, and one link of a user and one of a worker group to it. For test programs of one file, as tap.h
 * is.
 *
 *     if (!living_begin()) return skip_all("engram-coordinator is not built");
 *     pid_t pid = living_start();
 *     if (!ok(comes_up(), "a coordinator comes up")) return done_testing();
 *     struct message r = ask((struct message){.kind = MSG_ping});        // refused: kind MSG_refused
 *     kill(pid, SIGTERM);  status_of(pid);  living_end();
 */
#ifndef TESTS_CORE_LIVING_H
#define TESTS_CORE_LIVING_H

#include "proto/link.h"
#include "tests/tap.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char home[300], program[600];
static struct link *user, *worker;
static struct arena arena;
static struct err e;

TAP_FN pid_t launch(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves nobody behind */
        char log[400];
        snprintf(log, sizeof log, "%s.log", home);
        if (!freopen(log, "a", stderr)) _exit(98);
        execl(program, program, "--home", home, "--foreground", "--no-workers", "--term-ms", "1500",
              (char *)NULL);
        _exit(99);
    }
    return pid;
}

TAP_FN int status_of(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TAP_FN void open_links(void)
{
    static char users[400], workers[400];
    static struct msg_worker_hello hello;
    struct link_options o = {.endpoint = users, .timeout_ms = 5000, .tries = 3};

    snprintf(users, sizeof users, "ipc://%s/run/engram.sock", home);
    snprintf(workers, sizeof workers, "ipc://%s/run/worker.sock", home);
    hello = (struct msg_worker_hello){.name = "group-x",
                                      .nonce = hash_bytes("x", 1),
                                      .ranks = 3,
                                      .host = "here",
                                      .device = "cpu"};
    if (link_open(&user, &o, &e)) note("%s", e.text);
    o = (struct link_options){
        .endpoint = workers, .timeout_ms = 5000, .tries = -1, .hello = &hello};
    if (link_open(&worker, &o, &e)) note("%s", e.text);
}

TAP_FN struct message ask(struct message m)
{
    struct message r = {0};
    enum code rc = link_call(user, &m, &arena, &r, &e);
    return rc ? (struct message){.kind = MSG_refused, .refused = {(uint64_t)rc, e.text}} : r;
}

TAP_FN struct message work(struct message m)
{
    struct message r = {0};
    if (link_call(worker, &m, &arena, &r, &e)) note("%s: %s", proto_name(m.kind), e.text);
    return r;
}

TAP_FN int comes_up(void)
{
    for (int i = 0; i < 200; i++) {
        if (ask((struct message){.kind = MSG_ping, .ping.client = "test"}).kind == MSG_pong)
            return 1;
        usleep(50000);
    }
    return 0;
}

/* 0: there is no program. */
TAP_FN int living_begin(void)
{
    const char *bin = getenv("ENGRAM_BIN");
    snprintf(program, sizeof program, "%s/engram-coordinator", bin ? bin : "build");
    snprintf(home, sizeof home, "%s/home", tap_folder());
    return access(program, X_OK) == 0;
}

TAP_FN pid_t living_start(void)
{
    pid_t pid = launch();
    for (int i = 0; i < 200; i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/run/worker.sock", home);
        if (access(path, F_OK) == 0) break;
        usleep(20000);
    }
    open_links();
    return pid;
}

TAP_FN void living_end(void)
{
    link_close(user);
    link_close(worker);
    arena_fini(&arena);
}

#endif
