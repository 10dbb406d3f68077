/* Norms, activations, the loss, weights in few bits, the optimizer: the CUDA kernels on the CPU
 * against the cpu device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/kernel_help.h"

/* Widths of one value, ragged, of one and several chunks a thread, of each size of team. */
static const struct {
    uint32_t rows, cols, gap, offset;
} shapes[] = {{1, 1, 0, 0},   {3, 24, 0, 0},   {2, 7, 1, 1},     {9, 576, 0, 0},
              {70, 40, 8, 8}, {2, 2056, 0, 0}, {2, 4100, 12, 4}, {2, 2500, 3, 3}};
enum { NSHAPES = sizeof shapes / sizeof shapes[0] };
static const enum dev_dtype floats[] = {DEV_F32, DEV_BF16};

static int shaped(struct trial *t, enum dev_dtype type, int s, uint32_t rows, double scale)
{
    uint32_t ld = shapes[s].cols + shapes[s].gap;
    return trial_random(t, type, rows, shapes[s].cols, ld, shapes[s].offset, scale);
}
static int vector(struct trial *t, enum dev_dtype type, uint32_t n, double scale)
{
    return trial_random(t, type, 1, n, n, 0, scale);
}
static double near_of(enum dev_dtype type, double f32)
{
    return type == DEV_BF16 ? 4e-4 : f32; /* few values round the other way: 2^-8 of them each */
}

/* ---- norms */
static void rmsnorm_op(struct trial *t)
{
    struct dev_mat none = {0};
    if (t->n == 5)
        MUST(dev_rmsnorm_keep(t->d, t->ref[0], t->ref[1], 1e-5f, t->ref[2], t->ref[4], e));
    else
        MUST(dev_rmsnorm(t->d, t->ref[0], t->ref[1], 1e-5f, t->ref[2], t->args ? t->ref[3] : none,
                         e));
}
static void rmsnorm_kernel(struct trial *t)
{
    kernel_rmsnorm(trial_mat(t, 0), trial_ptr(t, 1), 1e-5f, trial_mat(t, 2),
                   t->args ? trial_ptr(t, 3) : NULL, trial_mat(t, t->n == 5 ? 4 : -1), NULL);
}
static void rmsnorm(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 2; a++) {
            shaped(&t, DEV_F32, s, shapes[s].rows, 3);
            vector(&t, DEV_F32, shapes[s].cols, 2);
            trial_out(&t, shaped(&t, floats[a], s, shapes[s].rows, 1), near_of(floats[a], 1e-6));
            trial_out(&t, vector(&t, DEV_F32, shapes[s].rows, 1), a == 0 ? 1e-6 : 0);
            t.args = a == 0 ? &t : NULL; /* with rstd; without, and x kept */
            if (a) trial_out(&t, shaped(&t, floats[s % 2], s, shapes[s].rows, 1), 0);
            assert_true(trial_run(&t, "rmsnorm", rmsnorm_op, rmsnorm_kernel));
        }
}

static void rmsnorm_bwd_op(struct trial *t)
{
    struct dev_mat none = {0};
    MUST(dev_rmsnorm_bwd(t->d, t->ref[0], t->ref[1], t->ref[2], t->ref[3], t->ref[4],
                         t->args ? t->ref[5] : none, e));
}
static void rmsnorm_bwd_kernel(struct trial *t)
{
    struct kernel_rmsnorm_grad g = {trial_mat(t, 0), trial_mat(t, 1),
                                    trial_ptr(t, 2), trial_ptr(t, 3),
                                    trial_mat(t, 4), t->args ? trial_ptr(t, 5) : NULL};
    size_t n = kernel_rmsnorm_bwd_scratch(g.x.rows, g.x.cols);
    void *scratch = malloc(n);
    memset(scratch, 0xFF, n);
    kernel_rmsnorm_bwd(&g, scratch, NULL);
    free(scratch);
}
static void rmsnorm_bwd(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 4; a++) {
            shaped(&t, floats[a % 2], s, shapes[s].rows, 1);
            shaped(&t, DEV_F32, s, shapes[s].rows, 3);
            vector(&t, DEV_F32, shapes[s].cols, 2);
            vector(&t, DEV_F32, shapes[s].rows, 1);
            trial_out(&t, shaped(&t, DEV_F32, s, shapes[s].rows, 1), 2e-6);
            trial_out(&t, vector(&t, DEV_F32, shapes[s].cols, 1), a > 1 ? 2e-6 : 0);
            t.args = a > 1 ? &t : NULL;
            assert_true(trial_run(&t, "rmsnorm_bwd", rmsnorm_bwd_op, rmsnorm_bwd_kernel));
        }
}

