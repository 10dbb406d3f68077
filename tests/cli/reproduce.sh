#!/usr/bin/env bash
# docs/REPRODUCE.md, the exports of docs/MODELS.md and the calls of docs/FACTS.md, their lines as they stand there, beside files
# named as they name them: a small synthetic export and archive, tiny models under the names of the real ones, three reports in
# Open-i's form. What is less than there: a model and two modalities a loop, two steps a training, four answers of a few tokens,
# two trials a sweep.
. "$(dirname "$0")/lib.sh"
root=$(cd "$here/../.." && pwd)
doc_tools
export RADMILL_DATA=$work/reports RADMILL_MODELS=$work/models RADMILL_WORK=$work/study
mkdir "$RADMILL_DATA" "$RADMILL_MODELS" "$RADMILL_WORK" "$work/xml"

# The data: an export with the columns of configs/institution.yaml, MIMIC-CXR's zip and list, Open-i's archive
one synth -o "$work/data" --reports 60 --dump-reports 300 >/dev/null
mv "$work/data/mimic-cxr-reports.zip" "$RADMILL_DATA"
awk -F, 'NR > 1 && !($2 in p) { p[$2] = n++ } { print NR == 1 ? $0 : $1 "," $2 "," (p[$2] < 6 ? "dev" : "train") }' \
  "$work/data/mimic_split.csv" >"$RADMILL_DATA/mimic_split_train_dev.csv"
tar -xzf "$work/data/institution.tar.gz" -C "$work/data"
head -n 1 "$work/data/export/reports_00001.csv" | sed 's/^accession/report_id/' >"$RADMILL_DATA/reports.csv"
tail -q -n +2 "$work/data/export"/*.csv >>"$RADMILL_DATA/reports.csv"
for i in 1 2 3; do
  printf '<eCitation><uId id="CXR%d"/><AbstractText Label="FINDINGS">Finding %d is clear.</AbstractText>%s</eCitation>\n' \
    $i $i '<AbstractText Label="IMPRESSION">Normal chest.</AbstractText>' >"$work/xml/$i.xml"
done
tar -czf "$RADMILL_DATA/NLMCXR_reports.tgz" -C "$work/xml" .
one synth --model "$work/tiny" >/dev/null
one synth --model "$RADMILL_MODELS/flan-t5-xl" --arch t5 >/dev/null
for m in $(doc_lines "$root/docs/REPRODUCE.md" '^#' 'none' | grep -oE '(alpaca|medalpaca|llama|mistral)-[0-9.ab-]*[0-9]+b' | sort -u); do
  ln -s "$work/tiny" "$RADMILL_MODELS/$m"
done

# Less of everything, behind what the lines ask for
rm "$work/bin/radmill"
cat >"$work/bin/radmill" <<'SH'
#!/bin/sh
case $1 in
train) set -- "$@" --set train.max_steps=2 --set train.warmup=0 --set train.bin_tokens=2048 --set train.tokens_per_step=4096 --set train.eval_every=never ;;
generate) set -- "$@" --set generate.limit=4 --set generate.max_new_tokens=4 ;;
evaluate) case $* in *yaml*) set -- "$@" --set evaluate.bootstrap=100 ;; esac ;;
sweep) set -- "$@" --set sweep.trials=2 --set sweep.min=1 --set sweep.max=1 --set train.max_steps=2 --set train.bin_tokens=2048 --set 'sweep.params.train.tokens_per_step=[4096]' --set generate.limit=2 \
  --set generate.max_new_tokens=4 --set evaluate.bootstrap=100 --set 'sweep.params.lora.rank=[4]' ;;
esac
exec "$RADMILL" "$@"
SH
chmod +x "$work/bin/radmill"
export RADMILL=$radmill
{
  echo 'set -eEu; trap '\''echo "at: $BASH_COMMAND" >&2'\'' ERR'
  doc_lines "$root/docs/REPRODUCE.md" '^#' 'none' | grep -vE '^(export RADMILL_DATA|PATH)=' |
    sed -E 's/for m in ([^ ;]+)[^;]*;/for m in \1;/; s/for modality in ([^ ;]+ [^ ;]+)[^;]*;/for modality in \1;/'
} >"$work/lines.sh"
[ "$(grep -c 'row\b' "$work/lines.sh")" -ge 11 ] || fail "the lines of docs/REPRODUCE.md were not found"
(cd "$root" && bash "$work/lines.sh") </dev/null >"$work/said" 2>>"$work/log" ||
  { grep -vE '^(info|---|mpirun)' "$work/log" | tail -n 12 >&2; fail "docs/REPRODUCE.md"; }

for f in llama-3.2-1b/report/report.md llama-2-7b-MR-letter/pairs/pairs.jsonl table-MR/comparison.html stats/report.html \
  flan-t5-xl/run/adapter/adapter_model.safetensors flan-t5-xl-full/run/adapter/model.safetensors radiology-gpt/openi/pairs.jsonl; do
  [ -s "$RADMILL_WORK/$f" ] || { find "$RADMILL_WORK" -maxdepth 3 >&2; fail "$f is not there"; }
done
[ "$(grep -c '"source": *"openi"' "$RADMILL_WORK/radiology-gpt/openi/pairs.jsonl")" = 3 ] || fail "Open-i was not answered"
# what docs/MODELS.md takes out of such a run
exports=0
while read -r line; do
  line=${line%%#*} line=${line//BASE/$work/tiny} line=${line//OUT/$work/exported} line=${line//RUN/$RADMILL_WORK/llama-3.2-1b/run}
  eval "timeout 100 $line" </dev/null >"$work/said2" 2>>"$work/log" || fail "docs/MODELS.md: $line"
  exports=$((exports + 1))
done < <(doc_lines "$root/docs/MODELS.md" '^## Out again' '^Every one')
[ "$exports" = 4 ] && [ -s "$work/exported/model.safetensors" ] && [ -s "$work/exported-bundle/SHA256SUMS" ] || fail "exports"
# docs/FACTS.md, over the pairs of such a run
cp "$RADMILL_WORK/llama-3.2-1b/pairs/pairs.jsonl" "$work"
doc_lines "$root/docs/FACTS.md" '^#' '^## ' >"$work/facts.sh"
[ "$(grep -c '^radmill' "$work/facts.sh")" = 3 ] || fail "the lines of docs/FACTS.md were not found"
(cd "$work" && bash -e facts.sh) >/dev/null 2>>"$work/log" || fail "docs/FACTS.md"
[ -s "$work/flags.txt" ] && [ -s "$work/out.jsonl" ] || fail "no flags"
# a plan that does not fit: exit 1, and what to change
cd "$root"
expect 1 'training needs .* train.memory_gib allows .*; lower train.bin_tokens or lora.rank, .*model.quant nf4' \
  "$radmill" train configs/llama-3.2-1b.yaml --set shards.dir="$RADMILL_WORK/llama-3.2-1b/shards" --set train.memory_gib=0.001 --dry-run
echo "reproduce: ok, $(grep -c '^/' "$work/said") answers"
