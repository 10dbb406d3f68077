#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "support/testdir.h"

static struct dev *dev;
static struct model *model;

static float *download(const struct lora *l)
{
    float *f = malloc(lora_count(l) * sizeof *f);
    OK(dev_download(dev, lora_params(l), 0, f, lora_count(l) * sizeof *f, e));
    return f;
}

static struct lora *fresh(const char *const *targets, size_t n, uint64_t seed)
{
    struct lora_opts o = {.rank = 4, .alpha = 8, .targets = {targets, n}};
    struct lora *l = NULL;
    OK(lora_open(model, &o, seed, &l, e));
    return l;
}

static const struct lora_tensor *find(const struct lora *l, const char *name)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(t[i].name, name) == 0) return &t[i];
    }
    fail_msg("no %s", name);
    return NULL;
}

/* A uniform in +-1/sqrt(in), B zero; the block is dense and in order; starts do not depend on targets. */
static void test_init(void **state)
{
    (void)state;
    static const char *const all[] = {"all-linear"}, *const two[] = {"v_proj", "up_proj"};
    struct lora *l = fresh(all, 1, 5), *again = fresh(all, 1, 5), *other = fresh(all, 1, 6),
                *few = fresh(two, 2, 5);
    float *f = download(l), *g = download(again), *h = download(other), *p = download(few);
    uint64_t at = 0;
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    assert_int_equal(n, 2 * 7 * 2);
    for (size_t i = 0; i < n; i++) {
        bool is_a = strstr(t[i].name, ".lora_A.") != NULL;
        double bound = 1 / sqrt(t[i].cols), sum = 0, sq = 0, most = 0;
        size_t count = (size_t)t[i].rows * t[i].cols;
        assert_true(t[i].offset == at);
        at += count;
        assert_int_equal(is_a ? t[i].rows : t[i].cols, 4);
        for (size_t k = 0; k < count; k++) {
            double v = f[t[i].offset + k];
            sum += v;
            sq += v * v;
            most = fmax(most, fabs(v));
        }
        if (!is_a) {
            assert_true(most == 0);
            continue;
        }
        assert_true(most <= bound && most > 0.9 * bound);
        assert_true(fabs(sum / (double)count) < 0.15 * bound);
        assert_true(fabs(sq / (double)count / (bound * bound) - 1.0 / 3) < 0.06);
    }
    assert_true(at == lora_count(l));
    assert_memory_equal(f, g, at * sizeof *f);
    assert_memory_not_equal(f, h, at * sizeof *f);
    const char *name = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight";
    assert_memory_equal(f + find(l, name)->offset, p + find(few, name)->offset,
                        (size_t)4 * 64 * sizeof *f);
    assert_true(lora_count(few) == 2 * (4 * 64 + 48 * 4 + 4 * 64 + 96 * 4));
    free(f), free(g), free(h), free(p);
    lora_close(l), lora_close(again), lora_close(other), lora_close(few);
}

static void test_bad_targets(void **state)
{
    (void)state;
    static const char *const bad[] = {"q_proj", "query"};
    struct lora_opts o = {.rank = 4, .alpha = 8, .targets = {bad, 2}};
    struct lora *l = NULL;
    FAILS(lora_open(model, &o, 1, &l, e), ERR_CONFIG, "query means no layer of this model");
    o.targets.n = 0;
    FAILS(lora_open(model, &o, 1, &l, e), ERR_CONFIG, "lora.targets is empty");
}

static void save_and_load(struct lora *l, const char *name);

static struct lora *open_with(const char *target, const char *exclude, const char *layers)
{
    const char *const t[] = {target}, *const x[] = {exclude}, *const r[] = {layers};
    struct lora_opts o = {
        .rank = 4, .alpha = 8, .targets = {t, 1}, .exclude = {x, exclude != NULL}};
    struct lora *l = NULL;
    o.layers = (struct opt_strs){r, layers != NULL};
    OK(lora_open(model, &o, 1, &l, e));
    return l;
}