/* dy, x, w, dx, to and, with args, y */
static void rmsnorm_back_op(struct trial *t)
{
    struct dev_mat none = {0};
    struct dev_rmsnorm_back g = {.dy = t->ref[0],
                                 .x = t->ref[1],
                                 .w = t->ref[2],
                                 .eps = 1e-5f,
                                 .dx = t->ref[3],
                                 .y = t->n == 6 ? t->ref[5] : none,
                                 .to = t->ref[4]};
    MUST(dev_rmsnorm_back(t->d, &g, e));
}
static void rmsnorm_back_kernel(struct trial *t)
{
    struct kernel_rmsnorm_back g = {.dy = trial_mat(t, 0),
                                    .x = trial_mat(t, 1),
                                    .w = trial_ptr(t, 2),
                                    .eps = 1e-5f,
                                    .dx = trial_mat(t, 3),
                                    .y = trial_mat(t, t->n == 6 ? 5 : -1),
                                    .to = trial_mat(t, 4)};
    kernel_rmsnorm_back(&g, NULL);
}
static void rmsnorm_back(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 4; a++) {
            enum dev_dtype type = floats[a % 2], other = floats[(a + s) % 2];
            shaped(&t, type, s, shapes[s].rows, 1);
            shaped(&t, other, s, shapes[s].rows, 3);
            vector(&t, DEV_F32, shapes[s].cols, 2);
            trial_out(&t, shaped(&t, DEV_F32, s, shapes[s].rows, 1), 2e-6);
            trial_out(&t, shaped(&t, type, s, shapes[s].rows, 1), near_of(type, 2e-6));
            if (a > 1) trial_out(&t, shaped(&t, other, s, shapes[s].rows, 1), near_of(other, 1e-6));
            assert_true(trial_run(&t, "rmsnorm_back", rmsnorm_back_op, rmsnorm_back_kernel));
        }
}

static void layernorm_op(struct trial *t)
{
    MUST(dev_layernorm(t->d, t->ref[0], t->ref[1], t->ref[2], 1e-6f, t->ref[3], e));
}
static void layernorm_kernel(struct trial *t)
{
    kernel_layernorm(trial_mat(t, 0), trial_ptr(t, 1), trial_ptr(t, 2), 1e-6f, trial_mat(t, 3),
                     NULL);
}
static void layernorm(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 2; a++) {
            shaped(&t, DEV_F32, s, shapes[s].rows, 3);
            vector(&t, DEV_F32, shapes[s].cols, 2);
            vector(&t, DEV_F32, shapes[s].cols, 1);
            trial_out(&t, shaped(&t, floats[a], s, shapes[s].rows, 1), near_of(floats[a], 1e-6));
            assert_true(trial_run(&t, "layernorm", layernorm_op, layernorm_kernel));
        }
}

