#include "base/rng.h"

#include <string.h>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 6, LANES = 8 };

/* An index is two halves of at most 32 bits. */
struct halves {
    int low_bits;
    uint64_t low_mask, high_mask;
};

/* The smallest power of two holding n is less than 2 n: two tries on average at the worst. An odd
 * number of bits is split unevenly, which XOR on alternating halves allows. Halves of one or two
 * bits mix too little (of 6 items one came to a place a tenth too often): at least 8 bits, at the
 * price of more tries where there are few items to permute. */
static struct halves halves_of(uint64_t n)
{
    int bits = 64 - __builtin_clzll(n - 1);

    if (bits < 8) bits = 8;
    int low = bits - bits / 2;
    return (struct halves){low, ((uint64_t)1 << low) - 1, ((uint64_t)1 << (bits / 2)) - 1};
}

/* One round: the half `from` mixes into a value that is XORed on the other half. */
static uint64_t feistel(struct rng_key k, uint64_t half, uint32_t round)
{
    const uint32_t counter[4] = {(uint32_t)half, 0, round, 1};
    uint32_t w[4];

    rng_philox(k, counter, w);
    return w[0];
}

uint64_t rng_permute(struct rng_key k, uint64_t index, uint64_t n)
{
    CHECK(index < n);
    if (n == 1) return 0;
    struct halves h = halves_of(n);
    do {
        uint64_t low = index & h.low_mask, high = index >> h.low_bits;
        for (uint32_t round = 0; round < ROUNDS; round += 2) {
            high ^= feistel(k, low, round) & h.high_mask;
            low ^= feistel(k, high, round + 1) & h.low_mask;
        }
        index = high << h.low_bits | low;
    } while (index >= n);
    return index;
}

static void permute_each(struct rng_key k, uint64_t n, uint64_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        v[i] = rng_permute(k, v[i], n);
}

#if defined(__x86_64__)
/* Philox of eight counters {half, 0, round, 1}, the first word of each. A number of 32 bits stands
 * in the lower half of its lane, which is all that the products read; what is above is left lying
 * about. */
__attribute__((target("avx2"))) static inline void philox8(struct rng_key k, const __m256i half[2],
                                                           uint32_t round, __m256i out[2])
{
    const __m256i m0 = _mm256_set1_epi64x(0xd2511f53), m1 = _mm256_set1_epi64x(0xcd9e8d57);
    const __m256i step0 = _mm256_set1_epi64x(0x9e3779b9), step1 = _mm256_set1_epi64x(0xbb67ae85);
    __m256i k0 = _mm256_set1_epi64x(k.k[0]), k1 = _mm256_set1_epi64x(k.k[1]);
    __m256i c0[2], c1[2], c2[2], c3[2];

#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        c0[j] = half[j];
        c1[j] = _mm256_setzero_si256();
        c2[j] = _mm256_set1_epi64x(round);
        c3[j] = _mm256_set1_epi64x(1);
    }
    for (int r = 0; r < 10; r++) {
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            __m256i a = _mm256_mul_epu32(m0, c0[j]), b = _mm256_mul_epu32(m1, c2[j]);
            c0[j] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(b, 32), c1[j]), k0);
            c2[j] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(a, 32), c3[j]), k1);
            c1[j] = b;
            c3[j] = a;
        }
        k0 = _mm256_add_epi64(k0, step0);
        k1 = _mm256_add_epi64(k1, step1);
    }
    out[0] = c0[0];
    out[1] = c0[1];
}

/* All rounds for eight indices. */
__attribute__((target("avx2"))) static void rounds8(struct rng_key k, const struct halves *h,
                                                    uint64_t v[LANES])
{
    const __m256i low_mask = _mm256_set1_epi64x((long long)h->low_mask);
    const __m256i high_mask = _mm256_set1_epi64x((long long)h->high_mask);
    const __m128i bits = _mm_cvtsi32_si128(h->low_bits);
    __m256i low[2], high[2], mix[2];

    for (int j = 0; j < 2; j++) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(v + 4 * (size_t)j));
        low[j] = _mm256_and_si256(x, low_mask);
        high[j] = _mm256_srl_epi64(x, bits);
    }
    for (uint32_t round = 0; round < ROUNDS; round += 2) {
        philox8(k, low, round, mix);
        for (int j = 0; j < 2; j++)
            high[j] = _mm256_xor_si256(high[j], _mm256_and_si256(mix[j], high_mask));
        philox8(k, high, round + 1, mix);
        for (int j = 0; j < 2; j++)
            low[j] = _mm256_xor_si256(low[j], _mm256_and_si256(mix[j], low_mask));
    }
    for (int j = 0; j < 2; j++) {
        __m256i x = _mm256_or_si256(_mm256_sll_epi64(high[j], bits), low[j]);
        _mm256_storeu_si256((__m256i *)(void *)(v + 4 * (size_t)j), x);
    }
}

/* A lane whose index came to lie below n takes the next one; the others try again. */
static void permute_lanes(struct rng_key k, uint64_t n, uint64_t *v, size_t count)
{
    const struct halves h = halves_of(n);
    uint64_t lane[LANES];
    size_t at[LANES], next = LANES;

    CHECK(count >= LANES);
    for (size_t j = 0; j < LANES; j++)
        at[j] = j;
    memcpy(lane, v, sizeof lane);
    for (size_t left = count; left > 0;) {
        rounds8(k, &h, lane);
        for (size_t j = 0; j < LANES; j++) {
            if (lane[j] >= n || at[j] == count) continue;
            v[at[j]] = lane[j];
            left--;
            at[j] = next < count ? next++ : count; /* count: none is left for it */
            if (at[j] < count) lane[j] = v[at[j]];
        }
    }
}
#endif

void rng_permute_all(struct rng_key k, uint64_t n, uint64_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK(v[i] < n);
#if defined(__x86_64__)
    if (count >= LANES && n > 1 && __builtin_cpu_supports("avx2")) {
        permute_lanes(k, n, v, count);
        return;
    }
#endif
    permute_each(k, n, v, count);
}
