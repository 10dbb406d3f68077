/* Copies, sums of rows: the CUDA kernels on the CPU against the cpu device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/kernel_help.h"

/* Rows, columns, extra row length, offset: whole chunks, ragged ones, one column, odd addresses. */
static const struct {
    uint32_t rows, cols, gap, offset;
} shapes[] = {{1, 1, 0, 0}, {3, 8, 0, 0},   {5, 24, 8, 8},   {4, 17, 0, 0},
              {2, 1, 3, 1}, {7, 513, 7, 3}, {1, 5000, 0, 0}, {300, 16, 0, 0}};
enum { NSHAPES = sizeof shapes / sizeof shapes[0] };
static const enum dev_dtype floats[] = {DEV_F32, DEV_BF16};

#define EACH(s, a, b)                                                                              \
    for (int s = 0; s < NSHAPES; s++)                                                              \
        for (int a = 0; a < 2; a++)                                                                \
            for (int b = 0; b < 2; b++)

static int shaped(struct trial *t, enum dev_dtype type, int s, uint32_t rows, double scale)
{
    uint32_t ld = shapes[s].cols + shapes[s].gap;
    return trial_random(t, type, rows, shapes[s].cols, ld, shapes[s].offset, scale);
}

/* ---- zero */
static void zero_op(struct trial *t)
{
    MUST(dev_zero(t->d, t->ref[0], e));
}
static void zero_kernel(struct trial *t)
{
    kernel_zero(trial_mat(t, 0), NULL);
}
static void zero_sets_all_and_nothing_else(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int type = 0; type < DEV_DTYPES; type++) {
            trial_out(&t, shaped(&t, (enum dev_dtype)type, s, shapes[s].rows, 100), 0);
            assert_true(trial_run(&t, "zero", zero_op, zero_kernel));
        }
}

/* ---- copies */
static void cast_op(struct trial *t)
{
    MUST(dev_scale_cast(t->d, *(const float *)t->args, t->ref[0], t->ref[1], e));
}
static void cast_kernel(struct trial *t)
{
    kernel_scale_cast(*(const float *)t->args, trial_mat(t, 0), trial_mat(t, 1), NULL);
}
static void copies_convert_and_scale(void **state)
{
    static const float alphas[] = {1.0f, -0.37f};
    struct trial t = {.d = *state};
    EACH(s, a, b)
    for (int k = 0; k < 2; k++) {
        shaped(&t, floats[a], s, shapes[s].rows, 3);
        trial_out(&t, shaped(&t, floats[b], s, shapes[s].rows, 3), 0);
        t.args = &alphas[k];
        assert_true(trial_run(&t, "scale_cast", cast_op, cast_kernel));
    }
}

enum { TABLE = 11 };
static int indices(struct trial *t, uint32_t n, bool distinct, uint32_t of)
{
    double *x = malloc((n + 1) * sizeof *x);
    for (uint32_t i = 0; i < n; i++)
        x[i] = distinct ? (i * 7 + 3) % of : floor((help_random(9, i) + 1) / 2 * of);
    int m = trial_add(t, DEV_I32, 1, n, n, 0, x);
    free(x);
    return m;
}

static void gather_op(struct trial *t)
{
    MUST(dev_gather_rows(t->d, t->ref[0], t->ref[1], t->ref[2], e));
}
static void gather_kernel(struct trial *t)
{
    kernel_gather_rows(trial_mat(t, 0), trial_ptr(t, 1), trial_mat(t, 2), NULL);
}
static void gather_takes_rows(void **state)
{
    struct trial t = {.d = *state};
    EACH(s, a, b)
    {
        shaped(&t, floats[a], s, TABLE, 3);
        indices(&t, shapes[s].rows, false, TABLE);
        trial_out(&t, shaped(&t, floats[b], s, shapes[s].rows, 3), 0);
        assert_true(trial_run(&t, "gather_rows", gather_op, gather_kernel));
    }
}

static void scatter_op(struct trial *t)
{
    MUST(dev_scatter_rows(t->d, t->ref[0], t->ref[1], t->ref[2], e));
}
static void scatter_kernel(struct trial *t)
{
    kernel_scatter_rows(trial_mat(t, 0), trial_ptr(t, 1), trial_mat(t, 2), NULL);
}
static void scatter_keeps_rows_not_named(void **state)
{
    struct trial t = {.d = *state};
    EACH(s, a, b)
    {
        uint32_t of = shapes[s].rows * 7 + 5; /* 7 does not divide it */
        if (of % 7 == 0) of++;
        shaped(&t, floats[a], s, shapes[s].rows, 3);
        indices(&t, shapes[s].rows, true, of);
        trial_out(&t, shaped(&t, floats[b], s, of, 3), 0);
        assert_true(trial_run(&t, "scatter_rows", scatter_op, scatter_kernel));
    }
}

static void scatter_add_op(struct trial *t)
{
    MUST(dev_scatter_add_rows(t->d, t->ref[0], t->ref[1], t->ref[2], e));
}
static void scatter_add_kernel(struct trial *t)
{
    kernel_scatter_add_rows(trial_mat(t, 0), trial_ptr(t, 1), trial_mat(t, 2), NULL);
}
/* More rows than a block has threads, ids that come back, and all the same id. */
static void scatter_add_keeps_the_order(void **state)
{
    static const uint32_t of[] = {1, 2, TABLE};
    struct trial t = {.d = *state};
    EACH(s, a, k)
    {
        shaped(&t, floats[a], s, shapes[s].rows, 3);
        indices(&t, shapes[s].rows, false, of[k + (s % 2)]);
        trial_out(&t, shaped(&t, DEV_F32, s, TABLE, 3), 0);
        assert_true(trial_run(&t, "scatter_add_rows", scatter_add_op, scatter_add_kernel));
    }
}

static void add_op(struct trial *t)
{
    MUST(dev_add(t->d, t->ref[0], t->ref[1], e));
}
static void add_kernel(struct trial *t)
{
    kernel_add(trial_mat(t, 0), trial_mat(t, 1), NULL);
}
static void add_takes_a_matrix_or_a_row(void **state)
{
    struct trial t = {.d = *state};
    EACH(s, a, b)
    for (int row = 0; row < 2; row++) {
        trial_out(&t, shaped(&t, floats[a], s, shapes[s].rows, 3), 0);
        shaped(&t, floats[b], s, row ? 1 : shapes[s].rows, 3);
        assert_true(trial_run(&t, "add", add_op, add_kernel));
    }
}

static void all(void **state)
{
    zero_sets_all_and_nothing_else(state);
    copies_convert_and_scale(state);
    gather_takes_rows(state);
    scatter_keeps_rows_not_named(state);
    scatter_add_keeps_the_order(state);
    add_takes_a_matrix_or_a_row(state);
}
static void every_barrier_is_needed(void **state)
{
    trial_without_barriers(all, state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_sets_all_and_nothing_else),
        cmocka_unit_test(copies_convert_and_scale),
        cmocka_unit_test(gather_takes_rows),
        cmocka_unit_test(scatter_keeps_rows_not_named),
        cmocka_unit_test(scatter_add_keeps_the_order),
        cmocka_unit_test(add_takes_a_matrix_or_a_row),
        cmocka_unit_test(every_barrier_is_needed),
    };
    struct dev *d = NULL;
    MUST(dev_open("cpu:generic", 1, &d, e));
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        ((struct CMUnitTest *)tests)[i].initial_state = d;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dev_close(d);
    return failed;
}
