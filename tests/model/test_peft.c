/* What we write, PEFT and transformers read and compute alike; what PEFT writes, we read bit for bit.
 * Skipped, visibly, without a Python that has peft (RADMILL_REF_PYTHON names one). */
#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/testdir.h"

static const char *python, *testname;

static void run_python(const char *dir)
{
    char cmd[2000];
    snprintf(cmd, sizeof cmd,
             "OMP_NUM_THREADS=1 '%s' '%s/tests/model/check_peft.py' '%s' 2>'%s/stderr' || { cat "
             "'%s/stderr'; exit 1; }",
             python, RADMILL_SOURCE, dir, dir, dir);
    assert_int_equal(system(cmd), 0);
}

/* Logits of all positions of the longest sample, and its ids, to DIR/ids.json. An encoder-decoder
 * reads the ids and is asked for them again. */
static void write_logits(struct model *m, struct lora *l, const char *dir)
{
    struct decoder_work *w = NULL;
    struct tiny_batch t, one;
    uint32_t rows[TINY_TOKENS], vocab = model_get_spec(m)->vocab;
    char path[700];
    tiny_batch(&t);
    tiny_single(&t, 2, &one);
    for (uint32_t i = 0; i < one.b.ntokens; i++) {
        rows[i] = i;
        one.tokens[i] %= vocab;
    }
    one.b.rows = rows;
    one.b.nrows = one.b.ntokens;
    if (model_get_spec(m)->enc_layers) {
        one.b.labels = one.tokens;
        one.b.label_cu = one.b.cu;
    }
    float *logits = malloc((size_t)one.b.nrows * vocab * sizeof *logits);
    OK(decoder_work_open(m, l, 64, 64, false, &w, e));
    OK(decoder_logits(w, &one.b, logits, e));
    snprintf(path, sizeof path, "%s/ids.json", dir);
    FILE *f = fopen(path, "w");
    fprintf(f, "{\"ids\": [");
    for (uint32_t i = 0; i < one.b.ntokens; i++)
        fprintf(f, "%s%u", i ? "," : "", one.tokens[i]);
    fprintf(f, "], \"logits\": [");
    for (uint32_t i = 0; i < one.b.nrows; i++) {
        fprintf(f, "%s[", i ? "," : "");
        for (uint32_t v = 0; v < vocab; v++)
            fprintf(f, "%s%.9g", v ? "," : "", (double)logits[(size_t)i * vocab + v]);
        fprintf(f, "]");
    }
    fprintf(f, "]}");
    fclose(f);
    free(logits);
    decoder_work_close(w);
}

static float *download(struct lora *l, struct dev *d)
{
    float *f = malloc(lora_count(l) * sizeof *f);
    OK(dev_download(d, lora_params(l), 0, f, lora_count(l) * sizeof *f, e));
    return f;
}

static void link_base(const char *base, const char *dir)
{
    char to[700];
    OK(fs_mkdirs(dir, e));
    snprintf(to, sizeof to, "%s/base", dir);
    char cmd[1600];
    snprintf(cmd, sizeof cmd, "ln -s '%s' '%s'", base, to);
    assert_int_equal(system(cmd), 0);
}

static void round_trip(const char *base, struct lora *(*make)(struct model *))
{
    char dir[600], path[700];
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l, *back = NULL;
    size_t n, nb;

    snprintf(dir, sizeof dir, "%s", testdir_path(testname));
    link_base(base, dir);
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open(d, base, DEV_F32, &m, e));
    l = make ? make(m) : tiny_lora(m, 0);
    snprintf(path, sizeof path, "%s/adapter", dir);
    OK(lora_save(l, path, "tiny", e));
    write_logits(m, l, dir);
    run_python(dir);
    snprintf(path, sizeof path, "%s/resaved", dir);
    OK(lora_load(m, path, &back, e));
    const struct lora_tensor *a = lora_tensors(l, &n), *b = lora_tensors(back, &nb);
    assert_int_equal(n, nb);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(a[i].name, b[i].name);
    float *x = download(l, d), *y = download(back, d);
    assert_memory_equal(x, y, lora_count(l) * sizeof *x);
    free(x);
    free(y);
    lora_close(back);
    lora_close(l);
    model_close(m);
    dev_close(d);
}

static void test_all_linear(void **state)
{
    (void)state;
    testname = "all";
    round_trip(tiny_write(TINY_LLAMA3), NULL);
}

/* A fresh adapter on three layers, with B moved off zero. */
static struct lora *some(struct model *m)
{
    static const char *const names[] = {"q_proj", "v_proj", "down_proj"};
    struct lora_opts o = {.rank = 3, .alpha = 4.5, .targets = {names, 3}};
    struct lora *l = NULL;
    OK(lora_open(m, &o, 11, &l, e));
    size_t n = lora_count(l);
    float *f = malloc(n * sizeof *f);
    tiny_hash(77, n, f);
    OK(dev_upload(model_dev(m), lora_params(l), 0, f, n * sizeof *f, e));
    OK(lora_refresh(l, e));
    free(f);
    return l;
}

