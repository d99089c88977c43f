#include "coordinator/launch/launcher.h"
#include "coordinator/launch/process.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum code launch_find_worker(char *out, size_t bytes, struct err *e)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    if (n < 0) return err_errno(e, "/proc/self/exe");
    self[n] = '\0';
    slash = strrchr(self, '/');
    *(slash ? slash : self) = '\0';
    if ((size_t)snprintf(out, bytes, "%s/engram-worker", self) < bytes && access(out, X_OK) == 0)
        return OK;
    snprintf(out, bytes, "engram-worker");
    return process_program(out)
               ? OK
               : err_set(e, ERR_ENVIRONMENT,
                         "engram-worker is neither beside engram-coordinator nor on PATH: "
                         "build it (it needs MPI), or start with --no-workers");
}
