#!/usr/bin/env bash
# The walk-through of README.md, its lines as they stand there, beside files named as it names them: a small
# synthetic archive for MIMIC-CXR's, a tiny model's GGUF file for SmolLM2's, two ranks for eight.
. "$(dirname "$0")/lib.sh"
root=$(cd "$here/../.." && pwd)
lines() { doc_lines "$root/README.md" '^## MIMIC-CXR' '^## Where' | sed 's/ *#.*//'; }
run() {
  echo "+ $1" >>"$work/log"
  (cd "$work" && eval "timeout 300 $1") </dev/null >"$work/said" 2>>"$work/log" || fail "README: $1"
}
mkdir "$work/configs" "$work/run1" "$work/run2"
doc_tools
ln -s "$root/configs/mimic-cxr.yaml" "$work/configs/"
one synth -o "$work/data" --reports 60 --dump-reports 1 >/dev/null
mv "$work/data/mimic-cxr-reports.zip" "$work"
awk -F, 'NR > 1 && !($2 in p) { p[$2] = n++ } { print NR == 1 ? $0 : $1 "," $2 "," (p[$2] < 6 ? "dev" : "train") }' \
  "$work/data/mimic_split.csv" >"$work/mimic_split_train_dev.csv"
one synth --model "$work/tiny" >/dev/null
one convert "$work/tiny" "$work/SmolLM2-135M-Instruct.Q4_1.gguf" >/dev/null
ran=0
while read -r line; do
  case $line in
  *run1/pairs*) # two runs and another's predictions
    cp -r "$work/work/pairs" "$work/run1/pairs" && cp -r "$work/work/pairs" "$work/run2/pairs"
    cp "$work/work/pairs/pairs.jsonl" "$work/other.jsonl" && cp "$work/other.jsonl" "$work/theirs.jsonl"
    ;;
  *forget*) cut -d, -f2 "$work/mimic_split_train_dev.csv" | tail -n 1 >"$work/ids.txt" ;;
  *serve* | *label* | *judge*) continue ;; # servers, and what needs readers: tests/serve, tests/label, judge.sh
  esac
  run "$line"
  ran=$((ran + 1))
done < <(lines)
[ "$ran" -ge 13 ] || fail "only $ran lines of the README were found"
for f in work/stats/report.html work/run/adapter/adapter_model.safetensors train.json table/comparison.html rows.jsonl report.json; do
  [ -s "$work/$f" ] || { ls -R "$work" >&2; fail "$f is not there"; }
done
echo "readme: ok, $ran lines"
