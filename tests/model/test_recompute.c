/* Blocks that are made again in the backward pass: loss and gradients keep their bits, whatever is made again,
 * for decoders and encoder-decoders, adapters of all kinds, kept and quantised weights; and the room that was
 * asked for is what is taken. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "support/testdir.h"

enum { LAYERS = 4, VOCAB = 64, TOKENS = 36, SEQS = 3, ROWS = 12, LABELS = 14 };

static float value(const char *name, uint32_t ndims, float h)
{
    return ndims == 1 ? 1 + 0.5F * h : strstr(name, "relative") ? 3 * h : 0.4F * h;
}

/* ---- bins */
struct bin {
    uint32_t tokens[TOKENS], labels[LABELS], rows[ROWS];
    struct decoder_batch b;
};

static void fill_bin(struct bin *t, bool both)
{
    static const uint32_t cu[SEQS + 1] = {0, 9, 20, TOKENS}, label_cu[SEQS + 1] = {0, 5, 6, LABELS};
    for (uint32_t i = 0; i < TOKENS; i++)
        t->tokens[i] = (i * 7 + 3) % VOCAB;
    for (uint32_t i = 0; i < LABELS; i++)
        t->labels[i] = (i * 11 + 5) % VOCAB;
    for (uint32_t i = 0; i < ROWS; i++)
        t->rows[i] = 3 * i + 1;
    t->b = (struct decoder_batch){.tokens = t->tokens,
                                  .ntokens = TOKENS,
                                  .cu = cu,
                                  .nseq = SEQS,
                                  .rows = both ? NULL : t->rows,
                                  .labels = t->labels,
                                  .nrows = both ? LABELS : ROWS,
                                  .label_cu = both ? label_cu : NULL};
}

/* ---- models */
static const char *made_of(struct model_spec s, const char *name)
{
    static char dir[4][600];
    static int n;
    for (int i = 0; i < n; i++)
        if (strcmp(strrchr(dir[i], '/') + 1, name) == 0) return dir[i];
    assert_true(n < 4);
    snprintf(dir[n], sizeof dir[n], "%s", testdir_path(name));
    OK(model_init_random(&s, 5, dir[n], e));
    return dir[n++];
}

static struct model_spec llama(uint32_t d, uint32_t ff, uint32_t head_dim)
{
    return (struct model_spec){.arch = "llama",
                               .layers = LAYERS,
                               .d = d,
                               .ff = ff,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = head_dim,
                               .vocab = VOCAB,
                               .max_positions = 256,
                               .rms_eps = 1e-5F,
                               .rope_theta = 1e4,
                               .bos = 1,
                               .eos = {2},
                               .pad = -1,
                               .neos = 1};
}

static const char *llama_of(uint32_t window)
{
    struct model_spec s = llama(32, 48, 8);
    s.window = window;
    if (window) snprintf(s.arch, sizeof s.arch, "mistral");
    return made_of(s, s.arch);
}

/* Wide enough that what is allocated in steps of 4 KiB does not count. */
static const char *wide_llama(void)
{
    return made_of(llama(128, 512, 32), "wide");
}

static const char *wide_t5(void)
{
    struct model_spec s = llama(128, 512, 32);
    snprintf(s.arch, sizeof s.arch, "t5");
    s.enc_layers = 2;
    s.kv_heads = s.heads;
    s.rope = ROPE_NONE;
    s.act = DEV_GELU_TANH;
    s.buckets = 8;
    s.reach = 12;
    s.start = 0;
    return made_of(s, "wide_t5");
}

static const char *t5_of(const char *name)
{
    static char dir[2][600];
    char *to = dir[name[0] == 'f'];
    const json_t *gold = json_object_get(json_object_get(tiny_t5, "cases"), name);
    if (!to[0]) snprintf(to, sizeof dir[0], "%s", tiny_write_golden(name, gold, value, NULL));
    return to;
}

/* ---- one configuration */
struct setting {
    const char *dir;
    enum dev_dtype dtype;
    enum dev_quant_kind quant;
    struct lora_opts lora;
};
struct result {
    double loss;
    float *grad;
    size_t n;
};
struct rig {
    struct dev *d;
    struct model *m;
    struct lora *l;
    struct dev_buf *grad;
    struct bin bin;
};

/* B starts at zero, and then so would all gradients of A. */
static void fill_masters(struct dev *d, struct lora *l)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * t[i].cols;
        float *f = malloc(count * sizeof *f);
        tiny_hash(300 + i, count, f);
        for (size_t k = 0; k < count; k++)
            f[k] = t[i].vector ? 1 + 0.1F * f[k] : 0.5F * f[k];
        OK(dev_upload(d, lora_params(l), t[i].offset * 4, f, count * 4, e));
        free(f);
    }
    OK(lora_refresh(l, e));
}

