#!/usr/bin/env python3
"""The official OpenAI package against radmill serve, unchanged: batches, streams, cancels, errors; 64 clients at once.

Usage: client.py RADMILL [MODEL.gguf]    with a GGUF file: SmolLM2, fewer checks, longer answers
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import time

import kit
from kit import check, serving, skip

try:
    import openai
except ImportError:
    skip("the package openai is not there")

FINDINGS = ["No pleural effusion.", "There is a small right pleural effusion. The heart is enlarged.",
            "A 6 mm nodule in the left upper lobe, unchanged. No pneumothorax. The bones are intact.",
            "Endotracheal tube 4 cm above the carina."]


def client(s, key=None):
    return openai.OpenAI(base_url=s.url + "v1", api_key=key or s.token, timeout=300 * kit.SLOW, max_retries=0)


def refused(kind, call, code=None):
    try:
        call()
    except kind as e:
        check(code is None or e.code == code, f"{kind.__name__} with code {e.code} instead of {code}")
        return
    check(False, f"no {kind.__name__}")


def whole(c):
    ids = [m.id for m in c.models.list()]
    check(ids == ["base", "first", "second"], str(ids))
    check([c.models.retrieve(m).id for m in ids] == ids, "a model by its name")
    one = c.completions.create(model="base", prompt=FINDINGS[0], max_tokens=8, logprobs=3)
    check(one.object == "text_completion" and one.choices[0].finish_reason in ("length", "stop"), str(one))
    lp = one.choices[0].logprobs
    check(len(lp.tokens) == len(lp.token_logprobs) == len(lp.text_offset) == one.usage.completion_tokens, str(lp))
    check(all(v <= 0 for v in lp.token_logprobs) and lp.text_offset[0] == 0, str(lp))
    check(all(max(t.values()) >= v - 1e-5 for t, v in zip(lp.top_logprobs, lp.token_logprobs)), "greedy takes the likeliest")
    check(one.usage.total_tokens == one.usage.prompt_tokens + one.usage.completion_tokens, str(one.usage))
    many = c.completions.create(model="base", prompt=FINDINGS, max_tokens=8, n=2)
    check([x.index for x in many.choices] == list(range(8)), "a batch of four prompts, two choices each")
    check(many.choices[0].text == many.choices[1].text == one.choices[0].text, "greedy choices are one text, alone or not")
    ids = c.completions.create(model="base", prompt=[72, 105], max_tokens=2)
    check(ids.usage.prompt_tokens == 2, "token ids as a prompt")
    texts = {m: c.completions.create(model=m, prompt=FINDINGS[1], max_tokens=16, logprobs=0).choices[0].logprobs.token_logprobs
             for m in ("base", "first", "second")}
    check(len({str(v) for v in texts.values()}) == 3, "each adapter answers for itself")


def chats(c):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": FINDINGS[1]}]
    one = c.chat.completions.create(model="first", messages=messages, max_tokens=8, logprobs=True, top_logprobs=2)
    check(one.choices[0].message.role == "assistant" and one.object == "chat.completion", str(one))
    content = one.choices[0].logprobs.content
    check(len(content) == one.usage.completion_tokens and all(len(t.top_logprobs) == 2 for t in content), str(content))
    check(all(t.bytes == list(t.token.encode()) for t in content if "\ufffd" not in t.token), "bytes of tokens")
    parts = list(c.chat.completions.create(model="first", messages=messages, max_tokens=8, stream=True,
                                           stream_options={"include_usage": True}))
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    check(text == one.choices[0].message.content, "streamed and whole are one text")
    check(parts[0].choices[0].delta.role == "assistant" and parts[-1].usage == one.usage and not parts[-1].choices, "usage comes last")
    check([p.choices[0].finish_reason for p in parts if p.choices][-1] == one.choices[0].finish_reason, "finish_reason")
    again = c.chat.completions.create(model="first", messages=messages, max_completion_tokens=8)
    check(again.choices[0].message.content == text, "max_completion_tokens")


def sampling(c):
    def draw(seed, n=1):
        r = c.completions.create(model="base", prompt="x", max_tokens=12, temperature=1.3, top_p=0.95, seed=seed, n=n, logprobs=0)
        return [x.logprobs.token_logprobs for x in r.choices]

    a, b, other = draw(7), draw(7), draw(8)
    check(a == b and a != other, "a seed gives its text, another seed another")
    three = draw(7, n=3)
    check(three[0] == a[0] and three[1] != three[0], "choices differ, the first is the seed's own")
    check(c.completions.create(model="base", prompt="x", max_tokens=6, temperature=1.5, top_p=0).choices[0].text ==
          c.completions.create(model="base", prompt="x", max_tokens=6).choices[0].text, "top_p 0 is greedy")


def stops(c):
    free = c.completions.create(model="base", prompt="x", max_tokens=24, temperature=1.5, seed=11)
    text = free.choices[0].text
    inner = text[len(text) // 2:len(text) // 2 + 2]
    cut = c.completions.create(model="base", prompt="x", max_tokens=24, temperature=1.5, seed=11, stop=[inner, "never there"])
    check(cut.choices[0].text == text[:text.index(inner)] and cut.choices[0].finish_reason == "stop", "a stop string is left out")
    parts = c.completions.create(model="base", prompt="x", max_tokens=24, temperature=1.5, seed=11, stop=inner, stream=True)
    check("".join(p.choices[0].text for p in parts) == cut.choices[0].text, "the same, streamed")


def errors(s, c):
    refused(openai.AuthenticationError, lambda: client(s, "0" * 64).models.list(), "invalid_api_key")
    refused(openai.NotFoundError, lambda: c.completions.create(model="gpt-4", prompt="x"), "model_not_found")
    for name in ("gpt-4", "base/first", "%zz", "%ff", "../first"):
        refused(openai.NotFoundError, lambda: c.models.retrieve(name), "model_not_found")
    refused(openai.NotFoundError, lambda: c.embeddings.create(model="none", input="x"), "model_not_found")
    refused(openai.BadRequestError, lambda: c.completions.create(model="base", prompt="x " * 2000), "context_length_exceeded")
    refused(openai.BadRequestError, lambda: c.completions.create(model="base", prompt="x", temperature=9), "invalid_value")
    refused(openai.BadRequestError, lambda: c.completions.create(model="base", prompt=[10 ** 7]), "invalid_value")
    refused(openai.BadRequestError, lambda: c.chat.completions.create(model="base", messages=[{"role": "tool", "content": "x",
                                                                                           "tool_call_id": "1"}]), "invalid_value")
    refused(openai.BadRequestError, lambda: c.chat.completions.create(
        model="base", messages=[{"role": "user", "content": "x"}],
        tools=[{"type": "function", "function": {"name": "f"}}]), "unsupported_parameter")


def embeddings(program):
    """The tiny BERT of the golden data: against transformers, batch = alone, float = base64."""
    data = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/data/metrics")
    if not os.path.exists(os.path.join(data, "tinybert.safetensors")):
        print("SKIP: no tiny BERT in ../shared: embeddings are not tested")
        return
    import tempfile
    with tempfile.TemporaryDirectory() as tmp:
        folder = os.path.join(tmp, "tinybert")
        os.mkdir(folder)
        for name, to in (("tinybert.safetensors", "model.safetensors"), ("tinybert_config.json", "config.json"),
                         ("tinybert_vocab.txt", "vocab.txt")):
            shutil.copy(os.path.join(data, name), os.path.join(folder, to))
        with serving(program, adapters=False, encoder=folder) as s:
            c = client(s)
            check([m.id for m in c.models.list()] == ["base", "tinybert"], "the encoder is listed")
            r = c.embeddings.create(model="tinybert", input=FINDINGS)
            plain = c.embeddings.create(model="tinybert", input=FINDINGS[2], encoding_format="float")
            got = [d.embedding for d in r.data]
            check(max(abs(a - b) for a, b in zip(got[2], plain.data[0].embedding)) < 1e-6, "batch and alone, base64 and float")
            check(all(abs(sum(v * v for v in e) - 1) < 1e-5 for e in got), "length 1")
            refused(openai.NotFoundError, lambda: c.embeddings.create(model="base", input="x"), "model_not_found")
            refused(openai.BadRequestError, lambda: c.embeddings.create(model="tinybert", input="word " * 5000),
                    "context_length_exceeded")
        try:
            import torch
            from transformers import BertModel, BertTokenizerFast
        except ImportError:
            print("SKIP: no transformers: embeddings are not compared with a reference")
            return
        tok, bert = BertTokenizerFast(os.path.join(folder, "vocab.txt")), BertModel.from_pretrained(folder).eval()
        for text, e in zip(FINDINGS, got):
            with torch.no_grad():
                h = bert(**tok(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            far = (torch.tensor(e) - h / h.norm()).abs().max().item()
            check(far < 2e-5, f"embedding differs from transformers by {far}")


def running(s):
    for line in s.ask("GET", "/metrics")[2].splitlines():
        if line.startswith('radmill_sequences{state="running"}'):
            return int(line.split()[-1])
    raise RuntimeError("no such line")


def cancels(s, c):
    """Who goes away stops costing: streamed and whole."""
    stream = c.completions.create(model="base", prompt="x", max_tokens=400, temperature=1, stream=True, n=16)
    next(iter(stream))
    stream.close()
    impatient = openai.OpenAI(base_url=s.url + "v1", api_key=s.token, timeout=0.05, max_retries=0)
    try:
        impatient.completions.create(model="base", prompt="x", max_tokens=400, temperature=1, n=16)
    except openai.APITimeoutError:
        pass
    until = time.time() + 60 * kit.SLOW
    while running(s) and time.time() < until:
        time.sleep(0.02)
    check(running(s) == 0, "cancelled sequences are gone")


def crowd(s, models, tokens):
    """64 clients at once, streamed and whole, over all adapters: no request is lost, each text is as alone."""
    jobs = [(models[i % len(models)], f"{FINDINGS[i % 4]} Case {i // 8}.", i % 2 == 0) for i in range(64)]
    alone = client(s)
    want = {}
    for model, prompt, _ in jobs:
        if (model, prompt) not in want:
            want[model, prompt] = alone.completions.create(model=model, prompt=prompt, max_tokens=tokens).choices[0].text

    def one(job):
        model, prompt, stream = job
        with client(s) as c:
            r = c.completions.create(model=model, prompt=prompt, max_tokens=tokens, stream=stream)
            return "".join(p.choices[0].text for p in r) if stream else r.choices[0].text

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        got = list(pool.map(one, jobs))
    wrong = [i for i, (job, text) in enumerate(zip(jobs, got)) if text != want[job[0], job[1]]]
    check(not wrong, f"{len(wrong)} of 64 texts differ from what the request gives alone")


def real(program, gguf):
    import tempfile
    with tempfile.TemporaryDirectory() as tmp:
        model = os.path.join(tmp, "smollm2")
        subprocess.run([program, "convert", gguf, model], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with serving(program, base=model, adapters=False, slots=32, max_len=256) as s:
            r = client(s).chat.completions.create(model="base", max_tokens=24, messages=[
                {"role": "user", "content": "What is the capital of France? Answer in one sentence."}])
            check("Paris" in r.choices[0].message.content, r.choices[0].message.content)
            crowd(s, ["base"], 8)


def main():
    program = sys.argv[1]
    if len(sys.argv) > 2:
        if not sys.argv[2] or not os.path.exists(sys.argv[2]):
            skip("no SmolLM2: RADMILL_SMOLLM2_GGUF names none")
        real(program, sys.argv[2])
        print("client: ok, with SmolLM2")
        return
    with serving(program) as s:
        c = client(s)
        for part in (whole, chats, sampling, stops):
            part(c)
        errors(s, c)
        cancels(s, c)
        crowd(s, ["base", "first", "second"], 12)
    embeddings(program)
    print("client: ok")


main()
