"""How many groups of equal or nearly equal texts the train samples of a shards folder fall into, from the record
blocks, near.jsonl and the shards' provenance alone. Usage: near_groups.py CORPUS SHARDS"""
import json
import sys

import h5py

corpus, shards = sys.argv[1:]
manifest = json.load(open(f"{corpus}/manifest.json"))
names = [s["name"] for s in manifest["sources"]]
text, numbers = {}, {}
for b in manifest["blocks"]:
    source = b["source"]
    block = numbers[source] = numbers.get(source, -1) + 1
    with h5py.File(f"{corpus}/{b['path']}") as h:
        for row, norm in enumerate(h["hash/norm"][:]):
            text[names[source], block, row] = tuple(map(int, norm))
key = lambda i: (i.split(":")[0], int(i.split(":")[1]), int(i.split(":")[2]))
head = {}
for line in open(f"{corpus}/near.jsonl"):
    row = json.loads(line)
    head[text[key(row["id"])]] = text[key(row["head"])]
groups = set()
shown = json.load(open(f"{shards}/manifest.json"))
for f in shown["files"]:
    h = h5py.File(f"{shards}/{f['path']}")
    first, count = map(int, h["split"][0])
    for source, block, row in h["sample/record"][first:first + count]:
        t = text[shown["sources"][source], int(block), int(row)]
        groups.add(head.get(t, t))
print(len(groups))
