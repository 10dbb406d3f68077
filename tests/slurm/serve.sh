#!/usr/bin/env bash
# A server as a job: submit says how to reach it, connect.txt names its node, a signal ends it well.
. "$(dirname "$0")/lib.sh"
cluster_start
one synth --model "$work/model" >/dev/null
cat >"$work/c.yaml" <<YAML
model: {base: model, device: cpu, dtype: f32}
train: {dir: run}
serve: {dir: serve}
slurm: {time: "00:20:00", grace_s: 20}
YAML
one submit "$work/c.yaml" --stages serve --dry-run >"$top/dry"
grep -q -- "ssh -N -J .* -L 8765:127.0.0.1:8765 NODE" "$top/dry" || { cat "$top/dry"; fail "a dry run shows the tunnel"; }
expect 2 'train comes before serve' "$radmill" submit "$work/c.yaml" --stages serve,train
one submit "$work/c.yaml" --stages serve --set serve.port=0 >"$top/ids"
grep -q "$work/serve/connect.txt" "$top/ids" || { cat "$top/ids"; fail "submit says where the link will be"; }
job=$(submitted serve "$top/ids")
until_true 120 "the server" test -s "$work/serve/connect.txt"
node=$(squeue -h -j "$job" -o %N)
grep -Eq "ssh -N -L [0-9]+:127.0.0.1:[0-9]+ $node$" "$work/serve/connect.txt" || { cat "$work/serve/connect.txt"; fail "connect.txt names the node"; }
port=$(sed -n 's/.*127.0.0.1:\([0-9]*\)\/?ticket.*/\1/p' "$work/serve/connect.txt")
python3 - "$port" "$(cat "$work/serve/token")" <<'PY' || fail "the job does not answer"
import sys, urllib.request
r = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v1/models", headers={"Authorization": "Bearer " + sys.argv[2]})
sys.exit(urllib.request.urlopen(r, timeout=60).status != 200)
PY
grep -q ticket= "$work"/run/slurm/001/serve.log && fail "the link stands in the job's log"
scancel --batch --signal=USR1 "$job"
until_true 120 "its end" ended "$job"
[ "$(job_state "$job")" = COMPLETED ] || { cat "$work"/run/slurm/001/serve.log; fail "the job ended as $(job_state "$job")"; }
[ ! -e "$work/serve/connect.txt" ] || fail "the link outlives the server"
echo "serve: ok"
