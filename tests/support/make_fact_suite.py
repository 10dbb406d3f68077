#!/usr/bin/env python3
"""make_fact_suite.py SHARED_DATA develop|held > SUITE.jsonl

CT, MR and ultrasound passages of mtsamples and medpix2 with one error each, made by rule, and harmless
rewrites: the rows of factcheck_suite.jsonl for modalities it lacks. Reports are dealt to the two halves by
the CRC of their id; rules of evaluate/facts are written looking at `develop` alone.

Independent of what it tests: nothing of evaluate/lexicon is read, sentences are cut and words changed by
the regular expressions below, and what was expected follows from the change made, never from a parse. The
word lists are this script's own and short on purpose. Nothing it writes is kept in the repository."""
import gzip
import json
import re
import sys
import zlib

SIZE = re.compile(r"\b(\d+(?:\.\d+)?)( ?)(mm|cm)\b")
LEVEL = re.compile(r"\b([CL])([2-5])\b(?!-weighted)")
TIMES = {"stable": "worsening", "unchanged": "worsening", "worsening": "improving", "new": "unchanged",
         "increased in size": "unchanged in size", "enlarging": "stable", "improved": "worsened",
         "decreased in size": "increased in size", "progressive": "improving"}
DEGREES = {"mild": "severe", "mildly": "severely", "minimal": "marked", "minimally": "markedly",
           "small": "large", "slight": "severe", "slightly": "severely", "severe": "mild",
           "severely": "mildly", "large": "small", "marked": "minimal", "markedly": "minimally",
           "tiny": "large", "massive": "small"}
CRITICAL = re.compile(r"\b(mass|masses|tumor|neoplasm|carcinoma|fractures?|hemorrhage|hematoma|infarct\w*|"
                      r"aneurysm|stenosis|herniation|tear|abscess|hydronephrosis|thrombus|thrombosis|"
                      r"metasta\w+|lymphadenopathy|adenopathy|obstruction|dissection|ascites|dislocation|"
                      r"appendicitis|embol\w+|pneumothorax)\b", re.I)
DENIES = re.compile(r"\b(no|not|without|negative|normal|unremarkable|absent|free|neither|nor|cannot|rule|"
                    r"exclude|excluded|intact|denies|or|if|history|evaluate|assess|prior|previous|status|"
                    r"clear|resolved|unlikely|versus|suspected|possible|probably|may|could|resection|"
                    r"removed)\b", re.I)
ADDED = {
    "CT": ["Acute appendicitis with a small adjacent abscess.", "There is a large left subdural hematoma.",
           "Acute pulmonary embolism in the right lower lobe.", "Moderate right hydronephrosis is present.",
           "Comminuted fracture of the left acetabulum."],
    "MR": ["There is an acute infarct in the left thalamus.", "Large disc extrusion at L5-S1.",
           "Severe central canal stenosis at C5-C6.", "There is a full-thickness rotator cuff tear.",
           "Bone marrow edema in the distal femur."],
    "US": ["There is acute cholecystitis.", "Deep venous thrombosis of the left femoral vein.",
           "Moderate left hydronephrosis.", "There is a large amount of ascites.",
           "A solid right renal mass is seen."],
}
SYNONYMS = [("hemorrhage", "haemorrhage"), ("There is no evidence of", "No evidence of"),
            ("is identified", "is seen"), ("is noted", "is present"), ("is seen", "is present"),
            ("are seen", "are present"), ("demonstrates", "shows"), ("There is a ", "A "),
            ("are noted", "are seen"), ("within normal limits", "normal")]


def passages(text):
    """Runs of up to four sentences, headings dropped."""
    text = re.sub(r"(?m)^[A-Z][A-Z /&-]{3,}:\s*", "", text).replace("\u2022", " ")
    parts = [re.sub(r"\s+", " ", s).strip() for p in re.split(r"\n\s*\n|\n(?=\d+[.)])", text)
             for s in re.split(r"(?<=[a-z)\]]\.)\s+(?=[A-Z])", p)]
    parts = [re.sub(r"^\d+[.)]\s*", "", s) for s in parts]
    parts = [s for s in parts if 12 <= len(s) <= 300 and s.endswith(".") and not re.search(r"[:_]", s)]
    return [parts[i:i + 4] for i in range(0, len(parts), 4) if len(parts[i:i + 4]) >= 2]


def reports(data):
    for r in map(json.loads, gzip.open(f"{data}/mtsamples/radiology.jsonl.gz", "rt")):
        if r["modality"] in ADDED and r["kind"] == "report":
            m = re.search(r"(?:FINDINGS|COMMENTS|REPORT)\b:?(.*)", r["text"], re.S)
            yield r["id"], r["modality"], m.group(1) if m else r["text"]
    captions = {}
    for d in map(json.loads, gzip.open(f"{data}/medpix2/descriptions.jsonl.gz", "rt")):
        captions.setdefault(d["U_id"], (d["Type"], []))[1].append(d["Description"]["Caption"] or "")
    for c in map(json.loads, gzip.open(f"{data}/medpix2/cases.jsonl.gz", "rt")):
        kind = "MR" if c.get("MRI") and not c.get("TAC") else "CT"
        yield c["U_id"], kind, c["Case"].get("Findings") or ""