/* ---- rope */
struct rope {
    uint32_t rows, heads, hd, gap, offset;
    bool inverse;
};
static void rope_op(struct trial *t)
{
    const struct rope *r = t->args;
    MUST(dev_rope(t->d, t->ref[0], r->heads, t->ref[1], t->ref[2], r->inverse, e));
}
static void rope_kernel(struct trial *t)
{
    const struct rope *r = t->args;
    kernel_rope(trial_mat(t, 0), r->heads, trial_ptr(t, 1), trial_ptr(t, 2), r->inverse, NULL);
}
static void rope(void **state)
{
    static const struct rope cases[] = {{1, 1, 2, 0, 0, false},    {5, 3, 64, 0, 0, true},
                                        {40, 2, 128, 8, 8, false}, {3, 9, 6, 1, 1, true},
                                        {2, 32, 128, 0, 0, false}, {30, 2, 64, 3, 1, false},
                                        {80, 2, 32, 0, 0, false}};
    struct trial t = {.d = *state};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int a = 0; a < 2; a++) {
            const struct rope *c = &cases[i];
            uint32_t cols = c->heads * c->hd;
            double pos[128], freq[64];
            for (uint32_t r = 0; r < c->rows; r++)
                pos[r] = r % 3 == 2 ? 100000 + r : r * 7;
            for (uint32_t j = 0; j < c->hd / 2; j++)
                freq[j] = pow(10000, -2.0 * j / c->hd);
            trial_out(&t, trial_random(&t, floats[a], c->rows, cols, cols + c->gap, c->offset, 2),
                      0);
            trial_add(&t, DEV_I32, 1, c->rows, c->rows, 0, pos);
            trial_add(&t, DEV_F32, 1, c->hd / 2, c->hd / 2, 0, freq);
            t.args = c;
            assert_true(trial_run(&t, "rope", rope_op, rope_kernel));
        }
}

/* ---- activations */
static void act_op(struct trial *t)
{
    MUST(dev_act(t->d, *(const enum dev_act *)t->args, t->ref[0], t->ref[1], e));
}
static void act_kernel(struct trial *t)
{
    kernel_act(*(const enum dev_act *)t->args, trial_mat(t, 0), trial_mat(t, 1), NULL);
}
/* dy, x, dx where it is not x, y where it is wanted */
struct act_back {
    enum dev_act act;
    int dx, y;
};
static void act_bwd_op(struct trial *t)
{
    const struct act_back *k = t->args;
    if (k->y < 0)
        MUST(dev_act_bwd(t->d, k->act, t->ref[0], t->ref[1], t->ref[k->dx], e));
    else
        MUST(dev_act_back(t->d, k->act, t->ref[0], t->ref[1], t->ref[k->dx], t->ref[k->y], e));
}
static void act_bwd_kernel(struct trial *t)
{
    const struct act_back *k = t->args;
    kernel_act_bwd(k->act, trial_mat(t, 0), trial_mat(t, 1), trial_mat(t, k->dx),
                   trial_mat(t, k->y), NULL);
}
static int wide(struct trial *t, enum dev_dtype type, int s, uint32_t times, double scale)
{
    uint32_t cols = shapes[s].cols * times;
    return trial_random(t, type, shapes[s].rows, cols, cols + shapes[s].gap, shapes[s].offset,
                        scale);
}
static void activations(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int k = 0; k < DEV_ACTS * 4; k++) {
            enum dev_act act = (enum dev_act)(k / 4);
            enum dev_dtype type = floats[k % 2];
            uint32_t times = k / 2 % 2 + 1;
            t.args = &act;
            wide(&t, type, s, times, 6);
            trial_out(&t, wide(&t, floats[(k + s) % 2], s, 1, 1),
                      near_of(floats[(k + s) % 2], 1e-6));
            assert_true(trial_run(&t, "act", act_op, act_kernel));
            wide(&t, type, s, 1, 2);
            int x = wide(&t, type, s, times, 6);
            int dx = s % 2 ? x : wide(&t, floats[s / 2 % 2], s, times, 1); /* s odd: in place */
            trial_out(&t, dx, near_of(t.ref[dx].dtype, 3e-6));
            struct act_back back = {act, dx, -1};
            if ((s + k) % 3) {
                back.y = wide(&t, floats[s / 3 % 2], s, 1, 1);
                trial_out(&t, back.y, near_of(t.ref[back.y].dtype, 1e-6));
            }
            t.args = &back;
            assert_true(trial_run(&t, "act_bwd", act_bwd_op, act_bwd_kernel));
        }
}