/* All at once: DoRA, rank-stabilised, other ranks and alphas for some, one block left out. */
static struct lora *all_features(struct model *m)
{
    static const char *const all[] = {"all-linear"}, *const block[] = {"1"};
    static const char *rank_keys[] = {"down_proj"}, *alpha_keys[] = {"(q|k)_proj"};
    struct opt_node two = {.kind = OPT_SCALAR, .scalar = {"2", 1}, .file = "test"}, *item = &two;
    struct opt_node ranks = {.kind = OPT_MAPPING, .keys = rank_keys, .items = &item, .n = 1};
    struct opt_node alphas = {.kind = OPT_MAPPING, .keys = alpha_keys, .items = &item, .n = 1};
    struct lora_opts o = {.rank = 3, .alpha = 4.5, .targets = {all, 1}, .layers = {block, 1}};
    struct lora *l = NULL;
    size_t n;
    o.rslora = o.dora = true;
    o.rank_pattern = &ranks;
    o.alpha_pattern = &alphas;
    OK(lora_open(m, &o, 11, &l, e));
    const struct lora_tensor *t = lora_tensors(l, &n);
    assert_int_equal(n, 21);
    float *f = download(l, model_dev(m)), *h = malloc(lora_count(l) * sizeof *h);
    tiny_hash(78, lora_count(l), h);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < (size_t)t[i].rows * t[i].cols; k++) {
            float *x = &f[t[i].offset + k];
            *x = t[i].vector ? *x * (1 + h[t[i].offset + k]) : h[t[i].offset + k];
        }
    }
    OK(dev_upload(model_dev(m), lora_params(l), 0, f, lora_count(l) * sizeof *f, e));
    OK(lora_refresh(l, e));
    free(h);
    free(f);
    return l;
}

static void test_all_features(void **state)
{
    (void)state;
    testname = "features";
    round_trip(tiny_write(TINY_LLAMA), all_features);
}

static void test_some_layers(void **state)
{
    (void)state;
    testname = "some";
    round_trip(tiny_write(TINY_MISTRAL), some);
}

static float t5_value(const char *name, uint32_t ndims, float h)
{
    return ndims == 1 ? 1 + 0.5F * h : strstr(name, "relative") ? 3 * h : 0.4F * h;
}

/* Short names, a name in one side only, one block: what PEFT must find by path. */
static struct lora *some_t5(struct model *m)
{
    static const char *const names[] = {"q", "wo", "EncDecAttention.v",
                                        "decoder.block.1.layer.0.SelfAttention.k"};
    struct lora_opts o = {.rank = 3, .alpha = 4.5, .targets = {names, 4}};
    struct lora *l = NULL;
    OK(lora_open(m, &o, 11, &l, e));
    size_t n = lora_count(l);
    float *f = malloc(n * sizeof *f);
    tiny_hash(77, n, f);
    OK(dev_upload(model_dev(m), lora_params(l), 0, f, n * sizeof *f, e));
    OK(lora_refresh(l, e));
    free(f);
    return l;
}

static void test_t5(void **state)
{
    json_t *root = NULL, *c;
    const char *name;
    (void)state;
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/t5.json", 1 << 20, &root, e));
    json_object_foreach(json_object_get(root, "cases"), name, c)
    {
        char base[600], out[64];
        snprintf(base, sizeof base, "%s", tiny_write_golden(name, c, t5_value, NULL));
        snprintf(out, sizeof out, "%s-out", name);
        testname = out;
        round_trip(base, some_t5);
    }
    json_decref(root);
}

/* Method full: the folder is a model like any other. */
static void test_full(void **state)
{
    (void)state;
    const char *base = tiny_write(TINY_LLAMA);
    struct lora_opts o = {.method = LORA_FULL};
    char dir[600], path[700];
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l = NULL;
    snprintf(dir, sizeof dir, "%s", testdir_path("whole"));
    OK(fs_mkdirs(dir, e));
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open(d, base, DEV_F32, &m, e));
    OK(lora_open(m, &o, 1, &l, e));
    float *f = download(l, d);
    for (size_t i = 0; i < lora_count(l); i++)
        f[i] *= 1.25F;
    OK(dev_upload(d, lora_params(l), 0, f, lora_count(l) * sizeof *f, e));
    OK(lora_refresh(l, e));
    free(f);
    snprintf(path, sizeof path, "%s/full", dir);
    OK(lora_save(l, path, "tiny", e));
    write_logits(m, l, dir);
    run_python(dir);
    lora_close(l);
    model_close(m);
    dev_close(d);
}

static int setup(void **state)
{
    (void)state;
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_linear),
                                       cmocka_unit_test(test_some_layers),
                                       cmocka_unit_test(test_all_features),
                                       cmocka_unit_test(test_t5), cmocka_unit_test(test_full)};
    python = testdir_python("peft, transformers");
    if (!python) return 77;
    return cmocka_run_group_tests(tests, setup, teardown);
}
