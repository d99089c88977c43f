/* parts_cns.h - CNS's own rows for `engram debug`: `score` (texts to masks) and `step` (one masked Adam step). */
#ifndef METHOD_PARTS_CNS_H
#define METHOD_PARTS_CNS_H

#include "pipeline/model/parts.h"

extern const struct part_table parts_cns;

#endif