static void dropout_op(struct trial *t)
{
    MUST(dev_dropout(t->d, t->ref[0], *(const float *)t->args, 0x1234567890abcdefu,
                     0xFFFFFFFFFFFFFF00u, t->ref[t->n - 1], e));
}
static void dropout_kernel(struct trial *t)
{
    kernel_dropout(trial_mat(t, 0), *(const float *)t->args, 0x1234567890abcdefu,
                   0xFFFFFFFFFFFFFF00u, trial_mat(t, t->n - 1), NULL);
}
static void dropout(void **state)
{
    static const float ps[] = {0.0f, 0.05f, 0.7f};
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 3; a++) {
            int x = shaped(&t, floats[a % 2], s, shapes[s].rows, 3);
            t.args = &ps[a];
            trial_out(&t, a == 2 ? x : shaped(&t, floats[s % 2], s, shapes[s].rows, 3), 0);
            assert_true(trial_run(&t, "dropout", dropout_op, dropout_kernel));
        }
}

/* ---- loss, argmax */
struct loss {
    bool grad, apart; /* in place; or in matrix 3, and what is left of the logits does not matter */
    float scale;
};
static void xent_op(struct trial *t)
{
    const struct loss *l = t->args;
    if (l->apart)
        MUST(dev_xent_to(t->d, t->ref[0], t->ref[1], t->ref[2], l->scale, t->ref[3], e));
    else
        MUST(dev_xent(t->d, t->ref[0], t->ref[1], t->ref[2], l->grad, l->scale, e));
}
static void xent_kernel(struct trial *t)
{
    const struct loss *l = t->args;
    kernel_xent(trial_mat(t, 0), trial_ptr(t, 1), trial_ptr(t, 2), trial_mat(t, l->apart ? 3 : 0),
                l->grad, l->scale, NULL);
}
static void cross_entropy(void **state)
{
    static const struct loss losses[] = {
        {false, false, 1.0f}, {true, false, 1.0f}, {true, false, 0.125f}, {true, true, 0.5f}};
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int k = 0; k < 4; k++) {
            double labels[128];
            for (uint32_t r = 0; r < shapes[s].rows; r++)
                labels[r] = r == 0 ? shapes[s].cols - 1 : r * 31 % shapes[s].cols;
            int x = shaped(&t, DEV_F32, s, shapes[s].rows, 12);
            if (losses[k].grad) trial_out(&t, x, losses[k].apart ? 1e9 : 1e-6);
            trial_add(&t, DEV_I32, 1, shapes[s].rows, shapes[s].rows, 0, labels);
            trial_out(&t, vector(&t, DEV_F32, shapes[s].rows, 1), 1e-6);
            enum dev_dtype type = floats[s % 2];
            if (losses[k].apart)
                trial_out(&t, shaped(&t, type, s, shapes[s].rows, 1), near_of(type, 1e-6));
            t.args = &losses[k];
            assert_true(trial_run(&t, "xent", xent_op, xent_kernel));
        }
}

static void argmax_op(struct trial *t)
{
    MUST(dev_argmax(t->d, t->ref[0], t->ref[1], e));
}
static void argmax_kernel(struct trial *t)
{
    kernel_argmax(trial_mat(t, 0), trial_ptr(t, 1), NULL);
}
/* Few different values, so that there are ties; then NaN and infinities among them; then all
 * different, the largest anywhere. */
