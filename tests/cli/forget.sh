#!/usr/bin/env bash
# radmill forget from end to end: records, shards, pairs and reports go, adapters and exports are named, and a
# rebuilt corpus does not know the patient.
. "$(dirname "$0")/lib.sh"
tiny_setup 120 60
sed -i 's/^  split_dev/  near_duplicates: 0.6\n  split_dev/' "$work/c.yaml"
for stage in ingest shard train generate; do one "$stage" "$work/c.yaml" >/dev/null; done
one evaluate "$work/c.yaml" >/dev/null
one export "$work/c.yaml" --source site --format jsonl -o "$work/all.jsonl" >/dev/null
# random reports with their labels, and the labels as a table; both are noted
one inspect "$work/c.yaml" --sample 3 --modality CR --labels "$work/labels.csv" >"$work/shown"
[ "$(grep -c '^== .*CR, told by: ' "$work/shown")" = 3 ] || fail "not three reports are shown"
grep -q '^\[impression\]' "$work/shown" || fail "no section is shown"
head -1 "$work/labels.csv" | grep -qx 'modality,told_by,reports,description' || fail "labels.csv has no header"
grep -q '^CR,source,' "$work/labels.csv" || fail "labels.csv lacks the MIMIC-shaped reports"
expect 0 '' "$radmill" audit "$work/corpus"
grep -q 'show .*sample' "$work/out" || fail "the shown text is not in the audit log"
expect 2 'CR, CT, MR' "$radmill" inspect "$work/c.yaml" --modality BONE
expect 2 'column, code' "$radmill" inspect "$work/c.yaml" --from nowhere
# all patients of the test split, and one of train
python3 - "$work/all.jsonl" >"$work/ids" <<'PY'
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
ids = sorted({r["patient"] for r in rows if r["split"] == "test"}) + sorted({r["patient"] for r in rows if r["split"] == "train"})[:1]
assert len(ids) > 1
print("\n".join(ids))
PY
expect 2 'forget needs --patients' "$radmill" forget "$work/c.yaml"
group=$(echo "$work"/shards/groups-*.h5)
[ -e "$group" ] || fail "no texts are nearly one"
one forget "$work/c.yaml" --patients "$work/ids" >"$work/said"
for f in shards/manifest.json "shards/$(basename "$group")" pairs/pairs.jsonl report/report.json report/report.md; do
  [ ! -e "$work/$f" ] || fail "$f is still there"
  grep -q "removed .*$f" "$work/said" || fail "$f is not named: $(cat "$work/said")"
done
grep -q 'may have seen them, train again: .*run/adapter' "$work/said" || fail "the adapter is not named"
grep -q 'may have left with them: .*export format=jsonl source=site' "$work/said" || fail "the export is not named"
grep -qwFf "$work/ids" "$work/said" "$work/log" "$work/corpus/audit.jsonl" "$work/corpus/forgotten.list" && fail "an id is in the output"
one ingest "$work/c.yaml" >/dev/null
one shard "$work/c.yaml" >/dev/null
one export "$work/c.yaml" --source site --format jsonl -o "$work/after.jsonl" >/dev/null
grep -wFf "$work/ids" "$work/after.jsonl" >/dev/null && fail "a forgotten patient came back"
[ "$(wc -l <"$work/after.jsonl")" -lt "$(wc -l <"$work/all.jsonl")" ] || fail "nothing was purged"
expect 0 '' "$radmill" audit "$work/corpus"
grep -q forget "$work/out" || fail "the audit log does not know of it"
echo "forget: ok"
