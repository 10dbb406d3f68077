/* Folded adapters: loss and gradients of the separate layout, for decoders and encoder-decoders, adapters of
 * all kinds, kept and quantised weights, dropout and recompute; who lives in a base's room; and on a device
 * that joins products what it times. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/parts.h"
#include "support/testdir.h"

enum { VOCAB = 64, TOKENS = 30, SEQS = 2, ROWS = 10 };

struct setting {
    const char *dir;
    enum dev_dtype dtype;
    enum dev_quant_kind quant;
    struct lora_opts lora;
    struct recompute again;
};

/* ---- models */
static const char *model_of(const char *name)
{
    static char dir[2][600];
    bool t5 = strcmp(name, "t5") == 0;
    struct model_spec s = {.arch = "llama",
                           .layers = 2,
                           .d = 32,
                           .ff = 48,
                           .heads = 4,
                           .kv_heads = 2,
                           .head_dim = 8,
                           .vocab = VOCAB,
                           .max_positions = 64,
                           .rms_eps = 1e-5F,
                           .rope_theta = 1e4,
                           .bos = 1,
                           .eos = {2},
                           .pad = -1,
                           .neos = 1};
    if (dir[t5][0]) return dir[t5];
    if (t5) {
        snprintf(s.arch, sizeof s.arch, "t5");
        s.layers = 3;
        s.enc_layers = 1;
        s.kv_heads = s.heads;
        s.rope = ROPE_NONE;
        s.act = DEV_GELU_TANH;
        s.buckets = 8;
        s.reach = 12;
    }
    snprintf(dir[t5], sizeof dir[t5], "%s", testdir_path(name));
    OK(model_init_random(&s, 3, dir[t5], e));
    return dir[t5];
}

/* ---- two bins, with a change of the masters in between */
struct rig {
    struct dev *d;
    struct model *m;
    struct lora *l;
    struct decoder_work *w;
    struct dev_buf *grad;
};

static void fill_masters(struct rig *r, uint64_t tag)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(r->l, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * t[i].cols;
        float *f = malloc(count * sizeof *f);
        tiny_hash(tag + i, count, f);
        for (size_t k = 0; k < count; k++)
            f[k] *= 0.5F; /* T5 does not scale its scores: larger ones are all noise in bf16 */
        OK(dev_upload(r->d, lora_params(r->l), t[i].offset * 4, f, count * 4, e));
        free(f);
    }
    OK(lora_refresh(r->l, e));
}

static void open_rig(struct rig *r, const char *device, const struct setting *s)
{
    bool both;
    *r = (struct rig){0};
    OK(dev_open(device, 1, &r->d, e));
    OK(model_open_for(r->d, s->dir, s->dtype, s->quant, &s->lora, &r->m, e));
    OK(lora_open(r->m, &s->lora, 1, &r->l, e));
    both = model_get_spec(r->m)->enc_layers > 0;
    struct decoder_room room = {TOKENS, both ? 2 * ROWS : ROWS, true, s->again, false};
    OK(decoder_work_open_room(r->m, r->l, &room, &r->w, e));
    OK(dev_buf_open(r->d, lora_count(r->l) * 4, &r->grad, e));
}

static void close_rig(struct rig *r)
{
    dev_buf_close(r->grad);
    decoder_work_close(r->w);
    lora_close(r->l);
    model_close(r->m);
    dev_close(r->d);
}

static void bin_of(struct rig *r, double *loss)
{
    static const uint32_t cu[SEQS + 1] = {0, 13, TOKENS}, label_cu[SEQS + 1] = {0, 4, ROWS};
    uint32_t tokens[TOKENS], labels[ROWS], rows[ROWS];
    bool both = model_get_spec(r->m)->enc_layers > 0;
    for (uint32_t i = 0; i < TOKENS; i++)
        tokens[i] = (i * 7 + 3) % VOCAB;
    for (uint32_t i = 0; i < ROWS; i++) {
        labels[i] = (i * 11 + 5) % VOCAB;
        rows[i] = 3 * i + 1;
    }
    struct decoder_batch b = {.tokens = tokens,
                              .ntokens = TOKENS,
                              .cu = cu,
                              .nseq = SEQS,
                              .rows = both ? NULL : rows,
                              .labels = labels,
                              .nrows = ROWS,
                              .label_cu = both ? label_cu : NULL};
    OK(decoder_grad(r->w, &b, 7, r->grad, loss, e));
}

