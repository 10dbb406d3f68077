/* Attention: the CUDA kernels on the CPU against the cpu device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/kernel_help.h"

enum { MOST_SAMPLES = 6 };
struct shape {
    const char *name;
    uint32_t heads, kv, hd, window;
    bool bidirectional;
    uint32_t reach; /* of a bias by distance; 0: none, NO_REACH: a table of one row */
    uint32_t gap;   /* between rows */
    uint32_t n;
    uint32_t q[MOST_SAMPLES], k[MOST_SAMPLES]; /* lengths; k 0, 0, ..: those of q */
};
enum { NO_REACH = 1000 };

struct job {
    const struct shape *s;
    uint32_t cu[MOST_SAMPLES + 1], cu_k[MOST_SAMPLES + 1];
    int q, k, v, out, lse, bias, dout, dq, dk, dv, dbias;
};

static void lay_out(struct job *j)
{
    bool own = true;
    for (uint32_t i = 0; i < j->s->n; i++)
        own = own && j->s->k[i] == 0;
    for (uint32_t i = 0; i < j->s->n; i++) {
        j->cu[i + 1] = j->cu[i] + j->s->q[i];
        j->cu_k[i + 1] = j->cu_k[i] + (own ? j->s->q[i] : j->s->k[i]);
    }
}

static struct dev_attn dev_args(const struct trial *t, const struct job *j)
{
    const struct shape *s = j->s;
    return (struct dev_attn){.heads = s->heads,
                             .kv_heads = s->kv,
                             .head_dim = s->hd,
                             .scale = 0.2f,
                             .window = s->window,
                             .cu = j->cu,
                             .nseq = s->n,
                             .bidirectional = s->bidirectional,
                             .cu_k = s->bidirectional ? j->cu_k : NULL,
                             .bias = trial_ref(t, j->bias),
                             .dbias = trial_ref(t, j->dbias)};
}

static struct kernel_tile *tiles_of(const struct job *j, bool of_keys, uint32_t *n)
{
    *n = kernel_attn_tiles(j->cu, j->cu_k, j->s->n, of_keys, NULL);
    struct kernel_tile *tiles = malloc((*n + 1) * sizeof *tiles);
    kernel_attn_tiles(j->cu, j->cu_k, j->s->n, of_keys, tiles);
    return tiles;
}

static struct kernel_attn kernel_args(const struct trial *t, const struct job *j)
{
    const struct shape *s = j->s;
    return (struct kernel_attn){.q = trial_mat(t, j->q),
                                .k = trial_mat(t, j->k),
                                .v = trial_mat(t, j->v),
                                .out = trial_mat(t, j->out),
                                .lse = trial_mat(t, j->lse),
                                .heads = s->heads,
                                .kv_heads = s->kv,
                                .head_dim = s->hd,
                                .scale = 0.2f,
                                .window = s->window,
                                .bidirectional = s->bidirectional,
                                .bias = trial_mat(t, j->bias),
                                .dout = trial_mat(t, j->dout),
                                .dq = trial_mat(t, j->dq),
                                .dk = trial_mat(t, j->dk),
                                .dv = trial_mat(t, j->dv),
                                .dbias = trial_mat(t, j->dbias)};
}

static void fwd_op(struct trial *t)
{
    const struct job *j = t->args;
    struct dev_attn a = dev_args(t, j);
    MUST(dev_attn_fwd(t->d, &a, t->ref[j->q], t->ref[j->k], t->ref[j->v], t->ref[j->out],
                      trial_ref(t, j->lse), e));
}
static void fwd_kernel(struct trial *t)
{
    const struct job *j = t->args;
    struct kernel_attn a = kernel_args(t, j);
    struct kernel_tile *tiles = tiles_of(j, false, &a.ntiles);
    a.tiles = tiles;
    kernel_attn_fwd(&a, NULL);
    free(tiles);
}

/* The op's backward pass starts from its own forward pass; the kernels' from the same. */
static void bwd_op(struct trial *t)
{
    const struct job *j = t->args;
    struct dev_attn a = dev_args(t, j), fwd = a;
    fwd.dbias.buf = NULL;
    MUST(dev_attn_fwd(t->d, &fwd, t->ref[j->q], t->ref[j->k], t->ref[j->v], t->ref[j->out],
                      t->ref[j->lse], e));
    MUST(dev_download(t->d, t->buf[j->out], 0, t->start[j->out], t->bytes[j->out], e));
    MUST(dev_download(t->d, t->buf[j->lse], 0, t->start[j->lse], t->bytes[j->lse], e));
    MUST(dev_attn_bwd(t->d, &a, t->ref[j->q], t->ref[j->k], t->ref[j->v], t->ref[j->out],
                      t->ref[j->lse], t->ref[j->dout], t->ref[j->dq], t->ref[j->dk], t->ref[j->dv],
                      e));
}
static void bwd_kernel(struct trial *t)
{
    const struct job *j = t->args;
    struct kernel_attn a = kernel_args(t, j);
    struct kernel_tile *tiles = tiles_of(j, false, &a.ntiles);
    struct kernel_tile *key_tiles = tiles_of(j, true, &a.nkey_tiles);
    a.tiles = tiles;
    a.key_tiles = key_tiles;
    size_t n = kernel_attn_bwd_scratch(&a);
    void *scratch = malloc(n);
    memset(scratch, 0xFF, n);
    kernel_attn_bwd(&a, scratch, NULL);
    free(scratch);
    free(tiles);
    free(key_tiles);
}

