#!/usr/bin/env bash
# evaluate --metrics memorization: spans of training reports in answers, whose they are, and exposure of canaries.
source "$(dirname "$0")/lib.sh"

p1="zebra azalea two three four five six seven eight nine ten eleven"
phrase="there is no acute cardiopulmonary abnormality in this chest today"
cat >"$work/train.jsonl" <<JSON
{"patient": "p1", "findings": "$p1 twelve", "impression": "short"}
{"patient": "p2", "findings": "x", "impression": "Well: $phrase"}
{"patient": "p3", "impression": "${phrase^}."}
{"patient": "p1", "impression": "$p1 twelve again"}
JSON
cat >"$work/pairs.jsonl" <<JSON
{"id": "a:0:0", "prediction": "New: two three FOUR five, six seven eight nine ten!", "reference": "other", "findings": "none"}
{"id": "a:0:1", "prediction": "$phrase", "reference": "other", "findings": "none"}
{"id": "a:0:2", "prediction": "$p1", "reference": "other", "findings": "seen: $p1 twelve."}
{"id": "a:0:3", "prediction": "azalea two three four five six seven nothing", "reference": "other"}
JSON
cat >"$work/canaries.jsonl" <<JSON
{"id": "canary:0:0", "source": "canary", "prediction": "", "reference": "c1", "nll": 1.0, "tokens": 2}
{"id": "canary:0:1", "source": "canary", "prediction": "", "reference": "c2", "nll": 9.0, "tokens": 2}
{"id": "like:0:0", "source": "like", "prediction": "", "reference": "l1", "nll": 4.0, "tokens": 4}
{"id": "like:0:1", "source": "like", "prediction": "", "reference": "l2", "nll": 6.0, "tokens": 4}
{"id": "like:0:2", "source": "like", "prediction": "", "reference": "l3", "nll": 8.0, "tokens": 4}
JSON
cat >"$work/c.yaml" <<YAML
generate: {dir: none}
evaluate: {dir: report, bootstrap: 100, metrics: [memorization], training: train.jsonl, canaries: canaries.jsonl}
YAML
one evaluate "$work/c.yaml" --pairs "$work/pairs.jsonl" >"$work/said"
value() { sed -n "$(($1 + 1))p" "$work/report/per_pair.jsonl" | grep -o "\"$2\": [0-9.a-z]*" | head -n 1; }
expect_value() { # PAIR NAME PATTERN
  case $(value "$1" "$2") in
    "\"$2\": "$3) ;; # a pattern: not in quotes
    *) cat "$work/report/per_pair.jsonl"; fail "pair $1: $2 is not $3" ;;
  esac
}
expect_value 0 words "0.9*"   # nine of ten words
expect_value 0 personal "0.9*"
expect_value 0 longest 9
expect_value 1 words 1
expect_value 1 personal 0       # two patients' phrase
expect_value 2 words 0          # its own findings said so
expect_value 3 words 0          # seven words are no span
grep -q 'canaries:2 of 3 candidates|exposure mean 1.00, most 2.00 bits' "$work/report/report.json" || fail "exposure"
grep -rq zebra "$work/report" "$work/log" && fail "training text in the report"
sed 's/training: train.jsonl, //' "$work/c.yaml" >"$work/bare.yaml"
expect 2 'needs evaluate.training' "$radmill" evaluate "$work/bare.yaml" --pairs "$work/pairs.jsonl"
echo "memorization: spans, whose, exposure"
