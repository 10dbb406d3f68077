/*
 * Ops against PyTorch in float64 (tests/support/golden/compute.py), on cpu and strict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"
#include "support/testdir.h"

/* Distances allowed: f32 arithmetic; values rounded to bf16 once or twice. */
#define F32_LIMIT  3e-6
#define BF16_LIMIT 5e-3

static char *golden_text;

/* malloc'ed values of one tensor. */
static double *golden(const char *name, size_t n)
{
    char key[64];
    snprintf(key, sizeof key, "\n%s %zu ", name, n);
    const char *p = strstr(golden_text, key);
    if (!p) fail_msg("no golden %s with %zu values", name, n);
    p += strlen(key);
    double *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        char *end;
        x[i] = strtod(p, &end);
        assert_ptr_not_equal(p, end);
        p = end;
    }
    return x;
}

static struct hmat load(struct dev *d, const char *name, enum dev_dtype t, uint32_t rows,
                        uint32_t cols)
{
    double *x = golden(name, (size_t)rows * cols);
    struct hmat h = help_mat(d, t, rows, cols, cols + (rows > 1 ? 3 : 0), x);
    free(x);
    return h;
}

static struct hmat fresh(struct dev *d, enum dev_dtype t, uint32_t rows, uint32_t cols)
{
    return help_mat(d, t, rows, cols, cols + (rows > 1 ? 1 : 0), NULL);
}

/* Compare and drop. */
static void same(struct hmat *h, const char *name)
{
    size_t n = (size_t)h->m.rows * h->m.cols;
    double *want = golden(name, n), *got = help_get(h);
    double dist = help_distance(got, want, n);
    if (dist > (h->m.dtype == DEV_BF16 ? BF16_LIMIT : F32_LIMIT))
        fail_msg("%s on %s: distance %g", name, dev_name(h->d), dist);
    free(want);
    free(got);
    help_drop(h);
}

static void check_rmsnorm(struct dev *d, enum dev_dtype t)
{
    struct hmat x = load(d, "rmsnorm.x", DEV_F32, 7, 24), w = load(d, "rmsnorm.w", DEV_F32, 1, 24);
    struct hmat dy = load(d, "rmsnorm.dy", t, 7, 24), y = fresh(d, t, 7, 24);
    struct hmat rstd = fresh(d, DEV_F32, 1, 7), dx = fresh(d, DEV_F32, 7, 24);
    struct hmat dw = fresh(d, DEV_F32, 1, 24);
    MUST(dev_rmsnorm(d, x.m, w.m, 1e-5f, y.m, rstd.m, e));
    MUST(dev_zero(d, dx.m, e));
    MUST(dev_zero(d, dw.m, e));
    MUST(dev_rmsnorm_bwd(d, dy.m, x.m, w.m, rstd.m, dx.m, dw.m, e));
    same(&y, "rmsnorm.y");
    same(&dx, "rmsnorm.dx");
    same(&dw, "rmsnorm.dw");
    help_drop(&x);
    help_drop(&w);
    help_drop(&dy);
    help_drop(&rstd);
}

static void check_rope(struct dev *d, enum dev_dtype t)
{
    struct hmat x = load(d, "rope.x", t, 7, 24), pos = load(d, "rope.pos", DEV_I32, 1, 7);
    struct hmat f = load(d, "rope.inv_freq", DEV_F32, 1, 4), back = load(d, "rope.x", t, 7, 24);
    MUST(dev_rope(d, x.m, 3, pos.m, f.m, false, e));
    MUST(dev_cast(d, x.m, back.m, e));
    MUST(dev_rope(d, back.m, 3, pos.m, f.m, true, e));
    same(&x, "rope.y");
    same(&back, "rope.x");
    help_drop(&pos);
    help_drop(&f);
}

static void check_swiglu(struct dev *d, enum dev_dtype t)
{
    struct hmat gu = load(d, "swiglu.gu", t, 5, 40), dy = load(d, "swiglu.dy", t, 5, 20);
    struct hmat y = fresh(d, t, 5, 20), dgu = fresh(d, t, 5, 40);
    MUST(dev_swiglu(d, gu.m, y.m, e));
    MUST(dev_swiglu_bwd(d, dy.m, gu.m, dgu.m, e));
    MUST(dev_swiglu_bwd(d, dy.m, gu.m, gu.m, e)); /* in place */
    same(&y, "swiglu.y");
    same(&dgu, "swiglu.dgu");
    same(&gu, "swiglu.dgu");
    help_drop(&dy);
}

struct attn_case {
    const char *name;
    uint32_t cu[5], nseq, heads, kv, hd, window;
};

