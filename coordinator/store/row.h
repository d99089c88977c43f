/* row.h - rows of jobs and stages as structs; strings are lent until the next row, or live in the arena where one is given. For
 * store/ only. */
#ifndef COORDINATOR_STORE_ROW_H
#define COORDINATOR_STORE_ROW_H

#include "coordinator/store/db.h"
#include "coordinator/store/pack.h"

struct job_words { const char *token, *class_word; uint64_t concept; };

void row_job(struct query *q, struct core_job *j, struct job_words *w);          /* the columns of JOB_COLUMNS */
void row_stage(struct query *q, struct core_stage *g);                           /* the columns of STAGE_COLUMNS */
/* Images of learn jobs, at most *rows rows, which is lowered; see store_named. */
enum code named_images(struct store *s, struct store_place *at, size_t *rows, store_names *named, void *self, struct err *e);
enum code row_packed(struct store *s, uint64_t job, struct arena *a, struct packed_row *row, struct err *e);

#endif
