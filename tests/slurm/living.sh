#!/usr/bin/env bash
# Living through a cluster: whatever happens to the job, it ends in a finished run with the adapter of the
# undisturbed one. Ranks are stopped (SIGSTOP) while the blow falls, so that no run is over before it.
. "$(dirname "$0")/lib.sh"
cluster_start
tiny_setup 120 0
sed -i '/name: site/d; s/max_tokens: 1024/max_tokens: 256/' "$work/c.yaml"
cat >>"$work/c.yaml" <<YAML
slurm: {nodes: 2, ranks_per_node: 2, time: "00:20:00", grace_s: 30}
YAML
set_run=(--set train.max_steps=80 --set train.epochs=100 --set train.bin_tokens=256 --set train.tokens_per_step=1024
  --set "train.save_every=4 steps" --set "train.eval_every=40 steps")
ranks 2 ingest "$work/c.yaml" >/dev/null
ranks 2 shard "$work/c.yaml" >/dev/null
ranks 2 train "$work/c.yaml" "${set_run[@]}" --set "train.dir=$work/ref" >/dev/null
ref=$(adapter "$work/ref")

# submit_run NAME [--set ...]: starts, stops all ranks once some steps are saved. Sets dir, id.
submit_run() {
  dir=$work/$1
  shift
  one submit "$work/c.yaml" --stages train "${set_run[@]}" --set "train.dir=$dir" "$@" >"$dir.ids" || return 1
  id=$(submitted train "$dir.ids")
  until_true 400 "steps of $dir" has_steps 6
  signal_ranks STOP
}
has_steps() { [ "$(wc -l <"$dir/metrics.jsonl")" -ge "$1" ]; }
# The ranks of this run, as "PID RANK".
rank_pids() {
  local p
  for p in $(pgrep -f -- "train $dir/slurm/001/config.yaml"); do
    [ "$(readlink "/proc/$p/exe")" = "$(readlink -f "$radmill")" ] || continue
    echo "$p $(tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | sed -n 's/^PMIX_RANK=//p')"
  done
}
signal_ranks() { local p rank; rank_pids | while read -r p rank; do [ -n "${2:-}" ] && [ "$rank" != "$2" ] || kill -"$1" "$p" 2>/dev/null; done; }
log_has() { grep -q -- "$1" "$dir/slurm/001/train.log"; }

# The run must have been disturbed, and must have come out as if it had not.
finished() {
  until_true 400 "the end of $dir" ended "$id"
  [ "$(job_state "$id")" = COMPLETED ] || { cat "$dir"/slurm/001/*; fail "$dir: $(job_state "$id")"; }
  [ "$(grep -c '"event":"begin"' "$dir/slurm/001/train.journal.jsonl")" -ge 2 ] || fail "$dir was not disturbed"
  [ "$(adapter "$dir")" = "$ref" ] || fail "$dir: the adapter is not that of the undisturbed run"
  echo "ok   ${dir##*/}: $(grep -c '"event":"begin"' "$dir/slurm/001/train.journal.jsonl") attempts, $SECONDS s"
}

time_limit() {
  submit_run time_limit
  scontrol update JobId="$id" TimeLimit=1
  until_true 400 "USR1 before the limit" log_has 'asked to stop and save'
  scontrol update JobId="$id" TimeLimit=20
  signal_ranks CONT
  finished
  grep -q '"exit":75.*"verdict":"requeue"' "$dir/slurm/001/train.journal.jsonl" || fail "$dir: not stopped in time"
}

preempted() {
  submit_run preempted --set slurm.partition=low
  sbatch -p main -w "$(squeue -h -j "$id" -o %N)" -N2 --exclusive -o /dev/null --wrap true >/dev/null
  until_true 400 "the preemption" log_has 'asked to stop and save'
  signal_ranks CONT
  finished
}

requeued() { # by an operator; with mpirun as the launcher
  submit_run requeued --set slurm.launcher=mpirun
  scontrol requeue "$id"
  signal_ranks CONT
  finished
}

