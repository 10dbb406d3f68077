"""Golden of tests/train/test_step: torch's AdamW with clip_grad_norm_, five steps.

    python adamw_torch.py > tests/train/golden_adamw.txt

Parameters and gradients are small dyadic rationals, the same in C: no text of numbers to exchange.
Lines: hyperparameters, then one final parameter and moments per element.
"""
import torch

N, STEPS = 32, 5
LR, B1, B2, EPS, WD, CLIP = 0.01, 0.9, 0.999, 1e-8, 0.1, 2.0

p = torch.nn.Parameter(torch.tensor([((i * 5) % 11 - 5) / 8 for i in range(N)]))
opt = torch.optim.AdamW([p], lr=LR, betas=(B1, B2), eps=EPS, weight_decay=WD)
print(f"# torch {torch.__version__} AdamW + clip_grad_norm_, f32")
for t in range(1, STEPS + 1):
    p.grad = torch.tensor([((i * 7 + t * 13) % 17 - 8) / 16 * (4 if t == 2 else 0.25) for i in range(N)])
    norm = torch.nn.utils.clip_grad_norm_([p], CLIP)
    print(f"norm {t} {norm.item():.9g}")
    for g in opt.param_groups:
        g["lr"] = LR * t / STEPS
    opt.step()
s = opt.state[p]
for i in range(N):
    print(f"p {i} {p[i].item():.9g} {s['exp_avg'][i].item():.9g} {s['exp_avg_sq'][i].item():.9g}")
