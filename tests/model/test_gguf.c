#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/convert.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "support/testdir.h"

#define GOLDEN RADMILL_SOURCE "/tests/model/golden/"

/* Each type beside the gguf package's own f32 of it, bit for bit. */
static void test_types(void **state)
{
    (void)state;
    struct gguf *g = NULL;
    size_t n, seen = 0;
    OK(gguf_open(GOLDEN "types.gguf", &g, e));
    const struct gguf_tensor *t = gguf_tensors(g, &n);
    for (size_t i = 0; i < n; i++) {
        char name[80];
        float row[512], want[512];
        snprintf(name, sizeof name, "%s.f32", t[i].name);
        const struct gguf_tensor *w = gguf_tensor(g, name);
        if (!w) continue;
        assert_string_equal(gguf_type_name(t[i].type), t[i].name);
        assert_int_equal(w->rows, t[i].rows);
        for (uint64_t r = 0; r < w->rows; r++) {
            gguf_row(&t[i], r, row);
            gguf_row(w, r, want);
            for (uint64_t k = 0; k < w->dims[0]; k++) {
                if (row[k] != want[k])
                    fail_msg("%s[%u,%u]: %.9g, want %.9g", t[i].name, (unsigned)r, (unsigned)k,
                             (double)row[k], (double)want[k]);
            }
        }
        seen++;
    }
    assert_int_equal(seen, 10);
    gguf_close(g);
}

static void test_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t want;
    } ints[] = {{"t.u8", 200},         {"t.u16", 60000}, {"t.u32", 4000000000U},
                {"t.u64", 1ULL << 40}, {"t.bool", 1},    {"t.same", 7}};
    struct gguf *g = NULL;
    uint64_t u;
    double f;
    struct str s;
    OK(gguf_open(GOLDEN "types.gguf", &g, e));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        OK(gguf_u64(g, ints[i].key, &u, e));
        assert_true(u == ints[i].want);
    }
    OK(gguf_f64(g, "t.f32", &f, e));
    assert_true(f == 1.5);
    OK(gguf_f64(g, "t.f64", &f, e));
    assert_true(f == 2.5);
    OK(gguf_str(g, "t.string", &s, e));
    assert_true(str_eqz(s, "lung"));
    const struct gguf_kv *kv = gguf_find(g, "t.strings");
    assert_non_null(kv);
    assert_true(kv->type == GGUF_ARRAY && kv->item == GGUF_STRING && kv->n == 3);
    assert_int_equal(kv->end - kv->data, 3 * 8 + 3);
    FAILS(gguf_u64(g, "t.i8", &u, e), ERR_FORMAT, "t.i8 is not a whole number");
    FAILS(gguf_u64(g, "t.i64", &u, e), ERR_FORMAT, "t.i64 is not a whole number");
    FAILS(gguf_u64(g, "t.f32", &u, e), ERR_FORMAT, "t.f32 is not a whole number");
    FAILS(gguf_u64(g, "t.differ", &u, e), ERR_FORMAT, "differs from block to block");
    FAILS(gguf_u64(g, "t.none", &u, e), ERR_FORMAT, "t.none is missing");
    FAILS(gguf_u64(g, "t.string", &u, e), ERR_FORMAT, "not a number");
    FAILS(gguf_str(g, "t.u8", &s, e), ERR_FORMAT, "not text");
    FAILS(gguf_f64(g, "t.u8", &f, e), ERR_FORMAT, "not a floating-point");
    gguf_close(g);
}

/* Every cut and every flipped byte: an error or a file, never a crash or a read outside. */
static void test_damage(void **state)
{
    (void)state;
    size_t n, cut_ok = 0;
    char *p = testdir_read(GOLDEN "types.gguf", &n);
    for (size_t k = 0; k < n; k += k < 3000 ? 1 : 97) {
        struct err e = {0};
        struct gguf *g = NULL;
        char *q = malloc(k ? k : 1); /* exactly k bytes: a sanitizer sees one more */
        memcpy(q, p, k);
        cut_ok += gguf_open_memory((uint8_t *)q, k, "file", &g, &e);
        gguf_close(g);
        free(q);
    }
    assert_int_equal(cut_ok, 0);
    for (size_t k = 0; k < 3000; k++) {
        struct err e = {0};
        struct gguf *g = NULL;
        p[k] ^= (char)0xff;
        if (gguf_open_memory((uint8_t *)p, n, "file", &g, &e)) {
            float row[4096];
            size_t nt;
            const struct gguf_tensor *t = gguf_tensors(g, &nt);
            for (size_t i = 0; i < nt; i++) {
                if (t[i].dims[0] <= 4096) gguf_row(&t[i], t[i].rows - 1, row);
            }
        }
        gguf_close(g);
        p[k] ^= (char)0xff;
    }
    free(p);
}

static void test_errors(void **state)
{
    (void)state;
    struct gguf *g = NULL;
    size_t n;
    char *p = testdir_read(GOLDEN "types.gguf", &n);
    FAILS(gguf_open_memory((const uint8_t *)"GGML", 4, "old", &g, e), ERR_FORMAT,
          "old is no GGUF file");
    FAILS(gguf_open_memory((const uint8_t *)"version x git-lfs", 17, "w", &g, e), ERR_FORMAT,
          "git-LFS");
    p[4] = 2;
    FAILS(gguf_open_memory((uint8_t *)p, n, "file", &g, e), ERR_FORMAT,
          "GGUF version 2, supported is 3");
    p[4] = 3;
    p[15] = 1; /* tensors: 2^56 */
    FAILS(gguf_open_memory((uint8_t *)p, n, "file", &g, e), ERR_LIMIT, "tensors, at most");
    p[15] = 0;
    p[23] = 1;
    FAILS(gguf_open_memory((uint8_t *)p, n, "file", &g, e), ERR_LIMIT, "metadata pairs, at most");
    free(p);
}

