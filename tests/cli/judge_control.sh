#!/usr/bin/env bash
# The judge's verdict on itself, both ways, on a task that a tiny model learns in seconds and the rule check knows nothing of:
# with the true labels it must call itself validated, with the same labels shuffled it must not.
source "$(dirname "$0")/lib.sh"

one synth --model "$work/model" >/dev/null
awk 'BEGIN {
  split("zzzzzzzz|yyyyyyyy|xxxxxxxx|wwwwwwww|vvvvvvvv", said, "|")
  for (i = 0; i < 120; i++) {
    k = (i * 7 + int(i / 5)) % 5
    printf "{\"format\": \"radmill.factlabel/1\", \"id\": \"x:%d\", \"subject\": \"p%d\", \"reference\": \"\", \"generated\": \"%s\", ", i, i, said[k + 1]
    printf "\"rater\": \"r0\", \"errors\": [], \"overall\": %d}\n", 5 - k
  }
}' >"$work/labels.jsonl"
printf 'Generated: {generated}{reference}\n{target}' >"$work/template.txt"
for control in false true; do
  cat >"$work/$control.yaml" <<YAML
judge: {dir: judge-$control, labels: labels.jsonl, template: template.txt, max_tokens: 96, list: false, check: false, folds: 2,
  bootstrap: 200, force: true, shuffle: $control}
model: {base: model, name: radmill/tiny, device: cpu, dtype: f32}
lora: {method: full}
train: {epochs: 9, bin_tokens: 1024, tokens_per_step: 1024, lr: 3.0e-3, schedule: constant, warmup: 0, eval_every: 4 epoch, save_every: never}
YAML
  OMP_NUM_THREADS=1 one judge train "$work/$control.yaml" >"$work/said-$control"
done
grep -q '^  judge|validated: tau=0\.[3-9]' "$work/said-false" || { cat "$work/said-false"; fail "a judge that learned does not call itself validated"; }
grep -q '^  judge|not validated: tau=.*shuffled (a control)' "$work/said-true" || { cat "$work/said-true"; fail "a judge of shuffled labels calls itself validated"; }
echo "judge control: validated, not validated"