static uint32_t bias_rows(const struct shape *s)
{
    return s->reach == NO_REACH ? 1 : 2 * s->reach + 1;
}

static void check_shape(struct dev *d, const struct shape *s, enum dev_dtype type)
{
    struct trial t = {.d = d};
    struct job j = {.s = s, .bias = -1, .dout = -1, .dq = -1, .dk = -1, .dv = -1, .dbias = -1};
    lay_out(&j);
    uint32_t rows = j.cu[s->n], keys = j.cu_k[s->n], qc = s->heads * s->hd, kc = s->kv * s->hd;
    double near = type == DEV_BF16 ? 4e-3 : 2e-6, far = type == DEV_BF16 ? 1e-2 : 5e-6;
    /* one row of bias shifts all scores alike: its gradient is 0 but for the rounding of out */
    double dbias = s->reach == NO_REACH ? 2 * far : far;
    t.args = &j;
    for (int pass = 0; pass < 2; pass++) {
        j.q = trial_random(&t, type, rows, qc, qc + s->gap, 0, 1);
        j.k = trial_random(&t, type, keys, kc, kc + s->gap, 0, 1);
        j.v = trial_random(&t, type, keys, kc, kc + s->gap, 0, 1);
        j.out = trial_random(&t, type, rows, qc, qc + s->gap, 0, 1);
        j.lse = trial_random(&t, DEV_F32, s->heads, rows, rows + 3, 0, 1);
        if (s->reach)
            j.bias = trial_random(&t, DEV_F32, bias_rows(s), s->heads, s->heads + 1, 0, 2);
        if (pass == 0) {
            trial_out(&t, j.out, near);
            trial_out(&t, j.lse, 1e-4);
            if (!trial_run(&t, s->name, fwd_op, fwd_kernel)) fail_msg("forward");
            continue;
        }
        j.dout = trial_random(&t, type, rows, qc, qc + s->gap, 0, 1);
        trial_out(&t, j.dq = trial_random(&t, type, rows, qc, qc + s->gap, 0, 1), far);
        trial_out(&t, j.dk = trial_random(&t, type, keys, kc, kc + s->gap, 0, 1), far);
        trial_out(&t, j.dv = trial_random(&t, type, keys, kc, kc + s->gap, 0, 1), far);
        if (s->reach) {
            j.dbias = trial_random(&t, DEV_F32, bias_rows(s), s->heads, s->heads + 1, 0, 1);
            trial_out(&t, j.dbias, dbias);
        }
        if (!trial_run(&t, s->name, bwd_op, bwd_kernel)) fail_msg("backward");
    }
}

static const struct shape any_width[] = {
    {"one token", 1, 1, 8, 0, false, 0, 0, 1, {1}, {0}},
    {"gqa, ragged samples", 4, 2, 20, 0, false, 0, 3, 4, {5, 0, 37, 1}, {0}},
    {"more than a tile", 2, 1, 16, 0, false, 0, 0, 1, {66}, {0}},
    {"window", 1, 1, 12, 9, false, 0, 1, 2, {67, 10}, {0}},
    {"bidirectional, bias", 2, 2, 24, 0, true, 6, 0, 3, {10, 0, 34}, {0}},
    {"causal, bias", 3, 1, 8, 0, false, 4, 0, 2, {3, 35}, {0}},
    {"cross, empty queries", 2, 2, 16, 0, true, 0, 0, 3, {9, 0, 70}, {40, 5, 3}},
    {"bias of one row", 2, 2, 8, 0, true, NO_REACH, 0, 2, {20, 11}, {7, 68}},
};
static void every_shape_in_plain_arithmetic(void **state)
{
    for (size_t i = 0; i < sizeof any_width / sizeof any_width[0]; i++) {
        check_shape(*state, &any_width[i], DEV_F32);
        if (i % 3 == 1) check_shape(*state, &any_width[i], DEV_BF16);
    }
}

