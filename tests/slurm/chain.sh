#!/usr/bin/env bash
# The whole chain by `radmill submit` on a real SLURM: 2 nodes x 2 ranks, one fake GPU a rank, in a folder
# with an awkward name. Every result is byte for byte that of a run without SLURM.
. "$(dirname "$0")/lib.sh"
cluster_start
work="$top/it's a \"study\" \$1 %j #2 é"
mkdir "$work"
tiny_setup 100 160
cat >>"$work/c.yaml" <<YAML
slurm: {nodes: 2, gpus_per_node: 2, time: "00:20:00", grace_s: 20, stages: {shard: {launcher: mpirun}}}
YAML
all=(--stages ingest,shard,train,generate,evaluate)

# a dry run prints all and leaves nothing
one submit "$work/c.yaml" "${all[@]}" --dry-run >"$top/dry"
[ ! -e "$work/run" ] || fail "a dry run left something"
[ "$(grep -c '^[a-z]*: sbatch: Job .* to start at' "$top/dry")" = 5 ] || { cat "$top/dry"; fail "sbatch --test-only was not asked for each stage"; }
grep -q 'at most 3.0 GPU-hours' "$top/dry" || fail "GPU-hours"  # train, generate: 4 GPUs, evaluate: 1, 20 minutes
expect 2 'stage train: sbatch refuses the job: .*partition' "$radmill" submit "$work/c.yaml" --stages train --dry-run --set slurm.partition=nowhere
expect 2 'traim is no stage' "$radmill" submit "$work/c.yaml" --stages traim
expect 2 'train comes before generate' "$radmill" submit "$work/c.yaml" --stages generate,train

one submit "$work/c.yaml" "${all[@]}" >"$top/ids"
last=$(submitted evaluate "$top/ids")
expect 2 'still in the queue' "$radmill" submit "$work/c.yaml" --stages train
expect 0 "" "$radmill" status "$work/run"
until_true 300 "the chain" ended "$last"
sub=$work/run/slurm/001
for stage in ingest shard train generate evaluate; do
  [ "$(job_state "$(submitted $stage "$top/ids")")" = COMPLETED ] || { cat "$sub/$stage.log"; fail "stage $stage"; }
  bash -n "$sub/$stage.sh"
done
if command -v shellcheck >/dev/null; then shellcheck -e SC2317,SC2016 "$sub"/*.sh || fail "shellcheck on the scripts"; fi
one status "$work/run" >"$top/status"
grep -A1 '^  train *done, 6 of 6 steps' "$top/status" | grep -q 'job .*0 restarts, latest attempt: done' || { cat "$top/status"; fail "status"; }

# the same without SLURM
there=(--set "corpus.dir=$top/l/corpus" --set "shards.dir=$top/l/shards" --set "train.dir=$top/l/run"
  --set "generate.dir=$top/l/pairs" --set "evaluate.dir=$top/l/report")
for stage in ingest shard train generate; do ranks 1 $stage "$work/c.yaml" "${there[@]}" >/dev/null; done
one evaluate "$work/c.yaml" "${there[@]}" >/dev/null
[ "$(tree "$work/corpus")" = "$(tree "$top/l/corpus")" ] || fail "records differ from those of the local run"
[ "$(tree "$work/shards")" = "$(tree "$top/l/shards")" ] || fail "shards differ"
[ "$(adapter "$work/run")" = "$(adapter "$top/l/run")" ] || fail "the adapter differs"
cmp "$work/pairs/pairs.jsonl" "$top/l/pairs/pairs.jsonl" || fail "pairs differ"

# one GPU a rank, by its place on the node
for rank in 0 1 2 3; do
  grep -q "place local_rank=$((rank % 2)) of=2 gpu=$((rank % 2))\$" "$work/run/log/rank$rank.log" || fail "GPU of rank $rank"
done

# one modality, end to end, beside the whole: its shards made again, results in folders of their own
one submit "$work/c.yaml" --stages shard,train,generate,evaluate --modality CT >"$top/ids"
until_true 300 "one modality" ended "$(submitted evaluate "$top/ids")"
[ "$(job_state "$(submitted evaluate "$top/ids")")" = COMPLETED ] || { tail -n 5 "$work"/run-CT/slurm/001/*.log; fail "one modality"; }
[ "$(adapter "$work/run")" = "$(adapter "$top/l/run")" ] || fail "the whole run's adapter was touched"
[ -s "$work/run-CT/adapter/adapter_model.safetensors" ] || fail "no adapter of CT"
[ -z "$(grep -v '"modality": *"CT"' "$work/pairs-CT/pairs.jsonl" | head -n 1)" ] || fail "pairs of other modalities"

# without PMIx every task would be a run of its own: one clear error, no retry, and nothing after it
one submit "$work/c.yaml" --stages train,generate --set "train.dir=$work/nopmi" --set "slurm.launcher=srun -K1 --mpi=none" >"$top/ids"
until_true 120 "the dependent job to be dropped" ended "$(submitted generate "$top/ids")"
[ "$(job_state "$(submitted train "$top/ids")")" = FAILED ] || fail "a launcher without PMI"
[ "$(job_state "$(submitted generate "$top/ids")")" = CANCELLED ] || fail "a stage ran after a failed one"
one status "$work/nopmi" >"$top/status"
grep -q 'last error: SLURM_NTASKS is 4' "$top/status" || { cat "$top/status" "$work/nopmi/slurm/001/train.log"; fail "status shows the error"; }
echo "chain: ok"
