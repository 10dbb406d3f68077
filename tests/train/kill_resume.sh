#!/bin/sh
# kill -9 all ranks, or ask them to stop by SIGTERM, at random moments; start again on another number of
# ranks, until the run ends: the adapter must be that of a run left alone.
#     kill_resume.sh DRIVER MPIRUN
set -u
driver=$1 mpirun=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/radmill-kill-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
# A killed rank leaves its shared-memory segment and session folder behind: use none, keep them here.
export OMPI_MCA_btl=self,tcp OMPI_MCA_orte_tmpdir_base="$dir"
options="train.bin_tokens=64 train.tokens_per_step=256 train.lr=0.01 train.epochs=8"

# run RANKS FOLDER
run() {
    # shellcheck disable=SC2086
    "$mpirun" -n "$1" "$driver" "$dir/model" "$dir/shards" "$dir/$2" $options \
        'train.save_every=1 steps' 'train.eval_every=0.3 epoch' >"$dir/out" 2>&1
}
digest() { sha256sum <"$dir/$1/adapter/adapter_model.safetensors"; }
random() { od -An -N2 -tu2 /dev/urandom | tr -d ' '; }

began=$(date +%s%N)
run 1 whole || { cat "$dir/out"; exit 1; }
whole_ms=$((($(date +%s%N) - began) / 1000000))
want=$(digest whole)
kills=0 asked=0 round=0
# A fast machine may finish before it is disturbed: go on until both kinds were seen.
while [ $kills -lt 2 ] || [ $asked -lt 1 ]; do
    round=$((round + 1)) tries=0
    [ $round -le 12 ] || { echo "$kills killed, $asked stopped: the test shows nothing"; exit 1; }
    while :; do
        tries=$((tries + 1))
        [ $tries -le 40 ] || { echo "round $round does not end"; exit 1; }
        run $(($(random) % 3 + 1)) "run$round" &
        pid=$!
        # Eight tries at most are disturbed: a busy machine must not make the test endless.
        # Any moment of a whole run, its start included.
        sleep "$(awk "BEGIN { print $whole_ms / 1000 * $(random) / 65536 }")"
        if [ $tries -le 8 ] && kill -0 $pid 2>/dev/null; then
            for mpi in $(pgrep -P $pid); do
                # shellcheck disable=SC2046
                if [ $((asked * 2)) -lt $kills ]; then # in turn: chance might take twelve rounds and ask nobody
                    kill -TERM $(pgrep -P "$mpi") 2>/dev/null && asked=$((asked + 1))
                else
                    kill -9 $(pgrep -P "$mpi") "$mpi" 2>/dev/null && kills=$((kills + 1))
                fi
            done
        fi
        wait $pid 2>/dev/null
        code=$?
        [ $code -eq 0 ] && break
        [ $code -gt 128 ] || [ $code -eq 1 ] || [ $code -eq 75 ] || { cat "$dir/out"; exit 1; }
    done
    [ "$(digest "run$round")" = "$want" ] || { echo "round $round: another adapter"; exit 1; }
done
echo "$kills runs killed, $asked asked to stop, $round adapters as if never"
