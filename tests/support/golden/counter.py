"""Weights, adapters and tokens of the golden cases follow from this counter hash; the C tests repeat it, so no weight
file is kept."""
import torch

M = 0xFFFFFFFF


def hash_values(tag, n):
    """n values in [-0.5, 0.5), 24 bits each: exact in f32."""
    i = torch.arange(n, dtype=torch.int64)
    x = (i * 2654435761 + tag * 97 + 1) & M
    x = x ^ (x >> 16)
    x = (x * 2246822519) & M
    x = x ^ (x >> 13)
    x = (x * 3266489917) & M
    x = x ^ (x >> 16)
    return ((x >> 8).double() / 2 ** 24 - 0.5).float()


def summary(tag, g, parts=5):
    """Norm, dot with a hash vector, and a few entries: any wrong element shows in the dot."""
    g = g.detach().float().reshape(-1).double()
    h = hash_values(5000 + tag, g.numel()).double()
    step = max(1, g.numel() // parts)
    return {"norm": g.norm().item(), "dot": (g @ h).item(), "at": {str(i): g[i].item() for i in range(0, g.numel(), step)}}


def relrms(a, b):
    return ((a - b).double().pow(2).mean().sqrt() / b.double().pow(2).mean().sqrt()).item()
