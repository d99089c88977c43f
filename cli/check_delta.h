/* check_delta.h - `engram check X.engram.safetensors`: is a sparse delta what it says? */
#ifndef CLI_CHECK_DELTA_H
#define CLI_CHECK_DELTA_H

int check_delta_is(const char *path);      /* by its name: a concept is a folder */
int check_delta(const char *path);         /* prints what is in it or what is wrong; an exit status */

#endif
