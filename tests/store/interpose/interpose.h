/* interpose.h - what a process does to the files below one folder, numbered, broken and written down.
 *
 *     LD_PRELOAD=interpose.so INTERPOSE_UNDER=/tmp/home INTERPOSE_POINT=17 INTERPOSE_DO=after program
 *
 * Each call below the folder that changes a disk is a point, counted from 1: creating a file, write, pwrite, ftruncate, fsync and
 * fdatasync (of files and folders), syncfs, rename, unlink, mkdir, rmdir, link. At the given point one thing happens:
 *
 *     before    killed by SIGKILL before the call is made           torn     half of the write is made, then killed
 *     after     killed when it has been made                        short    half of the write is made, the call says so
 *     eio       it fails with EIO, nothing is done                  enospc   it fails with ENOSPC, nothing is done
 *     drop      as eio, then killed: a sync that failed, and nobody lived to tell
 *
 * INTERPOSE_FOR=n   eio, enospc: at n points in a row (default 1); a sync is a point like any other
 * INTERPOSE_ONLY=c  eio, enospc: only calls whose letter (TRACE_LETTERS) stands in c; others go through, and are counted
 * INTERPOSE_WHILE   a file outside the folder: only as long as it is there
 * INTERPOSE_TRACE   a file that gets a record of each call, with its bytes
 * INTERPOSE_ACKS    a file; what is written to it is a word of the program to the world, and stands in the trace, too
 *
 * Not seen: stores through mmap (SQLite's -shm, which no promise rests on) and what glibc does inside (fopen, mkstemp).
 */
#ifndef TESTS_STORE_INTERPOSE_H
#define TESTS_STORE_INTERPOSE_H

#include <stdint.h>

enum trace_kind {
    TRACE_OPEN,           /* payload: path; offset: 1 created by this call, 2 emptied by it, 0 neither */
    TRACE_WRITE,          /* payload: the bytes */
    TRACE_TRUNCATE,       /* offset: the new size */
    TRACE_SYNC,
    TRACE_SYNC_FOLDER,    /* payload: path, as in all below */
    TRACE_RENAME,         /* two paths, each with its NUL; so LINK */
    TRACE_UNLINK,
    TRACE_MKDIR,
    TRACE_RMDIR,
    TRACE_LINK,
    TRACE_SYNC_ALL,       /* syncfs; no payload */
    TRACE_ACK             /* payload: the word */
};
#define TRACE_LETTERS "owtsfrumdla"

struct trace_record {     /* `bytes` of payload follow */
    uint32_t kind, handle;                /* handle: of an open file, never used twice */
    uint32_t point;                       /* 0: none (ACK, an open that changed nothing) */
    int32_t failed;                       /* the call failed and nothing was done */
    uint64_t offset, bytes;
};

#endif
