#!/usr/bin/env bash
# Adapters of every kind at once on a 4-bit base: the same bytes from 1 and 2 ranks and after a stop; an adapter is
# gone on from; DoRA's bundle sends its servers to the merged model.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

tiny_setup 60 30
for stage in ingest shard; do one $stage "$work/c.yaml" >/dev/null; done
kind=(--set model.quant=nf4 --set lora.dora=true --set lora.dropout=0.05 --set lora.rslora=true --set lora.loraplus_lr_ratio=4)
one train "$work/c.yaml" "${kind[@]}" >/dev/null
a=$work/run/adapter/adapter_model.safetensors
ranks 2 train "$work/c.yaml" "${kind[@]}" --set train.dir="$work/run2" >/dev/null
cmp "$a" "$work/run2/adapter/adapter_model.safetensors" || fail "2 ranks make another adapter"
one train "$work/c.yaml" "${kind[@]}" --set train.dir="$work/run3" --set train.stop_after_steps=3 >/dev/null || [ $? = 75 ]
one train "$work/c.yaml" "${kind[@]}" --set train.dir="$work/run3" >/dev/null
cmp "$a" "$work/run3/adapter/adapter_model.safetensors" || fail "a stop makes another adapter"

first_loss() { python3 -c 'import json,sys; print(json.loads(open(sys.argv[1]).readline())["loss"])' "$1"; }
one train "$work/c.yaml" "${kind[@]}" --set lora.init_from="$work/run/adapter" --set train.dir="$work/run4" >/dev/null
python3 -c 'import sys; sys.exit(not float(sys.argv[1]) < float(sys.argv[2]) - 0.3)' \
  "$(first_loss "$work/run4/metrics.jsonl")" "$(first_loss "$work/run/metrics.jsonl")" || fail "init_from did not go on from the adapter"

one convert "$work/model" "$work/bundle" --adapter "$work/run/adapter" --as bundle >"$work/said"
grep -q 'warning: DoRA' "$work/said" || fail "no warning about DoRA"
[ ! -e "$work/bundle/adapter.gguf" ] || fail "a GGUF adapter of DoRA"
grep -q 'merged model' "$work/bundle/vllm.sh" || fail "vllm.sh serves what vLLM refuses"
expect 2 'model.quant is none' "$radmill" train "$work/c.yaml" --set lora.method=full --set model.quant=int8 --set train.dir="$work/run5"
echo "qlora: ok"