static void refuse_targets(const char *target, const char *exclude, const char *layers,
                           const char *text)
{
    const char *const t[] = {target}, *const x[] = {exclude}, *const r[] = {layers};
    struct lora_opts o = {
        .rank = 4, .alpha = 8, .targets = {t, 1}, .exclude = {x, exclude != NULL}};
    struct lora *l = NULL;
    o.layers = (struct opt_strs){r, layers != NULL};
    FAILS(lora_open(model, &o, 1, &l, e), ERR_CONFIG, text);
}

/* Names, ends of paths, expressions; blocks; what they refuse. */
static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *target, *exclude, *layers;
        size_t tensors;
    } good[] = {
        {"q_proj", NULL, NULL, 4},
        {"self_attn.q_proj", NULL, NULL, 4},
        {"model.layers.1.mlp.up_proj", NULL, NULL, 2},
        {"model\\.layers\\.\\d\\.mlp\\..*", NULL, NULL, 12},
        {"all-linear", "mlp\\.up_proj|.*q_proj", NULL, 24},
        {"all-linear", "q_proj", "1", 12},
        {"all-linear", NULL, "0-1", 28},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct lora *l = open_with(good[i].target, good[i].exclude, good[i].layers);
        size_t n;
        lora_tensors(l, &n);
        assert_int_equal(n, good[i].tensors);
        lora_close(l);
    }
    refuse_targets("proj", NULL, NULL, "proj means no layer");
    refuse_targets("(q_proj", NULL, NULL, "no regular expression");
    refuse_targets("all-linear", "x_proj", NULL, "lora.exclude: x_proj means no layer");
    refuse_targets("all-linear", NULL, "2", "no block or range of blocks from 0 to 1");
    refuse_targets("all-linear", NULL, "1-0", "no block or range");
    refuse_targets("all-linear", NULL, "0-1-1", "no block or range");
    static const char *const slow[] = {"(?:.*.*.*.*.*.*.*.*.*)*[_]{9}"};
    struct lora_opts o = {.rank = 4, .alpha = 8, .targets = {slow, 1}};
    struct lora *l = NULL;
    FAILS(lora_open(model, &o, 1, &l, e), ERR_LIMIT, "takes too long");
}

/* rank_pattern and alpha_pattern from a configuration. */
static void test_value_patterns(void **state)
{
    (void)state;
    static const char good[] = "lora:\n  targets: [q_proj, down_proj]\n  rank: 4\n  alpha: 8\n"
                               "  rank_pattern: {down_proj: 2, layers.1.mlp.down_proj: 7}\n"
                               "  alpha_pattern: {'layers\\.0\\..*': 3}\n";
    static const char *const bad[][2] = {
        {"{down_proj: 0}", "down_proj is not a number from 1 to 1024"},
        {"{down_proj: 2.5}", "is not a number"},
        {"{up_proj: 2}", "lora.rank_pattern: up_proj means no adapted layer"},
        {"[2]", "not a mapping"},
    };
    struct arena a;
    struct opt_doc doc;
    struct lora_opts o;
    struct lora *l = NULL;
    arena_init(&a, 1 << 20);
    OK(opt_doc_parse(str_of(good), "test", NULL, 0, NULL, &a, &doc, e));
    OK(opt_bind(&doc, "lora", lora_table, &o, e));
    OK(lora_open(model, &o, 1, &l, e));
    assert_int_equal(find(l, "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight")->rows,
                     2);
    /* PEFT takes the first key that matches: down_proj, not the longer one behind it */
    assert_int_equal(find(l, "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight")->rows,
                     2);
    assert_int_equal(
        find(l, "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight")->cols, 4);
    save_and_load(l, "patterns");
    lora_close(l);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300];
        snprintf(text, sizeof text, "lora:\n  targets: [down_proj]\n  rank_pattern: %s\n",
                 bad[i][0]);
        OK(opt_doc_parse(str_of(text), "test", NULL, 0, NULL, &a, &doc, e));
        OK(opt_bind(&doc, "lora", lora_table, &o, e));
        FAILS(lora_open(model, &o, 1, &l, e), ERR_CONFIG, bad[i][1]);
    }
    arena_free(&a);
}

