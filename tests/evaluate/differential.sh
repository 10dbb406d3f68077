#!/usr/bin/env bash
# Every pair of data/metrics and of the golden extras, by radmill and by rouge-score, sacrebleu and nltk
# themselves. differential.sh RADMILL. RADMILL_PYTHON: a Python that has the packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${RADMILL_PYTHON:-python3}
files=("$here/../support/golden/bleu_extra.jsonl" "$here/../support/golden/rouge_extra.jsonl")
shared=$here/../../../shared/data/metrics
if [ -d "$shared" ]; then
  for name in golden_rouge_bleu corpus_knn openi_llm_outputs factcheck_suite radpref_ratings; do
    files+=("$shared/$name.jsonl")
  done
else
  echo "without the shared data: $shared is not there"
fi
"$python" "$here/../../bench/peers/metrics_differential.py" "$1" "${files[@]}"
