#!/usr/bin/env bash
# A rank that hangs in any stage ends the job, and the error says which rank, where and why. It hangs in a rename that
# never comes back, as on a file server that died.
. "$(dirname "$0")/lib.sh"
RADMILL_FAULT=rename:1:hang one help >/dev/null || fail "a build without faults"
tiny_setup 60 40
sed -i 's/max_steps: 6/max_steps: 2/' "$work/c.yaml"

# hangs STAGE NP RANK PATTERN [ARGUMENTS...]: rank RANK of NP stands still at its first rename
hangs() {
  local stage=$1 np=$2 rank=$3 pattern=$4 got=0 parts=()
  shift 4
  local run=("$radmill" "$stage" "$work/c.yaml" --set train.hang_minutes=0.08 --set slurm.hang_minutes=0.08 "$@")
  [ "$rank" = 0 ] || parts+=(-n "$rank" "${run[@]}" :)
  parts+=(-n 1 env RADMILL_FAULT=rename:1:hang "${run[@]}")
  [ $((np - rank - 1)) = 0 ] || parts+=(: -n $((np - rank - 1)) "${run[@]}")
  timeout 200 "$here/../support/mpirun" "${parts[@]}" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = 124 ] || { cat "$work/err"; fail "$stage: exit code $got instead of 124"; }
  grep -Eq "radmill: error \(rank $rank\): no sign of life for [0-9]+ s in $stage: rank $rank on .* stands still $pattern \(stuck in its own work" \
    "$work/err" || { cat "$work/err"; fail "$stage: the error does not name rank $rank and '$pattern'"; }
  echo "ok   $stage: $(grep -o 'rank . on.*still [a-z0-9 ]*' "$work/err" | head -n 1)"
}
hangs ingest 3 2 '(at its start|after blocks [0-9]+)'
ranks 1 ingest "$work/c.yaml" >/dev/null
hangs shard 2 1 '(at its start|after reports [0-9]+)'
ranks 1 shard "$work/c.yaml" >/dev/null
ranks 1 train "$work/c.yaml" >/dev/null
hangs generate 2 1 'after reports [0-9]+'
ranks 1 generate "$work/c.yaml" >/dev/null
hangs evaluate 4 0 '(at its start|after pairs [0-9]+)'
ranks 1 evaluate "$work/c.yaml" >/dev/null
# what was in the way of the rank is gone: the same command went on; nothing is left of the watch
[ -z "$(find "$work" -name .alive)" ] || fail "signs were left behind"
echo "hang: ok"
