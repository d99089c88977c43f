/* csv.h - a table of comma-separated values, read strictly (RFC 4180).
 *
 *     struct csv t;
 *     if (csv_read(&t, "jobs.csv", &arena, &e)) ...      // ERR_INPUT: "jobs.csv:3:17: a quote inside of a cell without quotes"
 *     t.row[0].cell[1].text                              // the header's second column
 *
 * Cells are UTF-8 without control characters but tab and, between quotes, ends of lines; lines end in LF or CR LF; a byte order
 * mark is passed over; blank lines are too. Every row has as many cells as the first one. Blanks belong to their cell.
 * Lines are counted as an editor does, columns in bytes, both from 1. All memory is the arena's.
 */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>

#define CSV_BYTES (64u << 20)          /* a hundred thousand requests are 10 MB */
#define CSV_COLUMNS 256

struct csv_cell { const char *text; size_t line, column; };      /* where it begins */
struct csv_row { size_t line; struct csv_cell *cell; };          /* [n_columns] */
struct csv { const char *path; size_t n_columns, n_rows; struct csv_row *row; };     /* row[0]: the header */

enum code csv_read(struct csv *t, const char *path, struct arena *a, struct err *e);
/* The same of bytes. */
enum code csv_parse(struct csv *t, const char *name, const void *data, size_t n, struct arena *a, struct err *e);

#endif
