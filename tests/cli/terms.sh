#!/usr/bin/env bash
# Data-use terms of a source follow its reports into manifest, shards, adapter and model card; `radmill audit CONFIG` tells what
# left any folder of the configuration: who, when, where, what.
source "$(dirname "$0")/lib.sh"
tiny_setup 40 20
terms="PhysioNet credentialed 1.5.0, DUA 4711"
sed -i "s|name: mimic, format|name: mimic, terms: \"$terms\", format|; s/max_steps: 6/max_steps: 1/; s/eval_every: 3 steps, save_every: 2 steps/eval_every: never, save_every: never/" "$work/c.yaml"
for stage in ingest shard train; do one $stage "$work/c.yaml" >/dev/null; done
for f in corpus/manifest.json shards/manifest.json run/adapter/radmill.json; do
  grep -qF "$terms" "$work/$f" || fail "$f does not have the terms"
done
one convert "$work/model" "$work/bundle" --adapter "$work/run/adapter" --as bundle >/dev/null
grep -qF "* mimic: $terms" "$work/bundle/README.md" || fail "the card does not have the terms"
grep -q '\* site:' "$work/bundle/README.md" && fail "a source without terms is on the card"
one export "$work/c.yaml" --format jsonl -o "$work/rows.jsonl" >/dev/null
# text shown, in every place that shows any
one generate "$work/c.yaml" >/dev/null
one evaluate "$work/c.yaml" --samples 2 >/dev/null
one inspect "$work/shards" --sample 0 --show-text --tokenizer "$work/model" >/dev/null
one inspect "$(find "$work/corpus/records" -type f | sort | head -n 1)" --show-text >/dev/null
one inspect "$work/c.yaml" --sample 3 --labels "$work/labels.csv" >/dev/null
one audit "$work/c.yaml" >"$work/said"
told() { grep -qE "  $1 +$2  \[$work/$3\]" "$work/said" || { cat "$work/said"; fail "not told: $1, $2"; }; }
told show '2 predictions and references on the terminal' report
told show 'text of one sample of the shards' shards
told show 'report text of one record block' corpus
told show 'a sample of reports' corpus
told export 'labels and descriptions' corpus
[ "$(wc -l <"$work/said")" = 7 ] || { cat "$work/said"; fail "seven things left, as many lines"; }
grep -q "uid $(id -u) .*convert .*\[$work/run/adapter\]" "$work/said" || { cat "$work/said"; fail "the conversion is not told"; }
grep -q "on $(hostname) .*export .*\[$work/corpus\]" "$work/said" || { cat "$work/said"; fail "the export is not told"; }
[ "$(cut -c1-20 "$work/said")" = "$(cut -c1-20 "$work/said" | sort)" ] || fail "not in the order of time"
long=$(printf 'x%.0s' {1..1100})
expect 2 'terms are longer' "$radmill" ingest "$work/c.yaml" --set "corpus.sources.site.terms=$long" --set corpus.dir="$work/other"
echo "terms: manifest, shards, adapter, card; audit of a configuration"
