#!/usr/bin/env python3
"""Who gets in and what gets out: secrets, hosts, origins, sizes, slow clients, broken requests, files, logs.

Usage: door.py RADMILL
"""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import kit
from kit import check, serving

CANARY = "zyxcanary"


def is_error(text):
    e = json.loads(text)["error"]
    return isinstance(e["message"], str) and {"type", "param", "code"} <= set(e)


def secrets(s):
    for path in ("/v1/models", "/metrics", "/radmill/info", "/nothing", "/../etc/passwd"):
        status, head, text = s.ask("GET", path, token=False)
        check(status == 401 and is_error(text), f"{path} without a token: {status}")
        check(head.get("WWW-Authenticate") == "Bearer", "401 names Bearer")
    for wrong in ("0" * 64, s.token[:-1], s.token + "0", s.ticket, " ", "x" * 5000):
        check(s.ask("GET", "/v1/models", token=wrong)[0] == 401, f"wrong token of {len(wrong)} characters")
    check(s.ask("GET", "/v1/models", token=False, headers={"Authorization": "Basic " + s.token})[0] == 401, "Basic is not Bearer")
    check(s.ask("GET", "/v1/models?token=" + s.token, token=False)[0] == 401, "no token in a URL")
    check(s.ask("GET", "/v1/models", token=False, headers={"Cookie": "token=" + s.token})[0] == 401, "no token in a cookie")
    check(s.ask("GET", "/v1/models", token=False, headers={"Authorization": "bearer " + s.token})[0] == 200, "a scheme in any letter case")
    check(s.ask("GET", "/v1/models")[0] == 200, "the token opens")
    check(s.ask("GET", "/v1/models/%62ase")[0] == 200 and s.ask("GET", "/v1/models/")[0] == 404, "a model's name with escapes")
    check(s.ask("GET", "/health", token=False)[0] == 200, "health is open")


def links(s):
    check("value=\"\"" in s.ask("GET", "/", token=False)[2], "the page without a link holds no session")
    status, head, text = s.ask("GET", "/?ticket=" + s.ticket, token=False)
    session = re.search(r'id="session" value="([0-9a-f]{64})"', text)
    check(status == 200 and session, "the link opens a session")
    check("Set-Cookie" not in head and head["Cache-Control"] == "no-store", "no cookie, nothing cached")
    check(s.token not in text, "the page does not hold the token")
    session = session.group(1)
    check(s.ask("GET", "/v1/models", token=session)[0] == 200, "the session opens")
    again = s.ask("GET", "/?ticket=" + s.ticket, token=False)[2]
    check('id="session" value=""' in again and "has been used" in again, "a link works once")
    new = s.next_ticket(s.ticket)
    check(stat.S_IMODE(os.stat(s.connect).st_mode) == 0o600, "connect.txt is 0600")
    check(stat.S_IMODE(os.stat(os.path.join(s.dir, "token")).st_mode) == 0o600, "token is 0600")
    check(s.ask("GET", "/?ticket=" + new, token=False)[0] == 200, "the next link")
    check(s.ask("DELETE", "/radmill/session", token=session)[0] == 200, "sign out")
    check(s.ask("GET", "/v1/models", token=session)[0] == 401, "signed out")
    status, _, text = s.ask("POST", "/radmill/session", {"secret": s.token}, token=False)
    check(status == 200 and len(json.loads(text)["session"]) == 64, "token to session")
    check(s.ask("POST", "/radmill/session", {"secret": "0" * 64}, token=False)[0] == 401, "no session for nothing")
    s.ticket = s.next_ticket(new)


def names(s):
    for host in ("evil.example", f"evil.example:{s.port}", f"127.0.0.1.evil.example:{s.port}", ""):
        status, _, text = s.ask("GET", "/v1/models", headers={"Host": host})
        check(status == 403 and is_error(text), f"Host {host!r}: {status}")
        check(s.ask("GET", "/", headers={"Host": host}, token=False)[0] == 403, f"page for Host {host!r}")
    check(s.ask("GET", "/v1/models", headers={"Host": f"localhost:{s.port + 1}"})[0] == 200, "a tunnel has another port")
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{s.port + 1}"):
        check(s.ask("POST", "/v1/completions", {"prompt": "x"}, headers={"Origin": origin})[0] == 403, f"Origin {origin}")
    ok = s.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1}, headers={"Origin": f"http://{s.host}:{s.port}"})
    check(ok[0] == 200 and not any(k.lower().startswith("access-control") for k in ok[1]), "own origin, and no CORS")