static void argmax(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 5; a++) {
            size_t n = (size_t)shapes[s].rows * shapes[s].cols;
            double *x = malloc(n * sizeof *x);
            for (size_t i = 0; i < n; i++) {
                x[i] = a == 4 ? help_random(3, i) : floor(help_random(3, i) * 8);
                if (a / 2 == 1 && i % 3 == 0) x[i] = NAN;
                if (a / 2 == 1 && i / shapes[s].cols == 1) x[i] = i % 2 ? -INFINITY : NAN;
            }
            trial_add(&t, floats[a % 2], shapes[s].rows, shapes[s].cols,
                      shapes[s].cols + shapes[s].gap, shapes[s].offset, x);
            free(x);
            trial_out(&t, vector(&t, DEV_I32, shapes[s].rows, 1), 0);
            assert_true(trial_run(&t, "argmax", argmax_op, argmax_kernel));
        }
}

static void sample_op(struct trial *t)
{
    MUST(dev_sample(t->d, t->ref[0], t->args, t->ref[1], e));
}
static void sample_kernel(struct trial *t)
{
    kernel_sample(trial_mat(t, 0), t->args, trial_ptr(t, 1), NULL);
}
/* Every way of cutting, on flat and on steep rows, with ties and without. */
static void sample(void **state)
{
    static const struct dev_draw kinds[] = {{0, 0, 0.5, 0},    {1, 0, 0, 0},    {0.7, 0, 0, 3},
                                            {1.3, 0.6, 0, 0},  {2, 0.9, 0, 7},  {0.1, 1, 0, 1},
                                            {1, 0.001, 0, 40}, {5, 0.999, 0, 0}};
    struct trial t = {.d = *state};
    struct dev_draw draws[300];
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 4; a++) {
            size_t n = (size_t)shapes[s].rows * shapes[s].cols;
            double *x = malloc(n * sizeof *x);
            for (size_t i = 0; i < n; i++) {
                x[i] = help_random(3 + (uint64_t)a, i) * (a & 1 ? 12 : 2);
                if (a & 2) x[i] = floor(x[i]);
            }
            trial_add(&t, DEV_F32, shapes[s].rows, shapes[s].cols, shapes[s].cols + shapes[s].gap,
                      shapes[s].offset, x);
            free(x);
            for (uint32_t r = 0; r < shapes[s].rows; r++) {
                draws[r] = kinds[(r + (uint32_t)s + (uint32_t)a) % (sizeof kinds / sizeof *kinds)];
                draws[r].u = 0.5 + 0.5 * help_random(9, r);
            }
            t.args = draws;
            trial_out(&t, vector(&t, DEV_I32, shapes[s].rows, 1), 0);
            assert_true(trial_run(&t, "sample", sample_op, sample_kernel));
        }
}

/* ---- weights in few bits */
static int bytes(struct trial *t, uint32_t rows, uint32_t cols, uint32_t ld, uint32_t offset)
{
    double *x = malloc(((size_t)rows * cols + 1) * sizeof *x);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        x[i] = floor((help_random((uint64_t)t->n + 40, i) + 1) * 128);
    int m = trial_add(t, DEV_U8, rows, cols, ld, offset, x);
    free(x);
    return m;
}
static void int8_op(struct trial *t)
{
    struct dev_quant q = {.kind = DEV_QUANT_INT8, .codes = t->ref[0], .scales = t->ref[1]};
    MUST(dev_dequant(t->d, &q, t->ref[2], e));
}
static void int8_kernel(struct trial *t)
{
    kernel_dequant_int8(trial_mat(t, 0), trial_ptr(t, 1), trial_mat(t, 2), NULL);
}
static void nf4_op(struct trial *t)
{
    struct dev_quant q = {DEV_QUANT_NF4, t->ref[0], t->ref[1], t->ref[2], t->ref[3]};
    MUST(dev_dequant(t->d, &q, t->ref[4], e));
}
static void nf4_kernel(struct trial *t)
{
    kernel_dequant_nf4(trial_ptr(t, 0), trial_ptr(t, 1), trial_ptr(t, 2), trial_ptr(t, 3),
                       trial_mat(t, 4), NULL);
}
static void dequant(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 2; a++) {
            uint32_t rows = shapes[s].rows, cols = shapes[s].cols, n = rows * cols;
            uint32_t blocks = (n + DEV_NF4_BLOCK - 1) / DEV_NF4_BLOCK;
            bytes(&t, rows, cols, cols + shapes[s].gap, shapes[s].offset);
            vector(&t, DEV_F32, rows, 2);
            trial_out(&t, shaped(&t, floats[a], s, rows, 1), 0);
            assert_true(trial_run(&t, "int8", int8_op, int8_kernel));
            bytes(&t, 1, (n + 1) / 2, (n + 1) / 2, 0);
            bytes(&t, 1, blocks, blocks, 0);
            vector(&t, DEV_F32, (blocks + DEV_NF4_OUTER - 1) / DEV_NF4_OUTER, 2);
            vector(&t, DEV_F32, DEV_NF4_TABLE, 2);
            trial_out(&t, shaped(&t, floats[a], s, rows, 1), 0);
            assert_true(trial_run(&t, "nf4", nf4_op, nf4_kernel));
        }
}

