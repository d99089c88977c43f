#!/usr/bin/env bash
# run.sh [ROW...]: Engram beside PyTorch, where there is a PyTorch. bench/README.md says what the rows are.
set -euo pipefail
python=${ENGRAM_PYTHON:-build/parity-venv/bin/python}
if [[ ! -x $python ]]; then
    echo "no PyTorch in build/parity-venv (make parity makes it): the rows beside it are left out"
    exit 0
fi
exec "$python" bench/peer/run.py "$@"