def headers(s):
    for path in ("/", "/v1/models", "/nothing"):
        head = s.ask("GET", path)[1]
        csp = head["Content-Security-Policy"]
        check(head["X-Content-Type-Options"] == "nosniff" and head["X-Frame-Options"] == "DENY", "nosniff, no frames")
        check("frame-ancestors 'none'" in csp and "unsafe" not in csp and "http" not in csp, csp)
    csp = s.ask("GET", "/")[1]["Content-Security-Policy"]
    check(csp.startswith("default-src 'self'; script-src 'sha256-") and "form-action 'self'" in csp, csp)
    status, head, _ = s.ask("PUT", "/v1/completions", "{}")
    check(status == 405 and head["Allow"] == "POST", "405 with Allow")


def broken(s):
    for body in ("", "{", "[]", "nul", '{"prompt":', '{"prompt":"' + CANARY + '","n":"' + CANARY + '"}', "{" * 100000,
                 '{"prompt":"' + CANARY + "\xff", '{"a":1,"a":2}', '{"prompt":"\\ud800' + CANARY + '"}', '{"prompt":{}}'):
        for path in ("/v1/completions", "/v1/chat/completions", "/radmill/impression", "/radmill/check", "/v1/embeddings"):
            status, _, text = s.ask("POST", path, body.encode("latin-1"))
            check(400 <= status < 500 and is_error(text) and CANARY not in text, f"{path} {body[:40]!r}: {status} {text}")
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models/..", "/v1//models", "/v1/models%00", "//", "/" + "a" * 3000):
        check(s.ask("GET", path)[0] in (404, 400), f"path {path[:40]}")
    for raw in (b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 200000 + b"\r\n\r\n"):
        answer = s.raw(raw, half_close=True)
        check(b" 200 " not in answer.split(b"\r\n")[0], f"{raw[:40]!r} -> {answer[:60]!r}")
    check(s.ask("GET", "/health")[0] == 200, "still there")


def sizes(s):
    status, _, text = s.ask("POST", "/v1/completions", json.dumps({"prompt": "x" * (65 << 10)}))
    check(status == 413 and is_error(text), f"announced too long: {status}")
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {s.token}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    for n in (17, 64):
        answer = s.raw(head.encode() + n * chunk + b"0\r\n\r\n")
        check(answer.startswith(b"HTTP/1.1 413 ") and is_error(answer.split(b"\r\n\r\n", 1)[1]), f"{n} chunks, too many: {answer[:60]!r}")
    answer = s.raw(head.encode() + 4200 * chunk)
    check(answer == b"", f"chunks without end: {answer[:60]!r}")
    check(s.ask("POST", "/v1/completions", {"prompt": "word " * 200})[0] == 400, "no room for an answer")


def slow(s):
    """A client that sends a byte now and then is cut off, whatever it is at; others are answered meanwhile."""
    def drip(first, out):
        with socket.create_connection((s.host, s.port)) as c:
            c.settimeout(60 * kit.SLOW)
            c.sendall(first)
            try:
                while True:
                    c.sendall(b"x")
                    time.sleep(0.2)
            except OSError:
                out.append(True)

    done = []
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {s.token}\r\nContent-Length: 60000\r\n\r\n"
    threads = [threading.Thread(target=drip, args=(first, done)) for first in (b"GET / HTTP/1.1\r\nX-a: ", head.encode(), b"G")]
    for t in threads:
        t.start()
    check(s.ask("GET", "/v1/models")[0] == 200, "others are answered meanwhile")
    for t in threads:
        t.join(60 * kit.SLOW)
    check(len(done) == 3, f"slow clients cut off: {len(done)} of 3")


