#!/usr/bin/env bash
# A judge end to end on a tiny model that cannot learn: it trains, scores, validates, and says of itself that it is not
# validated - with the true labels and with shuffled ones - while its intervals cover. Bad labels are refused.
source "$(dirname "$0")/lib.sh"

one synth --model "$work/model" >/dev/null
# 120 answers of 60 patients, every second one read twice; what is wrong with an answer sets its grade
awk 'BEGIN {
  split("style none|severity minor|laterality_location actionable|negation urgent", kind, "|")
  split("No effusion or nodule.|Moderate left effusion.|Small right effusion.|Large left effusion and nodule.", said, "|")
  for (i = 0; i < 120; i++) for (r = 1; r <= 1 + i % 2; r++) {
    k = i % 5; split(kind[k], w, " ")
    printf "{\"format\": \"radmill.factlabel/1\", \"id\": \"x:%d\", \"subject\": \"p%d\", \"findings\": \"Small left effusion %d.\", ", i, i / 2, i
    printf "\"reference\": \"Small left effusion.\", \"generated\": \"%s\", \"rater\": \"r%d\", ", k ? said[k] : "Small left effusion.", r
    printf "\"errors\": [%s], \"overall\": %d}\n", k ? "{\"type\": \"" w[1] "\", \"significance\": \"" w[2] "\", \"note\": \"canary Zyxw\"}" : "", 5 - k
  }
}' >"$work/labels.jsonl"
cat >"$work/c.yaml" <<YAML
judge: {dir: judge, labels: labels.jsonl, max_tokens: 600, list: false, folds: 4, bootstrap: 200}
model: {base: model, name: radmill/tiny, device: cpu, dtype: f32}
lora: {rank: 4, alpha: 8}
train: {epochs: 1, max_steps: 2, bin_tokens: 1024, tokens_per_step: 2048, lr: 1.0e-3, eval_every: 1 epoch, save_every: never}
YAML

one label stats "$work/labels.jsonl" >"$work/said"
grep -q 'alpha (ordinal) 1.000' "$work/said" || fail "readers who agree do not agree"
one judge train "$work/c.yaml" >"$work/said"
grep -q '^  judge|not validated: tau=' "$work/said" || { cat "$work/said"; fail "a model that learned nothing calls itself validated"; }
grep -Eq 'interval covered (8[0-9]|9[0-9]|100)' "$work/said" || { cat "$work/said"; fail "its intervals do not cover"; }
digest=$(sha256sum <"$work/judge/judge.json")
rm -r "$work/judge"
ranks 2 judge train "$work/c.yaml" >/dev/null
[ "$(sha256sum <"$work/judge/judge.json")" = "$digest" ] || fail "two ranks make another judge"

# pairs are graded, every line beside the judge's own validity
awk 'BEGIN { for (i = 0; i < 5; i++) printf "{\"id\": \"a:0:%d\", \"prediction\": \"No effusion.\", \"reference\": \"Left effusion.\"}\n", i }' >"$work/pairs.jsonl"
one judge score "$work/c.yaml" --pairs "$work/pairs.jsonl" -o "$work/scores.jsonl" >"$work/said"
grep -q 'not validated' "$work/said" || fail "scores without the judge's validity"
head -n 1 "$work/scores.jsonl" | grep -q '"signature": "judge|not validated' || fail "the file does not say that the judge is not validated"
[ "$(grep -c '"abstains": ' "$work/scores.jsonl")" = 5 ] || fail "not a line a pair"
# evaluate has it grade the pairs, and shows its validity beside the numbers
sed -e '$a generate: {dir: none}' -e '$a evaluate: {dir: report, bootstrap: 100, metrics: [rouge, judge], baselines: []}' "$work/c.yaml" >"$work/e.yaml"
one evaluate "$work/e.yaml" --pairs "$work/pairs.jsonl" >/dev/null
grep -q 'judge|not validated' "$work/report/report.md" || { cat "$work/report/report.md"; fail "the report does not say that the judge is not validated"; }
[ "$(grep -c '"judge": {.*"score": [1-5]' "$work/report/per_pair.jsonl")" = 5 ] || fail "pairs without a grade"
one judge validate "$work/c.yaml" --labels "$work/labels.jsonl" | grep -q 'further labels' || fail "no validation on further labels"

# a control: shuffled labels
sed 's/judge: {dir: judge,/judge: {dir: control, shuffle: true,/' "$work/c.yaml" >"$work/control.yaml"
one judge train "$work/control.yaml" | grep -q 'not validated: .*shuffled (a control)' || fail "shuffled labels"

# readers that contradict each other, or were never compared
sed '/"rater": "r2"/s/"overall": \([1-5]\)/"overall": 6-\1/; s/6-1/5/; s/6-2/4/; s/6-3/3/; s/6-4/2/; s/6-5/1/' "$work/labels.jsonl" >"$work/bad.jsonl"
sed 's/labels.jsonl/bad.jsonl/; s/dir: judge,/dir: bad,/' "$work/c.yaml" >"$work/bad.yaml"
expect 2 'agree with alpha -?0\.[0-9]+, less than judge.least_alpha' "$radmill" judge train "$work/bad.yaml"
grep -v '"rater": "r2"' "$work/labels.jsonl" >"$work/once.jsonl"
sed 's/labels.jsonl/once.jsonl/; s/dir: judge,/dir: once,/' "$work/c.yaml" >"$work/once.yaml"
expect 2 'no answer was read by two readers' "$radmill" judge train "$work/once.yaml"
one judge train --force "$work/once.yaml" >/dev/null
# what is not there, or not this judge's
expect 2 'run radmill judge train first' "$radmill" judge score "$work/control.yaml" --set judge.dir=none --pairs "$work/pairs.jsonl"
expect 2 'judge knows train, score and validate' "$radmill" judge ask "$work/c.yaml"
cp "$work/control/final/run/adapter/adapter_model.safetensors" "$work/judge/final/run/adapter/"
expect 2 'is not the adapter that judge.json was made for' "$radmill" judge score "$work/c.yaml" --pairs "$work/pairs.jsonl"
# no word of the reports or of the readers' notes outside what holds them
grep -rlE 'canary|Zyxw|effusion' "$work/judge" "$work/log" | grep -v '/shards/' && fail "report text where it must not be"
echo "judge: trained, scored, validated, refused"
