#!/usr/bin/env bash
# A stream that cannot be split (tar.gz), decoded by one rank and made into blocks by all: the same bytes on any number
# of ranks, and after all ranks were killed with -9 at twenty random moments, on 2 and 3 ranks in turn, and run again.
. "$(dirname "$0")/lib.sh"
one synth -o "$work/data" --reports 20 --dump-reports 30000 --seed 5 >/dev/null
dump=$work/data/institution.tar.gz
[ "$(stat -c %s "$dump")" -gt $((1 << 20)) ] || fail "the dump is under feed_least: it would go to one rank whole"
cat >"$work/c.yaml" <<'YAML'
corpus:
  dir: corpus
  sources:
    - {name: site, format: csv, path: data/institution.tar.gz, split: hash, sections: own}
YAML
one ingest "$work/c.yaml" >/dev/null
want=$(tree "$work/corpus")
[ "$(find "$work/corpus/records" -name 'b*.h5' | wc -l)" -ge 7 ] || fail "too few blocks to deal out"

seed=${RADMILL_TEST_SEED:-$RANDOM}
echo "ingest_fed: seed $seed"
RANDOM=$seed
dir=$work/killed
begun=$(date +%s%N)
ranks 2 ingest "$work/c.yaml" --set "corpus.dir=$dir" >/dev/null
whole_us=$((($(date +%s%N) - begun) / 1000))
[ "$(tree "$dir")" = "$want" ] || fail "2 ranks give other bytes than one"
midway=0
for round in $(seq 20); do
  [ $((round % 4)) != 1 ] || rm -rf "$dir"
  "$here/../support/mpirun" -n $((2 + round % 2)) "$radmill" ingest "$work/c.yaml" --set "corpus.dir=$dir" \
    >/dev/null 2>&1 &
  pid=$!
  at=$((RANDOM * whole_us / 32768))
  sleep "$(printf '%d.%06d' $((at / 1000000)) $((at % 1000000)))"
  # the ranks, all at once; mpirun sees it and clears up - not always, when it was still starting them
  pkill -9 -x -f -- "$radmill ingest $work/c.yaml --set corpus.dir=$dir" || true
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  pkill -9 -f -- "$radmill ingest $work/c.yaml --set corpus.dir=$dir" || true
  wait "$pid" || true
  [ -z "$(find "$dir" -name 'b*.h5' -print -quit 2>/dev/null)" ] || [ -e "$dir/manifest.json" ] || midway=$((midway + 1))
  [ $((round % 4)) = 0 ] || continue
  ranks $((2 + round / 4 % 2)) ingest "$work/c.yaml" --set "corpus.dir=$dir" >/dev/null
  # a temporary file stays where its writer's process number is in use again; nothing refers to it
  find "$dir" -name '*.tmp.*' -delete
  [ "$(tree "$dir")" = "$want" ] || fail "after kill -9 the rerun gives other bytes (seed $seed, round $round)"
done
echo "ingest_fed: ok, $midway of 20 killed with blocks written and no manifest yet"
