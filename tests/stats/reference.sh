#!/usr/bin/env bash
# radmill stats against an independent count in Python: on the real-text corpora, and on a synthetic one
# of several modalities. Needs h5py and the shared data; says what it leaves out.
. "$(dirname "$0")/../cli/lib.sh"
python=${RADMILL_PYTHON:-python3}
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: $python does not import h5py"; exit 77; }

one synth -o "$work/data" --reports 600 --dump-reports 900 --seed 5 >/dev/null
sources="{name: made, format: mimic-cxr, path: $work/data/mimic-cxr-reports.zip, split: hash, sections: own},
  {name: dump, format: csv, path: $work/data/institution.tar.gz, split: hash, sections: own}"
if [ -d "$shared/data/mimic-like" ]; then
  data=$shared/data
  sources="$sources,
  {name: mimic, format: mimic-cxr, path: $data/mimic-like/mimic-cxr-reports.zip, split: list, split_list: $data/mimic-like/mimic_split_train_dev.csv, sections: own},
  {name: site_a, format: csv, path: $data/institutional-like/site_a_ris_csv.tar.gz, split: hash, sections: own},
  {name: openi, format: csv, path: $data/openi/indiana_reports.csv.gz, split: test, sections: own, modality: CR, columns: {id: uid, clinical: indication}}"
else
  echo "without the shared data: $shared/data is not there"
fi
cat >"$work/c.yaml" <<YAML
corpus: {dir: corpus, split_dev: 0.1, split_test: 0.1, sources: [$sources]}
stats: {dir: stats}
YAML
one ingest "$work/c.yaml" >/dev/null
one stats "$work/c.yaml" >"$work/out"
grep -q 'reports, ' "$work/out" || fail "no summary"
"$python" "$(dirname "$0")/check_stats.py" "$work/corpus" "$work/stats" 10
# no text of a report and no name of a patient in what goes to the terminal and the log
! grep -qi 'pneumothorax' "$work/out" "$work/log" || fail "report text on the terminal"
echo "stats: ok"