def whole_flow(s):
    """Everything that takes text, with a canary in it."""
    report = {"findings": f"No {CANARY} effusion. Heart {CANARY}.", "clinical": f"Cough {CANARY}", "reference": f"Clear {CANARY}."}
    for path, body in (("/v1/completions", {"prompt": f"{CANARY} text", "max_tokens": 4, "logprobs": 2}),
                       ("/v1/completions", {"prompt": f"{CANARY} text", "max_tokens": 4, "stream": True}),
                       ("/v1/chat/completions", {"messages": [{"role": "user", "content": CANARY}], "max_tokens": 4}),
                       ("/radmill/impression", {**report, "adapters": ["first", "second"], "max_tokens": 6, "logprobs": True}),
                       ("/radmill/impression", {**report, "adapters": ["first", "base"], "max_tokens": 6, "stream": True}),
                       ("/radmill/check", {**report, "generated": f"Small {CANARY} effusion."}),
                       ("/" + CANARY, {}), ("/v1/models?q=" + CANARY, None)):
        status, _, text = s.ask("POST" if body is not None else "GET", path, body)
        check(status in (200, 404), f"{path}: {status} {text[:200]}")
    form = f"session={s.token}&findings={CANARY}+effusion&clinical=&reference=&adapter=first&adapter=base"
    status, _, text = s.ask("POST", "/radmill/form", form, token=False, headers={"Content-Type": "application/x-www-form-urlencoded"})
    check(status == 200 and text.count('class="card"') == 2 and CANARY in text, f"the form: {status}")
    check(s.token not in text, "the form's answer holds a session, not the token")
    status, _, text = s.ask("POST", "/radmill/form", form.replace(s.token, "0" * 64), token=False)
    check(status == 401 and CANARY not in text, "the form without a secret")
    form = "session=" + s.token + "&findings=%3Cscript%3Ealert(1)%3C/script%3E%22%27&adapter=%3Cb%3E"
    text = s.ask("POST", "/radmill/form", form, token=False)[2]
    check("<script>alert" not in text and "&lt;script&gt;" in text and "<b>" not in text, "text is escaped")
    metrics = s.ask("GET", "/metrics")[2]
    check('radmill_requests_total{method="POST",route="/radmill/check",status="2xx"}' in metrics, metrics[:300])
    check(CANARY not in metrics, "no text in metrics")


def search(s, allowed=()):
    """No file that the server wrote since it began holds the canary, or a secret."""
    for folder, _, files in os.walk(s.work):
        check(CANARY not in folder, folder)
        for f in files:
            path = os.path.join(folder, f)
            with open(path, "rb") as h:
                data = h.read()
            check(CANARY.encode() not in data or path in allowed, f"{path} holds the canary")
            if f not in ("token", "token.txt"):
                check(s.token.encode() not in data, f"{path} holds the token")
            if path.startswith(s.dir):
                check(os.stat(path).st_mode & 0o077 == 0, f"{path} is open to others")


def stopped_kindly(program):
    """SIGTERM: a stream under way ends whole, a new request is refused or not accepted."""
    with serving(program, max_new_tokens=400) as s:
        body = {"prompt": "x", "max_tokens": 400, "stream": True, "temperature": 1.5, "seed": 3, "logprobs": 0}
        got = {}

        def stream():
            got["answer"] = s.ask("POST", "/v1/completions", body)

        t = threading.Thread(target=stream)
        t.start()
        until = time.time() + 30 * kit.SLOW
        while "radmill_sequences{state=\"running\"} 0" in s.ask("GET", "/metrics")[2] and t.is_alive() and time.time() < until:
            pass
        s.process.send_signal(signal.SIGTERM)
        t.join(60 * kit.SLOW)
        check(got["answer"][0] == 200 and got["answer"][2].rstrip().endswith("data: [DONE]"), "the stream ended whole")
        s.process.wait(timeout=60 * kit.SLOW)
        check(s.process.returncode == 0 and not os.path.exists(s.connect), "ended, and its link is gone")
        s.process.poll = lambda: None  # it is meant to be gone
        s.stop = lambda: 0


