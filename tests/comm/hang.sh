#!/usr/bin/env bash
# hang.sh MPI_COMM HOW: three ranks, of which the last stands still (mpi_comm.c); what the job says and how it ends.
set -eu
run=$1 how=$2 here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/work"
code=0
args=("$how")
[ "$how" = hang ] || args+=("$dir/work") # hang: without a folder
timeout 250 "$here/../support/mpirun" -n 3 "$run" "${args[@]}" >"$dir/log" 2>&1 || code=$?
case $how in
stopped) words='rank 2 on .* stands still after turn 3 \(its process is stopped' ;;
stuck) words='rank=2 what="no sign of life for [0-9]+ s in test: rank 2 on .* \(stuck in its own work' ;;
hang) words='waits after turn 3 for another one that hangs; which one is not known' ;;
esac
if [ "$code" != 124 ] || ! grep -Eq -- "$words" "$dir/log"; then
  cat "$dir/log"
  echo "FAIL: $how: exit code $code, want 124 and '$words'"
  exit 1
fi
