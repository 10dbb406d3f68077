/*
 * The AMX register tile on any processor: kern_amx.c is linked in with tiles made of memory
 * (tile_fake.h), and bf16 products and attention on it must agree with those of the ordinary tiles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/cpu/gemm.h"
#include "compute/dev_help.h"
#include "compute/tile_fake.h"
#define RADMILL_FAKE_AMX
#include "compute/cpu/kern_amx.c"

/* A cpu device whose bf16 products run on the tile of this test. */
static struct dev *open_amx(void)
{
    struct dev *d;
    MUST(dev_open("cpu", 1, &d, e));
    struct cpu *c = d->impl;
    c->isa = CPU_AMX;
    gemm_close(c->gemm);
    MUST(gemm_open(c, &c->gemm, e));
    assert_ptr_equal(gemm_tile(c->gemm, DEV_BF16), &tile_amx);
    return d;
}

static void compare(const struct hmat *a, const struct hmat *b, double limit)
{
    double *x = help_get(a), *y = help_get(b);
    double dist = help_distance(x, y, (size_t)a->m.rows * a->m.cols);
    if (dist > limit) fail_msg("distance %g", dist);
    free(x);
    free(y);
}

static void check_product(struct dev *amx, struct dev *plain, uint32_t m, uint32_t n, uint32_t k,
                          bool ta, bool tb)
{
    double *a = help_values(1, (size_t)m * k, 1, DEV_BF16);
    double *b = help_values(2, (size_t)n * k, 1, DEV_BF16);
    struct hmat c[2];
    for (int i = 0; i < 2; i++) {
        struct dev *d = i ? plain : amx;
        struct hmat ha = help_mat(d, DEV_BF16, ta ? k : m, ta ? m : k, ta ? m : k, a);
        struct hmat hb = help_mat(d, DEV_BF16, tb ? n : k, tb ? k : n, tb ? k : n, b);
        c[i] = help_mat(d, DEV_F32, m, n, n, NULL);
        MUST(dev_gemm(d, (struct dev_gemm){ta, tb, 1.0f, 0.0f}, ha.m, hb.m, c[i].m, e));
        help_drop(&ha);
        help_drop(&hb);
    }
    compare(&c[0], &c[1], 1e-6);
    help_drop(&c[0]);
    help_drop(&c[1]);
    free(a);
    free(b);
}

static void test_products(void **state)
{
    static const uint32_t shapes[][3] = {{1, 1, 1},    {32, 32, 32},  {33, 40, 31},
                                         {16, 16, 64}, {17, 48, 576}, {100, 90, 1040}};
    struct dev *amx = open_amx(), *plain;
    (void)state;
    MUST(dev_open("cpu:generic", 1, &plain, e));
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int v = 0; v < 4; v++)
            check_product(amx, plain, shapes[i][0], shapes[i][1], shapes[i][2], v & 1, v & 2);
    dev_close(amx);
    dev_close(plain);
}

static void test_attention(void **state)
{
    enum { N = 100, HEADS = 3, HD = 40 };
    const uint32_t cu[] = {0, 37, N};
    struct dev_attn a = {
        .heads = HEADS, .kv_heads = 1, .head_dim = HD, .scale = 0.2f, .cu = cu, .nseq = 2};
    const uint32_t cols[] = {HEADS * HD, HD, HD, HEADS * HD, HEADS * HD, HEADS * HD, HD, HD};
    struct hmat m[2][8], lse[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct dev *d;
        if (i)
            MUST(dev_open("cpu:generic", 1, &d, e));
        else
            d = open_amx();
        for (int j = 0; j < 8; j++) {
            double *x = help_values((uint64_t)j, (size_t)N * cols[j], 1, DEV_BF16);
            m[i][j] = help_mat(d, DEV_BF16, N, cols[j], cols[j], x);
            free(x);
        }
        lse[i] = help_mat(d, DEV_F32, HEADS, N, N, NULL);
        MUST(dev_attn_fwd(d, &a, m[i][0].m, m[i][1].m, m[i][2].m, m[i][4].m, lse[i].m, e));
        MUST(dev_attn_bwd(d, &a, m[i][0].m, m[i][1].m, m[i][2].m, m[i][4].m, lse[i].m, m[i][3].m,
                          m[i][5].m, m[i][6].m, m[i][7].m, e));
    }
    for (int j = 4; j < 8; j++)
        compare(&m[0][j], &m[1][j], 6e-3);
    for (int i = 0; i < 2; i++) {
        struct dev *d = lse[i].d;
        for (int j = 0; j < 8; j++)
            help_drop(&m[i][j]);
        help_drop(&lse[i]);
        dev_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
