#!/usr/bin/env python3
"""Time to first token and tokens/s of radmill serve and of llama.cpp's servers, for 1, 8 and 64 clients, one run.

  bench/peers/serve_clients.py --radmill build/release/radmill --gguf MODEL.gguf --llama-server BIN [--python VENV/bin/python]

llama.cpp's own server, which batches, is no package, but llama-cpp-python's source package on PyPI carries its sources:
  pip download --no-binary :all: --no-deps llama-cpp-python; unpack; in vendor/llama.cpp:
  cmake -B build -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF; cmake --build build --target llama-server
It gets a slot for each of 64 clients, as radmill does. --python adds llama-cpp-python's server, which answers one after another.

The same model, prompts, threads and number of new tokens; streams over HTTP, greedy. radmill reads the folder that
`radmill convert` makes of the GGUF file (weights in f32 or bf16, as the processor prefers); llama.cpp reads the file
itself (--gguf) and, with --gguf16, the same weights in 16 bits, which is the like-for-like row. The peers take turns.
Wall-clock figures mean little on a busy machine; CPU time a token (prompts included) is the steadier column.
--python: a Python with llama-cpp-python[server]; left out, that server is not measured. Standard library alone otherwise.
"""
import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time

FINDINGS = ("Report %d. Clinical information: cough and fever for three days. Findings: The heart is normal in size. There is a "
            "new patchy opacity in the right lower lobe. A 6 mm nodule in the left upper lobe is unchanged. No pleural effusion "
            "or pneumothorax. The bones are intact.\nImpression:")


def one(port, token, i, tokens, out):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=1200)
    start, first, n = time.monotonic(), None, 0
    c.request("POST", "/v1/completions", json.dumps({"prompt": FINDINGS % (100 + i), "max_tokens": tokens, "temperature": 0, "stream": True}),
              {"Content-Type": "application/json", "Authorization": "Bearer " + token})
    r = c.getresponse()
    for line in r:
        if not line.startswith(b"data: {"):
            continue
        choice = json.loads(line[6:])["choices"]
        if choice and choice[0]["text"]:
            n += 1
            first = first or time.monotonic() - start
    out.append((first, n, time.monotonic() - start))
    c.close()


def crowd(port, token, clients, tokens, base):
    out = []
    threads = [threading.Thread(target=one, args=(port, token, base + i, tokens, out)) for i in range(clients)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wall = time.monotonic() - start
    assert len(out) == clients, "a request was lost"
    made = sum(o[1] for o in out)
    return statistics.median(o[0] for o in out), max(o[0] for o in out), made / wall, made


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(next(x for x in f if x.startswith("VmHWM")).split()[1]) / 1024


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Radmill:
    name = "radmill serve"

    def __init__(self, a, tmp):
        self.tmp, model = tmp, os.path.join(tmp, "model")
        subprocess.run([a.radmill, "convert", a.gguf, model], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(tmp, "c.yaml"), "w", encoding="utf-8") as f:
            json.dump({"model": {"base": model, "threads": a.threads},
                       "serve": {"dir": os.path.join(tmp, "serve"), "port": 0, "slots": 64, "max_len": 512}}, f)
        self.p = subprocess.Popen([a.radmill, "serve", os.path.join(tmp, "c.yaml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env=dict(os.environ, OMP_NUM_THREADS=str(a.threads), OMP_WAIT_POLICY="passive"))
        path = os.path.join(tmp, "serve", "connect.txt")
        while not os.path.exists(path):
            assert self.p.poll() is None
            time.sleep(0.1)
        with open(path, encoding="utf-8") as f:
            self.port = int(f.read().split("127.0.0.1:")[1].split("/")[0])
        with open(os.path.join(tmp, "serve", "token"), encoding="utf-8") as f:
            self.token = f.read()


class Llama:
    """A server of llama.cpp's: the command for a port."""

    def __init__(self, name, command):
        self.name, self.port, self.token = name, 0, "none"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.p = subprocess.Popen(command(str(self.port)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            assert self.p.poll() is None, self.name + " does not start"
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                c.request("GET", "/v1/models")
                if c.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--radmill", required=True)
    p.add_argument("--gguf", required=True)
    p.add_argument("--gguf16")
    p.add_argument("--python")
    p.add_argument("--llama-server")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--tokens", type=int, default=32)
    p.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    a = p.parse_args()
    t = str(a.threads)

    def one_by_one(gguf):
        return lambda port: [a.python, "-m", "llama_cpp.server", "--model", gguf, "--n_threads", t, "--n_threads_batch", t, "--n_ctx", "512",
                             "--interrupt_requests", "false", "--port", port, "--host", "127.0.0.1"]

    def batching(gguf):
        return lambda port: [a.llama_server, "-m", gguf, "-t", t, "-tb", t, "-np", "64", "-c", str(64 * 256), "--port", port, "--host", "127.0.0.1"]

    servers = []
    with tempfile.TemporaryDirectory() as tmp:
        try:
            servers.append(Radmill(a, tmp))
            for gguf, what in ((a.gguf, "the file"), (a.gguf16, "16 bits")):
                if gguf and a.llama_server:
                    servers.append(Llama("llama-server, " + what, batching(gguf)))
                if gguf and a.python:
                    servers.append(Llama("llama-cpp-python, " + what, one_by_one(gguf)))
            for s in servers:
                crowd(s.port, s.token, 1, 4, -9)
            print("| clients | server | first token, median s | slowest s | new tokens/s | CPU ms a token | peak MiB |\n| --- | --- | --- | --- | --- | --- | --- |")
            for i, n in enumerate(a.clients):
                for s in servers:
                    before = cpu_s(s.p.pid)
                    first, last, rate, made = crowd(s.port, s.token, n, a.tokens, 100 * i)
                    cpu = 1000 * (cpu_s(s.p.pid) - before) / made
                    print(f"| {n} | {s.name} | {first:.2f} | {last:.2f} | {rate:.1f} ({made}) | {cpu:.1f} | {peak_mib(s.p.pid):.0f} |", flush=True)
        finally:
            for s in servers:
                s.p.terminate()
                s.p.wait()


main()
