#!/usr/bin/env bash
# Killed with -9 at random moments, stopped by SIGTERM, resumed on other rank counts: the bytes of the
# adapter are those of the undisturbed run.
. "$(dirname "$0")/lib.sh"
tiny_setup 200 0
sed -i '/name: site/d; s/max_tokens: 1024/max_tokens: 512/' "$work/c.yaml"
ranks 2 ingest "$work/c.yaml" >/dev/null
ranks 2 shard "$work/c.yaml" >/dev/null
long=(--set train.max_steps=16 --set train.bin_tokens=512 --set train.tokens_per_step=1536 --set "train.save_every=3 steps"
  --set "train.eval_every=8 steps")
ranks 1 train "$work/c.yaml" "${long[@]}" --set "train.dir=$work/ref" >/dev/null
ref=$(sha256sum <"$work/ref/adapter/adapter_model.safetensors")

seed=${RADMILL_TEST_SEED:-$RANDOM}
echo "resume: seed $seed"
RANDOM=$seed
for n in 1 2 3 4; do
  dir=$work/kill$n
  for try in 1 2 3; do
    "$here/../support/mpirun" -n $((RANDOM % 4 + 1)) "$radmill" train "$work/c.yaml" "${long[@]}" --set "train.dir=$dir" \
      >/dev/null 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 8 + 2))"
    pkill -9 -f -- "train.dir=$dir" || true
    wait "$pid" 2>/dev/null || true
  done
  ranks "$n" train "$work/c.yaml" "${long[@]}" --set "train.dir=$dir" >/dev/null
  got=$(sha256sum <"$dir/adapter/adapter_model.safetensors")
  [ "$got" = "$ref" ] || fail "after kill -9 and a resume on $n ranks the adapter differs (seed $seed)"
done

# SIGTERM saves at the next step and exits 75; the same command goes on
dir=$work/term
status=0
"$radmill" train "$work/c.yaml" "${long[@]}" --set "train.dir=$dir" >/dev/null 2>"$work/err" &
pid=$!
for _ in $(seq 1200); do [ -s "$dir/metrics.jsonl" ] && break; sleep 0.05; done
kill -TERM "$pid"
wait "$pid" || status=$?
if [ "$status" = 0 ]; then echo "note: the run was over before the signal"; else [ "$status" = 75 ] || fail "SIGTERM gives exit $status"; fi
ranks 3 train "$work/c.yaml" "${long[@]}" --set "train.dir=$dir" >/dev/null
[ "$(sha256sum <"$dir/adapter/adapter_model.safetensors")" = "$ref" ] || fail "stop and resume on 3 ranks differ"

# a changed configuration on the same folder is refused, naming the key
expect 2 'train\.lr' "$radmill" train "$work/c.yaml" "${long[@]}" --set "train.dir=$dir" --set train.lr=5e-4
echo "resume: ok"