/* ---- rows and columns */
static void row_norms_op(struct trial *t)
{
    MUST(dev_row_norms(t->d, t->ref[0], t->ref[1], e));
}
static void row_norms_kernel(struct trial *t)
{
    kernel_row_norms(trial_mat(t, 0), trial_ptr(t, 1), NULL);
}
static void scale_cols_op(struct trial *t)
{
    MUST(dev_scale_cols(t->d, t->ref[0], t->ref[1], t->ref[2], e));
}
static void scale_cols_kernel(struct trial *t)
{
    kernel_scale_cols(trial_mat(t, 0), trial_ptr(t, 1), trial_mat(t, 2), NULL);
}
static void col_dot_op(struct trial *t)
{
    MUST(dev_col_dot(t->d, t->ref[0], t->ref[1], t->ref[2], e));
}
static void col_dot_kernel(struct trial *t)
{
    size_t n = kernel_col_dot_scratch(t->ref[0].rows, t->ref[0].cols);
    void *scratch = malloc(n);
    memset(scratch, 0xFF, n);
    kernel_col_dot(trial_mat(t, 0), trial_mat(t, 1), trial_ptr(t, 2), scratch, NULL);
    free(scratch);
}
static void ratio_op(struct trial *t)
{
    MUST(dev_ratio(t->d, t->ref[0], t->ref[1], t->ref[1], e));
}
static void ratio_kernel(struct trial *t)
{
    kernel_ratio(trial_ptr(t, 0), trial_ptr(t, 1), trial_ptr(t, 1), t->ref[0].cols, NULL);
}
static void rows_and_columns(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s < NSHAPES; s++)
        for (int a = 0; a < 2; a++) {
            uint32_t rows = shapes[s].rows, cols = shapes[s].cols;
            shaped(&t, floats[a], s, rows, 3);
            trial_out(&t, vector(&t, DEV_F32, rows, 1), 1e-7);
            assert_true(trial_run(&t, "row_norms", row_norms_op, row_norms_kernel));
            shaped(&t, floats[a], s, rows, 3);
            vector(&t, DEV_F32, cols, 2);
            trial_out(&t, shaped(&t, floats[s % 2], s, rows, 3), 0);
            assert_true(trial_run(&t, "scale_cols", scale_cols_op, scale_cols_kernel));
            shaped(&t, floats[a], s, rows, 3);
            shaped(&t, floats[s % 2], s, rows, 3);
            trial_out(&t, vector(&t, DEV_F32, cols, 1), 2e-6);
            assert_true(trial_run(&t, "col_dot", col_dot_op, col_dot_kernel));
            double *b = calloc(cols, sizeof *b);
            for (uint32_t j = 0; j < cols; j += 2)
                b[j] = 1.0 + j;
            vector(&t, DEV_F32, cols, 2);
            trial_out(&t, trial_add(&t, DEV_F32, 1, cols, cols, 0, b), 0);
            free(b);
            assert_true(trial_run(&t, "ratio", ratio_op, ratio_kernel));
        }
}

