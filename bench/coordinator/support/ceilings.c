#include "bench/coordinator/support/ceilings.h"

#include "bench/coordinator/support/fleet.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { UNIT = 215, BURST = 256 };

double ceiling_syncs(const char *folder, double seconds)
{
    char path[300], line[64] = "";
    double began = seconds_now(), spent;
    long n = 0;
    int fd;

    snprintf(path, sizeof path, "%s/syncs", folder);
    if ((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0) die("%s: cannot write", path);
    do {
        if (write(fd, line, sizeof line) != sizeof line || fdatasync(fd)) die("%s: no sync", path);
        n++;
    } while ((spent = seconds_now() - began) < seconds);
    close(fd);
    unlink(path);
    return (double)n / spent;
}

/* ---- the fan: the peers' side is a process of its own ---- */

static void echo(const char *endpoint, int peers, int depth)
{
    char unit[UNIT] = "";
    struct fleet f;

    fleet_open(&f, endpoint, peers, 0);
    for (int i = 0; i < peers; i++)
        for (int d = 0; d < depth; d++) zmq_send(f.socket[i], unit, sizeof unit, 0);
    for (zmq_pollitem_t *items = f.items; zmq_poll(items, peers, -1) > 0;)
        for (int i = 0; i < peers; i++)
            while ((items[i].revents & ZMQ_POLLIN) &&
                   zmq_recv(f.socket[i], unit, sizeof unit, ZMQ_DONTWAIT) > 0)
                zmq_send(f.socket[i], unit, sizeof unit, 0);
}

static int hand_back(void *router)
{
    char peer[64], unit[UNIT];
    int n = zmq_recv(router, peer, sizeof peer, ZMQ_DONTWAIT);

    if (n < 0) return 0;
    zmq_recv(router, unit, sizeof unit, 0);
    zmq_send(router, peer, (size_t)n, ZMQ_SNDMORE);
    zmq_send(router, unit, sizeof unit, 0);
    return 1;
}

double ceiling_fan(const char *folder, int peers, int depth, double seconds)
{
    char endpoint[300];
    int linger = 0, high = 100000;
    long n = 0;
    pid_t pid;

    snprintf(endpoint, sizeof endpoint, "ipc://%s/fan.sock", folder);
    if ((pid = fork()) == 0) {
        echo(endpoint, peers, depth);
        _exit(1);
    }
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    zmq_setsockopt(router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(router, ZMQ_SNDHWM, &high, sizeof high);
    zmq_setsockopt(router, ZMQ_RCVHWM, &high, sizeof high);
    if (zmq_bind(router, endpoint)) die("%s: cannot bind", endpoint);
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
    double began = 0, spent = 0;
    double start = seconds_now();
    while (spent < seconds) {
        zmq_poll(&item, 1, 100);
        for (int k = 0; k < BURST && hand_back(router); k++) n += began > 0;
        if (!began && seconds_now() - start > 0.5) began = seconds_now(); /* all are connected */
        spent = began > 0 ? seconds_now() - began : 0;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    zmq_close(router);
    zmq_ctx_term(context);
    return (double)n / spent;
}

double peer_sbatch(double seconds)
{
    long n = 0;

    if (system("squeue -h >/dev/null 2>&1") != 0) return 0;
    double began = seconds_now(), spent = 0;
    while (spent < seconds &&
           system("sbatch -Q --hold -J engram-bench -o /dev/null --wrap true >/dev/null") == 0) {
        n++;
        spent = seconds_now() - began;
    }
    if (system("scancel -n engram-bench") != 0) fprintf(stderr, "engram-bench: jobs are left\n");
    return spent > 0 ? (double)n / spent : 0;
}