def refused_starts(program, work):
    def starts(**serve):
        config = os.path.join(work, "bad.yaml")
        with open(config, "w", encoding="utf-8") as f:
            json.dump({"model": {"base": work}, "serve": {"dir": os.path.join(work, "s"), **serve}}, f)
        r = subprocess.run([program, "serve", config], capture_output=True, text=True, timeout=60 * kit.SLOW)
        return r.returncode, r.stderr

    code, err = starts(address="0.0.0.0")
    check(code == 2 and "serve.tls_cert" in err and "insecure_lan" in err, err)
    code, err = starts(address="somewhere")
    check(code == 2 and "numeric" in err, err)
    code, err = starts(tls_cert="x")
    check(code == 2 and "tls_key" in err, err)
    open_file = os.path.join(work, "token.txt")
    with open(open_file, "w", encoding="utf-8") as f:
        f.write("a token that others can read")
    os.chmod(open_file, 0o644)
    code, err = starts(token_file=open_file)
    check(code == 2 and "chmod 600" in err and "others can read\n" not in err.split("chmod")[1], err)


def by_socket(program):
    import tempfile
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "s")
        with serving(program, socket=path) as s:
            check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "the socket is 0600")

            def ask(text):
                with socket.socket(socket.AF_UNIX) as c:
                    c.settimeout(30 * kit.SLOW)
                    c.connect(path)
                    c.sendall(text.encode())
                    got = b""
                    while part := c.recv(65536):
                        got += part
                    return got.decode()

            tail = "Connection: close\r\n\r\n"
            check(" 200 " in ask("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + tail)[:20], "no token over the socket")
            check(" 403 " in ask("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n" + tail)[:20], "names are still asked")
            page = ask("GET / HTTP/1.1\r\nHost: localhost:8765\r\n" + tail)
            check(re.search(r'id="session" value="[0-9a-f]{64}"', page), "the page comes in by itself")
            check("ssh -N -L" in s.note() and "ticket" not in s.note(), s.note())
        check(not os.path.exists(path), "the socket is gone")


def tls(program):
    import ssl
    import tempfile
    import urllib.request
    with tempfile.TemporaryDirectory() as tmp:
        cert, key = os.path.join(tmp, "cert.pem"), os.path.join(tmp, "key.pem")
        if not shutil.which("openssl"):
            print("SKIP: no openssl: TLS is not tested")
            return
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        os.chmod(key, 0o600)
        with serving(program, address="0.0.0.0", tls_cert=cert, tls_key=key) as s:
            check(s.link.group(1) == "https", s.note())
            context = ssl.create_default_context(cafile=cert)
            request = urllib.request.Request(f"https://127.0.0.1:{s.port}/v1/models", headers={"Authorization": "Bearer " + s.token})
            with urllib.request.urlopen(request, context=context, timeout=30 * kit.SLOW) as r:
                check(json.load(r)["data"][0]["id"] == "base", "models over TLS")
            check(not s.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", half_close=True).startswith(b"HTTP/1.1 200"), "no plain HTTP")


def traced(program):
    """strace: the canary is in no write but those to the sockets."""
    if not shutil.which("strace"):
        print("SKIP: no strace: writes are not traced")
        return
    import tempfile
    with tempfile.TemporaryDirectory() as tmp:
        log = os.path.join(tmp, "trace")
        if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode:
            print("SKIP: strace may not trace here: writes are not traced")
            return
        calls = "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,sendmmsg"
        with serving(program, wrap=("strace", "-f", "-y", "-s", "100000", "-e", calls, "-o", log)) as s:
            whole_flow(s)
        with open(log, encoding="utf-8", errors="replace") as f:
            lines = [x for x in f if CANARY in x]
        check(lines, "the trace saw the replies")
        for x in lines:
            check(re.search(r"\(\d+<(socket|TCP|UNIX)", x), "a write with text: " + re.sub(r'".*"', '"..."', x))


def history(program):
    import tempfile
    with tempfile.TemporaryDirectory() as tmp:
        folder = os.path.join(tmp, "kept")
        with serving(program, history=folder) as s:
            s.ask("POST", "/radmill/impression", {"findings": f"{CANARY} effusion", "adapters": ["first", "base"], "max_tokens": 4})
            search(s)
        names_ = os.listdir(folder)
        check(len(names_) == 1 and re.fullmatch(r"\d{4}-\d\d-\d\d\.jsonl", names_[0]), str(names_))
        path = os.path.join(folder, names_[0])
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "history is 0600")
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(x) for x in f]
        check([r["adapter"] for r in rows] == ["first", "base"] and rows[0]["findings"] == f"{CANARY} effusion", str(rows))


def ratings(program):
    """Grades: none are taken unless a file is named; then a label file, 0600, that radmill's own readers take."""
    import tempfile
    grade = {"findings": f"Small {CANARY} effusion.", "clinical": "", "reference": "Effusion.", "generated": "No effusion.",
             "model": "first", "overall": 2, "scales": {"conciseness": 4}, "rater": "anna", "seconds": 3.5}
    with serving(program) as s:
        status, _, text = s.ask("POST", "/radmill/rating", grade)
        check(status == 404 and is_error(text), f"no file, no grades: {status}")
        check(json.loads(s.ask("GET", "/radmill/info")[2])["ratings"] is False, "info says so")
        search(s)
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "grades.jsonl")
        with serving(program, ratings=path) as s:
            check(s.ask("POST", "/radmill/rating", grade, token=False)[0] == 401, "no token, no grade")
            check(s.ask("POST", "/radmill/rating", {**grade, "overall": 6})[0] == 400, "6 is no grade")
            check(s.ask("POST", "/radmill/rating", {**grade, "model": CANARY})[0] == 404, "no such model")
            check(s.ask("POST", "/radmill/rating", {**grade, "generated": "x" * 900000})[0] == 200, "a long answer")
            for change in ({}, {"rater": "bert", "overall": 3}, {"model": "base", "rater": "", "scales": None}, {"overall": 1}):
                status, _, text = s.ask("POST", "/radmill/rating", {**grade, **change})
                check(status == 200 and json.loads(text) == {"kept": True}, f"{status} {text}")
            search(s)
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "the label file is 0600")
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(x) for x in f][1:]
        check([(r["system"], r["rater"], r["overall"]) for r in rows] ==
              [("first", "anna", 2), ("first", "bert", 3), ("base", "page", 2), ("first", "anna", 1)], str(rows))
        check(len({r["id"] for r in rows}) == 1 and rows[0]["id"].startswith("page:") and rows[0]["subject"] == rows[0]["id"], "one report, one id")
        check(rows[0]["scales"] == {"conciseness": 4} and "model " in rows[0]["tool"] and rows[0]["format"] == "radmill.factlabel/1", str(rows[0]))
        r = subprocess.run([program, "label", "stats", path], capture_output=True, text=True, timeout=60 * kit.SLOW)
        check(r.returncode == 0 and CANARY not in r.stdout + r.stderr, r.stderr)


