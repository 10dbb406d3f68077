#!/usr/bin/env python3
"""Registers of every CUDA kernel on sm_80 and sm_90 against a committed budget; no kernel may spill.

Usage: ptxas_budget.py ROOT [--write]
Compiles each .cu of lib/compute/cuda/kernels once for both, as lib/compute/cuda/CMakeLists.txt does, warnings being
errors. Fails on a spill, a stack frame, a kernel that needs more registers than its line in ptxas_budget.txt, one that
has no line, and a line without its kernel. --write makes the file anew. Registers are compared only under the nvcc
release that wrote the file; spills always. Without nvcc: exit 77, skipped.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ARCHS = ("80", "90")


def find_nvcc():
    places = [os.environ.get("CUDACXX"), shutil.which("nvcc")]
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        places.append(home and os.path.join(home, "bin", "nvcc"))
    return next((p for p in places if p and os.access(p, os.X_OK)), None)


def compile_all(nvcc, root):
    """[(arch, mangled name, registers, spill bytes, stack bytes)]"""
    flags = ["-std=c++17", "-fmad=false", "--Werror=all-warnings", "-Xcompiler=-Wall,-Wextra,-Werror", "-Xptxas=-v",
             "-I" + root, "-I" + os.path.join(root, "lib")]
    for arch in ARCHS:
        flags += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    out = []
    for path in sorted(glob.glob(os.path.join(root, "lib/compute/cuda/kernels/*.cu"))):
        with tempfile.TemporaryDirectory() as tmp:
            run = subprocess.run([nvcc, *flags, "-c", path, "-o", os.path.join(tmp, "x.o")], capture_output=True,
                                 text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"{path} does not compile:\n{run.stderr}")
        for part in run.stderr.split("Compiling entry function ")[1:]:
            name, arch = re.match(r"'(\S+)' for 'sm_(\d+)'", part).groups()
            stack, stores, loads = map(int, re.search(
                r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part).groups())
            regs = int(re.search(r"Used (\d+) registers", part).group(1))
            out.append((arch, name, regs, stores + loads, stack))
    return out


def readable(names):
    """Demangled, without return type and parameters."""
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    out = {}
    for name, line in zip(names, text.splitlines()):
        line = re.sub(r"^void ", "", line)
        out[name] = re.sub(r"\(.*", "", line.replace("(anonymous namespace)::", "")).replace(" ", "")
    return out


def release(nvcc):
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"release (\d+\.\d+)", text).group(1)


def read_budget(path):
    budget, made_by = {}, ""
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("# nvcc"):
                made_by = line.split()[2]
            elif line.strip() and not line.startswith("#"):
                arch, name, regs = line.split()
                budget[arch, name] = int(regs)
    return budget, made_by


def main():
    root = os.path.abspath(sys.argv[1])
    path = os.path.join(root, "tests/compute/ptxas_budget.txt")
    nvcc = find_nvcc()
    if not nvcc:
        print("SKIP: no nvcc: registers of the CUDA kernels are not checked")
        return 77
    found = compile_all(nvcc, root)
    names = readable([f[1] for f in found])
    seen = {("sm_" + arch, names[m]): (regs, spill, stack) for arch, m, regs, spill, stack in found}
    if len(seen) != len(found) or not found:
        sys.exit("two kernels of one name, or none at all")
    bad = [f"{a} {n}: spills {s} bytes, stack {k}" for (a, n), (_, s, k) in sorted(seen.items()) if s or k]
    here = release(nvcc)
    if "--write" in sys.argv:
        with open(path, "w", encoding="utf-8") as f:
            f.write("# Registers of each kernel: ptxas_budget.py compares, --write makes this file.\n"
                    f"# nvcc {here}\n")
            f.writelines(f"{a} {n} {r}\n" for (a, n), (r, _, _) in sorted(seen.items()))
    budget, made_by = read_budget(path)
    if made_by == here:
        for key, (regs, _, _) in sorted(seen.items()):
            if regs > budget.get(key, 0):
                bad.append(f"{' '.join(key)}: {regs} registers, budget {budget.get(key, 'has no line')}")
    else:
        print(f"note: the budget is of nvcc {made_by}, this is {here}: registers are not compared")
    bad += [f"{' '.join(k)}: no such kernel" for k in sorted(set(budget) - set(seen))]
    bad += [f"{' '.join(k)}: no line in the budget" for k in sorted(set(seen) - set(budget))]
    for line in dict.fromkeys(bad):
        print(line)
    print(f"ptxas budget: {len(seen)} kernels, {len(bad)} over")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
