#!/usr/bin/env bash
# What we write as GGUF, read and run by llama.cpp (Python package llama-cpp-python): the same greedy answers as generate's for
# the base, for base and adapter, and for the merged model; quantised files answer as the same values do here.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
python=${RADMILL_PYTHON:-python3}
"$python" -c 'import llama_cpp' 2>/dev/null || { echo "SKIP: $python has no llama_cpp"; exit 77; }

tiny_setup 60 30
for stage in ingest shard; do one $stage "$work/c.yaml" >/dev/null; done
# a base that has learned enough to answer with different letters
short=(--set train.eval_every=never --set train.tokens_per_step=1024 --set train.epochs=20)
one train "$work/c.yaml" "${short[@]}" --set lora.method=full --set "train.dir=$work/full" --set train.max_steps=40 --set train.lr=5e-3 >/dev/null
one convert "$work/model" "$work/base" --adapter "$work/full/adapter" --dtype f32 >/dev/null
on=(--set "model.base=$work/base")
one train "$work/c.yaml" "${short[@]}" "${on[@]}" --set train.max_steps=6 --set train.lr=1e-2 >/dev/null
a=$work/run/adapter
one convert "$work/base" "$work/base.gguf" --dtype f32 >/dev/null
one convert "$work/base" "$work/adapter.gguf" --adapter "$a" --as adapter >/dev/null
for type in f32 q8_0 q4_0; do one convert "$work/base" "$work/$type.gguf" --adapter "$a" --dtype $type >/dev/null; done
one convert "$work/base" "$work/bundle" --adapter "$a" --as bundle >/dev/null

# answers NAME ARGUMENTS...: generate's
answers() {
  one generate "$work/c.yaml" --set "generate.dir=$work/$1" --set generate.max_new_tokens=24 "${@:2}" >/dev/null
}
answers says_base "${on[@]}" --set generate.adapter=none
answers says_adapter "${on[@]}"
for type in q8_0 q4_0; do
  one convert "$work/$type.gguf" "$work/$type" --dtype f32 >/dev/null
  cp "$work/base"/*token* "$work/$type" # shards know a tokenizer by its file
  answers "says_$type" --set "model.base=$work/$type" --set generate.adapter=none
done
! cmp -s "$work/says_base/pairs.jsonl" "$work/says_adapter/pairs.jsonl" || fail "the adapter changes no answer"

# llama FOLDER LEAST GGUF [ADAPTER]: at least LEAST per cent of llama.cpp's tokens are ours
llama() { timeout 300 "$python" "$here/llama_cpp_answers.py" "$work/$1/pairs.jsonl" "$work/bundle/prompt.txt" "${@:2}" 2>>"$work/log"; }
llama says_base 100 "$work/base.gguf"
llama says_adapter 100 "$work/base.gguf" "$work/adapter.gguf"
llama says_adapter 100 "$work/f32.gguf"
# llama.cpp rounds activations to 8 bits in front of such weights: now and then another letter
llama says_q8_0 50 "$work/q8_0.gguf"
llama says_q4_0 50 "$work/q4_0.gguf"
echo "llama_cpp: ok"