/* ---- convert: the values come back in HF's order */
static void assert_hash(const struct safetensors *s, const char *name, uint64_t tag, enum dtype t)
{
    const struct safetensor *x = safetensors_find(s, name);
    assert_non_null(x);
    assert_true(x->dtype == t);
    float *want = malloc(x->count * 4), *got = malloc(x->count * 4);
    uint8_t *packed = malloc(x->count * 4);
    tiny_hash(tag, x->count, want);
    dtype_from_f32(t, want, x->count, packed);
    dtype_to_f32(t, packed, x->count, want);
    dtype_to_f32(t, x->data, x->count, got);
    assert_memory_equal(got, want, x->count * 4);
    free(want);
    free(got);
    free(packed);
}

static void check_folder(const char *dir, enum dtype t)
{
    static const char *const names[] = {"model.embed_tokens.weight",
                                        "model.layers.0.input_layernorm.weight",
                                        "model.layers.0.self_attn.q_proj.weight",
                                        "model.layers.0.self_attn.k_proj.weight",
                                        "model.layers.0.self_attn.v_proj.weight",
                                        "model.layers.0.self_attn.o_proj.weight",
                                        "model.layers.0.post_attention_layernorm.weight",
                                        "model.layers.0.mlp.gate_proj.weight",
                                        "model.layers.0.mlp.up_proj.weight",
                                        "model.layers.0.mlp.down_proj.weight",
                                        "model.norm.weight",
                                        "lm_head.weight"};
    struct safetensors *s = NULL;
    struct model_spec spec;
    char config[700];
    size_t n;
    OK(safetensors_open(dir, &s, e));
    safetensors_list(s, &n);
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++)
        assert_hash(s, names[i], i, t);
    safetensors_close(s);
    snprintf(config, sizeof config, "%s/config.json", dir);
    OK(model_spec_read(config, &spec, e));
    assert_true(spec.layers == 1 && spec.d == 32 && spec.ff == 48 && spec.heads == 4 &&
                spec.kv_heads == 2);
    assert_true(spec.head_dim == 8 && spec.vocab == 40 && spec.max_positions == 4096 && !spec.tied);
    assert_true(spec.rope == ROPE_LLAMA3 && spec.rope_factor == 32 && spec.rope_theta == 500000);
    assert_true(spec.bos == 1 && spec.neos == 1 && spec.eos[0] == 2 && spec.pad == -1);
    assert_true(spec.rms_eps == 1e-5F);
}

static void test_convert(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    char first[600], again[600];
    snprintf(first, sizeof first, "%s", testdir_path("first"));
    for (size_t i = 0; i < 3; i++) {
        OK(convert_to_hf(GOLDEN "tiny.gguf", first, types[i], e));
        check_folder(first, types[i]);
        snprintf(again, sizeof again, "%s", testdir_path("again"));
        OK(convert_to_hf(first, again, types[i], e)); /* from an HF folder */
        check_folder(again, types[i]);
    }
}

static void test_convert_errors(void **state)
{
    (void)state;
    char dir[600];
    snprintf(dir, sizeof dir, "%s", testdir_path("none"));
    FAILS(convert_to_hf(testdir_path("missing.gguf"), dir, DTYPE_F32, e), ERR_IO, "missing.gguf");
    FAILS(convert_to_hf(GOLDEN "types.gguf", dir, DTYPE_F32, e), ERR_FORMAT,
          "llama.context_length is missing");
    assert_false(fs_exists(dir)); /* nothing half-written */
    size_t n;
    char *p = testdir_read(GOLDEN "tiny.gguf", &n), *q = NULL;
    for (size_t i = 0; i + 10 < n && !q; i++) {
        if (memcmp(p + i, "blk.0.attn_k", 12) == 0) q = p + i;
    }
    assert_non_null(q);
    q[11] = 'j';
    testdir_write(testdir_path("renamed.gguf"), p, n);
    free(p);
    FAILS(convert_to_hf(testdir_path("renamed.gguf"), dir, DTYPE_F32, e), ERR_FORMAT,
          "tensor blk.0.attn_k.weight is missing");
}

#ifdef RADMILL_FAULTS
/* At every point: an error and no leak, and the folder stays readable. */
static void test_convert_faults(void **state)
{
    (void)state;
    char dir[600];
    snprintf(dir, sizeof dir, "%s", testdir_path("swept"));
    OK(convert_to_hf(GOLDEN "tiny.gguf", dir, DTYPE_F32, e));
    for (int p = 0; p < FAULT_POINTS; p++) {
        for (uint64_t n = 1; n < 300; n++) {
            struct err why = {0};
            size_t before = mem_live_blocks();
            fault_arm((enum fault_point)p, n, n % 2);
            bool ok = convert_to_hf(GOLDEN "tiny.gguf", dir, DTYPE_F32, &why);
            bool fired = fault_fired();
            fault_disarm_all();
            assert_int_equal(mem_live_blocks(), before);
            assert_true(ok || (fired && why.code != ERR_NONE));
            check_folder(dir, DTYPE_F32);
            if (!fired) break;
        }
    }
}
#endif

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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),          cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_convert),        cmocka_unit_test(test_convert_errors),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_convert_faults),
#endif
    };
    tiny_spare_jansson();
    return cmocka_run_group_tests(tests, setup, teardown);
}
