#!/usr/bin/env bash
# radmill evaluate RUN1 RUN2 ...: files of anyone, quoted rows, chosen pairs; no text unless asked; bytes on 1, 2, 4 ranks.
. "$(dirname "$0")/lib.sh"
for i in $(seq 0 40); do
  echo "{\"id\": \"x$i\", \"source\": \"s$((i % 2))\", \"prediction\": \"no acute disease\", \"reference\": \"no acute disease mrn77$i\"}" >>"$work/a.jsonl"
  echo "{\"id\": \"x$i\", \"source\": \"s$((i % 2))\", \"prediction\": \"acute\", \"reference\": \"no acute disease mrn77$i\"}" >>"$work/b.jsonl"
done
mkdir "$work/run" && sed 3d "$work/b.jsonl" >"$work/run/pairs.jsonl"
printf 'name,note,rougeL.f\nsomeone,a paper,12.5\n' >"$work/q.csv"
args=("first=$work/a.jsonl" "$work/run" --published "$work/q.csv" --external s1 --where 'A.rougeL > B.rougeL' --sample 7)
one evaluate "${args[@]}" -o "$work/one" >"$work/table"
grep -q '40 pairs in all files (up to 1 ' "$work/table" || fail "common pairs are not counted"
grep -q ' sentence mean' "$work/table" || fail "a label is cut on the terminal"
grep -q '40 pairs fulfil' "$work/table" || fail "--where chooses other pairs"
grep -q 'External test' "$work/one/comparison.html" || fail "the external source has no part of its own"
grep -q 'someone (quoted)' "$work/one/comparison.md" || fail "the quoted row is not marked"
grep -rqE 'mrn77|acute' "$work/one" && fail "report text on a page that did not ask for it"
for n in 2 4; do
  ranks $n evaluate "${args[@]}" -o "$work/r$n" >/dev/null
  for f in html md csv tex; do
    cmp "$work/one/comparison.$f" "$work/r$n/comparison.$f" || fail "$n ranks change comparison.$f"
  done
done
one evaluate "${args[@]}" --show-text -o "$work/text" >/dev/null
grep -q 'mrn77' "$work/text/comparison.html" || fail "--show-text shows none"
grep -q 'comparison.html with the text' "$work/text/audit.jsonl" || fail "shown text is not in the audit log"
expect 2 'is not there' "$radmill" evaluate "$work/none" -o "$work/x"
expect 2 'no row is called Q' "$radmill" evaluate "$work/a.jsonl" --yardstick Q -o "$work/x"
expect 2 '--output DIR' "$radmill" evaluate "$work/a.jsonl" "$work/b.jsonl"
expect 2 'go without RUNs' "$radmill" evaluate "$work/a.jsonl" --pairs "$work/b.jsonl" -o "$work/x"
expect 2 'encoders.bertscore' "$radmill" evaluate "$work/a.jsonl" --metrics rouge,bertscore -o "$work/x"
[ ! -e "$work/x/comparison.html" ] || fail "an error left a page"
echo "compare: ok"
