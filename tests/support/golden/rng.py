"""Reference for lib/base/rng.c in plain Python, written from the header and the Philox paper only.

Prints the table of tests/base/rng_golden.h. Run with any Python 3.8 or later (made with 3.11.7).
"""
import math

M64 = (1 << 64) - 1


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


def key(seed, stream, sub):
    gamma = 0x9E3779B97F4A7C15
    k = mix((seed + gamma) & M64)
    k = mix(k ^ ((stream + gamma) & M64))
    k = mix(k ^ ((sub + gamma) & M64))
    return k & 0xFFFFFFFF, k >> 32


def philox(k, c):
    k0, k1 = k
    c = list(c)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def block(k, i):
    return philox(k, [i & 0xFFFFFFFF, i >> 32, 0, 0])


def u64(k, i):
    w = block(k, i)
    return w[0] | w[1] << 32


def below(k, i, n):
    w = block(k, i)
    return ((w[0] | w[1] << 32 | w[2] << 64 | w[3] << 96) * n) >> 128


def normal(k, i):
    w = block(k, i)
    u = ((w[0] | w[1] << 32) >> 11) * 2.0**-53 + 2.0**-54
    v = ((w[2] | w[3] << 32) >> 11) * 2.0**-53
    return math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)


def permute(k, index, n):
    if n == 1:
        return 0
    bits = max(8, (n - 1).bit_length())
    low_bits = bits - bits // 2
    low_mask, high_mask = (1 << low_bits) - 1, (1 << (bits // 2)) - 1

    def mangle(half, r):
        w = philox(k, [half & 0xFFFFFFFF, half >> 32, r, 1])
        return w[0] | w[1] << 32

    while True:
        low, high = index & low_mask, index >> low_bits
        for r in range(0, 6, 2):
            high ^= mangle(low, r) & high_mask
            low ^= mangle(high, r + 1) & low_mask
        index = high << low_bits | low
        if index < n:
            return index


if __name__ == "__main__":
    print("/* tests/base/rng_golden - made by tests/support/golden/rng.py (Python 3.11.7); do not edit. */")
    print("#pragma once\n#include <stdint.h>\n")
    print("struct rng_golden {\n    uint64_t seed, stream, sub, index, u64, n, below, permute;\n    double normal;\n};")
    print("static const struct rng_golden rng_golden[] = {")
    cases = [(1, 1, 0, 0, 10), (1, 2, 0, 0, 10), (2, 1, 0, 0, 10), (1, 1, 1, 0, 10), (1, 1, 0, 1, 2),
             (0, 9, 7, 12345, 1000003), (M64, 5, M64, (1 << 40) + 5, (1 << 41) + 1),
             (42, 6, 3, 999, 1000), (42, 6, 3, 0, 1), (7, 7, 1 << 33, 5, 7), (7, 8, 2, M64 - 1, M64)]
    for seed, stream, sub, i, n in cases:
        k = key(seed, stream, sub)
        print("    {%du, %du, %du, %du, %du, %du, %du, %du, %.17g}," % (
            seed, stream, sub, i, u64(k, i), n, below(k, i, n), permute(k, i, n), normal(k, i)))
    print("};")