static const struct shape mma_width[] = {
    {"mma 64: gqa, ragged samples", 4, 2, 64, 0, false, 0, 8, 4, {5, 0, 37, 1}, {0}},
    {"mma 64: three tiles", 1, 1, 64, 0, false, 0, 0, 2, {140, 3}, {0}},
    {"mma 64: window", 2, 1, 64, 9, false, 0, 0, 2, {81, 30}, {0}},
    {"mma 64: wide window", 1, 1, 64, 65, false, 0, 0, 1, {150}, {0}},
    {"mma 64: bidirectional, bias", 2, 2, 64, 0, true, 40, 0, 3, {40, 0, 66}, {0}},
    {"mma 64: causal, bias", 2, 2, 64, 0, false, 128, 0, 2, {33, 90}, {0}},
    {"mma 64: cross, empty queries", 1, 1, 64, 0, true, 0, 0, 3, {9, 0, 70}, {130, 5, 3}},
    {"mma 64: bias of one row", 2, 2, 64, 0, true, NO_REACH, 0, 2, {20, 11}, {7, 68}},
    {"mma 128: gqa", 2, 1, 128, 0, false, 0, 0, 2, {70, 3}, {0}},
    {"mma 128: window", 1, 1, 128, 20, false, 0, 8, 1, {66}, {0}},
    {"mma 128: cross, bias", 1, 1, 128, 0, true, 5, 0, 2, {33, 4}, {20, 67}},
    {"mma 32: bidirectional", 2, 2, 32, 0, true, 0, 0, 2, {65, 17}, {0}},
    {"f32 128", 1, 1, 128, 0, false, 0, 0, 1, {9}, {0}},
};
static void tensor_cores(void **state)
{
    for (size_t i = 0; i < sizeof mma_width / sizeof mma_width[0]; i++)
        check_shape(*state, &mma_width[i], DEV_BF16);
    check_shape(*state, &mma_width[sizeof mma_width / sizeof mma_width[0] - 1], DEV_F32);
}

/* ---- with a cache */
struct cached {
    const char *name;
    uint32_t heads, kv, hd, window, reach, max_len, n;
    uint32_t slot[4], pos[4];
};
static void cached_op(struct trial *t)
{
    const struct cached *c = t->args;
    struct dev_attn a = {.heads = c->heads,
                         .kv_heads = c->kv,
                         .head_dim = c->hd,
                         .scale = 0.2f,
                         .window = c->window,
                         .bias = trial_ref(t, c->reach ? 4 : -1)};
    MUST(dev_attn_cached(t->d, &a, t->ref[0], t->ref[1], t->ref[2], c->max_len, c->slot, c->pos,
                         t->ref[3], e));
}
static void cached_kernel(struct trial *t)
{
    const struct cached *c = t->args;
    struct kernel_attn a = {.q = trial_mat(t, 0),
                            .k = trial_mat(t, 1),
                            .v = trial_mat(t, 2),
                            .out = trial_mat(t, 3),
                            .heads = c->heads,
                            .kv_heads = c->kv,
                            .head_dim = c->hd,
                            .scale = 0.2f,
                            .window = c->window,
                            .bias = trial_mat(t, c->reach ? 4 : -1),
                            .slot = c->slot,
                            .pos = c->pos,
                            .max_len = c->max_len};
    for (uint32_t i = 0; i < c->n; i++)
        a.max_pos = c->pos[i] > a.max_pos ? c->pos[i] : a.max_pos;
    size_t n = kernel_attn_cached_scratch(&a);
    void *scratch = n ? malloc(n) : NULL;
    if (n) memset(scratch, 0xFF, n);
    kernel_attn_cached(&a, scratch, NULL);
    free(scratch);
}
static const struct cached caches[] = {
    {"cached: first token", 2, 1, 16, 0, 0, 40, 1, {0}, {0}},
    {"cached: one split", 4, 2, 64, 0, 0, 128, 3, {1, 0, 2}, {127, 3, 31}},
    {"cached: splits, a run of rows", 3, 1, 20, 0, 0, 300, 4, {0, 1, 1, 0}, {299, 127, 128, 5}},
    {"cached: window, bias", 6, 1, 128, 150, 7, 400, 3, {1, 0, 0}, {399, 140, 256}},
    {"cached: wide head", 2, 2, 256, 0, 0, 40, 2, {1, 0}, {39, 17}},
};
static void decoding(void **state)
{
    struct trial t = {.d = *state};
    for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++)
        for (int b = 0; b < 2; b++) {
            const struct cached *c = &caches[i];
            enum dev_dtype type = b ? DEV_BF16 : DEV_F32;
            uint32_t qc = c->heads * c->hd, kc = c->kv * c->hd, keys = 3 * c->max_len;
            trial_random(&t, type, c->n, qc, qc + 8, 0, 1);
            trial_random(&t, type, keys, kc, kc, 0, 1);
            trial_random(&t, type, keys, kc, kc, 0, 1);
            trial_out(&t, trial_random(&t, type, c->n, qc, qc, 0, 1), b ? 4e-3 : 2e-6);
            if (c->reach) trial_random(&t, DEV_F32, 2 * c->reach + 1, c->heads, c->heads, 0, 2);
            t.args = c;
            assert_true(trial_run(&t, c->name, cached_op, cached_kernel));
        }
}

