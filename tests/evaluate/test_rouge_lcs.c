/* Longest common subsequences with all their ways of saving memory against the whole table, walked
 * back as rouge-score walks: random texts, with room for few vectors and masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/rouge_lcs.h"

enum { MOST = 700 };

static uint32_t table[MOST + 1][MOST + 1];

/* The table of dynamic programming, and places of the path: at equal words both back, on a tie the
 * reference's. */
static uint32_t plain(const uint32_t *ref, size_t rn, const uint32_t *hyp, size_t hn, uint8_t *on)
{
    for (size_t i = 1; i <= rn; i++) {
        for (size_t j = 1; j <= hn; j++) {
            uint32_t up = table[i - 1][j], left = table[i][j - 1];
            bool same = ref[i - 1] == hyp[j - 1];
            table[i][j] = same ? table[i - 1][j - 1] + 1 : up > left ? up : left;
        }
    }
    memset(on, 0, rn);
    for (size_t i = rn, j = hn; i > 0 && j > 0;) {
        if (ref[i - 1] == hyp[j - 1]) {
            on[i - 1] = 1;
            i--;
            j--;
        } else if (table[i][j - 1] > table[i - 1][j]) {
            j--;
        } else {
            i--;
        }
    }
    return table[rn][hn];
}

static void fill(uint32_t *ids, size_t n, uint32_t words, uint64_t stream)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)(rng_u64(rng_key(11, RNG_TEST, stream), i) % words);
}

static void one(struct rouge_lcs *l, size_t rn, size_t hn, uint32_t words, uint64_t stream)
{
    static uint32_t ref[MOST], hyp[MOST];
    static uint8_t on[MOST];
    uint64_t places[MOST / 64 + 1] = {0}, length;
    struct err e = {0};
    bool meets = false;
    fill(ref, rn, words, 2 * stream);
    fill(hyp, hn, words + words / 4 + 1, 2 * stream + 1); /* some stand in the prediction alone */
    uint32_t want = plain(ref, rn, hyp, hn, on);
    for (size_t i = 0; i < rn; i++)
        for (size_t j = 0; j < hn; j++)
            meets = meets || ref[i] == hyp[j];
    assert_true(rouge_lcs_set(l, ref, rn, words + words / 4 + 1, &e));
    assert_int_equal(rouge_lcs_meets(l, hyp, hn), meets);
    assert_true(rouge_lcs_length(l, hyp, hn, &length, &e));
    assert_int_equal(length, want);
    assert_true(rouge_lcs_places(l, hyp, hn, places, &e));
    for (size_t i = 0; i < rn; i++)
        if ((places[i / 64] >> (i % 64) & 1) != on[i])
            fail_msg("%zu x %zu words of %u: place %zu", rn, hn, words, i);
}

/* Every way: masks or lists; all vectors, or one, two and three levels of parts. */
static void equals_the_table(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 63, 64, 65, 128, 129, 200, 400, MOST};
    static const uint32_t words[] = {1, 2, 9, 60, 900};
    static const size_t limits[][2] = {{0, 0}, {1, 0}, {0, 300}, {1, 60}, {1, 1}};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (size_t v = 0; v < sizeof limits / sizeof *limits; v++) {
        struct rouge_lcs l = {.masks_max = limits[v][0], .rows_max = limits[v][1]};
        for (uint64_t k = 0; k < 60; k++) {
            size_t rn = sizes[rng_u64(rng_key(5, RNG_TEST, v), 2 * k) % SIZES];
            size_t hn = sizes[rng_u64(rng_key(5, RNG_TEST, v), 2 * k + 1) % SIZES];
            one(&l, rn, hn, words[k % 5], k);
        }
        rouge_lcs_free(&l);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

/* A million words on one side: what is taken stays below what the header says. */
static void memory(void **state)
{
    (void)state;
    enum { N = 1 << 20, H = 80 };
    uint32_t *ref = malloc(N * sizeof *ref), hyp[H];
    uint64_t *places = calloc(N / 64, sizeof *places), length, on = 0;
    struct rouge_lcs l = {0};
    struct err e = {0};
    for (uint32_t i = 0; i < N; i++)
        ref[i] = i % 4096;
    for (uint32_t j = 0; j < H; j++)
        hyp[j] = 50 * j;
    assert_true(rouge_lcs_set(&l, ref, N, N, &e));
    assert_true(rouge_lcs_length(&l, hyp, H, &length, &e));
    assert_int_equal(length, H);
    assert_true(rouge_lcs_places(&l, hyp, H, places, &e));
    for (size_t k = 0; k < N / 64; k++)
        on += (uint64_t)__builtin_popcountll(places[k]);
    assert_int_equal(on, H);
    assert_true(l.rows_cap * sizeof *l.rows < (size_t)34 << 20);
    assert_true(l.mask_cap == 0 && l.head_cap <= N && l.next_cap <= N);
    rouge_lcs_free(&l);
    free(places);
    free(ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_table),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
