#!/usr/bin/env python3
"""The page in Debian's Chromium: the whole flow, by keyboard alone, names, contrast, zoom, phone, dark, no JavaScript.

Usage: page.py RADMILL [FOLDER for screenshots]
axe-core (axe-playwright-python) may have no serious finding; no request may leave the server's origin.
"""
import json
import os
import sys
import time

import kit
from kit import check, serving, skip

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright
except ImportError:
    skip("playwright or axe-playwright-python is not there")

CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if os.path.exists(p)), None)
if not CHROMIUM:
    skip("no chromium")
FINDINGS = "The heart is normal. There is a small right pleural effusion. No pneumothorax."
WAIT = 30000 * kit.SLOW
shots = sys.argv[2] if len(sys.argv) > 2 else None


class Look:
    """A page that notes what it asks for and what goes wrong in it."""

    def __init__(self, browser, server, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.asked, self.wrong, self.server = [], [], server
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))

    def enter(self, whole=True):
        """whole: until the page's script has heard from the server what to show."""
        self.page.goto(self.server.url + "?ticket=" + self.server.ticket)
        self.server.ticket = self.server.next_ticket(self.server.ticket)
        if whole:
            self.page.wait_for_selector("#leave:visible")
        return self.page

    def shot(self, name):
        if shots:
            self.page.screenshot(path=os.path.join(shots, name + ".png"), full_page=True)

    def axe(self, what):
        found = Axe().run(self.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
        bad = [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found.response["violations"]
               if v["impact"] in ("serious", "critical")]
        check(not bad, f"axe, {what}: {bad}")

    def close(self, what):
        off = [u for u in self.asked if not u.startswith((self.server.url, "data:", "blob:"))]
        check(not off, f"{what}: requests off the origin: {off}")
        check(not self.wrong, f"{what}: {self.wrong}")
        check(not any("ticket" in u or self.server.token in u for u in self.asked[1:]), "no secret in a URL but the link's")
        self.context.close()


def until(p, true_in_page):
    """Poll: Playwright's own wait_for_function evaluates strings in the page, which its policy forbids."""
    end = time.time() + WAIT / 1000
    while not p.evaluate(true_in_page):
        check(time.time() < end, "waited in vain for " + true_in_page)
        time.sleep(0.02)


def done(p, n):
    until(p, f"document.querySelectorAll('.card table').length >= {n} && !document.getElementById('run').disabled")


def mouse(browser, s):
    look = Look(browser, s, viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    p = look.enter()
    check(p.url == s.url, "the ticket is gone from the address: " + p.url)
    look.axe("empty")
    p.fill("#findings", FINDINGS)
    p.fill("#clinical", "Cough.")
    p.get_by_label("first", exact=True).check()
    p.get_by_label("second", exact=True).check()
    p.get_by_label("base", exact=True).uncheck()
    p.click("#run")
    done(p, 2)
    check(p.locator(".card h3").all_inner_texts() == ["1. first", "2. second"], "two cards side by side")
    boxes = [c.bounding_box() for c in p.locator(".card").all()]
    check(abs(boxes[0]["y"] - boxes[1]["y"]) < 2 and boxes[1]["x"] > boxes[0]["x"], "side by side on a wide screen")
    digest = json.loads(s.ask("GET", "/radmill/info")[2])
    meta = p.locator(".card .meta").first.inner_text()
    check(all(d[:12] in meta for d in (digest["models"][0]["digest"], digest["models"][1]["digest"], digest["prompt_digest"])), meta)
    check("not a medical device" in meta, meta)
    # editing: live remarks, marks, and the way back to the findings
    p.get_by_role("button", name="Edit impression by first").click()
    p.get_by_role("textbox", name="Impression by first, edited").fill("Large left pleural effusion. No pneumothorax.")
    until(p, "document.querySelector('#cards article .flags').innerText.includes('laterality')")
    p.get_by_role("button", name="Edit impression by first").click()
    marks = p.locator(".card").first.locator("mark")
    check(marks.count() > 0, "remarks are marked in the text")
    p.locator(".card").first.locator(".flags button", has_text="findings:").first.click()
    chosen = p.evaluate("(() => { const f = document.getElementById('findings'); return f.value.slice(f.selectionStart, f.selectionEnd); })()")
    check(chosen == "There is a small right pleural effusion." and p.evaluate("document.activeElement.id") == "findings", "the button selects in the findings: " + chosen)
    check(marks.first.locator("a").count() == 2, "a place with two remarks has two numbers")
    check(marks.first.locator("a").first.get_attribute("aria-label").startswith("remark "), "marks have names")
    p.fill("#reference", "Small right pleural effusion.")
    until(p, "document.querySelector('.card table').innerText.includes('ROUGE-L')")
    p.check("#seeconf")
    check(p.locator(".card").nth(1).locator(".c2, .c1").count() > 0, "confidence is shown")
    check(p.locator(".diff").count() > 0, "differing words are marked")
    look.axe("filled")
    p.evaluate("document.activeElement.blur()")
    look.shot("wide")
    p.get_by_role("button", name="Copy impression by first").click()
    until(p, "document.getElementById('say').textContent.startsWith('Copied')")
    check(p.evaluate("navigator.clipboard.readText()") == "Large left pleural effusion. No pneumothorax.", "the edited text is copied")
    p.reload()
    p.wait_for_selector("#leave:visible")  # the session is in the tab's storage
    check(p.input_value("#findings") == "", "nothing typed survives a reload")
    p.get_by_role("button", name="Made-up example").click()
    check("nodule" in p.input_value("#findings"), "the example")
    p.click("#clear")
    check(p.input_value("#findings") == "", "clear")
    p.click("#leave")
    p.wait_for_selector("#door:visible")
    p.fill("#secret", s.token)
    p.click("#enter")
    p.wait_for_selector("#leave:visible")
    check(p.locator("#models input").count() == 3 and p.input_value("#secret") == "", "in by the token")
    look.close("by mouse")


def keyboard(browser, s):
    look = Look(browser, s, viewport={"width": 1000, "height": 800}, permissions=["clipboard-read", "clipboard-write"])
    p = look.enter()
    seen = []
    for _ in range(40):
        p.keyboard.press("Tab")
        at = p.evaluate("""(() => { const e = document.activeElement, r = getComputedStyle(e);
            return [e.id || e.value || e.tagName, e.matches(':focus-visible') && r.outlineStyle !== 'none']; })()""")
        if at[0] == "BODY":
            break
        seen.append(at[0])
        check(at[1], f"focus is seen on {at[0]}")
    order = ["A", "findings", "clinical", "reference", "base", "first", "second", "run", "sample", "clear", "leave"]
    check([x for x in seen if x in order] == order, f"the order of focus: {seen}")
    p.focus("#findings")
    p.keyboard.type(FINDINGS)
    p.keyboard.press("Tab")
    p.keyboard.type("Cough.")
    p.focus("#models input[value=second]")
    p.keyboard.press("Space")
    p.keyboard.press("Control+Enter")
    done(p, 2)
    p.keyboard.press("Alt+2")
    check(p.evaluate("document.activeElement.textContent") == "2. second", "Alt+2 goes to the second impression")
    check(p.locator(".card").nth(1).get_attribute("aria-current") == "true", "and it is the current one")
    p.keyboard.press("Control+Shift+C")
    until(p, "document.getElementById('say').textContent.includes('by second')")
    check(p.evaluate("navigator.clipboard.readText()") == p.locator(".card .imp").nth(2).inner_text() or
          p.evaluate("navigator.clipboard.readText()") != "", "Ctrl+Shift+C copies it")
    p.keyboard.press("Tab")
    p.keyboard.press("Tab")
    p.keyboard.press("Enter")
    check(p.evaluate("document.activeElement.getAttribute('aria-label')") == "Impression by second, edited", "edit by keyboard")
    look.close("by keyboard")


def stopping(browser, s):
    look = Look(browser, s)
    p = look.enter()
    p.fill("#findings", FINDINGS)
    gate = []
    p.route("**/radmill/impression", lambda r: gate.append(r))  # held: there is something to stop
    p.keyboard.press("Control+Enter")
    until(p, "!document.getElementById('stop').disabled")
    p.keyboard.press("Escape")
    until(p, "document.getElementById('say').textContent === 'Stopped.' && !document.getElementById('run').disabled")
    p.unroute("**/radmill/impression")
    p.fill("#findings", "")
    p.click("#run")
    p.wait_for_selector("#problem:visible")
    check("empty" in p.inner_text("#problem") and p.evaluate("document.activeElement.id") == "findings", "an empty form says so")
    look.wrong = [w for w in look.wrong if "ERR_ABORTED" not in w]
    look.close("stopping")


def names(browser, s):
    look = Look(browser, s)
    p = look.enter()
    for role, name in (("textbox", "Findings"), ("textbox", "Clinical information"), ("textbox", "Reference impression"),
                       ("button", "Write impression"), ("checkbox", "base"), ("group", "Models to compare, up to three"),
                       ("heading", "radmill: impressions"), ("main", None), ("link", "Skip to the findings")):
        check(p.get_by_role(role, name=name, exact=name is not None).count() == 1, f"{role} {name}")
    check(p.locator("#say").get_attribute("aria-live") == "polite", "what happens is said")
    check(p.evaluate("document.documentElement.lang") == "en" and p.title(), "language and title")
    look.close("names")


def shapes(browser, s):
    """No sideways scrolling on a phone, at 200 %, at 320 px; contrast in dark mode; reduced motion."""
    for name, context in (("phone", {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True}),
                          ("narrow", {"viewport": {"width": 320, "height": 600}}),
                          ("zoom200", {"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2}),
                          ("dark", {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark", "reduced_motion": "reduce"})):
        look = Look(browser, s, **context)
        p = look.enter()
        p.fill("#findings", FINDINGS + " Averylongwordwithoutanyblankinitthatgoesonandonandonandonandon.")
        p.fill("#reference", "Small right pleural effusion.")
        p.check("#models input[value=second]")
        p.click("#run")
        done(p, 2)
        p.check("#seeconf")
        wide = p.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        check(wide <= 0, f"{name}: scrolls {wide} px sideways")
        small = p.evaluate("""[...document.querySelectorAll('button, fieldset label, input[type=checkbox]')].filter(e => e.offsetParent)
            .map(e => { const r = (e.closest('label') || e).getBoundingClientRect(); return [e.id || e.textContent, r.height]; }).filter(x => x[1] < 24)""")
        check(not small, f"{name}: targets under 24 px: {small}")
        look.axe(name)
        look.shot(name)
        look.close(name)


def grading(browser, program):
    """A server that collects grades: by mouse and keyboard, in all shapes; what is kept is a label file."""
    import tempfile
    with tempfile.TemporaryDirectory() as tmp, serving(program, ratings=os.path.join(tmp, "grades.jsonl")) as s:
        look = Look(browser, s, viewport={"width": 1280, "height": 900})
        p = look.enter()
        check(p.locator("#grades").is_visible(), "the page says that grades are stored")
        p.fill("#findings", FINDINGS)
        p.check("#models input[value=second]")
        p.click("#run")
        done(p, 2)
        p.get_by_role("button", name="Keep this grade of impression 1").click()
        check("Choose a grade" in p.inner_text("#problem") and p.evaluate("document.activeElement.type") == "radio", "no grade, not kept")
        p.get_by_role("group", name="Your grade of impression 1").get_by_label("3: minor clinical edit").check()
        p.get_by_label("Rated by (a pseudonym)").first.fill("anna")
        p.get_by_role("button", name="Keep this grade of impression 1").click()
        until(p, "document.getElementById('say').textContent === 'Grade 3 kept.'")
        check(p.locator("#problem").is_hidden(), "the problem is gone")
        check(p.get_by_label("Rated by (a pseudonym)").nth(1).input_value() == "anna", "the name holds for all cards")
        p.keyboard.press("Alt+2")
        p.keyboard.press("Alt+g")
        p.keyboard.press("Space")
        p.keyboard.press("ArrowDown")
        check(p.evaluate("document.activeElement.value") == "4", "arrows choose the grade")
        p.keyboard.press("Tab")
        p.keyboard.press("Enter")
        for _ in range(4):
            p.keyboard.press("Tab")
        p.keyboard.press("Space")
        check(p.evaluate("document.activeElement.name") == "conciseness-1", "scales by keyboard: " + p.evaluate("document.activeElement.name"))
        look.axe("grading")
        p.evaluate("document.activeElement.blur()")
        look.shot("grading")
        p.get_by_role("button", name="Keep this grade of impression 2").focus()
        p.keyboard.press("Enter")
        until(p, "document.getElementById('say').textContent === 'Grade 4 kept.'")
        look.close("grading")
        for name, context in (("grading-phone", {"viewport": {"width": 320, "height": 600}, "device_scale_factor": 2}),
                              ("grading-zoom200", {"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2}),
                              ("grading-dark", {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"})):
            look = Look(browser, s, **context)
            p = look.enter()
            p.fill("#findings", FINDINGS)
            p.click("#run")
            done(p, 1)
            p.locator("summary").click()
            wide = p.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            check(wide <= 0, f"{name}: scrolls {wide} px sideways")
            look.axe(name)
            look.shot(name)
            look.close(name)
        look = Look(browser, s)
        gate = []
        look.page.route("**/radmill/info", lambda r: gate.append(r))  # held: who writes at once gets his grades, too
        p = look.enter(whole=False)
        p.fill("#findings", FINDINGS)
        p.click("#run")
        while not gate:
            p.wait_for_timeout(20)
        check(p.locator(".card").count() == 0, "nothing is written before the server has said what it collects")
        gate[0].continue_()
        done(p, 1)
        check(p.get_by_role("group", name="Your grade of impression 1").is_visible(), "grades for who was quick")
        look.close("quick")
        with open(os.path.join(tmp, "grades.jsonl"), encoding="utf-8") as f:
            rows = [json.loads(x) for x in f]
        check([(r["system"], r["rater"], r["overall"], r.get("scales", {})) for r in rows] ==
              [("first", "anna", 3, {}), ("second", "anna", 4, rows[1].get("scales"))] and rows[1]["scales"].keys() == {"conciseness"}, str(rows))
        check(rows[0]["findings"] == FINDINGS and rows[0]["generated"].strip() and rows[0]["seconds"] > 0, "texts and time are kept")


def plain(browser, s):
    """Without JavaScript: link, form, answer, and once more."""
    look = Look(browser, s, java_script_enabled=False, viewport={"width": 900, "height": 900})
    p = look.enter(whole=False)
    p.fill("#findings", FINDINGS + " <b>&amp;</b>")
    p.check("#models input[value=second]")
    p.click("#run")
    p.wait_for_selector(".card")
    check(p.locator(".card").count() == 2 and p.locator(".card b").count() == 0, "two answers, nothing of the text is HTML")
    check(p.input_value("#findings") == FINDINGS + " <b>&amp;</b>", "the text stands in its box")
    check("not a medical device" in p.locator(".card").first.inner_text(), "said with each")
    look.shot("plain")
    p.click("#run")
    p.wait_for_selector(".card")
    p.goto(s.url)
    p.fill("#findings", FINDINGS)
    p.click("#run")
    p.wait_for_selector(".err:visible")
    p.fill("#secret", s.token)
    p.fill("#findings", FINDINGS)
    p.click("#run")
    p.wait_for_selector(".card")
    check(s.token not in p.content(), "the page has a session, not the token")
    look.wrong = [w for w in look.wrong if "401" not in w]
    look.close("plain")


def main():
    with serving(sys.argv[1]) as s, sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for part in (mouse, keyboard, stopping, names, shapes, plain):
            part(browser, s)
        check(not s.ask("POST", "/radmill/rating", {"generated": "x", "overall": 3})[0] == 200, "no grade is taken")
        grading(browser, sys.argv[1])
        browser.close()
        for name in ("stderr", "stdout"):
            check("effusion" not in s.text(name), "report text in " + name)
    print("page: ok")


main()
