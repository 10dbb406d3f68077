#!/usr/bin/env bash
# A sweep as an array of workers that are killed with -9 and preempted: every (trial, rung) is counted once, and
# every score is that of a sweep left alone on one machine.
. "$(dirname "$0")/lib.sh"
cluster_start
tiny_setup 120 40
cat >>"$work/c.yaml" <<YAML
sweep:
  dir: wild
  method: asha
  trials: 24
  min: 1
  max: 4
  eta: 2
  retries: 50
  params:
    train.lr: {log_uniform: [1.0e-4, 3.0e-2]}
    lora.rank: [2, 4]
slurm: {workers: 4, partition: low, time: "00:20:00", grace_s: 30, retries: 50}
YAML
set=(--set train.max_steps=8 --set train.tokens_per_step=1024 --set "train.eval_every=4 steps")
one ingest "$work/c.yaml" >/dev/null
one submit "$work/c.yaml" "${set[@]}" --stages shard,sweep --dry-run >"$work/dry"
grep -q '^#SBATCH --array=0-3$' "$work/dry" || fail "no array"
one submit "$work/c.yaml" "${set[@]}" --stages shard,sweep >"$work/ids"
id=$(submitted sweep "$work/ids")
sub=$work/run/slurm/001
reports() { cat "$work"/wild/log/*.jsonl 2>/dev/null | grep -c '"op":"report","trial"' || true; }
has_reports() { [ "$(reports)" -ge "$1" ] || gone "$id"; }
workers() {
  local p
  for p in $(pgrep -f -- "sweep worker $sub/config.yaml"); do
    [ "$(readlink "/proc/$p/exe")" = "$(readlink -f "$radmill")" ] && echo "$p"
  done
  return 0
}

# blows, spread over the sweep's life
seed=${RADMILL_TEST_SEED:-$RANDOM}
echo "sweep: seed $seed"
RANDOM=$seed
kills=0
for at in 2 5 8 12 16; do
  until_true 400 "$at reports" has_reports "$at"
  mapfile -t victims < <(workers)
  [ ${#victims[@]} -gt 0 ] || continue
  kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && kills=$((kills + 1))
  # once, all of a node's jobs are preempted
  if [ "$at" = 8 ]; then sbatch -p main -w "node$((RANDOM % 4 + 1))" --exclusive -o /dev/null --wrap true >/dev/null; fi
done
until_true 600 "the end of the sweep" gone "$id"
[ "$kills" -ge 2 ] || fail "too few workers were hit"
for t in 0 1 2 3; do
  tail -n 1 "$sub/sweep-$t.journal.jsonl" | grep -q '"verdict":"done"' || { tail -n 5 "$sub/sweep-$t".*; fail "worker $t did not end well"; }
done
[ "$(cat "$sub"/sweep-*.journal.jsonl | grep -c '"event":"begin"')" -ge $((4 + kills)) ] || fail "killed workers did not come back"
one status "$work/run" >"$work/status"
grep -A1 "^  sweep " "$work/status" | grep -q "latest attempt: done" || { cat "$work/status"; fail "status"; }

# the same without SLURM, left alone
one sweep run "$work/c.yaml" "${set[@]}" --set "sweep.dir=$work/calm" >/dev/null
for d in calm wild; do
  cat "$work/$d"/log/*.jsonl | grep -o '"op":"report","trial":[0-9]*,"rung":[0-9]*' | sort | uniq -d >"$work/twice"
  [ ! -s "$work/twice" ] || fail "$d: counted twice: $(cat "$work/twice")"
  # (trial, rung), step and score of every report
  cat "$work/$d"/log/*.jsonl | grep '"op":"report","trial"' |
    sed -E 's/.*"trial":([0-9]+),"rung":([0-9]+),.*"dev_loss":([^,]*).*"step":([0-9]+).*/\1.\2 \4 \3/' | sort >"$work/$d.scores"
done
[ "$(cut -d. -f1 "$work/wild.scores" | sort -u | wc -l)" = 24 ] || fail "trials are missing"
join "$work/calm.scores" "$work/wild.scores" >"$work/both"
[ "$(wc -l <"$work/both")" -ge 24 ] || fail "the two sweeps have too little in common"
awk '$2 != $4 || $3 != $5 { print; bad = 1 } END { exit bad }' "$work/both" || fail "other scores than the sweep left alone"
echo "sweep: ok, $kills workers killed"
