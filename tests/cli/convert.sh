#!/usr/bin/env bash
# A trained adapter leaves in every form; each is read back, and each is in the audit log.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

tiny_setup 60 30
for stage in ingest shard train; do one $stage "$work/c.yaml" --set train.max_steps=2 --set train.lr=1.0e-2 >/dev/null; done
a=$work/run/adapter
one convert "$work/model" "$work/merged" --adapter "$a" --dtype f32 >"$work/said32"
grep -q 'merged in f32' "$work/said32" || fail "no drift was printed"
one convert "$work/model" "$work/half" --adapter "$a" >"$work/said"
grep -Eq 'moved weights by [0-9]' "$work/said" || fail "no drift was printed"
# logits: f32 loses nothing but the order of sums, bf16 a little, and an adapter of another scale would be seen
logits() { sed -n 's/.*is \([0-9.e+-]*\) (rms), at most \([0-9.e+-]*\), of \([0-9.e+-]*\) (rms).*/\1 \2 \3/p' "$work/said"; }
read -r rms most size < <(logits) || fail "no drift of the logits was printed"
awk -v r="$rms" -v m="$most" -v s="$size" 'BEGIN { exit !(r > 1e-5 * s && r < 0.05 * s && m >= r) }' || fail "bf16: logits differ by $rms of $size"
cp "$work/said32" "$work/said"
read -r rms most size < <(logits) || fail "no drift of the logits was printed"
awk -v r="$rms" -v s="$size" 'BEGIN { exit !(s > 0 && r < 1e-5 * s) }' || fail "f32: logits differ by $rms of $size"
grep -Eq 'the same at ([0-9]+) of \1 places' "$work/said" || fail "the merged model says something else"
for f in tokenizer.json config.json; do [ -e "$work/merged/$f" ] || fail "the merged folder is not whole"; done

# Merged or not, and through GGUF and back: the same answers, drawn with a seed (so small a model says nothing by itself),
# and the same likelihood of the references; the base alone gives others. A folder from GGUF is another tokenizer to the
# shards, although its ids are the same: its reports are sharded again, and draw the same tokens.
ask() { local to=$1; shift; one generate "$work/c.yaml" --set generate.temperature=1 --set generate.dir="$work/$to" "$@" >/dev/null; }
ask pairs
ask of-merged --set model.base="$work/merged" --set generate.adapter=none
ask of-base --set generate.adapter=none
one convert "$work/model" "$work/merged.gguf" --adapter "$a" --dtype f32 >/dev/null
one convert "$work/merged.gguf" "$work/back" --dtype f32 >/dev/null
back=(--set model.base="$work/back" --set generate.adapter=none)
expect 2 'made with another tokenizer' "$radmill" generate "$work/c.yaml" --set generate.dir="$work/x" "${back[@]}"
one shard "$work/c.yaml" --set model.base="$work/back" --set shards.dir="$work/shards2" >/dev/null
ask of-back "${back[@]}" --set shards.dir="$work/shards2"
python3 - "$work" <<'PY' || fail "answers differ, are empty, or do not show the adapter"
import json, sys
read = lambda name: [json.loads(line) for line in open(f"{sys.argv[1]}/{name}/pairs.jsonl")]
own, base = read("pairs"), read("of-base")
assert len(own) >= 5 and all(p["tokens"] > 0 for p in own), "too few answers"
assert sum(len(p["prediction"]) > 3 for p in own) == len(own), "empty answers"
assert all(p["prediction"] != q["prediction"] for p, q in zip(own, base)), "the base says the same"
assert all(abs(p["nll"] - q["nll"]) > 0.01 * q["nll"] for p, q in zip(own, base)), "the base scores the same"
for name in "of-merged", "of-back":
    got = read(name)
    assert [p["prediction"] for p in got] == [p["prediction"] for p in own], name
    assert all(abs(p["nll"] - q["nll"]) < 1e-5 * q["nll"] for p, q in zip(got, own)), name
PY

one convert "$work/model" "$work/adapter.gguf" --adapter "$a" --as adapter >/dev/null
[ "$(head -c 4 "$work/adapter.gguf")" = GGUF ] || fail "no GGUF adapter"

one convert "$work/model" "$work/bundle" --adapter "$a" --as bundle >"$work/said"
(cd "$work/bundle" && sha256sum --quiet -c SHA256SUMS) || fail "the bundle's sums do not hold"
for f in adapter_config.json adapter_model.safetensors radmill.json adapter.gguf Modelfile vllm.sh README.md tokenizer.json; do
  [ -s "$work/bundle/$f" ] || fail "the bundle lacks $f"
done
grep -q '{findings}' "$work/bundle/prompt.txt" || fail "the prompt has no place for the findings"
grep -q 'max-lora-rank 8 ' "$work/bundle/vllm.sh" || fail "the rank limit is not the next one allowed"
grep -q '{{ .Prompt }}' "$work/bundle/Modelfile" || fail "the Modelfile has no prompt"
grep -q "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["base"]["weights"])' "$a/radmill.json")" "$work/bundle/README.md" ||
  fail "the card does not name the base's weights"
sh -n "$work/bundle/vllm.sh"

# a model is never written over what it is made from, by whatever name
before=$(sha256sum <"$work/model/model.safetensors")
ln -s model "$work/same"
expect 2 'would be written over' "$radmill" convert "$work/model" "$work/model"
expect 2 'would be written over' "$radmill" convert "$work/model" "$work/same/" --adapter "$a"
expect 2 'would be written over' "$radmill" convert "$work/model" "$a" --adapter "$a"
[ "$before" = "$(sha256sum <"$work/model/model.safetensors")" ] || fail "the base was written over"

# what does not fit the form is refused
expect 2 'needs --adapter' "$radmill" convert "$work/model" "$work/x" --as bundle
expect 2 'ends in \.gguf' "$radmill" convert "$work/model" "$work/x" --adapter "$a" --as adapter
expect 2 'dtype is f16, bf16, f32, q8_0 or q4_0' "$radmill" convert "$work/model" "$work/x.gguf" --dtype q4
expect 2 'dtype is bf16, f32 or f16' "$radmill" convert "$work/model" "$work/x" --dtype q8_0

one audit "$a" >"$work/said"
[ "$(grep -c convert "$work/said")" = 5 ] || { cat "$work/said"; fail "not every export is in the audit log"; }
echo "convert: ok"
