#!/usr/bin/env bash
# Calls that nobody plans: numbers that are none, words said twice, devices and links as results,
# standard files that are closed or full. Each ends in one line and the right exit code, or works.
. "$(dirname "$0")/lib.sh"
tiny_setup 40 20
for stage in ingest shard train generate; do one "$stage" "$work/c.yaml" >/dev/null; done
cd "$work"

# ---- numbers
for n in x -1 99999999999999999999999 1e3; do
  for call in "inspect shards --plan" "inspect shards --sample" "inspect shards --plan 0 --bin-tokens" \
    "inspect c.yaml --sample" "synth -o s --reports" "synth -o s --seed" "evaluate c.yaml --samples" \
    "evaluate pairs pairs -o t --cases" "sweep best c.yaml --top" "job begin c.yaml --stage train --job 1 --restart"; do
    # shellcheck disable=SC2086 # words
    expect 2 "${call##* } takes a whole number up to [0-9]+, not '$n'" "$radmill" $call "$n"
  done
done
expect 2 '\-\-split is train, dev or test' "$radmill" inspect shards --split nope
for call in "inspect shards --plan" "synth --reports" "export c.yaml --format csv -o" "shard c.yaml --modality" \
  "submit c.yaml --stages train --modality" "evaluate --pairs" "forget c.yaml --patients"; do
  # shellcheck disable=SC2086 # words
  expect 2 "${call##* } needs a value, not an empty word" "$radmill" $call ""
done
# ---- lists: with brackets or without, and known before anything is submitted
one shard c.yaml --modality CT,CR | grep -q 'files (0 made now)' || fail "--modality CT,CR"
expect 2 "'ZZ' is none of" "$radmill" shard c.yaml --modality CT,ZZ
expect 2 '\-\-modality: ZZ is not CR, CT' "$radmill" submit c.yaml --stages train --modality CT,ZZ --dry-run
# ---- shards of another prompt than the configured one are not trained on, nor answered
for other in shards.template=alpaca 'shards.input=[clinical, findings]'; do
  expect 2 'were made with template plain and input \[findings\]' "$radmill" train c.yaml --set "$other" --set train.dir=other
  expect 2 'were made with template plain and input \[findings\]' "$radmill" generate c.yaml --set "$other" --set generate.dir=other
done
[ ! -e other/adapter ] || fail "shards of another prompt were trained on"
# ---- words
expect 2 'no command trian; the nearest is train' "$radmill" trian
expect 2 'no command xyzzy; radmill help lists them' "$radmill" help xyzzy
expect 2 'is not there: run radmill generate first' "$radmill" evaluate c.yaml --set generate.dir=none
expect 2 '\-\-against is given twice' "$radmill" evaluate c.yaml --against a=pairs/pairs.jsonl --against b=pairs/pairs.jsonl
expect 2 'would drop all that is set below it' "$radmill" train c.yaml --set train=
expect 2 'no such file or folder' "$radmill" inspect nothing.h5
expect 2 'no such folder or configuration' "$radmill" audit runn # "nothing has left" would be a lie
"$radmill" --version | grep -Eq '^radmill [0-9]+\.[0-9]+' || fail "no --version"
"$radmill" status run | grep -Eq 'train +done, [0-9]+ of [0-9]+ steps' || fail "status does not know a run's folder"
expect 2 'neither status.json nor a submission' "$radmill" status data
# a rate that nothing is known of is none, and no 0
mkdir early
sed 's/"rate": [0-9.e+]*/"rate": null/; t; s/$/no rate/' run/status.json >early/status.json
"$radmill" status early | grep -Eq 'train +done, ([0-9]+) of \1 steps in [0-9hms]+ ' || fail "a stage without a rate"
"$radmill" status early | grep -q '/s' && fail "a rate that is not in status.json"
"$radmill" stats c.yaml 2>&1 >/dev/null | grep -E 'stats\.done done=[1-9]' | grep -Eqv 'rate=0( |$)' ||
  fail "stats counted at a rate of 0"

