#!/usr/bin/env bash
# radmill tokenize: every mode and --decode over every kind of file, against the golden rows where the shared folder is, and
# beside the Python package where that is; a bad line is named.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# same FILE FILE WHAT
same() { cmp -s "$1" "$2" || { diff "$1" "$2" | head -n 5 >&2; fail "$3"; }; }

# ---- one tokenizer as folder, JSON, gzip and GGUF
one synth --model "$work/model" >/dev/null
one convert "$work/model" "$work/model.gguf" >/dev/null
gzip -c "$work/model/tokenizer.json" >"$work/tokenizer.json.gz"
cat >"$work/in.jsonl" <<'JSON'
{"text": "The lungs are clear.\nNo pleural effusion; 3 mm nodule, unchanged."}
{"text": ""}

{"text": "\u00e9\u4e2d\ud83d\ude00 \u0000 <|im_end|> 12345  \t end"}
JSON
printf '{"text": "no line end behind it"}' >>"$work/in.jsonl"
for mode in ids raw plain; do
  one tokenize "$work/model" --mode $mode <"$work/in.jsonl" >"$work/$mode.jsonl"
  [ "$(wc -l <"$work/$mode.jsonl")" = 4 ] || fail "$mode: not one line for each that is not empty"
  for form in model/tokenizer.json tokenizer.json.gz model.gguf; do
    one tokenize "$work/$form" --mode $mode <"$work/in.jsonl" >"$work/got"
    same "$work/got" "$work/$mode.jsonl" "$form gives other ids than the folder, mode $mode"
  done
done
one tokenize "$work/model" <"$work/in.jsonl" >"$work/got"
same "$work/got" "$work/plain.jsonl" "plain is not the mode that one gets"
for form in model model.gguf; do
  one tokenize "$work/$form" --decode <"$work/plain.jsonl" >"$work/back.jsonl"
  python3 - "$work/in.jsonl" "$work/back.jsonl" <<'PY' || fail "$form: decoding does not give the text back"
import json, sys
a, b = ([json.loads(x)["text"] for x in open(f, encoding="utf-8") if x.strip()] for f in sys.argv[1:])
sys.exit(a != b)
PY
done

# ---- what is wrong with a line is said, and where
bad() {
  local pattern=$1
  printf '%b' "$2" >"$work/bad.jsonl"
  shift 2
  expect 1 "$pattern" sh -c 'in=$1; shift; exec "$@" <"$in"' sh "$work/bad.jsonl" "$radmill" tokenize "$@"
}
bad 'line 2' '{"text": "a"}\nno JSON\n' "$work/model"
bad 'line 3' '{"text": "a"}\n\n{"words": "a"}\n' "$work/model"
bad 'line 1' '{"text": 7}\n' "$work/model"
bad 'line 1' '{"text": "\\xff"}\n' "$work/model"
bad 'line 1: .*ids' '{"text": "a"}\n' "$work/model" --decode
bad 'line 2: ids\[1\] is no token id' '{"ids": [1]}\n{"ids": [1, 99999999]}\n' "$work/model" --decode
bad 'ids\[0\] is no token id' '{"ids": [-1]}\n' "$work/model" --decode
bad 'ids\[0\] is no token id' '{"ids": [1.5]}\n' "$work/model" --decode
bad 'line 1' '{"text": SECRET}\n' "$work/model"
! grep -q SECRET "$work/err" || fail "an error shows the text"
expect 2 'mode is plain, raw or ids' "$radmill" tokenize "$work/model" --mode fast
mkdir "$work/folder"
expect 1 'there is no tokenizer.json' "$radmill" tokenize "$work/folder"
expect 1 'nowhere' "$radmill" tokenize "$work/nowhere"
printf 'no tokenizer' >"$work/folder/tokenizer.json"
expect 1 'no tokenizer file that is known' "$radmill" tokenize "$work/folder"
rm "$work/folder/tokenizer.json"

# ---- the golden rows
tokenizers=$shared/data/tokenizers
if [ ! -d "$tokenizers" ]; then
  echo "SKIP: golden rows (no shared folder)"
  echo "tokenize: ok"
  exit 0
fi
# golden FILE NAME: ids, raw and plain (where the rows have it) by the program; the decoding of raw where no special token is
# in it, which the rows leave out and --decode does not
golden() {
  for mode in ids raw plain dec; do
    python3 - "$tokenizers/$2" $mode "$work/ask.jsonl" "$work/want.jsonl" <<'PY'
import gzip, json, sys
folder, mode, ask, want = sys.argv[1:]
special = {t["id"] for t in json.load(gzip.open(folder + "/tokenizer.json.gz"))["added_tokens"] if t["special"]}
rows = [json.loads(x) for x in open(folder + "/golden.jsonl", encoding="utf-8")]
rows = [r for r in rows if "hex" not in r and mode in r and not (mode == "dec" and special.intersection(r["raw"]))]
key, source = ("text", "dec") if mode == "dec" else ("ids", mode)
with open(ask, "w") as a, open(want, "w") as w:
    for r in rows:
        print(json.dumps({"ids": r["raw"]} if mode == "dec" else {"text": r["text"]}), file=a)
        print(json.dumps(r[source]), file=w)
PY
    case $mode in dec) how=(--decode) ;; *) how=(--mode $mode) ;; esac
    one tokenize "$1" "${how[@]}" <"$work/ask.jsonl" >"$work/answers.jsonl"
    python3 -c 'import json, sys
for x in open(sys.argv[1], encoding="utf-8"): print(json.dumps(*json.loads(x).values()))' "$work/answers.jsonl" >"$work/got.jsonl"
    same "$work/got.jsonl" "$work/want.jsonl" "$1, $mode: not the golden rows"
    rows=$((${rows:-0} + $(wc -l <"$work/want.jsonl")))
  done
}
for name in gpt2 llama2 mistral-v0.3 t5-small bert-base-uncased; do
  golden "$tokenizers/$name/tokenizer.json.gz" $name
done
gzip -dc "$tokenizers/llama2/tokenizer.model.gz" >"$work/folder/tokenizer.model"
golden "$work/folder" llama2
echo "$rows golden rows"

# ---- the Python package, on texts of the shared folder
if [ -z "${RADMILL_PYTHON:-}" ] || ! "$RADMILL_PYTHON" -c 'import tokenizers' 2>/dev/null; then
  echo "SKIP: the package tokenizers (no RADMILL_PYTHON with it)"
else
  "$RADMILL_PYTHON" "$here/../../bench/peers/tok_differential.py" "$radmill" "$tokenizers" "$shared/data/mtsamples" \
    --only roberta-base --limit-mb 0.2 | tee "$work/said"
  grep -q ' 0 differences' "$work/said" || fail "the package gives other ids"
fi
echo "tokenize: ok"
