#!/usr/bin/env bash
# A real sweep on a tiny model: shards of both inputs built once, ASHA pauses and resumes, workers are killed with -9
# and replaced; every (trial, rung) has one report, and its score is that of a sweep left alone.
. "$(dirname "$0")/lib.sh"
tiny_setup 200 40
cat >>"$work/c.yaml" <<YAML
sweep:
  dir: calm
  method: asha
  trials: 6
  min: 1
  max: 4
  eta: 2
  retries: 50
  generate: true
  params:
    train.lr: {log_uniform: [1.0e-4, 3.0e-2]}
    shards.input: [[findings], [clinical, findings]]
    lora.rank: [2, 4]
    lora.alpha: {choice: [4, 8], when: {lora.rank: [4]}}
YAML
set=(--set train.max_steps=4 --set train.tokens_per_step=1024 --set "train.eval_every=2 steps" --set generate.limit=2
  --set generate.max_new_tokens=4)
one ingest "$work/c.yaml" >/dev/null
one sweep run "$work/c.yaml" "${set[@]}" --dry-run | grep -q 'not all built' || fail "dry run before the shards"
[ ! -e "$work/calm" ] || fail "a dry run made a folder"
one sweep run "$work/c.yaml" "${set[@]}" >/dev/null
one sweep run "$work/c.yaml" "${set[@]}" --dry-run >"$work/dry"
grep -q 'training worth' "$work/dry" && grep -q 'tokens/s (measured' "$work/dry" || { cat "$work/dry"; fail "dry run"; }

# two workers, killed a few times
wild=("${set[@]}" --set "sweep.dir=$work/wild" --set sweep.workers=2)
"$radmill" sweep run "$work/c.yaml" "${wild[@]}" >/dev/null 2>>"$work/log" &
parent=$!
for pause in 2 1 3; do
  sleep "$pause"
  victim=$(pgrep -P "$parent" | head -n 1) || true
  [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null || true
done
wait "$parent" || fail "the sweep with killed workers failed"

for d in calm wild; do
  one sweep report "$work/c.yaml" "${set[@]}" --set "sweep.dir=$work/$d" >/dev/null
  [ "$(find "$work/$d/shards" -name manifest.json | wc -l)" = 2 ] || fail "$d: not one folder for each kind of shards"
  ! grep -qE 'https?://[^w]|src=|@FACTS@' "$work/$d/report.html" || fail "the page asks for something"
  cat "$work/$d"/log/*.jsonl | grep -o '"op":"report","trial":[0-9]*,"rung":[0-9]*' | sort | uniq -d >"$work/twice"
  [ ! -s "$work/twice" ] || fail "$d: counted twice: $(cat "$work/twice")"
  # (trial, rung, step, loss) of every report
  cat "$work/$d"/log/*.jsonl | grep '"op":"report","trial"' |
    sed -E 's/.*"trial":([0-9]+),"rung":([0-9]+),.*"dev_loss":([^,]*).*"step":([0-9]+).*/\1.\2 \4 \3/' | sort >"$work/$d.scores"
done
[ "$(cut -d. -f1 "$work/wild.scores" | sort -u | wc -l)" = 6 ] || fail "trials are missing"
join "$work/calm.scores" "$work/wild.scores" >"$work/both"
[ "$(wc -l <"$work/both")" -ge 6 ] || fail "the two sweeps have too little in common"
awk '$2 != $4 || $3 != $5 { print; bad = 1 } END { exit bad }' "$work/both" || fail "other scores than the sweep left alone"

# a promoted trial goes on from its checkpoint: what its rungs trained adds up to one run
top=$(grep -l . "$work"/calm/trials/*/run/adapter/adapter_config.json | head -n 1)
trial=$(echo "$top" | sed -E 's/.*trials\/0*([0-9]+)\/run.*/\1/')
tokens=$(cat "$work"/calm/log/*.jsonl | grep "\"op\":\"report\",\"trial\":$trial," | sed -E 's/.*"tokens":([0-9]+).*/\1/' | awk '{s += $1} END {print s}')
steps=$(grep '"kind":"train"' "$work/calm/trials/$(printf %05d "$trial")/run/metrics.jsonl" | sed -E 's/.*"tokens":([0-9]+).*/\1/' | awk '{s += $1} END {print s}')
[ "$tokens" = "$steps" ] || fail "trial $trial trained on $tokens tokens, its run has $steps: it did not resume"

one sweep status "$work/c.yaml" "${set[@]}" | grep -q '6 begun, 6 ended' || fail "status"
one sweep best "$work/c.yaml" "${set[@]}" --top 2 >"$work/best"
yaml=$(grep -o '/.*/best/1-.*yaml' "$work/best")
one train "$yaml" | grep -q 'adapter' || fail "the best trial's YAML does not train"
one generate "$yaml" | grep -q pairs || fail "the best trial's YAML does not generate"
# a byte flipped in a journal loses one record at most, and is told
log=$(find "$work/calm/log" -type f -size +0 | head -n 1)
printf 'X' | dd of="$log" bs=1 seek=40 conv=notrunc status=none
one sweep status "$work/c.yaml" "${set[@]}" | grep -q '1 journal records skipped' || fail "the damage is not told"
# a radmill that knows more options goes on with the sweep; one that knows less, or another value, does not
cp "$work/calm/sweep.json" "$work/as-begun"
sed -i 's/\\n  verify_tokens: true//' "$work/calm/sweep.json"
cmp -s "$work/calm/sweep.json" "$work/as-begun" && fail "sweep.json has no train.verify_tokens"
one sweep status "$work/c.yaml" "${set[@]}" | grep -q '6 begun, 6 ended' || fail "an older sweep does not go on"
one sweep run "$work/c.yaml" "${set[@]}" --set sweep.trials=7 >/dev/null || fail "an older sweep does not grow"
[ "$(find "$work/calm/shards" -name manifest.json | wc -l)" = 2 ] || fail "an older sweep's shards were made again"
expect 2 'begun with other options: train.verify_tokens' "$radmill" sweep status "$work/c.yaml" "${set[@]}" --set train.verify_tokens=false
sed 's/\\ntrain:/\\ntrain:\\n  of_another_version: 1/' "$work/as-begun" >"$work/calm/sweep.json"
expect 2 'begun by another version of radmill.*of_another_version' "$radmill" sweep status "$work/c.yaml" "${set[@]}"
cp "$work/as-begun" "$work/calm/sweep.json"
expect 2 'begun with other options: sweep.seed' "$radmill" sweep status "$work/c.yaml" "${set[@]}" --set sweep.seed=2
expect 2 'train.dir cannot vary' "$radmill" sweep run "$work/c.yaml" --set 'sweep.params={train.dir: [a, b]}' --dry-run
expect 2 'lora.rnk is no key' "$radmill" sweep run "$work/c.yaml" --set 'sweep.params={lora.rnk: [1, 2]}' --dry-run
expect 2 'lora.rank' "$radmill" sweep run "$work/c.yaml" --set 'sweep.params={lora.rank: [0, 2]}' --dry-run
expect 2 'sweep knows run' "$radmill" sweep walk "$work/c.yaml"
echo "sweep: ok"
