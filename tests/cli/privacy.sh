#!/usr/bin/env bash
# A canary word in every report, and its ids: they reach no log, no error, no status, no metric, no file name.
. "$(dirname "$0")/lib.sh"
tiny_setup 60 0
python3 - "$work/data/mimic-cxr-reports.zip" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    for p in range(60):
        for s in range(2):
            pid, sid = 18880000 + p, 58880000 + 10 * p + s
            body = (" " * 33 + "FINAL REPORT\n INDICATION:  ___ with zyxcanary.\n \n FINDINGS:  The zyxcanary lungs are clear, study %d.\n \n"
                    " IMPRESSION:  No acute zyxcanary process.\n") % sid
            z.writestr("files/p18/p%d/s%d.txt" % (pid, sid), body)
    z.writestr("files/p18/p18880000/s58889999.txt", b"\xff\xfe broken zyxcanary \x80")
PY
sed -i '/name: site/d' "$work/c.yaml"
for stage in ingest shard train generate; do ranks 2 "$stage" "$work/c.yaml" >>"$work/stdout"; done
one evaluate "$work/c.yaml" >>"$work/stdout"
one inspect "$work/corpus" >>"$work/stdout"
leak=$(grep -rlE 'zyxcanary|1888[0-9]{4}|5888[0-9]{4}' "$work/stdout" "$work/log" "$work"/corpus/manifest.json "$work"/corpus/quarantine \
  "$work"/*/log "$work"/*/status.json "$work"/run/metrics.jsonl "$work"/run/tensorboard "$work"/run/adapter "$work"/shards/manifest.json \
  "$work"/pairs/pairs.meta.json "$work"/report/report.json "$work"/report/report.md 2>/dev/null || true)
[ -z "$leak" ] || fail "report text or ids in: $leak"
grep -rqE '1888[0-9]{4}|5888[0-9]{4}' "$work/pairs/pairs.jsonl" && ! grep -q 'study' "$work/pairs/pairs.jsonl" && fail "ids in the pairs file"
names=$(find "$work"/corpus "$work"/shards "$work"/run "$work"/pairs "$work"/report | grep -E '1888[0-9]{4}|5888[0-9]{4}' || true)
[ -z "$names" ] || fail "ids in file names: $names"
loose=$(find "$work"/corpus "$work"/shards "$work"/run "$work"/pairs "$work"/report -type f -perm /077 || true)
[ -z "$loose" ] || fail "files open to others: $loose"
grep -rq zyxcanary "$work/corpus/records" || fail "the canary is not even in the records: the test is blind"
# files.access: group: what the stages write is the group's to read, whatever the umask, and nobody else's
(umask 077; for stage in ingest shard; do
  one "$stage" "$work/c.yaml" --set files.access=group --set corpus.dir="$work/g/corpus" --set shards.dir="$work/g/shards" >/dev/null
done)
[ -s "$work/g/shards/manifest.json" ] || fail "no shards with files.access=group"
wrong=$(find "$work/g" \( -type d ! -perm 750 \) -o \( -type f ! -name '*.lock' ! -perm 640 \))
[ -z "$wrong" ] || fail "files.access=group gives other modes: $wrong"
for c in serve label; do "$radmill" help "$c" | grep -q '^files' && fail "$c takes files.access"; done
echo "privacy: ok"
