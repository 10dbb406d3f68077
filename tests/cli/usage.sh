#!/usr/bin/env bash
# Words on the command line and in the YAML: exit codes, one clear line, help that matches the tables.
. "$(dirname "$0")/lib.sh"
expect 0 "" "$radmill" help
for c in $("$radmill" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do expect 0 "" "$radmill" help "$c"; done
for c in ingest train export; do
  one help "$c" >"$work/help"
  one "$c" --help >"$work/help2" && one "$c" some.yaml -h >"$work/help3"
  cmp "$work/help" "$work/help2" && cmp "$work/help" "$work/help3" || fail "$c --help is not help $c"
done
expect 2 'no command trian' "$radmill" trian
expect 2 'does not know --fromat' "$radmill" export x.yaml --fromat mediqa
expect 2 'usage: radmill train' "$radmill" train
expect 2 'export needs --format' "$radmill" export x.yaml
expect 2 'x\.yaml' "$radmill" train "$work/x.yaml"
tiny_setup 10 5
sed 's/  split_dev/  spilt_dev/' "$work/c.yaml" >"$work/key.yaml"
expect 2 'key\.yaml.*spilt_dev.*split_dev' "$radmill" ingest "$work/key.yaml"
expect 2 'train\.lr|lr' "$radmill" train "$work/c.yaml" --set train.lr=7
expect 2 'lr' "$radmill" train "$work/c.yaml" --set train.lr=fast
sed 's/^  split_dev/\tsplit_dev/' "$work/c.yaml" >"$work/tab.yaml"
expect 2 'tab\.yaml:[0-9]+: a tab where' "$radmill" ingest "$work/tab.yaml"
expect 2 'corpus.dir and shards.dir are one folder' "$radmill" shard "$work/c.yaml" --set "shards.dir=$work/corpus"
printf 'corpus: {dir: a\n' >"$work/torn.yaml"
expect 2 'torn\.yaml' "$radmill" ingest "$work/torn.yaml"
printf 'corpus: %s\n' "$(printf '%040d' 0 | tr 0 '[')" >"$work/deep.yaml"
expect 2 'deep\.yaml:1: nested deeper than' "$radmill" ingest "$work/deep.yaml"
head -c 5000000 /dev/zero | tr '\0' '#' >"$work/long.yaml"
expect 2 'long\.yaml.* limit of' "$radmill" ingest "$work/long.yaml"
# the dumped configuration reads back to itself
one ingest "$work/c.yaml" --dry-run >"$work/d1.yaml"
one ingest "$work/d1.yaml" --dry-run >"$work/d2.yaml"
cmp "$work/d1.yaml" "$work/d2.yaml" || fail "the dump does not read back to itself"
for stage in ingest shard; do one "$stage" "$work/c.yaml" >/dev/null; done
one ingest "$work/c.yaml" --dry-run --set train.eval_every=never >"$work/d3.yaml"
one train "$work/c.yaml" --dry-run --set train.eval_every=never >"$work/d4.yaml"
cmp "$work/d3.yaml" "$work/d4.yaml" || fail "train --dry-run prints something else than the configuration"
grep -q 'info memory part=total' "$work/log" && [ ! -e "$work/run/checkpoints" ] || fail "train --dry-run: no memory plan, or a run was begun"
for f in "$here"/../../configs/*.yaml "$here"/../../configs/cluster/*.yaml; do
  RADMILL_QUICKSTART_DIR=$work RADMILL_SHARED=$work RADMILL_DATA=$work RADMILL_MODELS=$work one ingest "$f" --dry-run >/dev/null || fail "$f does not parse"
done
echo "usage: ok"