killed_rank() {
  local nodes
  submit_run killed_rank
  nodes=$(squeue -h -j "$id" -o %N)
  signal_ranks KILL 3
  signal_ranks CONT
  finished
  avoided "$nodes"
}
# avoided NODES: one of these is blamed, and was not used again
avoided() {
  local nodes=$1 bad
  bad=$(sed -n 's/.*"bad":\["\([^"]*\)"\].*/\1/p' "$dir/slurm/001/train.journal.jsonl" | head -n 1)
  scontrol show hostnames "$nodes" | grep -qx "$bad" || { cat "$dir/slurm/001/train.journal.jsonl"; fail "$dir: node '$bad' is blamed, of $nodes"; }
  if sed -n '/"event":"begin"/p' "$dir/slurm/001/train.journal.jsonl" | tail -n 1 | grep -q "\"$bad\""; then fail "$dir: the bad node $bad was used again"; fi
}

hanging_rank() {
  local nodes
  submit_run hanging_rank --set train.hang_minutes=0.25
  nodes=$(squeue -h -j "$id" -o %N)
  signal_ranks CONT 0
  signal_ranks CONT 1
  signal_ranks CONT 3
  finished
  grep -q '"exit":124.*no sign of life.*rank 2 on ' "$dir/slurm/001/train.journal.jsonl" || { cat "$dir/slurm/001/train.journal.jsonl"; fail "$dir: the rank is not named"; }
  avoided "$nodes"
}

# A node that dies with all that runs on it: first what could still tell the controller, then the rest.
kill_node() {
  local d parent node=$1 daemons=() others=()
  daemons=("$(cat "$cluster/run/slurmd-$node.pid")")
  for d in /proc/[0-9]*; do
    { tr '\0' '\n' <"$d/environ" | grep -cxF -e "SLURMD_NODENAME=$node" -e "SLURM_CONF=$cluster/slurm.conf"; } 2>/dev/null |
      grep -qx 2 || continue
    others+=("${d#/proc/}")
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$d/status" 2>/dev/null) || continue
    if [ "$(cat "/proc/$parent/comm" 2>/dev/null)" = slurmstepd ]; then daemons+=("$parent"); fi
  done
  kill -KILL "${daemons[@]}" 2>/dev/null || true
  kill -KILL "${others[@]}" 2>/dev/null || true
}
lost_node() { # the one where the script runs: SLURM itself requeues the job
  submit_run lost_node
  kill_node "$(scontrol show hostnames "$(squeue -h -j "$id" -o %N)" | head -n 1)"
  signal_ranks CONT
  finished
}

# One clear error when nothing helps: a launcher that always fails.
hopeless() {
  dir=$work/hopeless
  one submit "$work/c.yaml" --stages train --set "train.dir=$dir" --set slurm.launcher=false --set slurm.retries=1 >"$dir.ids"
  id=$(submitted train "$dir.ids")
  until_true 400 "the end of $dir" ended "$id"
  [ "$(job_state "$id")" = FAILED ] || fail "$dir: $(job_state "$id")"
  [ "$(grep -c '"event":"begin"' "$dir/slurm/001/train.journal.jsonl")" = 2 ] || fail "$dir: not one restart"
  echo "ok   hopeless: fails after one restart"
}

# Cancelled by its owner: gone, but saved; submitted again it goes on.
cancelled() {
  submit_run cancelled
  scancel "$id"
  signal_ranks CONT
  until_true 400 "the end of $dir" ended "$id"
  [ "$(job_state "$id")" = CANCELLED ] || fail "$dir: $(job_state "$id") after scancel"
  until_true 400 "the queue without $dir" gone "$id"
  rm -f "$dir/slurm/001/squeue.txt"
  one status "$dir" | grep -q 'gone from the queue before its end' || fail "$dir: status"
  one submit "$work/c.yaml" --stages train "${set_run[@]}" --set "train.dir=$dir" >"$dir.ids"
  id=$(submitted train "$dir.ids")
  until_true 400 "the end of $dir" ended "$id"
  [ "$(adapter "$dir")" = "$ref" ] || fail "$dir: the adapter is not that of the undisturbed run"
  echo "ok   cancelled: goes on when submitted again, $SECONDS s"
}

# Two at a time, on two nodes each; then a node is lost.
{ time_limit && killed_rank; } & others=$!
preempted
requeued
cancelled
hopeless
hanging_rank
wait "$others" || fail "one of the others"
lost_node
echo "living: ok"
