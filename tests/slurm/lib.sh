# Sourced by the scripts here: tests/cli/lib.sh, and a SLURM of four nodes on this machine, our own,
# gone at the end. Skips visibly where there can be none.
# shellcheck shell=bash disable=SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
support=$here/../support
top=$work
cluster=

skip() { echo "SKIP: $*"; exit 77; }

cluster_start() {
  local need try port log
  [ "$(id -u)" = 0 ] || skip "a SLURM of our own needs root"
  for need in slurmctld slurmd munged srun sbatch mpirun; do
    PATH=$PATH:/usr/sbin command -v "$need" >/dev/null || skip "no $need here: tests/run installs SLURM"
  done
  unshare --uts true 2>/dev/null || skip "nodes need host names of their own (unshare --uts)"
  log=$work/cluster.log
  for try in 1 2 3; do # another port when one is taken
    cluster=$(mktemp -d /tmp/rslurm.XXXXXX)
    port=$((20000 + RANDOM % 300 * 32))
    if timeout 120 "$support/local_slurm_start" --dir "$cluster" --port "$port" --node-timeout 10 "$@" >"$log" 2>&1; then
      . "$cluster/env.sh"
      srun --mpi=list 2>&1 | grep -q pmix || skip "this SLURM has no PMIx"
      return 0
    fi
    "$support/local_slurm_stop" --dir "$cluster" >/dev/null 2>&1 || true
    rm -rf "$cluster"
  done
  cat "$log" >&2
  fail "SLURM does not start"
}

finish() {
  local kids
  kids=$(jobs -p)
  # shellcheck disable=SC2086 # a list of numbers
  [ -z "$kids" ] || kill $kids 2>/dev/null || true
  [ -z "$cluster" ] || "$support/local_slurm_stop" --dir "$cluster" >/dev/null 2>&1 || true
  rm -rf "$top"
}
trap finish EXIT

# until_true SECONDS WHAT COMMAND...: waits for a state, never for a time
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "waited in vain: $what"
    sleep 0.1
  done
}

gone() { [ -z "$(squeue -h -j "$1" -o %i 2>/dev/null)" ]; }
ended() { case $(job_state "$1") in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL | PREEMPTED) ;; *) return 1 ;; esac; }
job_state() { scontrol -o show job "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p'; }
# submitted STAGE FILE: the id that submit printed
submitted() { sed -n "s/^$1: job \([0-9]*\)$/\1/p" "$2"; }
adapter() { sha256sum <"$1/adapter/adapter_model.safetensors"; }
