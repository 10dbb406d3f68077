#!/usr/bin/env bash
# The main job on a tiny model, on 1, 2, 3 and 4 ranks: the same bytes at every stage.
. "$(dirname "$0")/lib.sh"
tiny_setup 3000 300
for n in 1 2 3 4; do
  set=(--set "corpus.dir=$work/corpus$n" --set "shards.dir=$work/shards$n" --set "train.dir=$work/run$n"
    --set "generate.dir=$work/pairs$n" --set "evaluate.dir=$work/report$n")
  ranks "$n" ingest "$work/c.yaml" "${set[@]}" >"$work/ingest$n"
  ranks "$n" shard "$work/c.yaml" "${set[@]}" >"$work/shard$n"
  ranks "$n" train "$work/c.yaml" "${set[@]}" --set 'shards.modality=[CT]' >"$work/train$n"
  ranks "$n" generate "$work/c.yaml" "${set[@]}" --set 'shards.modality=[CT]' >"$work/generate$n"
  ranks "$n" evaluate "$work/c.yaml" "${set[@]}" --set 'shards.modality=[CT]' >"$work/evaluate$n"
  sed -i "s/pairs$n/pairs/" "$work/report$n/report.json" # the one path in it
  for part in corpus shards; do
    [ "$(tree "$work/$part$n")" = "$(tree "$work/${part}1")" ] || fail "$part differs between 1 and $n ranks"
  done
  for file in run/adapter/adapter_model.safetensors run/adapter/adapter_config.json pairs/pairs.jsonl report/per_pair.jsonl report/report.md \
    report/report.json; do
    cmp "$work/${file/\//$n/}" "$work/${file/\//1/}" || fail "$file differs between 1 and $n ranks"
  done
done
# a second time there is nothing to do, and nothing is touched
touch "$work/mark"
ranks 2 ingest "$work/c.yaml" --set "corpus.dir=$work/corpus1" | grep -q '(0 made now)' || fail "ingest made blocks again"
ranks 2 shard "$work/c.yaml" --set "corpus.dir=$work/corpus1" --set "shards.dir=$work/shards1" | grep -q '(0 made now)' ||
  fail "shard made files again"
[ -z "$(find "$work"/corpus1 "$work"/shards1 -name '*.h5' -newer "$work/mark")" ] || fail "a file was rewritten"
# one modality is rebuilt without touching another's files
ranks 2 shard "$work/c.yaml" --set "corpus.dir=$work/corpus1" --set "shards.dir=$work/shards1" --set shards.min_findings_words=5 \
  --modality '[CT]' >/dev/null
[ -z "$(find "$work/shards1" -name '*.h5' -newer "$work/mark" ! -path '*/CT/*')" ] || fail "another modality was touched"
[ -n "$(find "$work/shards1/CT" -name '*.h5' -newer "$work/mark")" ] || fail "CT was not rebuilt"
grep -q 'adapter' "$work/train1" || fail "train names no adapter"
grep -q '"findings": ' "$work/pairs1/pairs.jsonl" || fail "the pairs hold no findings"
grep -q 'ROUGE-L F over knn' "$work/evaluate1" || fail "evaluate compares with no nearest training report"
grep -q 'ROUGE-L' "$work/evaluate1" || fail "evaluate prints no ROUGE-L"
one status "$work/c.yaml" --set "train.dir=$work/run1" | grep -q 'train *done' || fail "status does not say done"
one inspect "$work/corpus1" | grep -q 'corpus, ' || fail "inspect does not know a corpus"
one inspect "$work/shards1" | grep -q 'token shards' || fail "inspect does not know shards"
echo "pipeline: ok"
