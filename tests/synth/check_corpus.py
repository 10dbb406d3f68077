"""Read what radmill synth wrote with Python's own zipfile, tarfile and csv, and parse the reports as the
published MEDIQA-2021 script does (rules 1 to 4 and the names of the project's spec/ingest.md 1.2, 1.3).
Usage: check_corpus.py DIR. Prints counts; any broken promise raises."""
import csv
import io
import re
import sys
import tarfile
import zipfile

HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
FINDINGS = {"findings", "finding", "findins", "findindgs", "findgings", "findngs", "findnings", "finidngs",
            "chest, two views"}
IMPRESSION = {"impression", "conclusion", "findings and impression", "findings/impression",
              "findings/ impression", "impresson", "imprression", "imoression", "impressoin", "imprssion",
              "impresion", "imperssion", "mpression", "impession", "ndication"}
OTHER = {"comparison", "comparisons", "indication", "examination", "exam", "type of examination", "technique",
         "history", "clinical history", "clinical information", "reason for examination", "notification",
         "addendum"}
INSIDE = ["impression", "findings", "history", "comparison", "addendum"]
VIEWS = ["chest", "portable", "pa and lateral", "frontal and", "two views", "ap view"]


def name_of(name):
    name = name.lower().strip()
    if name in FINDINGS:
        return "findings"
    if name in IMPRESSION:
        return "impression"
    if name in OTHER:
        return name
    for x in INSIDE:
        if x in name:
            return x
    return "findings" if any(v in name for v in VIEWS) else name


def sections(text):
    found, at = [], HEADER.search(text)
    while at:
        start = at.end()
        newline = text.find("\n", start)
        after = HEADER.search(text, newline if newline >= 0 else start)
        found.append((name_of(at.group(1)), text[start:after.start() if after else len(text)]))
        at = after
    return {n for n, t in found if t.strip()}


def check_zip(folder):
    archive = zipfile.ZipFile(f"{folder}/mimic-cxr-reports.zip")
    assert archive.testzip() is None
    names = set(archive.namelist())
    assert len(names) == len(archive.namelist())
    rows = list(csv.DictReader(open(f"{folder}/mimic_split.csv", newline="")))
    patients = {}
    listed = set()
    for row in rows:
        s, p = row["study_id"], row["subject_id"]
        name = f"files/p{p[:2]}/p{p}/s{s}.txt"
        assert name in names and f"files/p{p[:2]}/" in names and f"files/p{p[:2]}/p{p}/" in names
        assert re.fullmatch(r"5\d{7}", s) and re.fullmatch(r"1\d{7}", p)
        assert patients.setdefault(p, row["split"]) == row["split"], "patient in two splits"
        assert {"findings", "impression"} <= sections(archive.read(name).decode("utf-8")), name
        assert name not in listed
        listed.add(name)
    reports = [n for n in names if not n.endswith("/")]
    lost = [n for n in reports if n not in listed]
    both = sum({"findings", "impression"} <= sections(archive.read(n).decode("utf-8")) for n in lost)
    assert both <= len(lost) // 50, f"{both} of {len(lost)} unlisted reports parse after all"
    return len(reports), len(listed)


def check_dump(folder):
    header, rows, boms, modalities = None, 0, 0, {}
    with tarfile.open(f"{folder}/institution.tar.gz", "r:gz") as tar:
        for member in tar:
            data = tar.extractfile(member).read()
            boms += data.startswith(b"\xef\xbb\xbf")
            for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True):
                header = header or list(row)
                assert list(row) == header and None not in row.values() and None not in row
                modalities[row["modality"]] = modalities.get(row["modality"], 0) + 1
                rows += 1
    assert header == ["accession", "patient_id", "modality", "study_description", "clinical_information",
                      "technique", "comparison", "findings", "impression", "report_status"]
    assert boms == 1
    assert {"", "CR", "CT", "MR", "US", "NM", "PT", "MG", "RF"} <= set(modalities), modalities
    return rows


print(*check_zip(sys.argv[1]), check_dump(sys.argv[1]))