static void save_and_load(struct lora *l, const char *name)
{
    struct lora *back = NULL;
    size_t n, nb;
    char dir[600];
    snprintf(dir, sizeof dir, "%s", testdir_path(name));
    OK(lora_save(l, dir, "base/name", e));
    OK(lora_load(model, dir, &back, e));
    const struct lora_tensor *a = lora_tensors(l, &n), *b = lora_tensors(back, &nb);
    assert_int_equal(n, nb);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(a[i].name, b[i].name);
        assert_true(a[i].offset == b[i].offset && a[i].rows == b[i].rows && a[i].cols == b[i].cols);
    }
    float *f = download(l), *g = download(back);
    assert_memory_equal(f, g, lora_count(l) * sizeof *f);
    free(f), free(g);
    lora_close(back);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const two[] = {"v_proj", "up_proj"};
    struct lora *l = tiny_lora(model, 0.125), *few = fresh(two, 2, 9);
    json_t *j;
    size_t n;
    save_and_load(l, "all");
    save_and_load(few, "few");
    /* the config: the stable keys, sorted */
    OK(json_read_file(testdir_path("all/adapter_config.json"), 1 << 16, &j, e));
    assert_int_equal(json_object_size(j), 19);
    assert_string_equal(json_string_value(json_object_get(j, "base_model_name_or_path")),
                        "base/name");
    assert_int_equal(json_integer_value(json_object_get(j, "r")), 4);
    assert_int_equal(json_integer_value(json_object_get(j, "lora_alpha")), 6);
    assert_true(json_real_value(json_object_get(j, "lora_dropout")) == 0.125);
    assert_int_equal(json_array_size(json_object_get(j, "target_modules")), 7);
    json_decref(j);
    char *text = testdir_read(testdir_path("few/adapter_config.json"), &n);
    assert_non_null(strstr(text, "{\n  \"alpha_pattern\": {},\n  \"base_model_name_or_path\""));
    assert_non_null(strstr(text, "\"target_modules\": [\n    \"v_proj\",\n    \"up_proj\"\n  ]"));
    free(text);
    lora_close(few);
    lora_close(l);
}

static void test_full_round_trip(void **state)
{
    (void)state;
    struct lora_opts o = {.method = LORA_FULL};
    struct lora *l = NULL;
    OK(lora_open(model, &o, 1, &l, e));
    assert_true(lora_count(l) == model_spec_params(model_get_spec(model)));
    save_and_load(l, "full");
    lora_close(l);
}

/* Rewrite one member of a good adapter's config; the load must say what is wrong. */
static void refuse(const char *key, const char *value, enum err_code code, const char *part)
{
    json_t *j;
    struct lora *l = NULL;
    char *path = strdup(testdir_path("refused/adapter_config.json"));
    OK(json_read_file(path, 1 << 16, &j, e));
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    json_t *old = json_incref(json_object_get(j, key));
    json_object_set_new(j, key, v);
    OK(json_write_file(path, j, e));
    if (part) {
        FAILS(lora_load(model, testdir_path("refused"), &l, e), code, part);
    } else {
        OK(lora_load(model, testdir_path("refused"), &l, e));
        lora_close(l);
    }
    if (old)
        json_object_set_new(j, key, old);
    else
        json_object_del(j, key);
    OK(json_write_file(path, j, e));
    json_decref(j);
    free(path);
}

static void test_refusals(void **state)
{
    (void)state;
    struct lora *l = tiny_lora(model, 0);
    OK(lora_save(l, testdir_path("refused"), NULL, e));
    lora_close(l);
    refuse("use_dora", "true", ERR_FORMAT, "28 tensors"); /* magnitudes are missing */
    refuse("bias", "\"all\"", ERR_FORMAT, "uses bias");
    refuse("modules_to_save", "[\"lm_head\"]", ERR_FORMAT, "uses modules_to_save");
    refuse("init_lora_weights", "\"pissa_niter_4\"", ERR_FORMAT, "pissa_niter_4 changes the base");
    refuse("init_lora_weights", "\"olora\"", ERR_FORMAT, "olora changes the base");
    refuse("init_lora_weights", "3", ERR_FORMAT, "init_lora_weights (no text)");
    refuse("init_lora_weights", "\"gaussian\"", ERR_NONE, NULL);
    refuse("init_lora_weights", "false", ERR_NONE, NULL);
    refuse("peft_type", "\"IA3\"", ERR_FORMAT, "peft_type is not LORA");
    refuse("lora_alpha", "-1", ERR_FORMAT, "lora_alpha is not a number");
    refuse("lora_alpha", "\"x\"", ERR_FORMAT, "lora_alpha is not a number");
    refuse("alpha_pattern", "{\"(q_proj\": 3}", ERR_CONFIG, "no regular expression");
    refuse("use_rslora", "true", ERR_NONE, NULL);
    refuse("target_modules", "\"all-linear\"", ERR_NONE, NULL);
    refuse("some_new_key", "17", ERR_NONE, NULL);
    /* tensors of another model */
    struct lora *none = NULL;
    OK(fs_remove(testdir_path("refused/adapter_model.safetensors"), e));
    FAILS(lora_load(model, testdir_path("refused"), &none, e), ERR_IO, "adapter_model.safetensors");
}