static void rig_open(struct rig *r, const char *device, const struct setting *s)
{
    OK(dev_open(device, 1, &r->d, e));
    OK(model_open_for(r->d, s->dir, s->dtype, s->quant, &s->lora, &r->m, e));
    OK(lora_open(r->m, &s->lora, 1, &r->l, e));
    assert_true(lora_folded(r->l) == lora_folds(&s->lora, r->d));
    if (s->lora.method == LORA_LORA) fill_masters(r->d, r->l);
    OK(dev_buf_open(r->d, lora_count(r->l) * 4, &r->grad, e));
    fill_bin(&r->bin, model_get_spec(r->m)->enc_layers > 0);
}

static void rig_close(struct rig *r)
{
    dev_buf_close(r->grad);
    lora_close(r->l);
    model_close(r->m);
    dev_close(r->d);
}

/* Twice: what a bin leaves behind must not show in the next. */
static struct result run(struct rig *r, const struct setting *s, struct recompute again,
                         uint64_t *bytes)
{
    bool both = model_get_spec(r->m)->enc_layers > 0;
    struct decoder_room room = {TOKENS, both ? LABELS : ROWS, true, again, lora_folded(r->l)};
    struct result out = {.n = lora_count(r->l)};
    struct decoder_work *w;
    size_t before = dev_bytes_live(r->d);
    double other;

    out.grad = malloc(out.n * sizeof *out.grad);
    OK(decoder_work_open_room(r->m, r->l, &room, &w, e));
    OK(decoder_room_bytes(model_get_spec(r->m), s->dtype, &s->lora, &room, bytes, e));
    if (!s->lora.dora) assert_int_equal(dev_bytes_live(r->d) - before, *bytes);
    OK(decoder_grad(w, &r->bin.b, 7, r->grad, &out.loss, e));
    other = out.loss;
    if (!test_device_is_cuda()) OK(decoder_grad(w, &r->bin.b, 7, r->grad, &other, e));
    OK(dev_download(r->d, r->grad, 0, out.grad, out.n * sizeof *out.grad, e));
    assert_true(isfinite(out.loss) && out.loss == other);
    decoder_work_close(w);
    return out;
}

static void check_on(const char *device, const struct setting *s)
{
    struct rig r;
    uint64_t none_bytes, bytes;

    rig_open(&r, device, s);
    uint32_t most = recompute_most(model_get_spec(r.m));
    bool slow = test_device_is_cuda(); /* the stand-in is */
    uint32_t first = slow ? most : 1, step = slow || most <= 2 ? 1 : 2;
    struct result none = run(&r, s, (struct recompute){0}, &none_bytes);
    for (enum recompute_kind k = RECOMPUTE_SELECTIVE; k < RECOMPUTE_KINDS; k++)
        for (uint32_t blocks = first; blocks <= most; blocks += step) {
            struct result x = run(&r, s, (struct recompute){k, blocks}, &bytes);
            if (x.loss != none.loss || memcmp(x.grad, none.grad, x.n * sizeof *x.grad) != 0)
                fail_msg("%s: %s of %u blocks changes bits", device, recompute_names[k], blocks);
            if (k == RECOMPUTE_FULL && blocks == most) assert_true(bytes < none_bytes);
            free(x.grad);
        }
    free(none.grad);
    rig_close(&r);
}

/* strict: memory is NaN until written, host and device are apart. */
static void check(struct setting s)
{
    static const char *const all[] = {"all-linear"};
    if (!s.lora.rank) s.lora.rank = 4;
    s.lora.alpha = 6;
    if (!s.lora.targets.n) s.lora.targets = (struct opt_strs){all, 1};
    check_on(test_device(), &s);
    if (!test_device_is_cuda()) check_on("strict", &s);
}

static void test_bits_llama(void **state)
{
    (void)state;
    check((struct setting){.dir = llama_of(0)});
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16});
    check((struct setting){.dir = llama_of(5), .dtype = DEV_BF16});
}

static void test_bits_t5(void **state)
{
    (void)state;
    check((struct setting){.dir = t5_of("t5")});
    check((struct setting){.dir = t5_of("flan"), .dtype = DEV_BF16});
}

static void test_adapters(void **state)
{
    static const char *const some[] = {"q_proj", "v_proj"}, *const down[] = {"down_proj"};
    struct lora_opts dropout = {.dropout = 0.3}, dora = {.dora = true};
    struct lora_opts few = {.targets = {some, 2}}, last = {.targets = {down, 1}};
    (void)state;
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .lora = dropout});
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .lora = dora});
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .lora = few});
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .lora = last});
}

static void test_full(void **state)
{
    (void)state;
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .lora.method = LORA_FULL});
    check((struct setting){.dir = t5_of("flan"), .lora.method = LORA_FULL});
}

static void test_bits_quantised(void **state)
{
    (void)state;
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .quant = DEV_QUANT_NF4});
    check((struct setting){.dir = llama_of(0), .dtype = DEV_BF16, .quant = DEV_QUANT_INT8});
    check((struct setting){.dir = t5_of("flan"), .dtype = DEV_BF16, .quant = DEV_QUANT_NF4});
}