/* A query's bits do not depend on what shares its batch, its tile or its launch. */
static void alone_or_in_a_batch(void **state)
{
    static const struct cached many = {"", 4, 2, 64, 0, 0, 200, 3, {1, 0, 2}, {127, 3, 199}};
    static const struct cached one = {"", 4, 2, 64, 0, 0, 200, 1, {1}, {127}};
    struct trial t = {.d = *state};
    unsigned char bits[2][4 * 64 * 2];
    for (int k = 0; k < 2; k++) {
        const struct cached *c = k ? &one : &many;
        trial_random(&t, DEV_BF16, c->n, 256, 256, 0, 1);
        trial_random(&t, DEV_BF16, 600, 128, 128, 0, 1);
        trial_random(&t, DEV_BF16, 600, 128, 128, 0, 1);
        trial_out(&t, trial_random(&t, DEV_BF16, c->n, 256, 256, 0, 1), 0);
        t.args = c;
        for (int i = 0; i < t.n; i++)
            memcpy(t.got[i], t.start[i], t.bytes[i]);
        cached_kernel(&t);
        memcpy(bits[k], trial_ptr(&t, 3), sizeof bits[k]);
        trial_drop(&t);
    }
    assert_memory_equal(bits[0], bits[1], sizeof bits[0]);
}

/* The same sample behind another, and alone: its rows of out, dq, dk, dv. */
static void packed_or_alone(void **state)
{
    static const struct shape shapes[2] = {
        {"packed", 2, 1, 64, 20, false, 0, 0, 2, {37, 70}, {0}},
        {"alone", 2, 1, 64, 20, false, 0, 0, 1, {70}, {0}},
    };
    for (int type = 0; type < 2; type++) {
        enum dev_dtype dtype = type ? DEV_BF16 : DEV_F32;
        size_t z = dev_dtype_bytes(dtype), q = (size_t)70 * 128 * z, k = q / 2;
        unsigned char *kept = malloc(2 * q + 2 * k);
        for (int alone = 0; alone < 2; alone++) {
            struct trial t = {.d = *state};
            struct job j = {.s = &shapes[alone], .bias = -1, .dbias = -1};
            lay_out(&j);
            uint32_t skip = alone ? 37 : 0, rows = 107 - skip;
            int *mats[] = {&j.q, &j.k, &j.v, &j.out, &j.dout, &j.dq, &j.dk, &j.dv};
            for (int m = 0; m < 8; m++) { /* the values of the packed batch's last rows */
                uint32_t cols = m == 1 || m == 2 || m > 5 ? 64 : 128;
                double *x = help_values((uint64_t)m + 1, (size_t)107 * cols, 1, dtype);
                *mats[m] = trial_add(&t, dtype, rows, cols, cols, 0, x + (size_t)skip * cols);
                free(x);
            }
            j.lse = trial_random(&t, DEV_F32, 2, rows, rows, 0, 1);
            t.args = &j;
            for (int i = 0; i < t.n; i++)
                memcpy(t.got[i], t.start[i], t.bytes[i]);
            fwd_kernel(&t);
            bwd_kernel(&t);
            const int outs[] = {j.out, j.dq, j.dk, j.dv};
            size_t at = 0;
            for (int m = 0; m < 4; at += m < 2 ? q : k, m++) {
                const unsigned char *mine = t.got[outs[m]] + t.bytes[outs[m]] - (m < 2 ? q : k);
                if (alone)
                    assert_memory_equal(mine, kept + at, m < 2 ? q : k);
                else
                    memcpy(kept + at, mine, m < 2 ? q : k);
            }
            trial_drop(&t);
        }
        free(kept);
    }
}

static void all(void **state)
{
    every_shape_in_plain_arithmetic(state);
    tensor_cores(state);
    decoding(state);
}
static void every_barrier_is_needed(void **state)
{
    trial_without_barriers(all, state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_in_plain_arithmetic),
        cmocka_unit_test(tensor_cores),
        cmocka_unit_test(decoding),
        cmocka_unit_test(every_barrier_is_needed),
        cmocka_unit_test(alone_or_in_a_batch),
        cmocka_unit_test(packed_or_alone),
    };
    struct dev *d = NULL;
    MUST(dev_open("cpu:generic", 1, &d, e));
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        ((struct CMUnitTest *)tests)[i].initial_state = d;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dev_close(d);
    return failed;
}
