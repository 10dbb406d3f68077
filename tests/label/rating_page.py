#!/usr/bin/env python3
"""`radmill label` from outside: who gets in, what is kept, that nothing leaks; then the page itself in headless Chromium,
where playwright, axe-playwright-python and Chromium are there (else that part is skipped, saying so).
Usage: rating_page.py RADMILL"""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

SLOW = float(os.environ.get("RADMILL_TEST_SLOW", "4"))
CANARY = "Zyxwquark"


def check(ok, what):
    if not ok:
        print("FAIL: " + what)
        raise SystemExit(1)


def write_files(work):
    for name, said in (("a", "Alpha answer"), ("b", "Beta answer")):
        with open(f"{work}/{name}.jsonl", "w", encoding="utf-8") as f:
            for i in range(12):
                f.write(json.dumps({"id": f"s:0:{i}", "group": f"g{i}", "modality": "CR", "prediction": f"{said} {i}. {CANARY} é effusion.",
                                    "reference": f"Reference {i}.", "findings": f"Findings {i}: no {CANARY}.", "clinical": "cough"}) + "\n")
    with open(work + "/c.yaml", "w", encoding="utf-8") as f:
        f.write("label:\n  dir: rating\n  systems: [{name: SystemAlpha, path: a.jsonl}, {name: SystemBeta, path: b.jsonl}]\n"
                "  raters: [anna, bert]\n  reports: 4\n  twice: 0.5\n  scales: true\n")


class Desk:
    def __init__(self, program, work):
        self.log = open(work + "/log", "a", encoding="utf-8")
        self.p = subprocess.Popen([program, "label", work + "/c.yaml"], stdout=subprocess.PIPE, stderr=self.log, text=True)
        path, until = work + "/rating/connect.txt", time.time() + 60 * SLOW
        while not os.path.exists(path):
            check(self.p.poll() is None and time.time() < until, "the server does not start")
            time.sleep(0.05)
        self.connect = path
        self.port = int(re.search(r":(\d+)/", self.link()).group(1))
        with open(work + "/rating/token", encoding="utf-8") as f:
            self.token = f.read().strip()

    def link(self):
        with open(self.connect, encoding="utf-8") as f:
            return re.search(r"http://\S+", f.read()).group(0)

    def ask(self, method, path, body=None, token=None, host=None, raw=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * SLOW)
        head = {"Host": host or f"127.0.0.1:{self.port}"}
        if token:
            head["Authorization"] = "Bearer " + token
        data = raw if raw is not None else json.dumps(body) if body is not None else None
        c.request(method, path, body=data, headers=head)
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        return r.status, text, dict(r.getheaders())

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        check(self.p.wait(60 * SLOW) in (0, 75), "the server does not stop cleanly")
        self.log.close()


def api(d, work):
    check(d.ask("GET", "/label/info")[0] == 401, "no token")
    check(d.ask("POST", "/label/next", {"rater": "anna"}, token="0" * 64)[0] == 401, "wrong token")
    check(d.ask("GET", "/label/info", token=d.token, host="evil.example")[0] in (403, 421), "DNS rebinding")
    status, page, head = d.ask("GET", "/")
    check(status == 200 and CANARY not in page and d.token not in page, "the page without a session shows something")
    csp = {k.lower(): v for k, v in head.items()}.get("content-security-policy", "")
    check("default-src 'self'" in csp and "unsafe" not in csp, "the page's policy")
    check(json.loads(d.ask("GET", "/label/info", token=d.token)[1]) == {"raters": ["anna", "bert"], "scales": True}, "info")
    status, text, _ = d.ask("POST", "/label/next", {"rater": "anna"}, token=d.token)
    task = json.loads(text)
    check(status == 200 and task["done"] == 0 and task["all"] == 6 and task["task"]["place"] == 0, "first task: " + text[:99])
    check("System" not in text and "s:0:" not in text, "the system or the id is shown")
    good = {"overall": 4, "errors": [], "seconds": 1.5, "scales": {"coherence": 5}}
    for bad in ({"rater": "carl", "place": 0, "label": good}, {"rater": "anna", "place": 99, "label": good}, {"rater": "anna", "label": good},
                {"rater": "anna", "place": 0, "label": {**good, "overall": 7}}, {"rater": "anna", "place": 0, "label": []}):
        check(d.ask("POST", "/label/put", bad, token=d.token)[0] == 400, "taken: " + json.dumps(bad))
    check(d.ask("POST", "/label/put", raw="{", token=d.token)[0] == 400, "malformed JSON")
    try:  # the server may hang up before all of it was sent
        check(d.ask("POST", "/label/put", raw="x" * (2 << 20), token=d.token)[0] == 413, "an oversize body")
    except (BrokenPipeError, ConnectionResetError):
        pass
    after = json.loads(d.ask("POST", "/label/put", {"rater": "anna", "place": 0, "label": good}, token=d.token)[1])
    check(after["done"] == 1 and after["task"]["place"] == 1, "not kept")
    check(json.loads(d.ask("POST", "/label/next", {"rater": "bert"}, token=d.token)[1])["done"] == 0, "readers are mixed up")
    check(json.loads(d.ask("POST", "/label/next", {"rater": "anna", "place": -1}, token=d.token)[1])["task"]["place"] == 5, "the last")
    for name in ("labels.jsonl", "connect.txt", "token", "audit.jsonl"):
        check(os.stat(f"{work}/rating/{name}").st_mode & 0o77 == 0, name + " can be read by others")


