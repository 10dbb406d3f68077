"""A server over a tiny random model with two adapters, for the tests beside this file. Standard library alone."""
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SLOW = float(os.environ.get("RADMILL_TEST_SLOW", "4"))  # sanitizers, busy machines: only ever a longest time to wait


def skip(why):
    print("SKIP: " + why)
    sys.exit(77)


def check(ok, what):
    if not ok:
        print("FAIL: " + what)
        raise SystemExit(1)


def adapter_places(c):
    """(module, rows, columns) that an adapter of the tests changes: queries and values of every layer."""
    if c["model_type"] == "t5":
        d, out = c["d_model"], c["num_heads"] * c["d_kv"]
        where = [f"encoder.block.{i}.layer.0.SelfAttention" for i in range(c["num_layers"])]
        for i in range(c["num_decoder_layers"]):
            where += [f"decoder.block.{i}.layer.0.SelfAttention", f"decoder.block.{i}.layer.1.EncDecAttention"]
        return [(f"{w}.{name}", out, d) for w in where for name in ("q", "v")]
    d, heads, kv = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    head = c.get("head_dim") or d // heads
    return [(f"model.layers.{i}.self_attn.{name}", out, d) for i in range(c["num_hidden_layers"])
            for name, out in (("q_proj", heads * head), ("v_proj", kv * head))]


def write_adapter(folder, model, seed):
    """A PEFT LoRA adapter of rank 2 with random weights, strong enough to change answers."""
    with open(os.path.join(model, "config.json"), encoding="utf-8") as f:
        c = json.load(f)
    rng, tensors = random.Random(seed), {}
    for module, out, d in adapter_places(c):
        tensors[f"base_model.model.{module}.lora_A.weight"] = (2, d)
        tensors[f"base_model.model.{module}.lora_B.weight"] = (out, 2)
    header, data = {}, b""
    for key, shape in sorted(tensors.items()):
        n = shape[0] * shape[1]
        raw = struct.pack(f"<{n}f", *(rng.uniform(-1, 1) for _ in range(n)))
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head_bytes = json.dumps(header).encode()
    head_bytes += b" " * (-len(head_bytes) % 8)
    os.makedirs(folder)
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(head_bytes)) + head_bytes + data)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as f:
        t5 = c["model_type"] == "t5"
        json.dump({"peft_type": "LORA", "task_type": "SEQ_2_SEQ_LM" if t5 else "CAUSAL_LM", "r": 2, "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none",
                   "fan_in_fan_out": False, "base_model_name_or_path": "tiny", "target_modules": ["q", "v"] if t5 else ["q_proj", "v_proj"]}, f)


class Server:
    def __init__(self, work, program, base=None, adapters=True, wrap=(), sections=None, **serve):
        self.work, self.dir, self.program = work, os.path.join(work, "serve"), program
        self.out, self.err = os.path.join(work, "stdout"), os.path.join(work, "stderr")
        base = base or os.path.join(work, "tiny")
        if not os.path.exists(base):
            subprocess.run([program, "synth", "--model", base], check=True, stdout=subprocess.DEVNULL)
        opts = {"dir": self.dir, "port": 0, "slots": 8, "max_len": 512, "max_new_tokens": 24, **serve}
        if isinstance(adapters, list):
            opts["adapters"] = adapters
        elif adapters:
            opts["adapters"] = []
            for seed, name in enumerate(("first", "second")):
                path = os.path.join(work, name)
                if not os.path.exists(path):
                    write_adapter(path, base, seed)
                opts["adapters"].append({"name": name, "path": path})
        config = os.path.join(work, "c.yaml")
        with open(config, "w", encoding="utf-8") as f:
            sections = sections or {}
            json.dump({"model": {"base": base, "name": "base", "device": "cpu", "dtype": "f32", **sections.get("model", {})},
                       "shards": {"input": ["clinical", "findings"], **sections.get("shards", {})}, "serve": opts}, f)
        self.wrapped = bool(wrap)
        env = {"ASAN_OPTIONS": "detect_leaks=0"} if wrap else {}  # looking for leaks is tracing, too
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.process = subprocess.Popen([*wrap, program, "serve", config], stdout=out, stderr=err,
                                            env=dict(os.environ, OMP_NUM_THREADS="1", **env))
        self.connect = os.path.join(self.dir, "connect.txt")
        until = time.time() + 60 * SLOW
        while not os.path.exists(self.connect):
            if self.process.poll() is not None or time.time() > until:
                raise RuntimeError("the server does not start: " + self.text("stderr"))
            time.sleep(0.02)
        self.socket = opts.get("socket")
        if not self.socket:
            self.link = re.search(r"(https?)://([^:/]+|\[[^\]]*\]):(\d+)/\?ticket=([0-9a-f]{64})\n", self.note())
            self.host, self.port, self.ticket = self.link.group(2), int(self.link.group(3)), self.link.group(4)
            self.url = self.link.group(0).split("?")[0]
            path = opts.get("token_file") or os.path.join(self.dir, "token")
            with open(path, encoding="utf-8") as f:
                self.token = f.read().strip()

    def text(self, name):
        with open(os.path.join(self.work, name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def note(self):
        with open(self.connect, encoding="utf-8") as f:
            return f.read()

    def next_ticket(self, old):
        until = time.time() + 20 * SLOW
        while time.time() < until:
            m = re.search(r"ticket=([0-9a-f]{64})\n", self.note())
            if m and m.group(1) != old:
                return m.group(1)
            time.sleep(0.02)
        raise RuntimeError("no new ticket")

    def ask(self, method, path, body=None, token=True, headers=None, timeout=60):
        """(status, headers, text) of one request on a connection of its own."""
        c = http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)
        h = dict(headers or {})
        if token:
            h.setdefault("Authorization", "Bearer " + (self.token if token is True else token))
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            c.request(method, path, body, h)
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read().decode("utf-8", "replace")
        finally:
            c.close()

    def raw(self, data, wait=20, half_close=False):
        """What comes back for these bytes until the server closes."""
        with socket.create_connection((self.host, self.port), timeout=wait * SLOW) as s:
            got = b""
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
                while True:
                    part = s.recv(65536)
                    if not part:
                        return got
                    got += part
            except TimeoutError:
                raise
            except OSError:
                return got

    def pid(self):
        """Of the server: strace, where it stands in front, passes no signal on."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="utf-8") as f:
            children = f.read().split()
        return int(children[0]) if self.wrapped and children else self.process.pid

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.pid(), sig)
        return self.process.wait(timeout=120 * SLOW)


@contextlib.contextmanager
def serving(program, **serve):
    work = tempfile.mkdtemp(prefix="radmill-serve-")
    server = None
    try:
        server = Server(work, program, **serve)
        yield server
        check(server.process.poll() is None, "the server died: " + server.text("stderr")[-2000:])
        code = server.stop()
        check(code == 0, f"the server ended with {code}: " + server.text("stderr")[-2000:])
    finally:
        if server and server.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                os.kill(server.pid(), signal.SIGKILL)  # strace, killed alone, would leave it behind
            server.process.kill()
            server.process.wait()
        shutil.rmtree(work, ignore_errors=True)
