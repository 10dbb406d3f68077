#include "base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"

/* The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA'14): every bit of x reaches every bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct rng_key rng_key(uint64_t seed, enum rng_stream stream, uint64_t sub)
{
    uint64_t k = mix(seed + 0x9e3779b97f4a7c15u);
    k = mix(k ^ ((uint64_t)stream + 0x9e3779b97f4a7c15u));
    k = mix(k ^ (sub + 0x9e3779b97f4a7c15u));
    return (struct rng_key){{(uint32_t)k, (uint32_t)(k >> 32)}};
}

void rng_philox(struct rng_key k, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k0 = k.k[0], k1 = k.k[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xd2511f53u * c[0], b = (uint64_t)0xcd9e8d57u * c[2];
        uint32_t c0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, c2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[0] = c0;
        c[1] = (uint32_t)b;
        c[2] = c2;
        c[3] = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    memcpy(out, c, sizeof c);
}

void rng_block(struct rng_key k, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), 0, 0};
    rng_philox(k, counter, out);
}

uint64_t rng_u64(struct rng_key k, uint64_t index)
{
    uint32_t w[4];
    rng_block(k, index, w);
    return w[0] | (uint64_t)w[1] << 32;
}

static double unit_of(uint32_t lo, uint32_t hi)
{
    return (double)((lo | (uint64_t)hi << 32) >> 11) * 0x1p-53;
}

double rng_unit(struct rng_key k, uint64_t index)
{
    uint32_t w[4];
    rng_block(k, index, w);
    return unit_of(w[0], w[1]);
}

__extension__ typedef unsigned __int128 u128; /* the one typedef: ISO C has no name for it */

uint64_t rng_below(struct rng_key k, uint64_t index, uint64_t n)
{
    /* The high half of a 128-bit random number times n (Lemire 2019), without rejection: the bias
     * is below n / 2^128. */
    uint32_t w[4];
    CHECK(n > 0);
    rng_block(k, index, w);
    uint64_t lo = w[0] | (uint64_t)w[1] << 32, hi = w[2] | (uint64_t)w[3] << 32;
    u128 low = (u128)lo * n;
    return (uint64_t)(((u128)hi * n + (low >> 64)) >> 64);
}

/* libm's log and cos differ in the last bit between machines (FMA variants, versions); these use
 * only +, -, *, / on doubles, which IEEE 754 fixes (the build forbids contraction). Error < 1e-15.
 */
static double exact_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023; /* x is positive and normal */
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    /* ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.1716 */
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, sum = 0.0;
    for (int i = 21; i >= 1; i -= 2)
        sum = sum * s2 + 1.0 / i;
    return 2.0 * s * sum + exponent * 0.69314718055994530942;
}

/* cos(2 pi u) for u in [0, 1), by the Taylor series on an eighth of the circle. */
static double exact_cos_turn(double u)
{
    if (u > 0.5) u = 1.0 - u; /* exact: cos is even about a half turn */
    bool negate = u > 0.25;
    if (negate) u = 0.5 - u;
    bool sine = u > 0.125;
    double x = 6.28318530717958647692 * (sine ? 0.25 - u : u), x2 = x * x, sum = 0.0;
    for (int i = sine ? 17 : 16; i >= 2; i -= 2)
        sum = (1.0 + sum) * -x2 / ((double)i * (i - 1));
    double v = sine ? x * (1.0 + sum) : 1.0 + sum;
    return negate ? -v : v;
}

double rng_normal(struct rng_key k, uint64_t index)
{
    /* Box and Muller 1958; one value a block, so that a number depends on its own index only. */
    uint32_t w[4];
    rng_block(k, index, w);
    double u = unit_of(w[0], w[1]) + 0x1p-54; /* (0, 1): the logarithm stays finite */
    return sqrt(-2.0 * exact_log(u)) * exact_cos_turn(unit_of(w[2], w[3]));
}
