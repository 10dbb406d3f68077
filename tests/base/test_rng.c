#include "base/base_test.h"

#include <math.h>

#include "base/rng.h"
#include "base/rng_golden.h"

/* kat_vectors of Random123 (Salmon et al.): philox4x32, 10 rounds. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4];
        struct rng_key key;
        uint32_t want[4];
    } kat[] = {
        {{0, 0, 0, 0}, {{0, 0}}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {{~0u, ~0u}}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {{0xa4093822, 0x299f31d0}},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t got[4];
        rng_philox(kat[i].key, kat[i].counter, got);
        assert_memory_equal(got, kat[i].want, sizeof got);
    }
}

/* An adapter trained today must come out the same tomorrow: these never change. */
static void same_as_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rng_golden / sizeof *rng_golden; i++) {
        const struct rng_golden *g = &rng_golden[i];
        struct rng_key k = rng_key(g->seed, (enum rng_stream)g->stream, g->sub);
        assert_true(rng_u64(k, g->index) == g->u64);
        assert_true(rng_unit(k, g->index) == (double)(g->u64 >> 11) * 0x1p-53);
        assert_true(rng_below(k, g->index, g->n) == g->below);
        assert_true(rng_permute(k, g->index, g->n) == g->permute);
        /* Python's libm is not ours: the last bits may differ. */
        assert_true(fabs(rng_normal(k, g->index) - g->normal) <= 4e-15 * (1 + fabs(g->normal)));
    }
}

static void permutations_are_permutations(void **state)
{
    (void)state;
    static unsigned char seen[5000];
    for (uint64_t n = 1; n <= 5000; n = n < 130 ? n + 1 : n * 7 / 3) {
        struct rng_key k = rng_key(n, RNG_TEST, 1);
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = rng_permute(k, i, n);
            assert_true(p < n && !seen[p]);
            seen[p] = 1;
        }
    }
}

/* Each of n items is found at each place about equally often: chi squared over all pairs. */
static double unevenness(uint64_t n)
{
    enum { RUNS = 8000 };
    static unsigned count[40][40];
    memset(count, 0, sizeof count);
    for (uint64_t r = 0; r < RUNS; r++)
        for (uint64_t i = 0; i < n; i++)
            count[i][rng_permute(rng_key(3, RNG_TEST, r), i, n)]++;
    double chi = 0.0, want = RUNS / (double)n;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < n; j++)
            chi += pow(count[i][j] - want, 2) / want;
    return chi;
}

static void permutations_are_even(void **state)
{
    (void)state;
    /* (n - 1)^2 degrees of freedom; bounds that chance passes once in 10^4. */
    assert_true(unevenness(6) < 60);
    assert_true(unevenness(10) < 137);
}

static void below_is_even_and_in_range(void **state)
{
    (void)state;
    enum { N = 7, RUNS = 70000 };
    unsigned count[N] = {0};
    struct rng_key k = rng_key(4, RNG_TEST, 0);
    for (uint64_t i = 0; i < RUNS; i++)
        count[rng_below(k, i, N)]++;
    double chi = 0.0;
    for (int i = 0; i < N; i++)
        chi += pow(count[i] - RUNS / (double)N, 2) / (RUNS / (double)N);
    assert_true(chi < 28); /* 6 degrees of freedom: beyond 1 in 10^4 */
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(rng_below(k, i, 1) == 0);
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(rng_below(k, i, UINT64_MAX) < UINT64_MAX);
}

static void normal_is_normal(void **state)
{
    (void)state;
    enum { RUNS = 200000 };
    struct rng_key k = rng_key(5, RNG_TEST, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, beyond = 0;
    for (uint64_t i = 0; i < RUNS; i++) {
        double x = rng_normal(k, i);
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        beyond += fabs(x) > 1.959963985;
    }
    assert_true(fabs(m1 / RUNS) < 4.0 / sqrt(RUNS));
    assert_true(fabs(m2 / RUNS - 1) < 4 * sqrt(2.0 / RUNS));
    assert_true(fabs(m3 / RUNS) < 4 * sqrt(15.0 / RUNS));
    assert_true(fabs(m4 / RUNS - 3) < 4 * sqrt(96.0 / RUNS));
    assert_true(fabs(beyond / RUNS - 0.05) < 4 * sqrt(0.05 * 0.95 / RUNS));
}

/* Our own logarithm and cosine against libm, over many arguments. */
static void normal_against_libm(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        struct rng_key k = rng_key(6, RNG_TEST, i & 7);
        uint32_t w[4];
        rng_block(k, i, w);
        double u = (double)((w[0] | (uint64_t)w[1] << 32) >> 11) * 0x1p-53 + 0x1p-54;
        double v = (double)((w[2] | (uint64_t)w[3] << 32) >> 11) * 0x1p-53;
        double want = sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
        assert_true(fabs(rng_normal(k, i) - want) < 1e-14);
    }
}

static void keys_differ(void **state)
{
    (void)state;
    struct rng_key a = rng_key(1, RNG_PLAN, 0);
    assert_true(rng_u64(a, 0) != rng_u64(rng_key(2, RNG_PLAN, 0), 0));
    assert_true(rng_u64(a, 0) != rng_u64(rng_key(1, RNG_DROPOUT, 0), 0));
    assert_true(rng_u64(a, 0) != rng_u64(rng_key(1, RNG_PLAN, 1), 0));
    assert_true(rng_u64(a, 0) != rng_u64(a, 1));
    assert_true(rng_u64(a, 1) != rng_u64(a, (uint64_t)1 << 32));
}

/* Several at once: the same numbers as one by one, in any order, for any count. */
static void permuted_at_once(void **state)
{
    static const uint64_t sizes[] = {
        1,         2,     3,     7,      200,      255,         256,         257,
        1000,      65535, 65536, 200000, 1u << 31, 4294967295u, 4294967296u, (uint64_t)1 << 40,
        UINT64_MAX};
    uint64_t v[100];

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t count = 0; count <= 100; count += count < 20 ? 1 : 27) {
            struct rng_key k = rng_key(count, RNG_TEST, s), any = rng_key(9, RNG_TEST, s);
            for (size_t i = 0; i < count; i++)
                v[i] = rng_below(any, i, sizes[s]);
            rng_permute_all(k, sizes[s], v, count);
            for (size_t i = 0; i < count; i++)
                assert_true(v[i] == rng_permute(k, rng_below(any, i, sizes[s]), sizes[s]));
        }
}

static void below_zero(void)
{
    rng_below(rng_key(1, RNG_TEST, 0), 0, 0);
}

static void permute_outside(void)
{
    rng_permute(rng_key(1, RNG_TEST, 0), 5, 5);
}

static void broken_promises_abort(void **state)
{
    (void)state;
    assert_true(aborts(below_zero));
    assert_true(aborts(permute_outside));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_answers),         TEST(same_as_the_reference),
        TEST(permutations_are_even), TEST(permutations_are_permutations),
        TEST(normal_is_normal),      TEST(below_is_even_and_in_range),
        TEST(normal_against_libm),   TEST(keys_differ),
        TEST(broken_promises_abort), TEST(permuted_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