def limits(program):
    with serving(program, rate=5, max_requests=1, idle_min=1, max_new_tokens=400) as s:
        answers = [s.ask("GET", "/v1/models") for _ in range(7)]
        check([a[0] for a in answers[:5]] == [200] * 5, str([a[0] for a in answers]))
        late = [a for a in answers if a[0] == 429]
        check(late and is_error(late[0][2]) and int(late[0][1]["Retry-After"]) > 0, "429 with Retry-After")


def main():
    program = sys.argv[1]
    with serving(program, max_body_kb=64, receive_s=2) as s:
        for part in (secrets, links, names, headers, broken, sizes, slow, whole_flow, search):
            part(s)
        work = s.work
        refused_starts(program, work)
        check(subprocess.run([program, "serve", os.path.join(work, "c.yaml")], capture_output=True).returncode == 2,
              "a second server in the same folder")
        log = s.text("stderr")
        check("route=/v1/completions status=200" in log and CANARY not in log, "the log has routes and no text")
        with open(os.path.join(s.dir, "audit.jsonl"), encoding="utf-8") as f:
            check(json.loads(f.readline())["action"] == "serve", "audit")
        search(s)
    for part in (limits, by_socket, tls, history, stopped_kindly, traced):
        part(program)
    print("door: ok")


main()