def pick_scales(pg):
    for name in ("Understandability", "Coherence", "Relevance", "Conciseness", "Clinical utility"):
        pg.get_by_role("group", name=re.compile(name)).get_by_label("4").check()


def browser(d, shots):
    try:
        from axe_playwright_python.sync_playwright import Axe
        from playwright.sync_api import sync_playwright
    except ImportError as e:
        print(f"the page itself: SKIPPED, {e}")
        return
    if not os.path.exists("/usr/bin/chromium"):
        print("the page itself: SKIPPED, no /usr/bin/chromium")
        return
    with sync_playwright() as pw:
        b = pw.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        pg = b.new_page(viewport={"width": 1200, "height": 900})
        pg.set_default_timeout(30000 * SLOW)
        asked, wrong = [], []
        pg.on("request", lambda r: asked.append(r.url))
        pg.on("pageerror", lambda e: wrong.append(str(e)))
        used = d.link()
        pg.goto(used)
        pg.get_by_role("button", name="bert").click()
        pg.wait_for_selector("#work:not([hidden])")
        check("ticket" not in pg.url, "the ticket stays in the address")
        check("System" not in pg.content(), "the system is in the page")
        # by keyboard alone: select five characters, new error, kind, add
        pg.focus("#generated")
        pg.keyboard.press("Control+Home")
        pg.keyboard.type("x")
        check("x" not in pg.input_value("#generated")[:1], "the answer can be changed")
        for _ in range(5):
            pg.keyboard.press("Shift+ArrowRight")
        pg.keyboard.press("Alt+n")
        check(pg.evaluate("document.activeElement.id") == "type", "Alt+N does not lead to the kind")
        pg.select_option("#type", "laterality_location")
        pg.fill("#note", "not there")
        pg.focus("#add")
        pg.keyboard.press("Enter")
        check(pg.locator("#errors li").count() == 1 and pg.locator("#errors q").count() == 1, "the error is not noted")
        pg.keyboard.press("Control+Enter")
        pg.wait_for_selector("#problem:not([hidden])")
        check("overall" in pg.inner_text("#problem"), "saved without a grade")
        pg.keyboard.press("Alt+2")
        check(pg.is_checked('input[name=overall][value="2"]'), "Alt+2")
        pick_scales(pg)
        for scheme in ("light", "dark"):
            pg.emulate_media(color_scheme=scheme)
            bad = [v for v in Axe().run(pg).response["violations"] if v["impact"] in ("serious", "critical")]
            check(not bad, f"{scheme}: " + json.dumps([(v["id"], [n["html"][:80] for n in v["nodes"]][:2]) for v in bad]))
            if shots:
                pg.screenshot(path=f"{shots}/rating-{scheme}.png", full_page=True)
        pg.emulate_media(color_scheme="light")
        for width in (360, 600):  # a telephone; 1200 pixels at 200 %
            pg.set_viewport_size({"width": width, "height": 700})
            check(pg.evaluate("document.documentElement.scrollWidth") <= width, f"wider than {width} pixels")
            if shots:
                pg.screenshot(path=f"{shots}/rating-{width}.png", full_page=True)
        pg.keyboard.press("Control+Enter")
        pg.locator("#count").filter(has_text="1 of").wait_for()
        pg.keyboard.press("Alt+p")
        pg.locator("#taskhead").filter(has_text="judged before").wait_for()
        check(pg.locator("#errors li").count() == 1 and pg.is_checked('input[name=overall][value="2"]'), "what was said is not remembered")
        pg.goto(used)  # a second use of the link by a browser without the session
        other = b.new_context().new_page()
        other.goto(used)
        other.wait_for_selector("#door:not([hidden])")
        other.fill("#secret", d.token)
        other.click("#enter")
        other.get_by_role("button", name="anna").click()
        other.wait_for_selector("#work:not([hidden])")
        check(not wrong, "errors in the page: " + "; ".join(wrong))
        origin = f"http://127.0.0.1:{d.port}/"
        check(all(u.startswith((origin, "data:")) for u in asked), "a request off the origin")
        b.close()
    print("the page itself: keyboard, axe, light and dark, 360 pixels, 200 %")


def main():
    program, shots = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as work:
        write_files(work)
        d = Desk(program, work)
        try:
            api(d, work)
            browser(d, shots)
        finally:
            d.stop()
        check(not os.path.exists(work + "/rating/connect.txt") and not os.path.exists(work + "/rating/token"), "secrets stay behind")
        d = Desk(program, work)  # goes on where it was
        check(json.loads(d.ask("POST", "/label/next", {"rater": "anna"}, token=d.token)[1])["done"] == 1, "a restart forgets")
        d.stop()
        with open(work + "/rating/labels.jsonl", encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        check(rows[0]["rater"] == "anna" and rows[0]["system"].startswith("System") and rows[0]["overall"] == 4, "the label file")
        for r in rows[1:]:
            check(r["rater"] == "bert" and r["errors"][0]["type"] == "laterality_location" and r["errors"][0]["gen_span"] == [0, 5], "the noted error")
        with open(work + "/log", encoding="utf-8") as f:
            said = f.read()
        check(CANARY not in said and "s:0:" not in said and d.token not in said, "report text, an id or the token is in the log")
        with open(work + "/rating/audit.jsonl", encoding="utf-8") as f:
            audit = f.read()
        check('"show"' in audit and CANARY not in audit, "the audit log")
    print("label: door, tasks, judgements, restart, no leak")


main()
