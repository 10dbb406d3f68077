#!/usr/bin/env bash
# Canaries from planting to exposure: a tiny model that was trained on nothing else has memorised them, one that was not has not.
source "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

one synth --model "$work/model" >/dev/null
cat >"$work/study.yaml" <<YAML
corpus: {dir: corpus, sources: [{name: canary, format: csv, path: can/planted.csv, split: train, modality: MR}]}
shards: {dir: shards, modality: [MR], input: [findings], template: plain, max_tokens: 256}
model: {base: model, name: radmill/tiny, device: cpu, dtype: f32}
lora: {method: full}
train: {dir: run, epochs: 30, bin_tokens: 1024, tokens_per_step: 1024, lr: 3.0e-3, schedule: constant, warmup: 0, eval_every: never, save_every: never}
generate: {dir: pairs}
evaluate: {dir: report, bootstrap: 100, metrics: [memorization], baselines: [], training: train.jsonl, canaries: can/pairs/pairs.jsonl}
YAML
one synth --canaries 8 --others 100 --modality MR --config "$work/study.yaml" -o "$work/can" | grep -q 'split: train, modality: MR' || fail "no word on what to do"
one synth --canaries 8 --others 100 --modality MR -o "$work/again" >/dev/null
cmp "$work/can/planted.csv" "$work/again/planted.csv" || fail "the same seed plants others"
[ "$(tail -n +2 "$work/can/planted.csv" "$work/can/others.csv" | grep -o 'phrase is .*' | sort -u | wc -l)" = 108 ] || fail "two canaries are alike"
for stage in ingest shard train; do one "$stage" "$work/study.yaml" >/dev/null; done
one export "$work/study.yaml" --format jsonl --split train -o "$work/train.jsonl" >/dev/null
# exposure ARGUMENTS...: mean bits of the planted, by the model that generate then takes
exposure() {
  rm -rf "$work/can/pairs" "$work/report"
  one generate "$work/can/probe.yaml" "$@" >/dev/null
  one evaluate "$work/study.yaml" --pairs "$work/can/pairs/pairs.jsonl" >/dev/null
  grep -o 'canaries:8 of 100 candidates|exposure mean [0-9.]*' "$work/report/report.json" | head -n 1 | grep -o '[0-9.]*$'
}
for stage in ingest shard; do one "$stage" "$work/can/probe.yaml" >/dev/null; done
trained=$(exposure)
base=$(exposure --set generate.adapter=none)
awk -v t="$trained" -v b="$base" 'BEGIN { exit !(t > 3.5 && b < 2.6) }' || fail "exposure $trained after training, $base without"
grep -rq 'code phrase' "$work/report" "$work/log" && fail "a canary in the report or the log"
expect 2 'one planted and one other' "$radmill" synth --canaries 0 -o "$work/none"
echo "canaries: exposure $trained bits after training, $base without"
