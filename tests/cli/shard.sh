#!/usr/bin/env bash
# The shard stage as a user runs it: killed at random moments, on any number of ranks, with a template of
# the user's own, for an encoder-decoder; and what inspect says of it.
. "$(dirname "$0")/lib.sh"
tiny_setup 1500 900
one ingest "$work/c.yaml" >/dev/null
begun=$(date +%s%N)
one shard "$work/c.yaml" >"$work/shard"
whole_us=$((($(date +%s%N) - begun) / 1000))
want=$(tree "$work/shards")

# any number of ranks
for n in 2 3 5; do
  ranks "$n" shard "$work/c.yaml" --set "shards.dir=$work/ranks$n" >/dev/null
  [ "$(tree "$work/ranks$n")" = "$want" ] || fail "shards differ between 1 and $n ranks"
done

killed_and_rerun "$work/killed" "$want" "$whole_us" shard "$work/c.yaml" --set "shards.dir=$work/killed"

# a template file lies beside the configuration, wherever the program is started
printf 'Report by {reader}\nFindings: {findings}\nSo: {target}{eos}\n' >"$work/mine.txt"
(cd / && one shard "$work/c.yaml" --set shards.template=mine.txt --set "shards.dir=$work/mine" >/dev/null) &&
  fail "--set is relative to where it is given"
sed 's/template: plain/template: mine.txt/' "$work/c.yaml" >"$work/mine.yaml"
(cd / && one shard "$work/mine.yaml" --set "shards.dir=$work/mine" >/dev/null) || fail "the template beside the file was not found"
one inspect "$work/mine" | grep -q 'template mine.txt' || fail "inspect does not name the template"

# an encoder-decoder says so in its config.json
cp -r "$work/model" "$work/t5"
sed -i 's/{/{"is_encoder_decoder": true,/' "$work/t5/config.json"
one shard "$work/c.yaml" --set "model.base=$work/t5" --set "shards.dir=$work/apart" --set shards.max_input_tokens=200 \
  --set shards.max_target_tokens=300 >"$work/out" || fail "no shards for an encoder-decoder"
grep -q 'input cut to fit' "$work/out" || fail "cut inputs are not counted"
one inspect "$work/apart" | grep -q 'encoder-decoder token shards' || fail "the layout is not the model's"
one inspect "$work/apart" --plan 0 --bin-tokens 400 --bin-targets 300 | grep -q 'bins of 400 input tokens' || fail "no plan"

# inspect: a file, a sample, its words only when asked, and then it is noted
file=$(find "$work/shards/CT" -name '*.h5' | head -n 1)
one inspect "$file" | grep -q 'all checksums hold' || fail "inspect does not know a shard file"
one inspect "$work/shards" --sample 0 >"$work/out"
grep -q 'from  *source' "$work/out" || fail "no provenance"
! grep -qi 'findings:' "$work/out" || fail "report text without being asked"
[ ! -e "$work/shards/audit.jsonl" ] || fail "noted without showing text"
one inspect "$work/shards" --sample 0 --show-text --tokenizer "$work/model" | grep -q 'Findings:' || fail "no text"
grep -q '"action": "show"' "$work/shards/audit.jsonl" || fail "text was shown and not noted"
expect 2 'needs --tokenizer' "$radmill" inspect "$work/shards" --sample 0 --show-text
[ "$(one inspect "$work/shards" --plan 1 | grep digest)" != "$(one inspect "$work/shards" --plan 2 | grep digest)" ] ||
  fail "two epochs have one plan"

# near-duplicates: one of each group an epoch, counted from the record blocks and near.jsonl by h5py
one ingest "$work/c.yaml" --set "corpus.dir=$work/near" --set corpus.near_duplicates=0.7 >/dev/null
one shard "$work/c.yaml" --set "corpus.dir=$work/near" --set "shards.dir=$work/alike" >"$work/out"
grep -q "nearly another's: [1-9]" "$work/out" || fail "no near-duplicates in the corpus: $(cat "$work/out")"
one inspect "$work/alike" | grep -q "that are nearly another's, in" || fail "inspect does not tell of the groups"
one inspect "$work"/alike/groups-*.h5 | grep -q 'all checksums hold' || fail "inspect does not know the groups file"
for f in "$work"/alike/*/*.h5; do
  cmp "$f" "$work/shards/${f#"$work/alike/"}" || fail "near-duplicates change a shard"
done
ranks 3 shard "$work/c.yaml" --set "corpus.dir=$work/near" --set "shards.dir=$work/alike3" >/dev/null
[ "$(tree "$work/alike3")" = "$(tree "$work/alike")" ] || fail "groups differ between 1 and 3 ranks"
if [ -n "${RADMILL_PYTHON:-}" ] && "$RADMILL_PYTHON" -c 'import h5py' 2>/dev/null; then
  want=$("$RADMILL_PYTHON" "$here/near_groups.py" "$work/near" "$work/alike")
  plan=$(one inspect "$work/alike" --plan 3 --once)
  grep -q "^  $want samples in " <<<"$plan" || fail "$want groups, but the plan says: $plan"
else
  echo "SKIP: groups counted by h5py (no RADMILL_PYTHON with it)"
fi
group=$(echo "$work"/alike/groups-*.h5)
cp "$group" "$work/whole"
printf '\377' | dd of="$group" bs=1 seek=5000 conv=notrunc 2>/dev/null
expect 1 "$(basename "$group"): .*: checksum differs" "$radmill" inspect "$work/alike" --plan 0
one shard "$work/c.yaml" --set "corpus.dir=$work/near" --set "shards.dir=$work/alike" | grep -q '(0 made now)' || fail "shards made again"
cmp "$group" "$work/whole" || fail "the damaged groups file was not mended"
rm -r "$work/near" "$work/alike" "$work/alike3"

# one flipped byte is named by file and dataset, and the rerun mends it
cp "$file" "$work/whole"
at=$(one inspect "$file" | sed -n 's/.*contiguous at byte \([0-9]*\);.*/\1/p')
printf '\377' | dd of="$file" bs=1 seek=$((at + 101)) conv=notrunc 2>/dev/null
expect 1 "$(basename "$file"): dataset /tokens/ids: checksum differs" "$radmill" inspect "$work/shards"
one shard "$work/c.yaml" | grep -q '(1 made now)' || fail "the damaged file was not made again"
cmp "$file" "$work/whole" || fail "the mended file differs"
echo "shard: ok"
