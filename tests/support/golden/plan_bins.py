"""Golden values for tests/shard/test_plan.c: the plan of shard/plan.h written again in Python from its
description (permutation of base/rng.h, windows of 8,192, best-fit-decreasing, bins permuted in their window),
with a plain search over all open bins instead of the C code's bit sets.
Usage: python3 plan_bins.py > tests/shard/golden_plan.txt   (CPython 3.11, no packages)"""
import hashlib
import struct

M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
RNG_PLAN, WINDOW = 2, 8192


def mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & M64
    return x ^ (x >> 31)


def key(seed, stream, sub):
    k = mix((seed + 0x9E3779B97F4A7C15) & M64)
    k = mix(k ^ (stream + 0x9E3779B97F4A7C15 & M64))
    return mix(k ^ (sub + 0x9E3779B97F4A7C15 & M64))


def philox(k, c):
    """Philox4x32-10 (Salmon et al. 2011)."""
    k0, k1 = k & M32, k >> 32
    c = list(c)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k0, b & M32, a >> 32 ^ c[3] ^ k1, a & M32]
        k0, k1 = k0 + 0x9E3779B9 & M32, k1 + 0xBB67AE85 & M32
    return c


def feistel(k, half, r):
    w = philox(k, [half & M32, half >> 32, r, 1])
    return w[0] | w[1] << 32


def permute(k, index, n):
    if n == 1:
        return 0
    bits = max((n - 1).bit_length(), 8)
    low_bits = bits - bits // 2
    low_mask, high_mask = (1 << low_bits) - 1, (1 << (bits // 2)) - 1
    while True:
        low, high = index & low_mask, index >> low_bits
        for r in range(0, 6, 2):
            high ^= feistel(k, low, r) & high_mask
            low ^= feistel(k, high, r + 1) & low_mask
        index = high << low_bits | low
        if index < n:
            return index


def pack(samples, lengths, room):
    """Best-fit-decreasing. A bin: [free room, when it got it, samples]."""
    bins, clock = [], 0
    for s in sorted(samples, key=lambda s: -lengths[s]):  # stable: ties in order of the permutation
        fit = [b for b in bins if b[0] >= lengths[s]]
        clock += 1
        if fit:
            b = min(fit, key=lambda b: (b[0], -b[1]))
        else:
            b = [room, 0, []]
            bins.append(b)
        b[0] -= lengths[s]
        b[1] = clock
        b[2].append(s)
    return [b[2] for b in bins]


def pack_apart(samples, inputs, answers, room, answer_room):
    """Two limits, both in encoder tokens: what a sample needs is rounded up, what a bin has left down.
    A bin: [free room, when it got it, samples, inputs, answers]."""
    bins, clock = [], 0
    need = {s: max(inputs[s], -(-answers[s] * room // answer_room)) for s in samples}
    for s in sorted(samples, key=lambda s: -need[s]):
        fit = [b for b in bins if b[0] >= need[s]]
        clock += 1
        if fit:
            b = min(fit, key=lambda b: (b[0], -b[1]))
        else:
            b = [room, 0, [], 0, 0]
            bins.append(b)
        b[3] += inputs[s]
        b[4] += answers[s]
        b[0] = min(room - b[3], (answer_room - b[4]) * room // answer_room)
        b[1] = clock
        b[2].append(s)
    return [b[2] for b in bins]


def plan(lengths, seed, epoch, bin_tokens, answers=None, bin_targets=0):
    n, order, sizes = len(lengths), [], []
    k = key(seed, RNG_PLAN, epoch)
    for w, start in enumerate(range(0, n, WINDOW), 1):
        window = [permute(k, i, n) for i in range(start, min(start + WINDOW, n))]
        bins = (pack_apart(window, lengths, answers, bin_tokens, bin_targets) if answers else
                pack(window, lengths, bin_tokens))
        kb = key(seed, RNG_PLAN, w << 32 | epoch)
        for i in range(len(bins)):
            b = bins[permute(kb, i, len(bins))]
            order += b
            sizes.append(len(b))
    return order, sizes


def length(i):  # the same formula stands in test_plan.c
    return 20 + i * 7919 % 301 + (i % 17 == 0) * 400


def answer(i):  # in test_plan.c too
    return 2 + i * 104729 % 61 + (i % 13 == 0) * 200


def show(what, n, seed, epoch, bin_tokens, order, sizes):
    data = struct.pack(f"<{n}I", *order) + struct.pack(f"<{len(sizes)}I", *sizes)
    print(n, seed, epoch, bin_tokens, what, len(sizes), hashlib.sha256(data).hexdigest())


print("# tests/support/golden/plan_bins.py, CPython 3.11: samples seed epoch bin_tokens bin_targets bins sha256(order, sizes)")
for n, seed, epoch, bin_tokens in [(1, 1, 0, 1024), (300, 1, 0, 1024), (300, 1, 1, 1024), (9000, 7, 3, 2048)]:
    show(0, n, seed, epoch, bin_tokens, *plan([length(i) for i in range(n)], seed, epoch, bin_tokens))
for n, seed, epoch, bin_tokens, bin_targets in [(300, 1, 0, 1024, 270), (9000, 7, 3, 2048, 300)]:
    both = [length(i) for i in range(n)], [answer(i) for i in range(n)]
    show(bin_targets, n, seed, epoch, bin_tokens,
         *plan(both[0], seed, epoch, bin_tokens, both[1], bin_targets))
