# Sourced by the scripts here: a fresh folder, the program, ranks, and checks that say what they saw.
# shellcheck shell=bash disable=SC2034
set -Eeuo pipefail
radmill=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
shared=$here/../../../shared
work=$(mktemp -d)
trap 'grep -vE "^(mpirun|---|info)" "$work/log" | tail -n 8 >&2; tail -n 0 "$work/log" >&2 2>/dev/null; echo "FAIL: line $LINENO" >&2' ERR
trap 'rm -rf "$work"' EXIT
export RADMILL_WORK=$work OMP_NUM_THREADS=1

fail() { echo "FAIL: $*" >&2; exit 1; }
ranks() { local n=$1; shift; timeout 300 "$here/../support/mpirun" -n "$n" "$radmill" "$@" 2>>"$work/log"; }
one() { timeout 300 "$radmill" "$@" 2>>"$work/log"; }

# expect CODE PATTERN COMMAND...: the exit code, and one error line that matches.
expect() {
  local code=$1 pattern=$2 got=0
  shift 2
  timeout 120 "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = "$code" ] || { cat "$work/err"; fail "exit code $got instead of $code: $*"; }
  [ -z "$pattern" ] && return 0
  grep -E '^radmill: ' "$work/err" | grep -Eq -- "$pattern" || { cat "$work/err"; fail "no line matches '$pattern': $*"; }
  [ "$(grep -cE '^radmill: ' "$work/err")" = 1 ] || { cat "$work/err"; fail "more than one error line: $*"; }
}

# doc_lines FILE FROM TO: the commands of a Markdown file, which are its lines indented by four blanks, between two patterns.
doc_lines() { sed -n "/$2/,/$3/p" "$1" | sed -n 's/^    //p'; }
# The words radmill and mpirun as such lines use them: the program under test, and two ranks whatever is asked for.
doc_tools() {
  mkdir -p "$work/bin"
  ln -s "$radmill" "$work/bin/radmill"
  printf '#!/bin/sh\nshift 2; radmill=$1; shift\nPATH=%s exec %s -n 2 "%s/$radmill" "$@"\n' \
    "'$PATH'" "'$here/../support/mpirun'" "$work/bin" >"$work/bin/mpirun"
  chmod +x "$work/bin/mpirun"
  PATH=$work/bin:$PATH
}

# Digest over names and bytes of a folder's files, without what a run may differ in.
tree() {
  (cd "$1" && find . -type f ! -path './log/*' ! -name status.json ! -name '.lock' ! -name '*.yaml' ! -name 'audit.jsonl' \
    ! -name 'pairs.meta.json' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
}

# A tiny model, a small corpus, and a configuration over both.
tiny_setup() {
  one synth -o "$work/data" --reports "${1:-120}" --dump-reports "${2:-60}" --seed 3 >/dev/null
  one synth --model "$work/model" >/dev/null
  cat >"$work/c.yaml" <<YAML
corpus:
  dir: corpus
  sources:
    - {name: mimic, format: mimic-cxr, path: data/mimic-cxr-reports.zip, split: hash, sections: own}
    - {name: site, format: csv, path: data/institution.tar.gz, split: hash, sections: own}
  split_dev: 0.1
  split_test: 0.1
shards: {dir: shards, input: [findings], template: plain, max_tokens: 1024}
model: {base: model, name: radmill/tiny, device: cpu, dtype: f32}
lora: {rank: 4, alpha: 8, targets: all-linear}
train: {dir: run, epochs: 1, max_steps: 6, bin_tokens: 1024, tokens_per_step: 4096, lr: 1.0e-3, eval_every: 3 steps, save_every: 2 steps}
generate: {dir: pairs, split: test, max_new_tokens: 12, limit: 10}
evaluate: {dir: report, bootstrap: 200}
YAML
}

# killed_and_rerun FOLDER DIGEST WHOLE_US ARGUMENTS...: killed with -9 at twenty random moments of what a whole run
# takes, then run again on 1, 2, 3, 5 ranks: the folder has the same bytes each time.
killed_and_rerun() {
  local folder=$1 want=$2 whole_us=$3 killed=0 round pid counts=(1 2 3 5)
  shift 3
  for round in $(seq 20); do
    [ $((round % 5)) != 1 ] || rm -rf "$folder"
    "$radmill" "$@" >/dev/null 2>&1 &
    pid=$!
    sleep "$(printf '%d.%06d' 0 $((RANDOM * whole_us / 32768 % 1000000)))"
    kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
    wait "$pid" 2>/dev/null || true
    [ $((round % 5)) != 0 ] && continue
    ranks "${counts[$((round / 5 - 1))]}" "$@" >/dev/null
    # a temporary file stays where its writer's process number is in use again; nothing refers to it
    find "$folder" -name '*.tmp.*' -delete
    [ "$(tree "$folder")" = "$want" ] || fail "after kill -9 the rerun gives other bytes"
  done
  echo "killed $killed of 20 runs"
}