/* What the header says of Llama-3.1-8B: KiB a token and block, and the price. */
static void test_sizes(void **state)
{
    struct model_spec s = {.arch = "llama",
                           .layers = 32,
                           .d = 4096,
                           .ff = 14336,
                           .heads = 32,
                           .kv_heads = 8,
                           .head_dim = 128,
                           .vocab = 128256};
    static const uint64_t kib[RECOMPUTE_KINDS] = {92, 44, 16};
    enum { BIN = 8192 };
    uint64_t bytes[RECOMPUTE_KINDS];
    (void)state;
    for (enum recompute_kind k = 0; k < RECOMPUTE_KINDS; k++) {
        struct decoder_room room = {BIN, BIN / 4, true, {k, k ? 31 : 0}, false};
        OK(decoder_room_bytes(&s, DEV_BF16, NULL, &room, &bytes[k], e));
    }
    for (int k = 1; k < RECOMPUTE_KINDS; k++) { /* 31 blocks less, one slot more */
        double saved = (double)(bytes[0] - bytes[k]) / 31 / BIN / 1024;
        double slot = (k == RECOMPUTE_FULL ? 92.0 : 64.0) / 31;
        assert_true(fabs(saved + slot - (double)(kib[0] - kib[k])) < 1);
    }
    uint64_t gu = (uint64_t)4096 * 28672, rest = (uint64_t)4096 * (6144 + 4096);
    assert_int_equal(recompute_cost(&s, (struct recompute){RECOMPUTE_NONE, 31}), 0);
    assert_int_equal(recompute_cost(&s, (struct recompute){RECOMPUTE_SELECTIVE, 2}), 2 * gu);
    assert_int_equal(recompute_cost(&s, (struct recompute){RECOMPUTE_FULL, 3}), 3 * (gu + rest));
}

/* ---- what is planned is what a GPU has less, scratch of kernels and small arrays included */
static void check_used(struct setting s, struct recompute again)
{
    static const char *const all[] = {"all-linear"};
    struct rig r = {0};
    uint64_t weights, work;
    double loss;

    s.lora.rank = 4;
    s.lora.alpha = 6;
    s.lora.targets = (struct opt_strs){all, 1};
    OK(dev_open("cuda", 1, &r.d, e));
    size_t left = dev_bytes_free(r.d);
    OK(model_open_quant(r.d, s.dir, s.dtype, s.quant, &r.m, e));
    const struct model_spec *spec = model_get_spec(r.m);
    bool both = spec->enc_layers > 0;
    struct decoder_room room = {TOKENS, both ? LABELS : ROWS, true, again, false};
    struct decoder_work *w;
    OK(model_bytes(spec, s.dtype, s.quant, &weights, e));
    OK(decoder_room_bytes(spec, s.dtype, &s.lora, &room, &work, e));
    size_t before = dev_bytes_live(r.d);
    OK(lora_open(r.m, &s.lora, 1, &r.l, e));
    size_t adapter = dev_bytes_live(r.d) - before, grad = lora_count(r.l) * 4;
    OK(dev_buf_open(r.d, grad, &r.grad, e));
    fill_bin(&r.bin, both);
    OK(decoder_work_open_room(r.m, r.l, &room, &w, e));
    dev_tune(r.d, true);
    OK(decoder_grad(w, &r.bin.b, 7, r.grad, &loss, e));
    dev_tune(r.d, false);
    OK(decoder_grad(w, &r.bin.b, 7, r.grad, &loss, e));
    double used = (double)(left - dev_bytes_free(r.d));
    double plan = (double)(weights + work + adapter + grad);
    assert_true(plan <= used && used - plan <= 0.03 * used);
    decoder_work_close(w);
    rig_close(&r);
}

static void test_bytes_used(void **state)
{
    const struct recompute none = {0}, some = {RECOMPUTE_SELECTIVE, 2}, all = {RECOMPUTE_FULL, 3};
    (void)state;
    if (!test_device_is_cuda() || getenv("RADMILL_CUDA_PLUGIN")) { /* a GPU rounds blocks up */
        printf("SKIP: for the stand-in for CUDA (RADMILL_TEST_DEVICE=cuda)\n");
        skip();
    }
    check_used((struct setting){.dir = wide_llama(), .dtype = DEV_BF16}, none);
    check_used((struct setting){.dir = wide_llama(), .dtype = DEV_BF16}, some);
    check_used((struct setting){.dir = wide_llama(), .dtype = DEV_F32}, all);
    check_used((struct setting){.dir = wide_llama(), .dtype = DEV_BF16, .quant = DEV_QUANT_NF4},
               none);
    check_used((struct setting){.dir = wide_t5(), .dtype = DEV_BF16}, none);
    check_used((struct setting){.dir = wide_t5(), .dtype = DEV_BF16}, all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_llama),     cmocka_unit_test(test_bits_t5),
        cmocka_unit_test(test_adapters),       cmocka_unit_test(test_full),
        cmocka_unit_test(test_bits_quantised), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bytes_used),
    };
    log_setup(LOG_WARN, 0);
    return cmocka_run_group_tests(tests, tiny_t5_setup, tiny_t5_teardown);
}
