#!/usr/bin/env bash
# environment.sh FOLDER: a Python environment for the comparisons with PyTorch, made once. About 6 GB, some minutes.
# open_clip_torch goes in without its dependencies: only its copy of CLIP's merges is read.
set -euo pipefail
here=$(dirname "$0")/..
wanted=$(sha256sum "$here/requirements.txt" | cut -c1-16)
[[ -e $1/made-$wanted || -L $1 ]] && exit 0
echo "making a Python environment in $1"
python3 -m venv "$1"
"$1/bin/python" -m pip install --quiet -r "$here/requirements.txt"
"$1/bin/python" -m pip install --quiet --no-deps open_clip_torch==3.3.0
rm -f "$1"/made-*
touch "$1/made-$wanted"