static void check_attn(struct dev *d, enum dev_dtype t, const struct attn_case *c)
{
    uint32_t n = c->cu[c->nseq], qc = c->heads * c->hd, kc = c->kv * c->hd;
    struct dev_attn a = {.heads = c->heads,
                         .kv_heads = c->kv,
                         .head_dim = c->hd,
                         .scale = 0.3f,
                         .window = c->window,
                         .cu = c->cu,
                         .nseq = c->nseq};
    char key[9][32];
    static const char *const part[] = {"q", "k", "v", "dout", "out", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < 9; i++)
        snprintf(key[i], sizeof key[i], "%s.%s", c->name, part[i]);
    struct hmat q = load(d, key[0], t, n, qc), k = load(d, key[1], t, n, kc);
    struct hmat v = load(d, key[2], t, n, kc), dout = load(d, key[3], t, n, qc);
    struct hmat out = fresh(d, t, n, qc), lse = fresh(d, DEV_F32, c->heads, n);
    struct hmat dq = fresh(d, t, n, qc), dk = fresh(d, t, n, kc), dv = fresh(d, t, n, kc);
    MUST(dev_attn_fwd(d, &a, q.m, k.m, v.m, out.m, lse.m, e));
    MUST(dev_attn_bwd(d, &a, q.m, k.m, v.m, out.m, lse.m, dout.m, dq.m, dk.m, dv.m, e));
    same(&out, key[4]);
    same(&lse, key[5]);
    same(&dq, key[6]);
    same(&dk, key[7]);
    same(&dv, key[8]);
    help_drop(&q);
    help_drop(&k);
    help_drop(&v);
    help_drop(&dout);
}

static void check_xent(struct dev *d)
{
    struct hmat x = load(d, "xent.x", DEV_F32, 6, 37), y = load(d, "xent.y", DEV_I32, 1, 6);
    struct hmat loss = fresh(d, DEV_F32, 1, 6), only = fresh(d, DEV_F32, 1, 6);
    MUST(dev_xent(d, x.m, y.m, only.m, false, 0.0f, e));
    MUST(dev_xent(d, x.m, y.m, loss.m, true, 0.25f, e));
    same(&only, "xent.loss");
    same(&loss, "xent.loss");
    same(&x, "xent.dx");
    help_drop(&y);
}

static void check_adamw(struct dev *d)
{
    struct hmat p = load(d, "adamw.p0", DEV_F32, 1, 33);
    struct hmat m = fresh(d, DEV_F32, 1, 33), v = fresh(d, DEV_F32, 1, 33);
    struct dev_adamw o = {0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.5f, 0};
    MUST(dev_zero(d, m.m, e));
    MUST(dev_zero(d, v.m, e));
    for (o.step = 1; o.step <= 3; o.step++) {
        char key[16];
        snprintf(key, sizeof key, "adamw.g%d", (int)o.step - 1);
        struct hmat g = load(d, key, DEV_F32, 1, 33);
        MUST(dev_adamw(d, &o, g.m, p.m, m.m, v.m, e));
        help_drop(&g);
    }
    same(&p, "adamw.p3");
    help_drop(&m);
    help_drop(&v);
}

static const char *const devices[] = {"cpu",        "strict",          "cpu:generic", "cpu:avx2",
                                      "cpu:avx512", "cpu:avx512_bf16", "cpu:amx",     "cuda"};

static void on_every_device(void (*check)(struct dev *d))
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        struct dev *d;
        struct err e = {0};
        if (!dev_open(devices[i], 1 + (int)i % 2, &d, &e)) {
            printf("SKIP: %s\n", e.text);
            continue;
        }
        check(d);
        dev_close(d);
    }
}

static void all_blocks(struct dev *d)
{
    static const struct attn_case plain = {"attn", {0, 5, 5, 6, 20}, 4, 4, 2, 8, 0};
    static const struct attn_case window = {"window", {0, 19}, 1, 3, 3, 6, 5};
    for (int i = 0; i < 2; i++) {
        enum dev_dtype t = i ? DEV_BF16 : DEV_F32;
        check_rmsnorm(d, t);
        check_rope(d, t);
        check_swiglu(d, t);
        check_attn(d, t, &plain);
        check_attn(d, t, &window);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    on_every_device(all_blocks);
}

static void test_loss(void **state)
{
    (void)state;
    on_every_device(check_xent);
}

static void test_adamw(void **state)
{
    (void)state;
    on_every_device(check_adamw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_adamw),
    };
    golden_text = testdir_read(RADMILL_SOURCE "/tests/compute/golden/ops.txt", NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(golden_text);
    return failed;
}
