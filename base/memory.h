/* memory.h - how much memory this process took, and how much it may still take.
 *
 *     memory_peak_reset();  ...work...  memory_peak();        // bytes resident at most since then, or 0: not known here
 *     struct memory_limit l = memory_free();                  // l.bytes, and in words what set it
 *
 * Read from /proc and from the cgroups that the process is in, version 2 or 1. Nothing is reserved: what is free now may be taken
 * by another a moment later.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Resident memory, mapped files that were touched included. The peak is the kernel's (VmHWM), of the process's whole life where the
 * kernel does not let it be reset. */
size_t memory_peak(void);
void memory_peak_reset(void);
/* Of what is resident now: bytes that other processes may have in their memory, too, without a copy (files, shared memory). */
size_t memory_shared(void);

struct memory_limit {
    size_t bytes;                      /* SIZE_MAX: nothing says */
    const char *what;                  /* "free on this machine", "left by the control group of this process" */
};
struct memory_limit memory_free(void);
/* The same from another tree of files, for tests: "" is the real one. */
struct memory_limit memory_free_at(const char *root);

/* Bytes that would come back if the processes ended whose command line begins with a program of this name and has this argument: what
 * belongs to each alone, and what they share that is no file. Other users' are not seen. */
size_t memory_held(const char *program, const char *argument);

#endif