static void load_logged(const char *weights, size_t warnings)
{
    struct lora *l = NULL;
    struct arena a;
    struct str log;
    char *path = strdup(testdir_path("based/radmill.json"));
    json_t *j = json_pack("{s:{s:s}}", "base", "weights", weights);

    OK(json_write_file(path, j, e));
    json_decref(j);
    OK(log_open_file(testdir_path("based.log"), e));
    OK(lora_load(model, testdir_path("based"), &l, e));
    log_close();
    lora_close(l);
    arena_init(&a, 1 << 20);
    OK(fs_read_file(testdir_path("based.log"), 1 << 16, &a, &log, e));
    size_t seen = 0;
    for (size_t at = 0; (at = str_find(log, STR("adapter_base"), at)) != SIZE_MAX; at++)
        seen++;
    assert_int_equal(seen, warnings);
    arena_free(&a);
    free(path);
}

/* An adapter on weights that it was not trained on. */
static void test_other_base(void **state)
{
    (void)state;
    static const char *const all[] = {"all-linear"};
    struct lora *l = fresh(all, 1, 5);
    uint8_t digest[32];
    char hex[65];

    OK(lora_save(l, testdir_path("based"), "base/name", e));
    lora_close(l);
    model_digest(model, digest);
    hash_hex(digest, sizeof digest, hex);
    load_logged(hex, 0);
    hex[5] ^= 1;
    load_logged(hex, 1);
    load_logged(hex, 2); /* the log is appended to */
}

/* Scales: alpha_pattern on one module, rank-stabilised scaling. Seen through the logits: doubling alpha is
 * doubling B. */
static double loss_of(struct lora *l)
{
    struct decoder_work *w = NULL;
    struct tiny_batch t;
    double loss;
    tiny_batch(&t);
    OK(decoder_work_open(model, l, 64, 32, false, &w, e));
    OK(decoder_loss(w, &t.b, &loss, NULL, e));
    decoder_work_close(w);
    return loss;
}

static void scale_b(struct lora *l, const char *part, float by)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    float *f = download(l);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * t[i].cols;
        if (!strstr(t[i].name, "lora_B") || !strstr(t[i].name, part)) continue;
        for (size_t k = 0; k < count; k++)
            f[t[i].offset + k] *= by;
    }
    OK(dev_upload(dev, lora_params(l), 0, f, lora_count(l) * sizeof *f, e));
    OK(lora_refresh(l, e));
    free(f);
}

static void set_config(const char *key, json_t *v)
{
    json_t *j;
    const char *path = testdir_path("scaled/adapter_config.json");
    OK(json_read_file(path, 1 << 16, &j, e));
    json_object_set_new(j, key, v);
    OK(json_write_file(path, j, e));
    json_decref(j);
}

