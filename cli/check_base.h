/* check_base.h - `engram check --base PATH`: a base model and its evaluation CLIP, every tensor and every value of them. */
#ifndef CLI_CHECK_BASE_H
#define CLI_CHECK_BASE_H

/* Prints what it is, or why it cannot be used; returns the exit status. O(size of the files). */
int check_base(const char *path);

#endif
