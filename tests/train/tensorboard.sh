#!/bin/sh
# A short run's event file, read by TensorBoard itself: tensorboard.sh DRIVER. RADMILL_PYTHON: a Python that
# has it.
set -eu
export ASAN_OPTIONS=detect_leaks=0 # Open MPI leaks at exit
dir=$(mktemp -d "${TMPDIR:-/tmp}/radmill-events-XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1" "$dir/model" "$dir/shards" "$dir/run" train.bin_tokens=64 train.tokens_per_step=256 \
    train.max_steps=4 'train.eval_every=2 steps' >"$dir/out" 2>&1 || { cat "$dir/out"; exit 1; }
"${RADMILL_PYTHON:-python3}" "$(dirname "$0")/tensorboard_read.py" "$dir/run/metrics.jsonl" \
    "$dir/run/tensorboard/events.out.tfevents.radmill"
