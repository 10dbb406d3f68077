#!/usr/bin/env bash
# The main job with an encoder-decoder: a tiny T5 of random weights, all of it trained; the same bytes on 1, 2 and 3
# ranks and after a stop, and it learns.
. "$(dirname "$0")/lib.sh"
tiny_setup 200 0
sed -i '/name: site/d; s/max_tokens: 1024/max_input_tokens: 512, max_target_tokens: 256/' "$work/c.yaml"
rm -rf "$work/model"
one synth --model "$work/model" --arch t5 >/dev/null
one ingest "$work/c.yaml" >/dev/null
one shard "$work/c.yaml" >/dev/null
one inspect "$work/shards" | grep -q 'encoder-decoder' || fail "the shards are not an encoder-decoder's"
set=(--set lora.method=full --set train.max_steps=12 --set train.bin_tokens=1024 --set train.bin_targets=512
  --set train.tokens_per_step=3072 --set "train.eval_every=6 steps" --set train.lr=2e-3)
for n in 1 2 3; do
  ranks "$n" train "$work/c.yaml" "${set[@]}" --set "train.dir=$work/run$n" >/dev/null
  cmp "$work/run$n/adapter/model.safetensors" "$work/run1/adapter/model.safetensors" || fail "$n ranks: other weights"
done
first=$(sed -n '/"loss"/{s/.*"loss": *\([0-9.]*\).*/\1/p;q}' "$work/run1/metrics.jsonl")
last=$(sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' "$work/run1/metrics.jsonl" | tail -n 1)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(a > 5 && b < 0.75 * a) }' || fail "the loss went from $first to $last"
# stopped and continued on another number of ranks
ranks 2 train "$work/c.yaml" "${set[@]}" --set "train.dir=$work/stop" --set train.stop_after_steps=5 >/dev/null || [ $? = 75 ]
ranks 3 train "$work/c.yaml" "${set[@]}" --set "train.dir=$work/stop" >/dev/null
cmp "$work/stop/adapter/model.safetensors" "$work/run1/adapter/model.safetensors" || fail "stop and resume: other weights"
# adapters: killed with -9 once there is a checkpoint, then gone on from on another number of ranks
kill=(--set train.max_steps=8 --set train.bin_tokens=1024 --set 'lora.targets=[q, v]' --set "train.save_every=1 steps")
one train "$work/c.yaml" "${kill[@]}" --set "train.dir=$work/whole" >/dev/null
killed=0
for n in 1 2 3; do
  "$radmill" train "$work/c.yaml" "${kill[@]}" --set "train.dir=$work/kill$n" >/dev/null 2>&1 &
  pid=$!
  for _ in $(seq 3000); do [ -s "$work/kill$n/metrics.jsonl" ] && break; sleep 0.02; done
  kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
  wait "$pid" 2>/dev/null || true
  ranks "$n" train "$work/c.yaml" "${kill[@]}" --set "train.dir=$work/kill$n" >/dev/null
  cmp "$work/kill$n/adapter/adapter_model.safetensors" "$work/whole/adapter/adapter_model.safetensors" ||
    fail "after kill -9 and a resume on $n ranks: another adapter"
done
echo "encdec: $killed of 3 runs were killed"
# dropout, answers, scores
lora=(--set train.max_steps=4 --set train.bin_tokens=1024 --set lora.dropout=0.1 --set 'lora.targets=[q, v]')
for n in 1 2; do
  ranks "$n" train "$work/c.yaml" "${lora[@]}" --set "train.dir=$work/lora$n" >/dev/null
  ranks "$n" generate "$work/c.yaml" "${lora[@]}" --set "train.dir=$work/lora$n" --set "generate.dir=$work/pairs$n" >/dev/null
  cmp "$work/lora$n/adapter/adapter_model.safetensors" "$work/lora1/adapter/adapter_model.safetensors" || fail "$n ranks: other adapter"
  cmp "$work/pairs$n/pairs.jsonl" "$work/pairs1/pairs.jsonl" || fail "$n ranks: other answers"
done
grep -q SEQ_2_SEQ_LM "$work/lora1/adapter/adapter_config.json" || fail "the adapter's task is not SEQ_2_SEQ_LM"
one evaluate "$work/c.yaml" --set "generate.dir=$work/pairs1" | grep -q 'ROUGE-L' || fail "evaluate prints no ROUGE-L"
# shards of the other layout, and a loss that an encoder cannot have, are refused
one shard "$work/c.yaml" --set shards.layout=decoder --set "shards.dir=$work/plain" >/dev/null
expect 2 'layout decoder.*needs encoder-decoder' "$radmill" train "$work/c.yaml" --set "train.dir=$work/no" --set "shards.dir=$work/plain"
expect 2 'layout decoder.*needs encoder-decoder' "$radmill" generate "$work/c.yaml" --set "generate.dir=$work/no" \
  --set "shards.dir=$work/plain" --set generate.adapter=none
expect 2 'loss_on all' "$radmill" train "$work/c.yaml" --set "train.dir=$work/no" --set train.loss_on=all
echo "encdec: ok"
