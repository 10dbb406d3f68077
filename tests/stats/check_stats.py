"""Count a corpus again from its record blocks with h5py and plain Python, and compare with radmill stats' CSV
files. Nothing here is taken from the C code but the meaning of the columns (docs/FORMATS.md).
Usage: check_stats.py CORPUS_DIR STATS_DIR [MIN_PATIENTS]"""
import collections
import csv
import html.parser
import json
import os
import re
import sys

import h5py

corpus, stats = sys.argv[1], sys.argv[2]
least = int(sys.argv[3]) if len(sys.argv) > 3 else 10
SECTIONS = ["findings", "impression", "clinical", "examination", "technique", "comparison", "background"]
MODALITIES = ["unknown", "CR", "CT", "MR", "US", "NM", "PT", "XA", "MG", "RF", "OT"]
SPLITS = ["train", "dev", "test", "none"]
BLANK = re.compile(rb"[ \t\n\r\v\f]+")
manifest = json.load(open(f"{corpus}/manifest.json"))
names = [s["name"] for s in manifest["sources"]]

rows = []
late = h5py.File(f"{corpus}/{manifest['late']['path']}")["flags"][:]
for block in manifest["blocks"]:
    h = h5py.File(f"{corpus}/{block['path']}")
    text, at = h["text/bytes"][:].tobytes(), h["text/offset"][:]
    pb, pa = h["id/patient_bytes"][:].tobytes(), h["id/patient_offset"][:]
    sb, sa = h["id/study_bytes"][:].tobytes(), h["id/study_offset"][:]
    off, length, norm = h["sec/offset"][:], h["sec/length"][:], h["hash/norm"][:]
    meta = {k: h["meta"][k][:] for k in ["modality", "origin", "split", "status", "flags"]}
    raw = h["hash/raw"][:]
    for i in range(len(at) - 1):
        body = text[at[i]:at[i + 1]]
        sec = {n: body[off[i][k]:off[i][k] + length[i][k]] for k, n in enumerate(SECTIONS)}
        rows.append(dict(source=names[block["source"]], patient=pb[pa[i]:pa[i + 1]], study=sb[sa[i]:sa[i + 1]],
                         text=body, sec=sec, words={n: len([w for w in BLANK.split(s) if w]) for n, s in sec.items()},
                         norm=tuple(int(x) for x in norm[i]), modality=MODALITIES[meta["modality"][i]],
                         split=SPLITS[meta["split"][i]], flags=int(meta["flags"][i]) | int(late[len(rows)]), raw=raw[i]))