def swap(words, flag, kind):
    """One word of the table in one sentence is exchanged."""
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, words)) + r")\b", re.I)

    def change(s):
        found = [m for m in pattern.finditer(s) if not re.search(
            r"(no|not|without)( \w+)? $|with$|hand $|no evidence of $", s[:m.start()], re.I)]
        if len(found) != 1 or DENIES.search(s) and flag != "laterality":
            return None
        m = found[0]
        new = words[m.group(1).lower()]
        new = new.capitalize() if m.group(1)[0].isupper() else new
        return s[:m.start()] + new + s[m.end():]
    return kind, flag, change


def measurement(s):
    found = list(SIZE.finditer(s))
    if not found:
        return None
    m = found[0]
    return s[:m.start(1)] + f"{float(m.group(1)) * 3:g}" + s[m.end(1):]


def level(s):
    found = list(LEVEL.finditer(s))
    if not found or re.search(r"[CL]\d ?(-|through|to)", s):
        return None
    m = found[0]
    n = int(m.group(2))
    return s[:m.start(2)] + str(n - 1 if n > 2 else n + 1) + s[m.end(2):]


def negation_removed(s):
    for p, q in ((r"^There is no evidence of (?:an? |any )?", "There is "), (r"^There is no ", "There is "),
                 (r"^There are no ", "There are "), (r"^No evidence of ", "Evidence of "),
                 (r"^No (?=\w+ \w+)", ""), (r" without (?=evidence of )", " with ")):
        new, n = re.subn(p, q, s, count=1)
        if n and not re.search(r"\b(change|prior|comparison|contrast|other)\b", s):
            return new[0].upper() + new[1:]
    return None


def negation_added(s):
    if DENIES.search(s) or not CRITICAL.search(s):
        return None
    for p, q in ((r"^There is (?:an? )?", "There is no "), (r"^There are ", "There are no "),
                 (r"^(?:An? )?(?=\w+ \w+ \w+.* (?:is|are) (?:seen|noted|identified|present)\b)", "No ")):
        new, n = re.subn(p, q, s, count=1)
        if n:
            return new
    return None


def rows_of(ident, modality, sentences):
    text = " ".join(sentences)
    changes = [swap({"left": "right", "right": "left"}, "laterality", "laterality_swap"),
               swap(DEGREES, "severity", "severity_change"), swap(TIMES, "temporal", "temporal_change"),
               ("measurement_change", "measurement", measurement), ("level_change", "number", level),
               ("negation_removed", "negation", negation_removed),
               ("negation_added", "negation", negation_added)]
    for kind, flag, change in changes:
        for i, s in enumerate(sentences):
            new = change(s)
            if new and new != s:
                yield kind, [flag], " ".join(sentences[:i] + [new] + sentences[i + 1:])
                break
    for i, s in enumerate(sentences):
        found = {w.lower() for w in CRITICAL.findall(s)}
        rest = " ".join(sentences[:i] + sentences[i + 1:])
        if found and not DENIES.search(s) and not CRITICAL.search(rest):
            yield "critical_omission", ["missing"], rest
            break
    extra = ADDED[modality][zlib.crc32((ident + "+").encode()) % len(ADDED[modality])]
    if not set(re.findall(r"\w{6,}", extra.lower())) & set(re.findall(r"\w{6,}", text.lower())):
        yield "hallucinated_finding", ["added"], text + " " + extra
    yield "benign_identity", [], text
    yield "benign_case", [], text.upper()
    yield "benign_reorder_renumber", [], " ".join(
        f"{i + 1}. {s}" for i, s in enumerate(sentences[1:] + sentences[:1]))
    for p, q in SYNONYMS:
        if p in text:
            yield "benign_synonym", [], text.replace(p, q)
            break
    if re.search(r"\b[Nn]o evidence of\b", text):
        yield "benign_paraphrase_neg", [], re.sub(r"\b[Nn]o evidence of\b", "negative for", text)
    m = SIZE.search(text)
    if m and not re.search(r"\d ?(x|by|to|-|X) ?\d", text):
        value = float(m.group(1))
        new = f"{value * 10:g} mm" if m.group(3) == "cm" else f"{value / 10:g} cm"
        yield "benign_unit", [], text[:m.start()] + new + text[m.end():]


def main():
    data, half, count = sys.argv[1], sys.argv[2], {}
    for ident, modality, text in reports(data):
        if (zlib.crc32(ident.encode()) & 1) != (half == "held"):
            continue
        for sentences in passages(text):
            for kind, flags, generated in rows_of(ident, modality, sentences):
                count[kind] = count.get(kind, 0) + 1
                if count[kind] > 60:
                    continue
                print(json.dumps({"id": f"{ident}.{count[kind]}", "kind": kind, "modality": modality,
                                  "reference": " ".join(sentences), "generated": generated,
                                  "expected_flags": flags, "must_not_flag": not flags}))


if __name__ == "__main__":
    main()
