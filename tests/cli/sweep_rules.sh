#!/usr/bin/env bash
# What a sweep may compare: across tokenizers bits per byte or ROUGE-L, and ROUGE-L only of runs that ended.
. "$(dirname "$0")/lib.sh"
tiny_setup 100 0
sed -i '/name: site/d' "$work/c.yaml"
cp -r "$work/model" "$work/other" # the same model with another tokenizer: a mark is called something else
sed -i 's/im_start/im_begin/' "$work/other/tokenizer.json"
cat >>"$work/c.yaml" <<YAML
sweep: {dir: sweep, method: grid, generate: true, params: {model.base: [model, other]}}
YAML
set=(--set train.max_steps=2 --set train.tokens_per_step=1024 --set generate.limit=2 --set generate.max_new_tokens=4)
one ingest "$work/c.yaml" >/dev/null

expect 2 'different tokenizers, whose dev_loss cannot be compared.*dev_bits_per_byte or rougeL' \
  "$radmill" sweep run "$work/c.yaml" "${set[@]}" --dry-run
bits=("${set[@]}" --set sweep.goal.metric=dev_bits_per_byte)
expect 2 'dev_bits_per_byte needs train.loss_on: target' "$radmill" sweep worker "$work/c.yaml" "${bits[@]}" --set train.loss_on=all \
  --set "sweep.dir=$work/all"
one sweep run "$work/c.yaml" "${bits[@]}" >/dev/null || { cat "$work/log" "$work"/sweep/workers.log; fail "a sweep over two tokenizers"; }
# dev_bits_per_byte = dev_loss x target tokens / bytes of their text / ln 2, for each trial with its own shards' ratio
cat "$work"/sweep/log/*.jsonl | grep '"op":"report","trial"' |
  sed -E 's/.*"dev_loss":([^,]*),"dev_bits_per_byte":([^,]*),"rougeL":([^,]*),.*/\1 \2 \3/' >"$work/scores"
[ "$(wc -l <"$work/scores")" = 2 ] || { cat "$work"/sweep/log/*; fail "not two scores"; }
ratio=$(sed -E 's/.*"dev_tokens": ([0-9]+), "dev_bytes": ([0-9]+).*/\1 \2/' "$work"/sweep/shards/*.json | sort -u)
[ "$(wc -l <<<"$ratio")" = 1 ] || fail "both tokenizers cut this text alike: $ratio"
awk -v r="$ratio" '{ split(r, n, " "); want = $1 * n[1] / n[2] / log(2); if ($2 / want > 1.000001 || $2 / want < 0.999999) { print; bad = 1 } } END { exit bad }' \
  "$work/scores" || fail "bits per byte are not those of the loss"

# a sweep that cannot be is told at submission, memory included (no sbatch is asked here)
submit=(env PATH=/none "$radmill" submit "$work/c.yaml" "${bits[@]}" --stages sweep --dry-run)
"${submit[@]}" >"$work/out" 2>>"$work/log" || { tail -n 3 "$work/log"; fail "a dry run of submit"; }
grep -q 'sweep: memory of 2 combinations planned, the largest 0.0' "$work/out" || { cat "$work/out"; fail "no memory was planned"; }
"${submit[@]}" --set "sweep.dir=$work/new" 2>>"$work/log" | grep -q 'planned by the first worker' || fail "nothing is built yet"
expect 2 'stage sweep: sweep.params: lora.rnk is no key' "${submit[@]}" --set 'sweep.params={lora.rnk: [1, 2]}' --set "sweep.dir=$work/new"
one shard "$work/c.yaml" >/dev/null
expect 1 'stage sweep: a combination of sweep.params is not possible: lora.rank=64: .*memory' "${submit[@]}" --set train.memory_gib=0.001 \
  --set "sweep.dir=$work/small" --set 'sweep.params={lora.rank: [2, 64]}'
expect 2 'begun with other options: sweep.seed' "${submit[@]}" --set sweep.seed=7

rouge=("${set[@]}" --set sweep.goal.metric=rougeL --set "sweep.dir=$work/rouge")
expect 2 'rougeL is known only when a trial has ended' "$radmill" sweep run "$work/c.yaml" "${rouge[@]}" --set sweep.method=asha --set sweep.trials=4 --dry-run
expect 2 'rougeL needs sweep.generate: true' "$radmill" sweep run "$work/c.yaml" "${rouge[@]}" --set sweep.generate=false
one sweep run "$work/c.yaml" "${rouge[@]}" | grep -q 'best rougeL' || fail "a sweep by ROUGE-L"
expect 2 'the sweep has no end: set sweep.trials' "$radmill" sweep run "$work/c.yaml" "${bits[@]}" --set sweep.method=random --set "sweep.dir=$work/n" --dry-run
one sweep run "$work/c.yaml" "${bits[@]}" --set sweep.gpu_hours=2 --dry-run | grep -q 'ends after 2 GPU-hours in any case' || fail "the budget is not shown"
echo "sweep_rules: ok"
