#!/usr/bin/env python3
"""House rules that no compiler checks: who includes whom, banned functions, sizes, unique names, and that the documents
name files which are there.

Usage: check_house.py ROOT layers|banned|sizes|names|links|self
`self` breaks each rule in a scratch copy and expects the checker to see it.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

CODE = ("lib", "checkpoint", "ingest", "shard", "stats", "synth", "train", "generate", "evaluate", "label", "judge", "sweep", "serve",
        "slurm", "cli")
LIB = ("base", "comm", "text", "compute", "model")


def sources(root, ext=(".c", ".h", ".cu", ".cuh"), tops=CODE):
    for top in tops:
        for dirpath, dirs, files in os.walk(os.path.join(root, top)):
            dirs.sort()
            for f in sorted(files):
                if f.endswith(ext):
                    yield os.path.relpath(os.path.join(dirpath, f), root)


def forgotten(root):
    """Folders with C sources that CODE does not list: no rule would look at them."""
    for top in sorted(os.listdir(root)):
        if top not in CODE + ("tests", "bench") and not top.startswith((".", "build")):
            if next(sources(root, tops=(top,)), None):
                yield f"{top}/: a folder with sources that CODE of tests/house/check_house.py does not list"


def table(root, name):
    out = {}
    with open(os.path.join(root, "tests/house", name), encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                key, *rest = line.replace(":", " ", 1).split() if name == "layers.txt" else line.split()
                out[key] = rest
    return out


def folder_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "lib" else parts[0]


def blank(text):
    """Comments and literals become blanks; line numbers stay."""
    pat = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pat.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def owned(path, owners):
    return any(path == o or (o.endswith("/") and path.startswith(o)) for o in owners)


def check_layers(root):
    rules, third = table(root, "layers.txt"), table(root, "owners.txt")
    bad = list(forgotten(root))
    for path in sources(root):
        me = folder_of(path)
        if me not in rules:
            bad.append(f"{path}: folder {me} is not in layers.txt")
            continue
        for n, line in enumerate(read(root, path).split("\n"), 1):
            m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not m:
                continue
            inc = m.group(2)
            if m.group(1) == '"':
                other = inc.split("/")[0]
                real = os.path.join("lib", inc) if other in LIB else inc
                if not os.path.exists(os.path.join(root, real)):
                    bad.append(f"{path}:{n}: {inc} is not a path from the root or lib/")
                elif other != me and other not in rules[me] and inc not in rules[me]:
                    bad.append(f"{path}:{n}: {me} may not include {inc}")
            for pat, owners in third.items():
                hit = inc.startswith(pat[:-1]) if pat.endswith("*") else inc == pat
                if hit and not owned(path, owners):
                    bad.append(f"{path}:{n}: <{inc}> belongs to {' '.join(owners)}")
    return bad


def check_banned(root):
    rules = table(root, "banned.txt")
    pat = re.compile(r"(?<![\w.>])(" + "|".join(map(re.escape, rules)) + r")\s*\(")
    bad = []
    for path in sources(root):
        for n, line in enumerate(blank(read(root, path)).split("\n"), 1):
            for m in pat.finditer(line):
                if not owned(path, rules[m.group(1)]):
                    bad.append(f"{path}:{n}: {m.group(1)}() is banned here (tests/house/banned.txt)")
    return bad


def functions(text):
    """(name, first line, last line) of each definition: bodies open and close in column 0."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if line == "{":
            head, j = "", i - 1
            while j >= 0 and lines[j].strip() and not lines[j].rstrip().endswith((";", "}")):
                head = lines[j] + " " + head
                j -= 1
            m = re.search(r"(\w+)\s*\(", head)
            for k in range(i + 1, len(lines)):
                if lines[k].startswith("}"):
                    yield (m.group(1) if m else "?"), j + 2, k + 1
                    break


def check_sizes(root):
    bad = []
    for path in sources(root, tops=("tests", "bench")):
        lines = read(root, path).count("\n")
        if lines > 800:
            bad.append(f"{path}: {lines} lines, at most 800")
    for path in sources(root):
        text = read(root, path)
        lines = text.split("\n")
        if len(lines) - 1 > 800:
            bad.append(f"{path}: {len(lines) - 1} lines, at most 800")
        if path.endswith("_table.c") or path.endswith("_table.h"):
            continue
        for n, line in enumerate(lines, 1):
            if len(line) > 100:
                bad.append(f"{path}:{n}: {len(line)} columns, at most 100")
        for name, a, b in functions(blank(text)):
            if b - a + 1 > 100:
                bad.append(f"{path}:{a}: {name} has {b - a + 1} lines, never over 100")
    return bad


def check_names(root):
    seen, bad = {}, []
    for path in sources(root):
        base = os.path.basename(path)
        if base in seen:
            bad.append(f"{path}: the name {base} is taken by {seen[base]}")
        seen[base] = path
        text = read(root, path)
        if path.endswith(".h"):
            # *_body.h are templates: included once for each instruction set, on purpose
            if "#pragma once" not in text and not base.endswith("_body.h"):
                bad.append(f"{path}: no #pragma once")
            if not text.startswith("/*\n * "):
                bad.append(f"{path}: a header begins with its manual")
        for n, line in enumerate(text.split("\n"), 1):
            if re.search(r"\b(TODO|FIXME|XXX[^X]|HACK)\b", line) and "XXXX" not in line:
                bad.append(f"{path}:{n}: left-over marker")
    return bad


def documents(root):
    for dirpath, dirs, files in os.walk(root):
        dirs[:] = sorted(d for d in dirs if not d.startswith((".", "build")) and d != "node_modules")
        for f in sorted(files):
            if f.endswith(".md"):
                yield os.path.relpath(os.path.join(dirpath, f), root)


def anchors(text):
    """Headings as hubs make anchors of them."""
    return {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)", text, re.M)}


def link_is_dead(root, path, target):
    """A Markdown link: a file beside or above, perhaps with a heading of it."""
    name, _, anchor = target.partition("#")
    file = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
    if not os.path.exists(os.path.join(root, file)):
        return True
    return bool(anchor) and file.endswith(".md") and anchor not in anchors(read(root, file))


def check_links(root):
    """Links, paths from the root or lib/, and names of sources in `quotes`, of every *.md."""
    tops = "|".join(CODE + LIB + ("docs", "configs", "tests", "bench"))
    in_text = re.compile(r"(?<![\w./$}-])((?:" + tops + r")/[\w./{},*<>-]*\.(?:md|yaml|yml|c|h|cu|sh|py|csv|def|jsonl|tsv))\b")
    known, bad = set(table(root, "owners.txt")), []  # others' headers have their owners there
    for _, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if not d.startswith((".", "build"))]
        known.update(files)
    for path in documents(root):
        for n, line in enumerate(read(root, path).split("\n"), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if "://" not in target and link_is_dead(root, path, target):
                    bad.append(f"{path}:{n}: the link {target} leads nowhere")
            for name in in_text.findall(line):
                places = (name, os.path.join("lib", name), os.path.join(os.path.dirname(path), name))
                if not re.search(r"[{},*<>]", name) and not any(os.path.exists(os.path.join(root, p)) for p in places):
                    bad.append(f"{path}:{n}: there is no {name}")
            for name in re.findall(r"`([a-z]\w*\.[ch])`", line):
                if name not in known:
                    bad.append(f"{path}:{n}: no source is called {name}")
    return bad


CHECKS = {"layers": check_layers, "banned": check_banned, "sizes": check_sizes, "names": check_names, "links": check_links}


def self_test(root):
    """Each rule broken once in a copy: the checker must name the file."""
    breaks = [
        ("layers", "lib/base/broken_rule.c", '#include "comm/comm.h"\n'),
        ("banned", "lib/base/broken_rule.c", "void f(char *p);\nvoid f(char *p)\n{\n    strcpy(p, \"\");\n}\n"),
        ("sizes", "lib/base/broken_rule.c", "int f(void)\n{\n" + "    ;\n" * 120 + "}\n"),
        ("names", "lib/base/broken_rule.h", "int x;\n"),
        ("links", "lib/broken_rule.md", "Read docs/NOT_THERE.md first.\n"),
        ("layers", "broken_rule/x.c", "int x;\n"),
    ]
    bad = []
    for name, path, text in breaks:
        with tempfile.TemporaryDirectory() as tmp:
            for part in ("lib", "tests/house"):
                shutil.copytree(os.path.join(root, part), os.path.join(tmp, part))
            os.makedirs(os.path.dirname(os.path.join(tmp, path)), exist_ok=True)
            with open(os.path.join(tmp, path), "w", encoding="utf-8") as f:
                f.write(text)
            if not any("broken_rule" in b for b in CHECKS[name](tmp)):
                bad.append(f"the {name} check does not see a broken rule")
    return bad


def main():
    root, what = sys.argv[1], sys.argv[2]
    bad = self_test(root) if what == "self" else CHECKS[what](root)
    for line in bad:
        print(line)
    print(f"house {what}: {len(bad)} broken")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
