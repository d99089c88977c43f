#!/usr/bin/env bash
# Who includes whom follows the design's table, and the checker sees what it should.
. tests/tap.sh
. tests/house/files.sh

check() { awk -f tests/house/includes.awk; }

found=$(tracked '*.c' '*.h' '*.cu' '*.cuh' | xargs grep -Hn '^[ 	]*#[ 	]*include' /dev/null | check)
is "$found" "" "every include points the way the design allows"

planted() { is "$(echo "$1" | check | wc -l)" "$2" "$3"; }
planted 'coordinator/core/job.c:1:#include "pipeline/tensor/tensor.h"' 1 "the checker sees a coordinator that knows the engine"
planted 'pipeline/tensor/plan.c:1:#include "pipeline/model/kv.h"' 1 "and an engine that knows a model"
planted 'pipeline/neurons/score.c:1:#include "pipeline/model/kv.h"' 0 "neurons may know kv.h"
planted 'pipeline/neurons/score.c:1:#include "pipeline/model/unet.h"' 1 "but no other part of a model"
planted 'pipeline/data/image.c:1:#include "pipeline/tensor/tensor.h"' 1 "data knows base only"
planted 'base/err.c:9:#include "proto/proto.h"' 1 "base knows nobody"
planted 'cli/main.c:1:#include "../base/err.h"' 1 "dots are seen"
planted 'cli/main.c:1:#include "err.h"' 1 "so are bare names"
planted 'cli/main.c:1:#include <zmq.h>' 1 "zmq.h lives in proto"
planted 'proto/link.c:1:#include <zmq.h>' 0 "and is welcome there"
planted 'workers/rank_loop.c:1:#include <mpi.h>' 1 "mpi.h lives in comm_mpi"
planted 'coordinator/core/fair.c:1:#include <time.h>' 1 "the core has no clock"
planted 'coordinator/server/main.c:1:#include <time.h>' 0 "the server has"
planted 'coordinator/server/main.c:1:#include <sqlite3.h>' 1 "sqlite3.h lives in store"
planted 'coordinator/web/page.c:1:#include "coordinator/core/core.h"' 1 "the web knows no core"
planted 'coordinator/server/main.c:1:#include <microhttpd.h>' 1 "microhttpd.h lives in web"
done_testing