/* Gradients of both bins, one behind the other; free them. */
static float *grads_of(struct rig *r, double loss[2], size_t *n)
{
    size_t count = lora_count(r->l);
    float *g = malloc(2 * count * sizeof *g);
    for (size_t i = 0; i < 2; i++) {
        fill_masters(r, 500 + 100 * i);
        bin_of(r, &loss[i]);
        OK(dev_download(r->d, r->grad, 0, g + i * count, count * sizeof *g, e));
    }
    *n = 2 * count;
    return g;
}

struct grads {
    double loss[2];
    float *v;
    size_t n;
};
static struct grads grads_with(const char *device, struct setting s, enum lora_fold fold,
                               bool folds)
{
    struct grads g;
    struct rig r;
    s.lora.fold = fold;
    open_rig(&r, device, &s);
    assert_true(lora_folded(r.l) == folds);
    g.v = grads_of(&r, g.loss, &g.n);
    close_rig(&r);
    return g;
}

/* Separate and folded: the same up to rounding in f32; in bf16 folded is no further from f32 than separate. */
static void check_on(const char *device, struct setting s, bool folds)
{
    struct setting exact = s;
    exact.dtype = DEV_F32;
    struct grads f32 = grads_with(device, exact, LORA_FOLD_SEPARATE, false);
    struct grads x = s.dtype == DEV_F32 ? f32 : grads_with(device, s, LORA_FOLD_SEPARATE, false);
    struct grads y = grads_with(device, s, LORA_FOLD_FOLDED, folds);
    bool narrow = s.dtype != DEV_F32;
    double far = narrow ? 1.2 * rel_rms(x.v, f32.v, x.n) : 2e-5, d = rel_rms(y.v, f32.v, x.n);

    assert_int_equal(x.n, y.n);
    assert_true(x.loss[0] != x.loss[1] && (!narrow || (far > 1e-3 && far < 0.3)));
    for (int i = 0; i < 2; i++)
        if (!(fabs(y.loss[i] - f32.loss[i]) <= far * fabs(f32.loss[i])))
            fail_msg("%s: loss %.9g, folded %.9g", device, f32.loss[i], y.loss[i]);
    if (!(d <= far)) fail_msg("%s: gradients are off by %g, %g expected", device, d, far);
    /* the CPU's dev_gemm2 is one chain in both; of two products the first is rounded to bf16 */
    if (folds && narrow)
        assert_true((memcmp(x.v, y.v, x.n * sizeof *x.v) != 0) == test_device_is_cuda());
    if (narrow) free(x.v);
    free(y.v);
    free(f32.v);
}

/* strict: memory is NaN until written. */
static void check(struct setting s)
{
    static const char *const all[] = {"all-linear"};
    if (!s.lora.rank) s.lora.rank = 4;
    s.lora.alpha = 6;
    if (!s.lora.targets.n) s.lora.targets = (struct opt_strs){all, 1};
    check_on(test_device(), s, !s.lora.dora);
    if (!test_device_is_cuda()) check_on("strict", s, !s.lora.dora);
}

static void test_b_llama(void **state)
{
    struct recompute full = {RECOMPUTE_FULL, 1};
    (void)state;
    check((struct setting){.dir = model_of("llama")});
    check((struct setting){.dir = model_of("llama"), .dtype = DEV_BF16});
    check((struct setting){.dir = model_of("llama"), .again = full});
}

static void test_b_t5(void **state)
{
    struct recompute full = {RECOMPUTE_FULL, 2};
    (void)state;
    check((struct setting){.dir = model_of("t5")});
    check((struct setting){.dir = model_of("t5"), .dtype = DEV_BF16, .again = full});
}

