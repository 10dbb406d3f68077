#!/usr/bin/env bash
# The ingest stage as a user runs it: the same bytes on any number of ranks, and after being killed at random moments.
. "$(dirname "$0")/lib.sh"
tiny_setup 4000 2500
sed -i 's/^  dir: corpus/  dir: corpus\n  near_duplicates: 0.8/' "$work/c.yaml"
begun=$(date +%s%N)
one ingest "$work/c.yaml" >/dev/null
whole_us=$((($(date +%s%N) - begun) / 1000))
want=$(tree "$work/corpus")
grep -q . "$work/corpus/near.jsonl" || fail "no near-duplicate in the corpus: the comparison would show less"

for n in 2 3 5; do
  ranks "$n" ingest "$work/c.yaml" --set "corpus.dir=$work/ranks$n" >/dev/null
  [ "$(tree "$work/ranks$n")" = "$want" ] || fail "records differ between 1 and $n ranks"
done
killed_and_rerun "$work/killed" "$want" "$whole_us" ingest "$work/c.yaml" --set "corpus.dir=$work/killed"
