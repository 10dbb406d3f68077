#!/bin/sh
# A whole training on device "cuda" over the stand-in for CUDA and NCCL, on one to four ranks:
#   - the same adapter, byte for byte, in any order of the streams, with sums from GPU to GPU, staged, and on one rank
#   - stopped and continued on another number of ranks; on other hardware, too, with a warning
#   - a GPU for two ranks is refused unless allowed
#   - a rank that fails, hangs, adds up something else or cannot join ends the job with the reason
#
#   cuda_ranks.sh DRIVER MPIRUN
driver=$1 mpirun=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export RADMILL_FAKE_GPUS=4

fail() {
    echo "FAILED: $1"
    tail -n 20 "$out"
    exit 1
}

# train RANKS NAME [key=value ...]: $status, $out
train() {
    n=$1 name=$2 out=$dir/$2.out
    shift 2
    timeout 120 "$mpirun" -n "$n" "$driver" "$dir/model" "$dir/shards" "$dir/$name" model.device=cuda model.dtype=bf16 \
        train.max_steps=2 train.bin_tokens=32 train.tokens_per_step=128 train.eval_every=never train.lr=0.01 "$@" \
        >"$out" 2>&1
    status=$?
}
ends() {
    [ "$status" = "$1" ] || fail "$2: exit $status, not $1"
}
says() {
    grep -q "$1" "$out" || fail "the output does not say: $1"
}
same() {
    cmp -s "$dir/one/adapter/adapter_model.safetensors" "$dir/$1/adapter/adapter_model.safetensors" || fail "$1: another adapter"
}
summed() {
    grep -q "\"gradient_sum\": \"$2\"" "$dir/$1/summary.json" || fail "$1: summary.json: $(grep gradient_sum "$dir/$1/summary.json")"
}

train 1 one; ends 0 "one rank"; summed one none
train 2 nccl2 train.gradient_sum=nccl; ends 0 "nccl on 2"; same nccl2; summed nccl2 "nccl 0.0.2"
train 4 nccl4 train.gradient_sum=nccl; ends 0 "nccl on 4"; same nccl4
train 3 auto3; ends 0 "auto on 3"; same auto3; summed auto3 "nccl 0.0.2"
train 2 staged2 train.gradient_sum=staged; ends 0 "staged on 2"; same staged2; summed staged2 staged

# ---- copies ahead of the ops and behind them, in any order that the streams allow
RADMILL_FAKE_ORDER=early train 1 early; ends 0 "copies run early"; same early
RADMILL_FAKE_ORDER=7 train 2 seeded; ends 0 "streams run by chance"; same seeded
RADMILL_FAKE_FORGET=0 train 1 forgot
if [ "$status" = 0 ] && cmp -s "$dir/one/adapter/adapter_model.safetensors" "$dir/forgot/adapter/adapter_model.safetensors"; then
    fail "ops that do not wait for their ids: the same adapter"
fi

# ---- stopped and continued: other ranks, other sums; the choices of the first start are taken again
train 2 again train.stop_after_steps=1; ends 75 "stopped"
cp "$dir/again/device_choices.bin" "$dir/choices"
cp -r "$dir/again" "$dir/moved"
train 3 again train.gradient_sum=staged; ends 0 "continued"; same again
cmp -s "$dir/choices" "$dir/again/device_choices.bin" || fail "the choices were made again"
if grep -q choices_dropped "$out"; then fail "the choices were dropped"; fi
RADMILL_FAKE_NAME=other train 2 moved; ends 0 "continued on other hardware"
says choices_dropped
cmp -s "$dir/choices" "$dir/moved/device_choices.bin" && fail "the choices of other hardware were kept"

# ---- two ranks on one GPU
RADMILL_FAKE_GPUS=1 train 2 shared; ends 2 "a shared GPU"; says "share_gpu: true"
RADMILL_FAKE_GPUS=1 train 2 shared model.share_gpu=true train.gradient_sum=nccl; ends 2 "NCCL on a shared GPU"
says "NCCL takes one rank a GPU"
RADMILL_FAKE_GPUS=1 train 2 shared model.share_gpu=true; ends 0 "a shared GPU, allowed"; same shared; summed shared staged
says "gradient_sum how=staged"

# ---- no library, unlike ones, a rank that cannot join: auto goes on, nccl does not
RADMILL_FAKE_NCCL=none train 2 none; ends 0 "without NCCL"; same none; summed none staged; says "told to have none"
RADMILL_FAKE_NCCL=none train 2 none2 train.gradient_sum=nccl; ends 2 "nccl without NCCL"; says "told to have none"
RADMILL_FAKE_NCCL=old:1:0 train 2 old train.gradient_sum=nccl; ends 2 "unlike versions"; says "rank 1 has NCCL 0.0.1"
RADMILL_FAKE_NCCL=join:1:0 train 3 join; ends 0 "a rank that cannot join"; same join; summed join staged
says "rank 1 cannot join"
RADMILL_FAKE_NCCL=wrong:1:1 train 2 trial train.gradient_sum=nccl; ends 1 "a first sum that is wrong"; says "a first sum over 2 GPUs is 4, not 3"

# ---- sums that go wrong (1 is the trial, 2 the first step's)
RADMILL_FAKE_NCCL=fail:1:3 train 3 fail; ends 1 "a failing rank"; says "rank 1: sum of gradients: sum over GPUs: the stand-in was told to fail"
RADMILL_FAKE_NCCL=refuse:2:2 train 3 refuse; ends 1 "a refusing rank"; says "rank 2: .*told to refuse"
RADMILL_FAKE_NCCL=short:0:2 train 2 short; ends 1 "unlike counts"; says "unlike counts"
RADMILL_FAKE_NCCL=wrong:1:2 train 2 wrong; ends 1 "a wrong sum"; says "computed another state than rank 0"
RADMILL_FAKE_NCCL=hang:1:2 train 2 hang train.hang_minutes=0.1; ends 124 "a sum that hangs"
says "no sign of life .* after sum over GPUs 1"

# ---- who it is: a GPU that never gets to the sum, a process that is stopped in it. Half a minute: within it every rank
# gets through a bin, however slow the machine; what the error calls the others' state depends on that, who it is does not.
small="train.bin_tokens=24 train.tokens_per_step=24 train.hang_minutes=0.5"
# The two wait at the same time.
# shellcheck disable=SC2086  # words
(RADMILL_FAKE_NCCL=stuck:1:2 train 3 stuck $small; echo "$status" >"$dir/stuck.status") &
# shellcheck disable=SC2086
RADMILL_FAKE_NCCL=stop:1:2 train 2 stop $small
wait
ends 124 "a rank stopped in a sum"
says "rank 1 on [^ ]* stands still .* (its process is stopped"
status=$(cat "$dir/stuck.status") out=$dir/stuck.out
ends 124 "a GPU that hangs before the sum"
says "rank 1 on [^ ]* stands still after sum over GPUs 1 ("

# ---- a GPU that fails in the middle
RADMILL_FAKE_FAIL=900 RADMILL_FAKE_FAIL_RANK=1 train 2 broken; ends 1 "a failing GPU"; says "rank 1: .*the stand-in was told to fail"

if [ -n "$(ls /dev/shm/radmill-fake-nccl-* 2>/dev/null)" ]; then echo "note: shared memory is left behind"; fi
echo "adapters are the same, errors come with their reason"