/* Parts without an adapter beside parts with one; wider than a tail's step. */
static void test_b_subsets(void **state)
{
    static const char *const some[] = {"q_proj", "v_proj", "up_proj"},
                             *const down[] = {"down_proj"}, *const key[] = {"k"};
    struct lora_opts few = {.targets = {some, 3}}, last = {.targets = {down, 1}, .rank = 70};
    struct lora_opts k = {.targets = {key, 1}, .rank = 8};
    (void)state;
    check((struct setting){.dir = model_of("llama"), .lora = few});
    check((struct setting){.dir = model_of("llama"), .lora = last});
    check((struct setting){.dir = model_of("t5"), .lora = k});
}

static void test_b_kinds(void **state)
{
    struct lora_opts dropout = {.dropout = 0.3}, dora = {.dora = true}, rs = {.rslora = true};
    (void)state;
    check((struct setting){.dir = model_of("llama"), .lora = dropout});
    check((struct setting){.dir = model_of("t5"), .lora = dropout});
    check((struct setting){.dir = model_of("llama"), .lora = dora});
    check((struct setting){.dir = model_of("llama"), .lora = rs});
}

static void test_b_quantised(void **state)
{
    (void)state;
    check((struct setting){.dir = model_of("llama"), .quant = DEV_QUANT_INT8});
    check((struct setting){.dir = model_of("llama"), .quant = DEV_QUANT_NF4});
    check((struct setting){.dir = model_of("t5"), .quant = DEV_QUANT_NF4});
}

/* One adapter lives in a room; another, or a wider one, goes elsewhere and gives the same. */
static void test_room(void **state)
{
    static const char *const all[] = {"all-linear"};
    struct setting s = {
        .dir = model_of("llama"),
        .lora = {.rank = 4, .alpha = 6, .targets = {all, 1}, .fold = LORA_FOLD_FOLDED}};
    struct lora_opts wide = s.lora, plain = s.lora;
    struct lora *second = NULL, *third = NULL;
    double loss[2];
    struct rig r;
    bool has;
    (void)state;
    wide.rank = 5;
    plain.fold = LORA_FOLD_SEPARATE;
    open_rig(&r, test_device(), &s);
    OK(lora_open(r.m, &s.lora, 1, &second, e));
    assert_true(lora_folded(r.l) && !lora_folded(second));
    lora_close(second);
    bin_of(&r, &loss[0]);
    OK(model_has_room(r.m, &s.lora, &has, e));
    assert_true(has);
    OK(model_has_room(r.m, &plain, &has, e));
    assert_true(has);
    OK(model_has_room(r.m, &wide, &has, e));
    assert_false(has);
    lora_close(r.l);
    r.l = NULL;
    OK(lora_open(r.m, &wide, 1, &third, e));
    assert_false(lora_folded(third));
    lora_close(third);
    OK(lora_open(r.m, &s.lora, 1, &r.l, e)); /* into what the first has left */
    assert_true(lora_folded(r.l));
    decoder_work_close(r.w);
    OK(decoder_work_open(r.m, r.l, TOKENS, ROWS, true, &r.w, e));
    bin_of(&r, &loss[1]);
    assert_true(loss[0] == loss[1]);
    close_rig(&r);
    s.lora.fold = LORA_FOLD_AUTO;
    open_rig(&r, "cpu", &s);
    assert_false(lora_folded(r.l)); /* the CPU has no pass to save */
    close_rig(&r);
}

/* A dequantised linear that is still there when the factors change is made again, with them. */
static void test_quantised_refresh(void **state)
{
    static const char *const all[] = {"all-linear"};
    struct setting s = {
        .dir = model_of("llama"),
        .quant = DEV_QUANT_NF4,
        .lora = {.rank = 4, .alpha = 6, .targets = {all, 1}, .fold = LORA_FOLD_FOLDED}};
    float want[4], got[4];
    struct dev_mat w;
    struct rig r;
    (void)state;
    open_rig(&r, test_device(), &s);
    const struct lora_group *g = lora_group_of(r.l, 0, LIN_O);
    for (uint64_t i = 0; i < 2; i++) {
        fill_masters(&r, 40 + i);
        OK(model_weight(r.m, 0, LIN_O, &w, e));
        OK(dev_download(r.d, g->a.buf, g->a.offset * 4, want, sizeof want, e));
        OK(dev_download(r.d, g->ja.buf, g->ja.offset * 4, got, sizeof got, e));
        assert_memory_equal(got, want, sizeof want);
    }
    close_rig(&r);
}

