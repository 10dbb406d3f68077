#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/rng.h"
#include "train/grad_sync.h"

enum { BINS = 8, A = 24, B = 40, N = A + B };

static const struct lora_tensor tensors[] = {{.name = "a", .rows = 4, .cols = 6},
                                             {.name = "b", .offset = A, .rows = 5, .cols = 8}};
static struct dev *d;
static struct comm *c;
static struct dev_buf *grad;

static int open_all(void **state)
{
    struct err e = {0};
    (void)state;
    return dev_open("strict", 1, &d, &e) && comm_open_self(&c, &e) &&
                   dev_buf_open(d, N * sizeof(float), &grad, &e)
               ? 0
               : -1;
}

static int close_all(void **state)
{
    (void)state;
    dev_buf_close(grad);
    comm_close(c);
    dev_close(d);
    return 0;
}

/* Bins whose tensors differ by 2^20 in size, so that one shift would not do for both. */
static void bin(int i, float scale, float *out)
{
    for (int k = 0; k < N; k++)
        out[k] = scale * (k < A ? 1.0F : 1048576.0F) *
                 (float)rng_normal(rng_key(1, RNG_TEST, (uint64_t)i), (uint64_t)k);
}

static void add(struct grad_sync *s, const float *g)
{
    struct err e = {0};
    assert_true(dev_upload(d, grad, 0, g, N * sizeof *g, &e));
    dev_lane_begin(d, 1);
    assert_true(grad_sync_add(s, grad, 1, &e) && dev_lane_end(d, &e) && dev_lane_wait(d, 1, &e));
    grad_sync_settle(s, 1);
}

/* Sum bins in the order given; returns tries. */
static int sum(struct grad_sync *s, const int order[BINS], float scale, float *out)
{
    struct err e = {0};
    float g[N];
    double flag = 0;

    for (int tries = 1;; tries++) {
        assert_true(grad_sync_begin(s, &e));
        for (int i = 0; i < BINS; i++) {
            bin(order[i], scale, g);
            add(s, g);
        }
        enum grad_sync_verdict v = grad_sync_agree(s, &flag, 1);
        assert_int_not_equal(v, GRAD_SYNC_NOT_FINITE);
        if (v == GRAD_SYNC_REDO) continue;
        assert_true(grad_sync_finish(s, 0.25, grad, &e));
        assert_true(dev_download(d, grad, 0, out, N * sizeof *out, &e));
        return tries;
    }
}

static void init(struct grad_sync *s)
{
    struct err e = {0};
    assert_true(grad_sync_init(s, d, c, tensors, 2, BINS, &e));
    assert_int_equal(s->nslices, 2);
    assert_int_equal(s->count, N);
}

static const int forwards[BINS] = {0, 1, 2, 3, 4, 5, 6, 7};
static const int backwards[BINS] = {7, 6, 5, 4, 3, 2, 1, 0};

static void the_sum_is_the_exact_one_rounded_once(void **state)
{
    struct grad_sync s;
    float got[N], g[N];
    double want[N] = {0};

    (void)state;
    init(&s);
    assert_int_equal(sum(&s, forwards, 0x1p-12F, got), 1);
    for (int i = 0; i < BINS; i++) {
        bin(i, 0x1p-12F, g);
        for (int k = 0; k < N; k++)
            want[k] += g[k];
    }
    for (int k = 0; k < N; k++) /* the unit 2^-47 is far below an ulp of these */
        if ((float)(want[k] * 0.25) != got[k])
            fail_msg("element %d: %g, not %g", k, got[k], want[k]);
    grad_sync_free(&s);
}

static void order_does_not_matter(void **state)
{
    struct grad_sync s, t;
    float a[N], b[N];

    (void)state;
    init(&s);
    init(&t);
    for (int step = 0; step < 3; step++) { /* later steps run on shifts of their own making */
        sum(&s, forwards, 0x1p-12F, a);
        sum(&t, backwards, 0x1p-12F, b);
        assert_memory_equal(a, b, sizeof a);
        assert_int_equal(s.slices[0].shift, t.slices[0].shift);
        assert_int_equal(s.slices[1].shift, t.slices[1].shift);
    }
    assert_true(s.slices[0].shift >= s.slices[1].shift + 15);
    grad_sync_free(&t);
    grad_sync_free(&s);
}