/* ---- the optimizer */
struct fixed {
    int shift;
    double scale;
};
static void accum_op(struct trial *t)
{
    const struct fixed *f = t->args;
    MUST(dev_accum_fixed(t->d, t->ref[0], f->shift, t->ref[1], t->ref[2], e));
}
static void accum_kernel(struct trial *t)
{
    const struct fixed *f = t->args;
    kernel_accum_fixed(trial_ptr(t, 0), f->shift, trial_ptr(t, 1), trial_ptr(t, 2), t->ref[0].cols,
                       NULL);
}
static void from_op(struct trial *t)
{
    const struct fixed *f = t->args;
    MUST(dev_from_fixed(t->d, t->ref[0], f->shift, f->scale, t->ref[1], e));
}
static void from_kernel(struct trial *t)
{
    const struct fixed *f = t->args;
    kernel_from_fixed(trial_ptr(t, 0), f->shift, f->scale, trial_ptr(t, 1), t->ref[0].cols, NULL);
}
static void fixed_point_is_exact(void **state)
{
    static const struct fixed cases[] = {{40, 0.37}, {55, 1e-9}, {-3, 1e3}};
    static const uint32_t lengths[] = {1, 7, 8, 4099};
    struct trial t = {.d = *state};
    double zero = 0;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 6; k++) {
            uint32_t n = lengths[i], offset = (uint32_t)k / 3;
            double *x = help_values(7, n, 1e3, DEV_F32);
            if (k == 4) x[n / 2] = NAN; /* overflow is told, the rest goes on */
            trial_add(&t, DEV_F32, 1, n, n, offset, x);
            free(x);
            trial_out(&t, trial_random(&t, DEV_I64, 1, n, n, offset, 1e15), 0);
            trial_out(&t, trial_add(&t, DEV_I32, 1, 1, 1, 0, &zero), 0);
            t.args = &cases[k % 3];
            assert_true(trial_run(&t, "accum_fixed", accum_op, accum_kernel));
            trial_random(&t, DEV_I64, 1, n, n, offset, 1e15);
            trial_out(&t, trial_random(&t, DEV_F32, 1, n, n, offset, 1), 0);
            assert_true(trial_run(&t, "from_fixed", from_op, from_kernel));
        }
}

/* The op's number comes to the host; both are put beside the matrices as outputs. */
static void absmax_op(struct trial *t)
{
    float v;
    MUST(dev_absmax(t->d, t->ref[0], &v, e));
    MUST(dev_upload(t->d, t->buf[1], 0, &v, sizeof v, e));
}
static double sumsq_want;
static void sumsq_op(struct trial *t)
{
    MUST(dev_sumsq(t->d, t->ref[0], &sumsq_want, e));
    float f = (float)sumsq_want;
    MUST(dev_upload(t->d, t->buf[1], 0, &f, sizeof f, e));
}
static void *reduce_scratch(const struct trial *t)
{
    size_t n = kernel_reduce_scratch(t->ref[0].rows, t->ref[0].cols);
    void *p = malloc(n + 1);
    memset(p, 0xFF, n);
    return p;
}
static void absmax_kernel(struct trial *t)
{
    void *scratch = reduce_scratch(t);
    kernel_absmax(trial_mat(t, 0), trial_ptr(t, 1), scratch, NULL);
    free(scratch);
}
static void sumsq_kernel(struct trial *t)
{
    void *scratch = reduce_scratch(t);
    double v = NAN;
    kernel_sumsq(trial_mat(t, 0), &v, scratch, NULL);
    free(scratch);
    *(float *)trial_ptr(t, 1) = fabs(v - sumsq_want) <= 1e-12 * sumsq_want ? (float)v : NAN;
}
static void one_number_of_a_matrix(void **state)
{
    struct trial t = {.d = *state};
    for (int s = 0; s <= NSHAPES; s++)
        for (int k = 0; k < 4; k++) {
            uint32_t rows = s < NSHAPES ? shapes[s].rows : 33,
                     cols = s < NSHAPES ? shapes[s].cols : 601;
            double *x = help_values(5, (size_t)rows * cols, 3, DEV_F32);
            if (k == 2) x[(size_t)rows * cols / 2] = NAN;
            if (k == 3) x[0] = -INFINITY;
            trial_add(&t, DEV_F32, rows, cols, cols + (uint32_t)s % 3, (uint32_t)s % 2, x);
            free(x);
            trial_out(&t, vector(&t, DEV_F32, 1, 1), k == 0 ? 1e-7 : 0);
            if (k == 0)
                assert_true(trial_run(&t, "sumsq", sumsq_op, sumsq_kernel));
            else
                assert_true(trial_run(&t, "absmax", absmax_op, absmax_kernel));
        }
}