/* An adapter merged into a base with room, and an upload of one: rows with tails all the way. */
static void test_merge(void **state)
{
    static const char *const all[] = {"all-linear"};
    struct setting s = {
        .dir = model_of("llama"),
        .lora = {.rank = 4, .alpha = 6, .targets = {all, 1}, .fold = LORA_FOLD_FOLDED}};
    float *logits[2];
    uint32_t tokens[] = {3, 9, 27, 17}, cu[] = {0, 4}, rows[] = {1, 3};
    struct decoder_batch b = {tokens, 4, cu, 1, rows, NULL, 2, NULL};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct rig r;
        struct decoder_work *w;
        open_rig(&r, test_device(), &s);
        fill_masters(&r, 900);
        if (i) OK(lora_merge(r.l, e));
        OK(decoder_work_open(r.m, i ? NULL : r.l, 4, 2, false, &w, e));
        logits[i] = malloc(2 * VOCAB * sizeof(float));
        OK(decoder_logits(w, &b, logits[i], e));
        decoder_work_close(w);
        close_rig(&r);
    }
    assert_true(rel_rms(logits[1], logits[0], 2 * VOCAB) < 1e-5);
    free(logits[0]);
    free(logits[1]);
}

/* auto on a device that joins: pairs are timed, one way or the other is taken, and the choices give the same
 * bits again on another device. The stand-in is slow where k is odd. */
static void test_b_timed(void **state)
{
    static const char *const all[] = {"all-linear"};
    struct setting s = {
        .dir = model_of("llama"), .dtype = DEV_BF16, .lora = {.alpha = 6, .targets = {all, 1}}};
    (void)state;
    if (!test_device_is_cuda()) {
        printf("SKIP: for device cuda (RADMILL_TEST_DEVICE=cuda)\n");
        skip();
    }
    for (s.lora.rank = 3; s.lora.rank <= 8; s.lora.rank += 5) {
        struct rig a, b;
        double loss[2][2];
        size_t n, bytes;
        bool taken;
        open_rig(&a, "cuda", &s);
        open_rig(&b, "cuda", &s);
        assert_true(lora_folded(a.l));
        fill_masters(&a, 1);
        dev_tune(a.d, true);
        bin_of(&a, &loss[0][0]);
        dev_tune(a.d, false);
        struct dev_join_times t = dev_join_get(a.d);
        assert_true(t.pairs >= 7 && t.one_ms > 0 && t.two_ms > 0);
        if (!getenv("RADMILL_CUDA_PLUGIN"))
            assert_true(s.lora.rank == 8 ? t.joined == t.pairs : t.joined < t.pairs);
        bytes = dev_choices_bytes(a.d);
        char *blob = malloc(bytes);
        dev_choices_get(a.d, blob);
        OK(dev_choices_set(b.d, blob, bytes, &taken, e));
        assert_true(taken && dev_join_get(b.d).pairs == 0);
        float *x = grads_of(&a, loss[0], &n), *y = grads_of(&b, loss[1], &n);
        assert_true(loss[0][0] == loss[1][0] && memcmp(x, y, n * sizeof *x) == 0);
        free(x);
        free(y);
        free(blob);
        close_rig(&a);
        close_rig(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_b_llama),
        cmocka_unit_test(test_b_t5),
        cmocka_unit_test(test_b_subsets),
        cmocka_unit_test(test_b_kinds),
        cmocka_unit_test(test_b_quantised),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_b_timed),
        cmocka_unit_test(test_quantised_refresh),
    };
    log_setup(LOG_WARN, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
