#!/bin/sh
# Two single-threaded processes that share one model: on two cores, faster than one process with two threads.
# sh train_unet_twice.sh [minutes]; PYTHON names the interpreter. Each has a session of its own, because the kernel
# shares the cores among sessions first.
minutes=${1:-75}
export WORLD_SIZE=2 OMP_NUM_THREADS=1
RANK=1 setsid nice -n 5 "${PYTHON:-python3}" train_unet.py "$minutes" 1 &
RANK=0 setsid nice -n 5 "${PYTHON:-python3}" train_unet.py "$minutes" 1 &
wait
