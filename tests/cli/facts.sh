#!/usr/bin/env bash
# The fact check from the command line: flags with spans a pair, the listing with places alone, with words only when
# asked and audited, the same bytes on any number of ranks, another lexicon, one that is broken.
source "$(dirname "$0")/lib.sh"
cd "$work"

cat >pairs.jsonl <<'EOF'
{"id": "x:0:0", "prediction": "Left canaryword pleural effusion.", "reference": "Right pleural effusion.", "findings": "Small right effusion."}
{"id": "x:0:1", "prediction": "No fracture. Aneurysm.", "reference": "No fracture.", "findings": "No fracture."}
{"id": "x:0:2", "prediction": "Clear lungs.", "reference": "Clear lungs."}
EOF
run() { one evaluate --pairs pairs.jsonl --metrics facts --per-pair "$1.jsonl" -o "$1.json" --facts "$1.txt" "${@:2}"; }

run a >said
grep -q 'facts|lexicon:' said || fail "no signature"
[ "$(grep -c '"kind"' a.jsonl)" = 2 ] || fail "flags of two pairs expected"
grep -q '"kind": "laterality", "generated_span": \[16, 32\], "reference_span": \[6, 22\], "source_span": \[12, 20\]' a.jsonl ||
  { cat a.jsonl; fail "spans of the laterality flag"; }
grep -q '^x:0:1 .*score' a.txt && grep -q 'not supported' a.txt || { cat a.txt; fail "the listing"; }
grep -q 'x:0:2' a.txt && fail "a report without a flag is listed"
[ "$(stat -c %a a.txt)" = 600 ] || fail "the listing may be read by others"
! grep -rqi canaryword a.txt a.json a.jsonl said log || fail "report text where none was asked for"
[ ! -e audit.jsonl ] || fail "audited without text"

run b --show-text >/dev/null
grep -q '"pleural effusion"' b.txt || fail "no words with --show-text"
grep -q '"action": "show"' audit.jsonl || fail "text shown and not audited"

ranks 3 evaluate --pairs pairs.jsonl --metrics facts --per-pair c.jsonl -o c.json --facts c.txt >/dev/null
cmp -s a.txt c.txt && cmp -s a.jsonl c.jsonl || fail "three ranks give other bytes"

mkdir lexicon
cp "$here"/../../evaluate/lexicon/*.tsv lexicon/
sed -i 's/^aneurysm\taneurysm\tvessel\t3/aneurysm\taneurysm\tvessel\t0/' lexicon/findings.tsv
run d --set evaluate.lexicon="$work/lexicon" >/dev/null
grep -q '"significance": "benign"' d.jsonl || fail "the folder's lexicon is not used"
printf 'neg_pre\tno\n' >lexicon/words.tsv
expect 1 'words.tsv line 1: 2 columns, expected 3' "$radmill" evaluate --pairs pairs.jsonl --metrics facts -o e.json \
  --set evaluate.lexicon="$work/lexicon"
