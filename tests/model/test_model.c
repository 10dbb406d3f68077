#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/convert.h"
#include "model/safetensors.h"
#include "support/testdir.h"

static struct dev *dev;

static void digest_of(const char *dir, enum dev_dtype t, uint8_t out[32])
{
    struct model *m = NULL;
    OK(model_open(dev, dir, t, &m, e));
    model_digest(m, out);
    model_close(m);
}

/* The same folder twice is the same model; a changed weight or another seed is another. */
static void test_digest(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    struct model_spec s = tiny_spec(TINY_LLAMA);
    char dir[600], path[700];
    size_t n;
    snprintf(dir, sizeof dir, "%s", testdir_path("fresh"));
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    OK(model_init_random(&s, 1, dir, e));
    digest_of(dir, DEV_F32, a);
    digest_of(dir, DEV_BF16, b); /* as stored, not as loaded */
    assert_memory_equal(a, b, 32);
    OK(model_init_random(&s, 1, dir, e));
    digest_of(dir, DEV_F32, b);
    assert_memory_equal(a, b, 32);
    char *p = testdir_read(path, &n);
    p[n - 1] ^= 1;
    testdir_write(path, p, n);
    free(p);
    digest_of(dir, DEV_F32, b);
    assert_memory_not_equal(a, b, 32);
    OK(model_init_random(&s, 2, dir, e));
    digest_of(dir, DEV_F32, b);
    assert_memory_not_equal(a, b, 32);
}

/* normal(0, 0.02), norms one. */
static void test_init_random(void **state)
{
    (void)state;
    struct model_spec s = tiny_spec(TINY_LLAMA3), back;
    struct safetensors *f = NULL;
    char dir[600], path[700];
    size_t n;
    snprintf(dir, sizeof dir, "%s", testdir_path("random"));
    OK(model_init_random(&s, 3, dir, e));
    snprintf(path, sizeof path, "%s/config.json", dir);
    OK(model_spec_read(path, &back, e));
    assert_true(back.rope == ROPE_LLAMA3 && !back.tied);
    OK(safetensors_open(dir, &f, e));
    const struct safetensor *t = safetensors_list(f, &n);
    assert_int_equal(n, 21);
    for (size_t i = 0; i < n; i++) {
        double sum = 0, sq = 0;
        for (size_t k = 0; k < t[i].count; k++) {
            float v;
            dtype_to_f32(t[i].dtype, t[i].data + 4 * k, 1, &v);
            if (t[i].ndims == 1) assert_true(v == 1);
            sum += v;
            sq += (double)v * v;
        }
        if (t[i].ndims == 1) continue;
        assert_true(sum / (double)t[i].count < 0.0015 && sum / (double)t[i].count > -0.0015);
        assert_true(sq / (double)t[i].count > 3.6e-4 && sq / (double)t[i].count < 4.4e-4);
    }
    safetensors_close(f);
}

/* Rewrite the config; the tensors no longer fit it. */
static void misfit(const char *dir, const struct model_spec *s, const char *part)
{
    struct model *m = NULL;
    char path[700];
    snprintf(path, sizeof path, "%s/config.json", dir);
    OK(model_spec_write(s, "float32", path, e));
    FAILS(model_open(dev, dir, DEV_F32, &m, e), ERR_FORMAT, part);
}

static void test_misfits(void **state)
{
    (void)state;
    struct model_spec s = tiny_spec(TINY_LLAMA), t;
    struct model *m = NULL;
    char dir[600], path[700];
    snprintf(dir, sizeof dir, "%s", testdir_path("misfit"));
    OK(model_init_random(&s, 1, dir, e));
    t = s;
    t.tied = false;
    misfit(dir, &t, "tensor lm_head.weight is missing");
    t = s;
    t.layers = 3;
    misfit(dir, &t, "tensor model.layers.2.input_layernorm.weight is missing");
    t = s;
    t.ff = 100;
    misfit(dir, &t, "mlp.gate_proj.weight has shape [96, 64], expected [100, 64]");
    t = s;
    t.kv_heads = 4;
    misfit(dir, &t, "self_attn.k_proj.weight has shape [32, 64], expected [64, 64]");
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    testdir_write(path, "version https://x/git-lfs/v1\noid sha256:aa\nsize 9\n", 50);
    misfit(dir, &s, "git-LFS pointer");
    FAILS(model_open(dev, testdir_path("nowhere"), DEV_F32, &m, e), ERR_IO, "nowhere");
    size_t before = dev_bytes_live(dev);
    assert_int_equal(before, 0);
}

#ifdef RADMILL_FAULTS
static void test_out_of_memory(void **state)
{
    (void)state;
    const char *dir = tiny_write(TINY_LLAMA);
    for (uint64_t n = 1; n < 1000; n++) {
        struct err e = {0};
        struct model *m = NULL;
        size_t before = mem_live_blocks();
        fault_arm(FAULT_MEM, n, n % 2);
        bool ok = model_open(dev, dir, DEV_BF16, &m, &e);
        bool fired = fault_fired();
        fault_disarm_all();
        model_close(m);
        assert_true(ok != fired);
        assert_int_equal(mem_live_blocks(), before);
        assert_int_equal(dev_bytes_live(dev), 0);
        if (!fired) return;
    }
    fail_msg("the fault never stopped firing");
}
#endif

/* Loading takes the mapped file and the device's copy, not a third: as it is, in codes, and where the
 * file holds another dtype. */
static void test_peak_memory(void **state)
{
    (void)state;
    struct model_spec s = tiny_spec(TINY_LLAMA);
    const char *wide = testdir_path("wide"), *half = testdir_path("wide-half");
    struct tiny_peak p = {.call = tiny_peak_open, .from = wide, .what = "f32 to bf16"};
    s.d = 512;
    s.ff = 4096;
    s.vocab = 4096;
    s.tied = false;
    OK(model_init_random(&s, 1, wide, e));
    OK(convert_to_hf(wide, half, DTYPE_BF16, e));
    p.file = tiny_folder_bytes(wide, "model");
    tiny_peak(&p);
    p.from = half;
    p.file = tiny_folder_bytes(half, "model");
    p.what = "bf16 to bf16";
    tiny_peak(&p);
    p.quant = DEV_QUANT_INT8;
    p.what = "bf16 to int8";
    tiny_peak(&p);
    p.quant = DEV_QUANT_NF4;
    p.what = "bf16 to nf4";
    tiny_peak(&p);
}

static int setup(void **state)
{
    (void)state;
    testdir_make();
    OK(dev_open("cpu", 1, &dev, e));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dev_close(dev);
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),        cmocka_unit_test(test_init_random),
        cmocka_unit_test(test_misfits),       cmocka_unit_test(test_peak_memory),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_out_of_memory),
#endif
    };
    tiny_spare_jansson();
    return cmocka_run_group_tests(tests, setup, teardown);
}
