"""Read a shards folder with h5py and json alone and check what the format promises (shard/shard_file.h).
Usage: check_shards.py DIR. Any broken promise raises."""
import hashlib
import json
import sys

import h5py
import numpy as np

folder = sys.argv[1]
manifest = json.load(open(f"{folder}/manifest.json"))
sealed = {k: v for k, v in manifest.items() if k != "checksum"}
text = json.dumps(sealed, indent=2, sort_keys=True, ensure_ascii=False)
assert hashlib.sha256(text.encode()).hexdigest() == manifest["checksum"]
assert manifest["schema"] == "shards/v2"
names = ["train", "dev", "test"]
digest = hashlib.sha256(b"shards/v2\0")
texts = set()
for f in manifest["files"]:
    path = f"{folder}/{f['path']}"
    raw = open(path, "rb").read()
    assert len(raw) == f["bytes"] and raw[:8] == b"RADSHARD"
    assert hashlib.sha256(raw[4096:]).hexdigest() == f["sha256"]
    digest.update(f["modality"].encode() + b"\0" + f["source"].to_bytes(8, "little"))
    digest.update(f["number"].to_bytes(8, "little"))
    digest.update(bytes.fromhex(f["sha256"]))
    digest.update(b"".join(f["samples"][n].to_bytes(8, "little") for n in names))
    h = h5py.File(path)
    assert h.userblock_size == 4096
    assert h.attrs["schema"].decode() == "shards/v2" and h.attrs["modality"].decode() == f["modality"]
    assert h.attrs["tokenizer_sha256"].decode() == manifest["tokenizer_sha256"]
    ids, offset = h["tokens/ids"], h["tokens/offset"][:]
    n = len(offset) - 1
    assert ids.chunks is None and ids.compression is None
    assert ids.dtype == (np.uint16 if manifest["vocab_size"] <= 65536 else np.uint32)
    if ids.nbytes >= 4096:
        assert ids.id.get_offset() % 4096 == 0
    mapped = np.memmap(path, ids.dtype, "r", ids.id.get_offset(), ids.shape)
    assert (mapped == ids[:]).all()
    length, target, record = h["sample/length"][:], h["tokens/target"][:], h["sample/record"][:]
    assert (np.diff(offset) == length).all() and offset[0] == 0 and offset[-1] == len(ids)
    assert h.attrs["layout"].decode() == manifest["layout"]
    if manifest["layout"] == "encoder-decoder":
        assert (target > 0).all() and target.max() <= manifest["max_input_tokens"]
        assert (length - target).max() <= manifest["max_target_tokens"]
        assert (ids[:][(offset[:-1] + target).astype(np.int64) - 1] == manifest["eos"]).all()
    assert (target < length).all() and length.max() <= manifest["max_tokens"]
    assert (ids[:][offset[1:].astype(np.int64) - 1] == manifest["eos"]).all()
    split = h["split"][:]
    at = 0
    for k, name in enumerate(names):
        first, count = int(split[k][0]), int(split[k][1])
        assert first == at and count == f["samples"][name]
        keys = [tuple(r) for r in record[first:first + count]]
        assert keys == sorted(keys) and len(set(keys)) == count
        assert int(length[first:first + count].sum()) == f["tokens"][name]
        assert int((length - target)[first:first + count].sum()) == f["targets"][name]
        at += count
    assert at == n
    for name in ["text_hash", "target_hash", "patient_key", "entry"]:
        assert len(h["sample"][name]) == n
        assert int(h["sample"][name].attrs["count"][0]) == n
    texts |= {(int(hi), int(lo)) for lo, hi in h["sample/text_hash"][:]}
    patients = [set(h["sample/patient_key"][int(s[0]):int(s[0] + s[1])].tolist()) for s in split]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
assert digest.hexdigest() == manifest["dataset_digest"]
if "groups" in manifest:
    path = f"{folder}/{manifest['groups']['path']}"
    raw = open(path, "rb").read()
    assert raw[:8] == b"RADGROUP" and hashlib.sha256(raw[4096:]).hexdigest() == manifest["groups"]["sha256"]
    h = h5py.File(path)
    assert h.userblock_size == 4096 and h.attrs["schema"].decode() == "groups/v1"
    rows = [(int(hi), int(lo)) for lo, hi in h["group/text"][:]]
    heads = [(int(hi), int(lo)) for lo, hi in h["group/head"][:]]
    assert len(rows) == len(heads) == manifest["groups"]["texts"] == int(h.attrs["texts"][0])
    assert rows == sorted(set(rows)) and not set(rows) & set(heads)
    assert texts & set(rows)
    assert h["group/text"].dtype == h["group/head"].dtype == np.uint64
print(len(manifest["files"]), "files")