# ---- where results go
expect 2 '\-o writes files whole' "$radmill" export c.yaml --format csv -o -
one export c.yaml --format csv -o plain.csv >/dev/null
ln -s plain.csv link.csv
one export c.yaml --format jsonl -o link.csv >/dev/null
[ -L link.csv ] && [ "$(head -c 1 plain.csv)" = "{" ] || fail "a link was replaced"
mkfifo pipe
ln -s pipe piped
for to in pipe piped; do
  expect 1 'no regular file' "$radmill" export c.yaml --format csv -o "$to"
  expect 1 'no regular file' "$radmill" evaluate --pairs pairs/pairs.jsonl --metrics rouge --per-pair "$to" -o r.json
done
[ -p pipe ] && [ -L piped ] || fail "a pipe was replaced"

# ---- results are not written over what they are made from, nor over each other
cp pairs/pairs.jsonl mine.jsonl
ln -s mine.jsonl again.jsonl
for to in mine.jsonl again.jsonl ./mine.jsonl; do
  for call in "--metrics rouge -o $to" "--metrics rouge --per-pair $to -o r.json" "--metrics facts --facts $to -o r.json"; do
    # shellcheck disable=SC2086 # words
    expect 2 'would be written over' "$radmill" evaluate --pairs mine.jsonl $call
  done
done
expect 2 'would be written over' "$radmill" evaluate --pairs mine.jsonl --metrics rouge --per-pair new -o new
expect 2 'would be written over' "$radmill" evaluate --pairs mine.jsonl --metrics rouge --against pairs/pairs.jsonl -o pairs/pairs.jsonl
expect 2 'would be written over' "$radmill" judge score c.yaml --set judge.dir=judge --pairs mine.jsonl -o mine.jsonl
expect 2 'would be written over' "$radmill" export c.yaml --format csv -o c.yaml
expect 2 'would be written over' "$radmill" export c.yaml --format csv -o data/mimic-cxr-reports.zip
expect 2 'would be written over' "$radmill" inspect c.yaml --labels c.yaml
cmp mine.jsonl pairs/pairs.jsonl || fail "a pairs file was written over"
# ---- a member whose name is not ASCII, in the C locale (setlocale of main, or the UTF-8 name, either will do)
mkdir -p names
printf 'accession,findings,impression\nA1,The lungs are clear and the heart is normal.,Normal chest.\n' >names/röntgen.csv
LC_ALL=C.UTF-8 cmake -E tar cf names.7z --format=7zip names
cat >names.yaml <<'YAML'
corpus:
  dir: names-corpus
  sources:
    - {name: site, format: csv, path: names.7z, members: "*/röntgen.csv", split: hash}
YAML
LC_ALL=C LANG=C "$radmill" ingest names.yaml 2>>"$work/log" | grep -q ': 1 reports in' || fail "a member whose name is not ASCII, in the C locale"
# ---- standard files
printf '{"text": "no acute findings"}\n' >in.jsonl
code=0
"$radmill" tokenize model <in.jsonl >/dev/full 2>err || code=$?
[ "$code" = 1 ] && grep -q 'did not take the whole answer' err || fail "a full disk behind standard output: $code"
for _ in $(seq 14); do cat in.jsonl in.jsonl >long.jsonl && cp long.jsonl in.jsonl; done
{ "$radmill" tokenize model <long.jsonl 2>err || echo "FAIL $?" >>err; } | head -n 1 >/dev/null
[ ! -s err ] || { cat err; fail "tokenize | head"; }
# a server without standard files must not log into whatever got their numbers
"$radmill" serve c.yaml --set serve.dir=serve --set serve.port=0 <&- >&- 2>&- &
pid=$!
for _ in $(seq 300); do [ -s serve/connect.txt ] && break; sleep 0.1; done
for fd in 0 1 2; do
  [ "$(readlink /proc/$pid/fd/$fd)" = /dev/null ] || { kill $pid; fail "file $fd of a server without one is $(readlink /proc/$pid/fd/$fd)"; }
done
kill $pid
wait $pid || [ $? = 75 ] || fail "the server does not stop"
echo "odd calls: ok"
