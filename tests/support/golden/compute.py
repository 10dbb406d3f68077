#!/usr/bin/env python3
"""Golden values for tests/compute/test_golden.c, by PyTorch in float64.

    compute.py > tests/compute/golden/ops.txt

One line a tensor: name, number of values, values. Inputs are rounded to bf16, so that they are exact in
every dtype under test. The first line names the version that made the file.
"""
import math
import torch
import torch.nn.functional as F

torch.manual_seed(20261121)
torch.set_default_dtype(torch.float64)


def rand(*shape, scale=1.0, grad=False):
    x = (torch.randn(*shape) * scale).to(torch.bfloat16).to(torch.float64)
    return x.requires_grad_(grad)


def put(name, x):
    flat = x.detach().reshape(-1).tolist()
    print(name, len(flat), " ".join("%.8g" % v for v in flat))


def rmsnorm():
    x, w, dy, eps = rand(7, 24, grad=True), rand(24, grad=True), rand(7, 24), 1e-5
    y = F.rms_norm(x, (24,), w, eps)
    y.backward(dy)
    for n, v in zip("x w dy y dx dw".split(), (x, w, dy, y, x.grad, w.grad)):
        put("rmsnorm." + n, v)


def rotate_half(x):  # as transformers' modeling_llama
    h = x.shape[-1] // 2
    return torch.cat((-x[..., h:], x[..., :h]), -1)


def rope():
    heads, hd, pos = 3, 8, torch.tensor([0, 1, 2, 0, 1, 700, 4095])
    x = rand(7, heads * hd)
    inv = 1.0 / (10000.0 ** (torch.arange(0, hd, 2) / hd))
    inv = inv.to(torch.float32).to(torch.float64)
    angle = pos[:, None] * inv[None]
    emb = torch.cat((angle, angle), -1)[:, None]
    v = x.view(7, heads, hd)
    put("rope.x", x)
    put("rope.pos", pos)
    put("rope.inv_freq", inv)
    put("rope.y", v * emb.cos() + rotate_half(v) * emb.sin())


def swiglu():
    gu, dy = rand(5, 40, scale=3.0, grad=True), rand(5, 20)
    y = F.silu(gu[:, :20]) * gu[:, 20:]
    y.backward(dy)
    for n, v in zip("gu dy y dgu".split(), (gu, dy, y, gu.grad)):
        put("swiglu." + n, v)


def attention(name, cu, h, kv, hd, window):
    T = cu[-1]
    q, k, v = rand(T, h * hd, grad=True), rand(T, kv * hd, grad=True), rand(T, kv * hd, grad=True)
    dout, outs, lses = rand(T, h * hd), [], []
    for s, e in zip(cu[:-1], cu[1:]):
        n = e - s
        qq = q[s:e].view(n, h, hd).transpose(0, 1)
        kk, vv = (t[s:e].view(n, kv, hd).transpose(0, 1).repeat_interleave(h // kv, 0) for t in (k, v))
        i = torch.arange(n)
        seen = (i[None] <= i[:, None]) & ((i[None] > i[:, None] - window) if window else (i[None] >= 0))
        if n:
            outs.append(F.scaled_dot_product_attention(qq, kk, vv, attn_mask=seen, scale=0.3)
                        .transpose(0, 1).reshape(n, h * hd))
            scores = (qq @ kk.transpose(1, 2) * 0.3).masked_fill(~seen, -math.inf)
            lses.append(scores.logsumexp(-1))
    out = torch.cat(outs)
    out.backward(dout)
    put(name + ".cu", torch.tensor(cu))
    for n, x in (("q", q), ("k", k), ("v", v), ("dout", dout), ("out", out), ("lse", torch.cat(lses, 1)),
                 ("dq", q.grad), ("dk", k.grad), ("dv", v.grad)):
        put(name + "." + n, x)


def xent():
    x, y = rand(6, 37, scale=4.0, grad=True), torch.tensor([0, 36, 5, 5, 17, 9])
    loss = F.cross_entropy(x, y, reduction="none")
    (loss.sum() * 0.25).backward()
    for n, v in zip("x y loss dx".split(), (x, y, loss, x.grad)):
        put("xent." + n, v)


def adamw():
    p = rand(33)
    put("adamw.p0", p)
    p = torch.nn.Parameter(p)
    o = torch.optim.AdamW([p], lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    for step in range(3):
        g = rand(33, scale=0.1)
        put("adamw.g%d" % step, g)
        p.grad = g * 0.5
        o.step()
        put("adamw.p%d" % (step + 1), p)


print("# PyTorch %s, float64" % torch.__version__)
rmsnorm()
rope()
swiglu()
attention("attn", [0, 5, 5, 6, 20], 4, 2, 8, 0)
attention("window", [0, 19], 3, 3, 6, 5)
xent()
adamw()