static void adamw_op(struct trial *t)
{
    MUST(dev_adamw(t->d, t->args, t->ref[0], t->ref[1], t->ref[2], t->ref[3], e));
}
static void adamw_kernel(struct trial *t)
{
    kernel_adamw(t->args, trial_ptr(t, 0), trial_ptr(t, 1), trial_ptr(t, 2), trial_ptr(t, 3),
                 t->ref[0].cols, NULL);
}
static void adamw(void **state)
{
    static const struct dev_adamw steps[] = {{2e-4f, 0.9f, 0.999f, 1e-8f, 0.01f, 1.0f, 1},
                                             {1e-3f, 0.9f, 0.95f, 1e-6f, 0.0f, 0.3f, 1000}};
    static const uint32_t lengths[] = {1, 8, 63, 5001};
    struct trial t = {.d = *state};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            uint32_t n = lengths[i], offset = (uint32_t)k / 2;
            trial_random(&t, DEV_F32, 1, n, n, offset, 1);
            trial_out(&t, trial_random(&t, DEV_F32, 1, n, n, offset, 1), 0);
            trial_out(&t, trial_random(&t, DEV_F32, 1, n, n, offset, 0.1), 0);
            double *v = help_values(9, n, 1, DEV_F32);
            for (uint32_t j = 0; j < n; j++)
                v[j] = fabs(v[j]);
            trial_out(&t, trial_add(&t, DEV_F32, 1, n, n, offset, v), 0);
            free(v);
            t.args = &steps[k % 2];
            assert_true(trial_run(&t, "adamw", adamw_op, adamw_kernel));
        }
}

static void all(void **state)
{
    rmsnorm(state);
    rmsnorm_bwd(state);
    rmsnorm_back(state);
    layernorm(state);
    rope(state);
    activations(state);
    dropout(state);
    cross_entropy(state);
    argmax(state);
    sample(state);
    dequant(state);
    rows_and_columns(state);
    adamw(state);
    one_number_of_a_matrix(state);
    fixed_point_is_exact(state);
}
static void every_barrier_is_needed(void **state)
{
    trial_without_barriers(all, state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm),
        cmocka_unit_test(rmsnorm_bwd),
        cmocka_unit_test(rmsnorm_back),
        cmocka_unit_test(layernorm),
        cmocka_unit_test(rope),
        cmocka_unit_test(activations),
        cmocka_unit_test(dropout),
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(argmax),
        cmocka_unit_test(sample),
        cmocka_unit_test(dequant),
        cmocka_unit_test(rows_and_columns),
        cmocka_unit_test(adamw),
        cmocka_unit_test(one_number_of_a_matrix),
        cmocka_unit_test(fixed_point_is_exact),
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