def table(name):
    with open(f"{stats}/{name}.csv", newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def same(what, have, want):
    assert have == want, f"{what}: {have!r}, by Python {want!r}"


def person(r):
    return r["source"], "p" if r["patient"] else "s", r["patient"] or r["study"]


# modalities, patients, pairs
for t in table("modalities"):
    of = [r for r in rows if r["modality"] == t["modality"]]
    same("reports", int(t["reports"]), len(of))
    same("patients", int(t["patients"]), len({person(r) for r in of if r["patient"]}))
    pairs = [r for r in of if not r["flags"] & 32 and r["split"] != "none" and r["words"]["findings"] and
             r["words"]["impression"]]
    same("pairs", int(t["pairs"]), len(pairs))
same("modalities", {t["modality"] for t in table("modalities")}, {r["modality"] for r in rows})

# sections: missing values, words, quantiles (the least value that the share reaches), outliers
for r in rows:
    w = r["words"]
    w["findings+impression"] = w["findings"] + w["impression"] if w["findings"] and w["impression"] else 0
seen = 0
for t in table("sections"):
    if t["unit"] != "words":
        continue
    of = [r["words"][t["section"]] for r in rows if r["modality"] == t["modality"]]
    n = sorted(x for x in of if x)
    same("missing", int(t["missing"]), len(of) - len(n))
    same("reports", int(t["reports"]), len(n))
    same("sum", int(t["sum"]), sum(n))
    if not n:
        continue
    mean = sum(n) / len(n)
    assert abs(float(t["mean"]) - mean) < 1e-3
    if len(n) > 1:
        assert abs(float(t["sd"]) - (sum((x - mean) ** 2 for x in n) / (len(n) - 1)) ** 0.5) < 1e-3
    assert n[-1] < 4096, "beyond the exact range"

    def q(share):
        return next(x for i, x in enumerate(n, 1) if i >= share * len(n))
    for key, share in dict(min=0, p5=.05, p25=.25, p50=.5, p75=.75, p95=.95, p99=.99, max=1).items():
        same(f"{t['section']} {t['modality']} {key}", int(t[key]), q(share))
    fence = q(.75) + 3 * (q(.75) - q(.25))
    same("fence", int(t["fence"]), fence)
    same("outliers", int(t["outliers"]), sum(x > fence for x in n))
    seen += 1
assert seen > 10
hist = collections.Counter()
for t in table("histograms"):
    if t["unit"] == "words":
        hist[t["section"], t["modality"], int(t["length"])] += int(t["reports"])
want = collections.Counter((n, r["modality"], w) for r in rows for n, w in r["words"].items() if w)
same("histograms", hist, want)

# duplicates
groups = collections.defaultdict(list)
for r in rows:
    if r["norm"] != (0, 0):
        groups[r["norm"]].append(r)
dup = {t["what"]: t for t in table("duplicates")}
for name, lo, hi in [("1", 1, 1), ("2", 2, 2), ("3-5", 3, 5), ("6-10", 6, 10), ("11-100", 11, 100),
                     ("101+", 101, 1 << 60)]:
    of = [g for g in groups.values() if lo <= len(g) <= hi]
    same("texts", int(dup["shared by " + name]["texts"]), len(of))
    same("reports", int(dup["shared by " + name]["reports"]), sum(map(len, of)))
same("sources", int(dup["in several sources"]["texts"]),
     sum(len({r["source"] for r in g}) > 1 for g in groups.values()))
for split in ["dev", "test"]:
    same(split, int(dup[split + " text also in train"]["reports"]),
         sum(sum(r["split"] == split for r in g) for g in groups.values() if any(r["split"] == "train" for r in g)))

# splits
for t in table("splits"):
    of = [r for r in rows if r["split"] == t["split"]]
    if t["by"] == "all" and t["split"]:
        same("split", int(t["reports"]), len(of))
        same("split patients", int(t["patients"]), len({person(r) for r in of if r["patient"]}))
    elif t["by"] in ("modality", "source"):
        same("split", int(t["reports"]), sum(r[t["by"]] == t["name"] for r in of))

# what was left out
lost = collections.Counter()
for r in rows:
    why = ("superseded" if r["flags"] & 32 else "no-split" if r["split"] == "none" else
           "no-findings" if not r["words"]["findings"] else "no-impression" if not r["words"]["impression"] else "pair")
    lost[r["modality"], why] += 1
same("left out", {(t["modality"], t["reason"]): int(t["count"]) for t in table("left_out") if t["what"] == "report"},
     dict(lost))

# contradictions that need no language
for name, found in [("longer", lambda w: w["impression"] > w["findings"])]:
    for t in table("checks"):
        if t["check"] == name:
            of = [r["words"] for r in rows if r["modality"] == t["modality"] and r["words"]["findings+impression"]]
            same(name, (int(t["compared"]), int(t["found"])), (len(of), sum(map(found, of))))


# phrases: sentences and clauses of 2 to 14 words
def phrases(text):
    out = []
    for part in re.split(r"[ \t\r\v\f]*\n[ \t\r\v\f]*(?:\n[ \t\r\v\f]*)+", text):
        words, raw = [], [w for w in re.split(r"[ \t\n\r\v\f]+", part) if w]
        for w in raw + ["."]:
            core = w.rstrip(".;?!:,")
            ends = any(c in ".;?!:" for c in w[len(core):])
            if not (not words and ends and re.fullmatch(r"[0-9]{1,2}", core)) and core:
                words.append(re.sub(r"[0-9]", "#", "".join(c.lower() if c < "\x80" else c for c in core)))
            if ends:
                s = " ".join(words)
                if 2 <= len(words) <= 14 and 6 <= len(s.encode("latin-1")) <= 200:
                    out.append(s)
                words = []
    return out


for section in ["findings", "impression"]:
    who, where = collections.defaultdict(set), collections.defaultdict(set)
    for i, r in enumerate(rows):
        if r["flags"] & 32:
            continue
        for p in phrases(r["sec"][section].decode("latin-1")):
            who[p].add(person(r))
            where[p].add(i)
    shown = [t for t in table("phrases") if t["section"] == section]
    for t in shown:
        p = t["phrase"].encode().decode("latin-1")
        same(p, (int(t["patients"]), int(t["reports"])), (len(who[p]), len(where[p])))
        assert len(who[p]) >= least
    best = sorted((len(v) for v in who.values() if len(v) >= least), reverse=True)
    same("commonest", [int(t["patients"]) for t in shown], best[:len(shown)])
    assert len(shown) == min(30, len(best))

# the longest are the longest
for section in ["findings", "impression"]:
    have = [int(t["words"]) for t in table("longest") if t["section"] == section]
    same("longest", have, sorted((r["words"][section] for r in rows if r["words"][section]), reverse=True)[:20])


# the page: well-formed, no network, every identifier stays out
class Page(html.parser.HTMLParser):
    void, stack = {"meta", "br", "line", "rect", "i"}, []
    optional = {"th", "li", "tr"}

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        assert tag not in {"script", "link", "img", "iframe", "object"}, tag
        assert not any(k in a for k in ("src", "srcset", "onload", "onclick")), a
        assert a.get("href", "#").startswith("#"), a
        if tag == "section":
            self.ids.append(a["id"])

    ids = []


page = open(f"{stats}/report.html", encoding="utf-8").read()
Page().feed(page)
assert "http:" not in page and "https:" not in page and "url(" not in page and "@import" not in page
assert Page.ids == ["modalities", "sources", "missing", "lengths", "duplicates", "phrases", "headers", "checks",
                    "splits", "left-out", "method"]
for tag in ["section", "table", "div", "svg", "figure", "details", "ul", "tbody"]:
    same(tag, page.count(f"<{tag}"), page.count(f"</{tag}>"))
every = page + "".join(open(f"{stats}/{f}", encoding="utf-8").read() for f in os.listdir(stats) if f.endswith(".csv"))
for r in rows:
    for key in [r["patient"], r["study"]]:
        if len(key) >= 7:
            assert key.decode() not in every, "an identifier"
print(len(rows), "reports agree")