static void test_scales(void **state)
{
    (void)state;
    struct lora *l = tiny_lora(model, 0), *back = NULL;
    double plain = loss_of(l), want;
    OK(lora_save(l, testdir_path("scaled"), NULL, e));
    scale_b(l, "k_proj", 2);
    want = loss_of(l);
    assert_true(fabs(want - plain) > 1e-3);
    set_config("alpha_pattern", json_pack("{s:f}", "k_proj", 12.0)); /* of 6: twice */
    OK(lora_load(model, testdir_path("scaled"), &back, e));
    assert_true(fabs(loss_of(back) - want) < 1e-5);
    /* ... and the gradient follows: the uneven group against differences along k's B */
    struct decoder_work *w = NULL;
    struct tiny_batch t;
    struct dev_buf *g = NULL;
    double loss, up;
    tiny_batch(&t);
    OK(decoder_work_open(model, back, 64, 32, true, &w, e));
    OK(dev_buf_open(dev, lora_count(back) * 4, &g, e));
    OK(decoder_grad(w, &t.b, 0, g, &loss, e));
    float *grad = malloc(lora_count(back) * 4), *p = download(back);
    OK(dev_download(dev, g, 0, grad, lora_count(back) * 4, e));
    double slope = 0;
    size_t n;
    const struct lora_tensor *lt = lora_tensors(back, &n);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(lt[i].name, "k_proj.lora_B")) continue;
        for (size_t k = 0; k < (size_t)lt[i].rows * lt[i].cols; k++)
            slope += (double)grad[lt[i].offset + k] * p[lt[i].offset + k];
    }
    scale_b(back, "k_proj", 1.001F);
    up = loss_of(back);
    scale_b(back, "k_proj", 0.999F / 1.001F);
    double fd = (up - loss_of(back)) / 0.002;
    if (fabs(fd - slope) > 0.02 * fabs(slope) + 0.02) fail_msg("%g by differences, %g", fd, slope);
    free(grad), free(p);
    dev_buf_close(g);
    decoder_work_close(w);
    /* saved again, the pattern is kept */
    OK(lora_save(back, testdir_path("scaled2"), NULL, e));
    lora_close(back);
    json_t *j;
    OK(json_read_file(testdir_path("scaled2/adapter_config.json"), 1 << 16, &j, e));
    assert_int_equal(json_object_size(json_object_get(j, "alpha_pattern")), 2);
    json_decref(j);

    scale_b(l, "k_proj", 0.5F);
    scale_b(l, "", 2); /* alpha / sqrt(4) is twice alpha / 4 */
    want = loss_of(l);
    set_config("alpha_pattern", json_object());
    set_config("use_rslora", json_true());
    OK(lora_load(model, testdir_path("scaled"), &back, e));
    assert_true(fabs(loss_of(back) - want) < 1e-5);
    lora_close(back);
    lora_close(l);
}

#ifdef RADMILL_FAULTS
static void test_fault_sweep(void **state)
{
    (void)state;
    static const char *const one[] = {"q_proj"};
    static const enum fault_point points[] = {FAULT_MEM, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME,
                                              FAULT_OPEN};
    struct lora *l = fresh(one, 1, 3), *back;
    char dir[600];
    snprintf(dir, sizeof dir, "%s", testdir_path("swept"));
    OK(lora_save(l, dir, NULL, e));
    for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
        for (uint64_t n = 1; n < 500; n++) {
            struct err why = {0};
            size_t before = mem_live_blocks();
            fault_arm(points[p], n, n % 2);
            bool ok = lora_save(l, dir, NULL, &why);
            bool fired = fault_fired();
            fault_disarm_all();
            assert_int_equal(mem_live_blocks(), before);
            assert_true(ok || fired);
            OK(lora_load(model, dir, &back, e)); /* the old or the new: it loads */
            lora_close(back);
            if (!fired) break;
        }
    }
    for (uint64_t n = 1; n < 2000; n++) {
        struct err why = {0};
        size_t before = mem_live_blocks();
        back = NULL;
        fault_arm(FAULT_MEM, n, n % 2);
        bool ok = lora_load(model, dir, &back, &why);
        bool fired = fault_fired();
        fault_disarm_all();
        lora_close(back);
        assert_int_equal(mem_live_blocks(), before);
        assert_true(ok != fired);
        if (!fired) break;
    }
    lora_close(l);
}
#endif

static int setup(void **state)
{
    (void)state;
    testdir_make();
    OK(dev_open("cpu", 1, &dev, e));
    OK(model_open(dev, tiny_write(TINY_MISTRAL), DEV_F32, &model, e));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_close(model);
    dev_close(dev);
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_bad_targets),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_value_patterns),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_other_base),
        cmocka_unit_test(test_scales),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_fault_sweep),
#endif
        cmocka_unit_test(test_full_round_trip), /* last: it makes the model its own */
    };
    tiny_spare_jansson();
    return cmocka_run_group_tests(tests, setup, teardown);
}
