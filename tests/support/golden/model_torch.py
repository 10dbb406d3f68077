#!/usr/bin/env python3
"""PyTorch files for tests/model/test_torch_bin.c and the fuzzer, written by torch.save.

zip.bin, legacy.bin   one dictionary: a F32 [3,4], b BF16 [5], c F16 [2,2] (a view at offset 1), d F64 [], e I64 [2],
                      f: a Parameter F32 [2,3]; g: the same storage as a; values are 0.25 * n + number of the tensor
wrapped.bin           {"state_dict": {...}, "epoch": 3}
trained.bin           {"epoch": 7, "model_state_dict": {"module.a": ..., ...}, "optimizer_state_dict": Adam's}: as chexbert.pth
strided.bin           a transposed tensor
evil_*.bin            pickles that would run something: os.system, builtins.eval behind REDUCE, NEWOBJ, INST, an
                      extension code, a persistent id of another class
    python tests/support/golden/model_torch.py tests/model/corpus_torch
"""
import collections, io, os, pickle, struct, sys, zipfile
import torch

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def values(number, *shape, dtype=torch.float32):
    n = 1
    for s in shape:
        n *= s
    return (torch.arange(n).double() * 0.25 + number).reshape(shape).to(dtype)


def state():
    a = values(0, 3, 4)
    c = torch.cat([torch.zeros(1), values(2, 4)]).half()[1:].reshape(2, 2)
    d = collections.OrderedDict(a=a, b=values(1, 5, dtype=torch.bfloat16), c=c, d=values(3, dtype=torch.float64),
                                e=torch.tensor([7, -8]), f=torch.nn.Parameter(values(5, 2, 3)), g=a)
    d._metadata = collections.OrderedDict(version=1)
    return d


def trained():
    moments = {"step": 5, "exp_avg": values(0, 2), "exp_avg_sq": values(0, 2)}
    group = {"lr": 2e-5, "betas": (0.9, 0.999), "correct_bias": True, "params": [140234567890123]}
    return {"epoch": 7, "model_state_dict": collections.OrderedDict(("module." + k, v) for k, v in state().items()),
            "optimizer_state_dict": {"state": {140234567890123: moments}, "param_groups": [group]}}


for name, obj in (("zip", state()), ("trained", trained()), ("wrapped", {"state_dict": state(), "epoch": 3, "lr": 0.5}),
                  ("strided", {"a": values(0, 3, 4).t()})):
    torch.save(obj, f"{out}/{name}.bin")
torch.save(state(), f"{out}/legacy.bin", _use_new_zipfile_serialization=False)


def write_zip(name, pkl, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(f"{out}/{name}.bin", "w", compression) as z:
        z.writestr("archive/data.pkl", pkl)
        z.writestr("archive/byteorder", "little")
        z.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
        z.writestr("archive/version", "3\n")


class Run:
    def __reduce__(self):
        return os.system, ("touch /tmp/radmill-was-run",)


class Eval:
    def __reduce__(self):
        return eval, ("1+1",)


write_zip("evil_system", pickle.dumps({"a": Run()}, protocol=2))
write_zip("evil_eval4", pickle.dumps({"a": Eval()}, protocol=4))
write_zip("evil_inst", b"\x80\x02(X\x04\x00\x00\x00trueios\nsystem\n.")
write_zip("evil_newobj", b"\x80\x02ccollections\nOrderedDict\n)\x81.")
write_zip("evil_ext", b"\x80\x02\x82\x01.")
write_zip("evil_persid", b"\x80\x02X\x01\x00\x00\x00xQ.")
write_zip("evil_oob", b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
          b"FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x01K\x04\x85K\x01\x85\x89}tRs.")
write_zip("evil_packed", pickle.dumps({"a": 1}, protocol=2), zipfile.ZIP_DEFLATED)
buf = io.BytesIO()
for o in (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, Run()):
    pickle.dump(o, buf, protocol=2)
open(f"{out}/evil_legacy.bin", "wb").write(buf.getvalue())
z = zipfile.ZipFile(f"{out}/zip.bin")  # the pickle alone, for the fuzzer
open(f"{out}/data.pkl", "wb").write(z.read(next(n for n in z.namelist() if n.endswith("data.pkl"))))
print(torch.__version__, sorted((f, os.path.getsize(f"{out}/{f}")) for f in os.listdir(out)))