static void too_large_a_shift_is_mended_by_a_second_try(void **state)
{
    struct grad_sync s, t;
    float a[N], b[N];

    (void)state;
    init(&s);
    s.slices[1].shift = 61;
    assert_int_equal(sum(&s, forwards, 1, a), 2);
    init(&t);
    t.slices[0].shift = s.slices[0].shift;
    t.slices[1].shift = s.slices[1].shift;
    assert_int_equal(sum(&t, backwards, 1, b), 1);
    assert_memory_equal(a, b, sizeof a);
    grad_sync_free(&t);
    grad_sync_free(&s);
}

/* Terms that fit one by one, but whose sum would wrap around. */
static void a_sum_that_would_wrap_is_redone(void **state)
{
    struct grad_sync s;
    struct err e = {0};
    float g[N], out[N];

    (void)state;
    init(&s);
    for (int k = 0; k < N; k++)
        g[k] = 0.75F;
    for (int i = 0; i < 2; i++)
        s.slices[i].shift = 62;
    for (int tries = 1; tries <= 2; tries++) {
        assert_true(grad_sync_begin(&s, &e));
        for (int i = 0; i < BINS; i++)
            add(&s, g);
        assert_int_equal(grad_sync_agree(&s, NULL, 0),
                         tries == 1 ? GRAD_SYNC_REDO : GRAD_SYNC_FITS);
    }
    assert_true(grad_sync_finish(&s, 1, grad, &e));
    assert_true(dev_download(d, grad, 0, out, sizeof out, &e));
    for (int k = 0; k < N; k++)
        assert_true(out[k] == 6.0F);
    grad_sync_free(&s);
}

static void what_is_not_a_number_is_seen(void **state)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    struct err e = {0};
    float g[N];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct grad_sync s;
        init(&s);
        bin(0, 1, g);
        g[A + 3] = bad[i];
        assert_true(grad_sync_begin(&s, &e));
        add(&s, g);
        assert_int_equal(grad_sync_agree(&s, NULL, 0), GRAD_SYNC_NOT_FINITE);
        grad_sync_free(&s);
    }
}

static void zeros_keep_the_shift_and_sum_to_zero(void **state)
{
    struct grad_sync s;
    struct err e = {0};
    float g[N] = {0}, out[N];

    (void)state;
    init(&s);
    int32_t before = s.slices[0].shift;
    assert_true(grad_sync_begin(&s, &e));
    add(&s, g);
    assert_int_equal(grad_sync_agree(&s, NULL, 0), GRAD_SYNC_FITS);
    assert_true(grad_sync_finish(&s, 1, grad, &e));
    assert_true(dev_download(d, grad, 0, out, sizeof out, &e));
    for (int k = 0; k < N; k++)
        assert_true(out[k] == 0);
    assert_int_equal(s.slices[0].shift, before);
    grad_sync_free(&s);
}

static void many_tensors_share_slices_without_gaps(void **state)
{
    enum { MANY = 301 };
    struct lora_tensor many[MANY];
    struct grad_sync s;
    struct err e = {0};
    uint64_t at = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        many[i] =
            (struct lora_tensor){.name = "t", .offset = at, .rows = 1 + (uint32_t)i % 3, .cols = 5};
        at += (uint64_t)many[i].rows * many[i].cols;
    }
    assert_true(grad_sync_init(&s, d, c, many, MANY, 1, &e));
    assert_int_equal(s.nslices, GRAD_SYNC_SLICES);
    uint64_t seen = 0;
    for (size_t i = 0; i < s.nslices; i++) {
        assert_int_equal(s.slices[i].offset, seen);
        seen += s.slices[i].count;
    }
    assert_int_equal(seen, at);
    grad_sync_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_the_exact_one_rounded_once),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(too_large_a_shift_is_mended_by_a_second_try),
        cmocka_unit_test(a_sum_that_would_wrap_is_redone),
        cmocka_unit_test(what_is_not_a_number_is_seen),
        cmocka_unit_test(zeros_keep_the_shift_and_sum_to_zero),
        cmocka_unit_test(many_tensors_share_slices_without_gaps),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
