#!/usr/bin/env bash
# Broken input ends in one clear line, and the old state stays usable.
. "$(dirname "$0")/lib.sh"
tiny_setup 200 40
ranks 2 ingest "$work/c.yaml" >/dev/null
ranks 2 shard "$work/c.yaml" >/dev/null
# what the corpus is: its manifest, and every block that it names, read and checked
state() { sha256sum <"$work/corpus/manifest.json"; one inspect "$work/corpus"; }
before=$(state)
zip=$work/data/mimic-cxr-reports.zip
cp "$zip" "$work/good.zip"

usable() {
  [ "$(state)" = "$before" ] || fail "$1: the old corpus is not what it was"
}
# a truncated zip has no directory
head -c 40000 "$work/good.zip" >"$zip"
expect 1 'mimic-cxr-reports\.zip' "$radmill" ingest "$work/c.yaml"
usable "truncated zip"
# encrypted entries: every one is left out, which is more than max_bad
if command -v zip >/dev/null; then
  (cd "$work" && rm -rf enc enc.zip && mkdir enc && unzip -q good.zip 'files/p10/*' -d enc && cd enc && zip -q -r -P secret ../enc.zip files)
  cp "$work/enc.zip" "$zip"
  expect 1 'encrypted' "$radmill" ingest "$work/c.yaml"
  usable "encrypted zip"
else
  echo "SKIP: no zip program for the encrypted case"
fi
# a bad checksum in most entries
cp "$work/good.zip" "$zip"
python3 - "$zip" <<'PY'
import sys
p = sys.argv[1]
b = bytearray(open(p, "rb").read())
at = 0
while True:
    at = b.find(b"PK\x03\x04", at)
    if at < 0:
        break
    b[at + 14] ^= 255
    at += 4
at = 0
while True:
    at = b.find(b"PK\x01\x02", at)
    if at < 0:
        break
    b[at + 16] ^= 255
    at += 4
open(p, "wb").write(b)
PY
expect 1 'crc|checksum' "$radmill" ingest "$work/c.yaml"
usable "bad CRC"
# a bomb
python3 - "$zip" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("files/p10/p10000001/s50000001.txt", b" " * 200_000_000)
PY
expect 1 'entry|limit|large' "$radmill" ingest "$work/c.yaml"
usable "bomb"
cp "$work/good.zip" "$zip"
ranks 2 ingest "$work/c.yaml" | grep -q '(0 made now)' || fail "the good archive was not recognised again"

# shards of another tokenizer; a GGUF that is none; a missing model
cp -r "$work/model" "$work/other"
python3 - "$work/other/tokenizer.json" <<'PY'
import json, sys
t = json.load(open(sys.argv[1]))
v = t["model"]["vocab"]
v["a"], v["b"] = v["b"], v["a"]
json.dump(t, open(sys.argv[1], "w"))
PY
expect 2 'tokenizer' "$radmill" train "$work/c.yaml" --set "model.base=$work/other"
printf 'GGUF but not really' >"$work/bad.gguf"
expect 1 'bad\.gguf' "$radmill" convert "$work/bad.gguf" "$work/none"
expect 1 'nowhere' "$radmill" train "$work/c.yaml" --set "model.base=$work/nowhere"
[ ! -e "$work/none/tokenizer.json" ] || fail "a failed convert left a whole-looking folder"

# a full disk at the n-th write: the error arrives, the old corpus and shards stay (fault points: dev builds)
if RADMILL_FAULT=write:1:forever "$radmill" ingest "$work/c.yaml" --set "corpus.dir=$work/full" >/dev/null 2>&1; then
  echo "SKIP: this build has no fault points"
else
  shards=$(one inspect "$work/shards")
  for n in 1 2 3; do
    expect 1 'No space left' env RADMILL_FAULT="write:$n:forever" "$radmill" shard "$work/c.yaml" --set shards.max_tokens=900
    [ "$(one inspect "$work/shards")" = "$shards" ] || fail "a full disk at write $n changed the shards"
    one train "$work/c.yaml" --set train.max_steps=1 --set "train.dir=$work/after$n" >/dev/null || fail "old shards do not train after write $n"
  done
fi
echo "bad_input: ok"
