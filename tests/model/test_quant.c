/* int8 and NF4: NF4's codes and scales as bitsandbytes makes them (golden/nf4.json), a quantised model
 * equals the model of its dequantised weights, gradients included, and takes the memory promised. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/quant.h"
#include "model/safetensors.h"
#include "support/testdir.h"

static void inputs(uint64_t tag, size_t n, float *f)
{
    tiny_hash(tag, n, f);
    for (size_t i = 0; i < n; i++)
        f[i] *= 1 + (float)(i / 64 % 7);
}

/* Of floats, on one thread. */
static void pack(enum dev_quant_kind kind, const float *f, uint64_t rows, uint64_t cols,
                 uint8_t *bytes, float *floats)
{
    struct quant_source src = {DTYPE_F32, f, rows, cols, 1};
    OK(quant_pack(kind, &src, bytes, floats, e));
}

/* What the device makes of bytes and floats. */
static float *dequant(enum dev_quant_kind kind, uint32_t rows, uint32_t cols, const uint8_t *bytes,
                      const float *floats)
{
    struct quant_size z = quant_size(kind, rows, cols);
    struct dev *d = NULL;
    struct dev_buf *b = NULL, *f = NULL, *o = NULL;
    struct dev_quant q = {.kind = kind};
    float *out = malloc((size_t)rows * cols * sizeof *out);
    OK(dev_open("strict", 1, &d, e));
    OK(dev_buf_open(d, z.codes + z.scales, &b, e));
    OK(dev_buf_open(d, z.floats * sizeof(float), &f, e));
    OK(dev_buf_open(d, (size_t)rows * cols * sizeof(float), &o, e));
    OK(dev_upload(d, b, 0, bytes, z.codes + z.scales, e));
    OK(dev_upload(d, f, 0, floats, z.floats * sizeof(float), e));
    if (kind == DEV_QUANT_INT8) {
        q.codes = dev_mat_of(b, 0, DEV_U8, rows, cols);
        q.scales = dev_mat_of(f, 0, DEV_F32, 1, rows);
    } else {
        uint32_t outer = (uint32_t)z.floats - DEV_NF4_TABLE;
        q.codes = dev_mat_of(b, 0, DEV_U8, 1, (uint32_t)z.codes);
        q.scales = dev_mat_of(b, z.codes, DEV_U8, 1, (uint32_t)z.scales);
        q.outer = dev_mat_of(f, 0, DEV_F32, 1, outer);
        q.table = dev_mat_of(f, outer, DEV_F32, 1, DEV_NF4_TABLE);
    }
    OK(dev_dequant(d, &q, dev_mat_of(o, 0, DEV_F32, rows, cols), e));
    OK(dev_download(d, o, 0, out, (size_t)rows * cols * sizeof *out, e));
    dev_buf_close(o);
    dev_buf_close(f);
    dev_buf_close(b);
    dev_close(d);
    return out;
}

static float *number_list(const json_t *j, size_t n)
{
    float *f = malloc(n * sizeof *f);
    assert_int_equal(json_array_size(j), n);
    for (size_t i = 0; i < n; i++)
        f[i] = (float)json_number_value(json_array_get(j, i));
    return f;
}

static void check_case(const json_t *j)
{
    uint32_t rows = (uint32_t)json_integer_value(json_object_get(j, "rows"));
    uint32_t cols = (uint32_t)json_integer_value(json_object_get(j, "cols"));
    struct quant_size z = quant_size(DEV_QUANT_NF4, rows, cols);
    size_t n = (size_t)rows * cols, nouter = z.floats - DEV_NF4_TABLE;
    float *f = malloc(n * sizeof *f), *floats = malloc(z.floats * sizeof *floats), *back;
    float *outer = number_list(json_object_get(j, "outer"), nouter);
    const json_t *values = json_object_get(j, "values");
    uint8_t *bytes = malloc(z.codes + z.scales), *want = malloc(z.codes + z.scales);
    double err = 0, norm = 0;
    size_t moved = 0;

    inputs((uint64_t)json_integer_value(json_object_get(j, "tag")), n, f);
    pack(DEV_QUANT_NF4, f, rows, cols, bytes, floats);
    OK(hash_unhex(str_of(json_string_value(json_object_get(j, "codes"))), want, z.codes, e));
    OK(hash_unhex(str_of(json_string_value(json_object_get(j, "scales"))), want + z.codes, z.scales,
                  e));
    assert_memory_equal(bytes, want, z.codes);
    /* the mean that is taken off is summed in another order there: of hundreds of scales, one that
     * lies between two codes may fall to the other side */
    for (size_t i = z.codes; i < z.codes + z.scales; i++) {
        assert_true(abs(bytes[i] - want[i]) <= 1);
        moved += bytes[i] != want[i];
    }
    assert_true(moved <= z.scales / 100);
    for (size_t i = 0; i < nouter; i++)
        assert_true(fabsf(floats[i] - outer[i]) <= 2e-7F * outer[i]);
    assert_true(fabs((double)floats[z.floats - 1] -
                     json_number_value(json_object_get(j, "offset"))) < 1e-6);
    back = dequant(DEV_QUANT_NF4, rows, cols, bytes, floats);
    for (size_t i = 0; i < json_array_size(values); i++) {
        double v = json_number_value(json_array_get(values, i));
        if (bytes[z.codes + i * 37 / 64] != want[z.codes + i * 37 / 64]) continue;
        assert_true(fabs((double)back[i * 37] - v) <= 2e-6 * fabs(v) + 1e-9);
    }
    for (size_t i = 0; i < n; i++) {
        err += ((double)back[i] - f[i]) * ((double)back[i] - f[i]);
        norm += (double)f[i] * f[i];
    }
    assert_true(fabs(sqrt(err / norm) - json_number_value(json_object_get(j, "error"))) < 1e-4);
    free(back);
    free(want);
    free(bytes);
    free(outer);
    free(floats);
    free(f);
}

static void test_nf4(void **state)
{
    (void)state;
    json_t *root, *j;
    size_t i;
    float map[DEV_NF4_MAP], book[DEV_NF4_BOOK];
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/nf4.json", 1 << 20, &root, e));
    quant_dynamic_map(map);
    quant_nf4_book(book);
    float *wm = number_list(json_object_get(root, "map"), DEV_NF4_MAP);
    float *wb = number_list(json_object_get(root, "book"), DEV_NF4_BOOK);
    for (i = 0; i < DEV_NF4_MAP; i++)
        assert_true(fabsf(map[i] - wm[i]) <= 2e-7F * fabsf(wm[i]));
    for (i = 0; i < DEV_NF4_BOOK; i++)
        assert_true(book[i] == wb[i]);
    json_array_foreach(json_object_get(root, "cases"), i, j) check_case(j);
    free(wb);
    free(wm);
    json_decref(root);
}

/* Codes are the nearest; the largest of a row is kept to a rounding; a row of zeros stays zero. */
static void test_int8(void **state)
{
    (void)state;
    enum { ROWS = 5, COLS = 70 };
    float f[ROWS * COLS], floats[ROWS], *back;
    uint8_t bytes[ROWS * COLS];
    inputs(3, ROWS * COLS, f);
    memset(f + 2 * COLS, 0, COLS * sizeof *f);
    pack(DEV_QUANT_INT8, f, ROWS, COLS, bytes, floats);
    back = dequant(DEV_QUANT_INT8, ROWS, COLS, bytes, floats);
    for (int i = 0; i < ROWS * COLS; i++)
        assert_true(fabsf(back[i] - f[i]) <= 0.5001F * floats[i / COLS]);
    assert_true(floats[2] == 0 && back[2 * COLS] == 0);
    free(back);
}

/* Codes of a file's bf16 and f16 are those of its values as floats, for any number of threads and
 * where jobs and blocks end inside rows. */
static void test_sources(void **state)
{
    (void)state;
    static const uint64_t shapes[][2] = {{1, 1}, {3, 67}, {1031, 1040}, {2, 1 << 20}, {70000, 31}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint64_t rows = shapes[i][0], cols = shapes[i][1], n = rows * cols;
        float *f = malloc(n * sizeof *f);
        uint16_t *half = malloc(n * sizeof *half);
        inputs(5 + i, n, f);
        for (enum dev_quant_kind kind = DEV_QUANT_INT8; kind <= DEV_QUANT_NF4; kind++) {
            struct quant_size z = quant_size(kind, rows, cols);
            size_t nbytes = z.codes + z.scales, nfloats = z.floats * sizeof(float);
            uint8_t *bytes = malloc(2 * nbytes);
            float *floats = malloc(2 * nfloats);
            enum dtype dtype = kind == DEV_QUANT_NF4 ? DTYPE_BF16 : DTYPE_F16;
            dtype_from_f32(dtype, f, n, half);
            dtype_to_f32(dtype, half, n, f);
            pack(kind, f, rows, cols, bytes, floats);
            for (uint32_t threads = 0; threads < 4; threads++) {
                struct quant_source src = {dtype, half, rows, cols, threads};
                OK(quant_pack(kind, &src, bytes + nbytes, floats + z.floats, e));
                assert_memory_equal(bytes, bytes + nbytes, nbytes);
                assert_memory_equal(floats, floats + z.floats, nfloats);
            }
            free(floats);
            free(bytes);
        }
        free(half);
        free(f);
    }
}

/* ---- models */

/* The folder with every linear weight put through the quantiser and back. */
static const char *dequantised(const char *from, enum dev_quant_kind kind)
{
    struct safetensors *in = NULL;
    struct safetensors_writer *w = NULL;
    static char dir[2][700];
    char path[1500];
    size_t n;
    char *to = dir[kind == DEV_QUANT_NF4];
    snprintf(to, 700, "%s", testdir_path(kind == DEV_QUANT_NF4 ? "as-nf4" : "as-int8"));
    snprintf(path, sizeof path, "mkdir '%s' && cp '%s/config.json' '%s'", to, from, to);
    assert_int_equal(system(path), 0);
    OK(safetensors_open(from, &in, e));
    const struct safetensor *list = safetensors_list(in, &n);
    snprintf(path, sizeof path, "%s/model.safetensors", to);
    OK(safetensors_writer_open(path, list, n, &w, e));
    for (size_t i = 0; i < n; i++) {
        const struct safetensor *t = &list[i];
        float *back = NULL;
        if (strstr(t->name, "_proj.")) {
            struct quant_size z = quant_size(kind, t->dims[0], t->dims[1]);
            uint8_t *bytes = malloc(z.codes + z.scales);
            float *floats = malloc(z.floats * sizeof *floats);
            pack(kind, (const float *)(const void *)t->data, t->dims[0], t->dims[1], bytes, floats);
            back = dequant(kind, (uint32_t)t->dims[0], (uint32_t)t->dims[1], bytes, floats);
            free(floats);
            free(bytes);
        }
        OK(safetensors_writer_put(w, back ? (const void *)back : t->data, t->bytes, e));
        free(back);
    }
    OK(safetensors_writer_commit(w, e));
    safetensors_writer_close(w);
    safetensors_close(in);
    return to;
}

static float *gradient(const char *dir, enum dev_quant_kind kind, const char *device, double *loss,
                       size_t *n)
{
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l;
    struct decoder_work *w = NULL;
    struct dev_buf *g = NULL;
    struct tiny_batch t;
    uint64_t planned;
    tiny_batch(&t);
    OK(dev_open(device, 1, &d, e));
    OK(model_open_quant(d, dir, DEV_F32, kind, &m, e));
    OK(model_bytes(model_get_spec(m), DEV_F32, kind, &planned, e));
    assert_true(planned == dev_bytes_live(d));
    l = tiny_lora(m, 0);
    *n = lora_count(l);
    float *out = malloc(*n * sizeof *out);
    OK(decoder_work_open(m, l, TINY_TOKENS, TINY_ROWS, true, &w, e));
    OK(dev_buf_open(d, *n * sizeof *out, &g, e));
    OK(decoder_grad(w, &t.b, 0, g, loss, e));
    OK(dev_download(d, g, 0, out, *n * sizeof *out, e));
    dev_buf_close(g);
    decoder_work_close(w);
    lora_close(l);
    model_close(m);
    dev_close(d);
    return out;
}

static void test_gradients(void **state)
{
    (void)state;
    const char *base = tiny_write(TINY_LLAMA3);
    for (enum dev_quant_kind kind = DEV_QUANT_INT8; kind <= DEV_QUANT_NF4; kind++) {
        double a, b, c, plain;
        size_t n;
        float *x = gradient(base, kind, test_device(), &a, &n);
        float *y = gradient(dequantised(base, kind), DEV_QUANT_NONE, test_device(), &b, &n);
        float *z = gradient(base, kind, test_device_is_cuda() ? "cuda" : "strict", &c, &n);
        float *p = gradient(base, DEV_QUANT_NONE, test_device(), &plain, &n);
        assert_true(a == b && a == c && a != plain);
        assert_memory_equal(x, y, n * sizeof *x);
        assert_memory_equal(x, z, n * sizeof *x);
        print_message("%s: loss %.4f, %.4f without; gradient moved by %.3f\n",
                      kind == DEV_QUANT_NF4 ? "nf4" : "int8", a, plain, rel_rms(x, p, n));
        assert_true(rel_rms(x, p, n) < (kind == DEV_QUANT_NF4 ? 0.6 : 0.1));
        free(p);
        free(z);
        free(y);
        free(x);
    }
}

/* At the sizes of real models: what nf4 and int8 take of bf16's bytes for the linears. */
static void test_memory(void **state)
{
    (void)state;
    struct model_spec s = {.arch = "llama",
                           .layers = 32,
                           .d = 4096,
                           .ff = 14336,
                           .heads = 32,
                           .kv_heads = 8,
                           .head_dim = 128,
                           .vocab = 128256};
    uint64_t bf16, int8, nf4, linears = 2 * model_spec_linear_params(&s), one = 2 * 28672ULL * 4096;
    OK(model_bytes(&s, DEV_BF16, DEV_QUANT_NONE, &bf16, e));
    OK(model_bytes(&s, DEV_BF16, DEV_QUANT_INT8, &int8, e));
    OK(model_bytes(&s, DEV_BF16, DEV_QUANT_NF4, &nf4, e));
    print_message("llama-3.1-8b: bf16 %.2f GiB, int8 %.2f, nf4 %.2f\n", (double)bf16 / (1 << 30),
                  (double)int8 / (1 << 30), (double)nf4 / (1 << 30));
    double rest = (double)(bf16 - linears);
    assert_true(fabs(((double)int8 - rest - (double)one) / (double)linears - 0.5) < 0.002);
    assert_true(fabs(((double)nf4 - rest - (double)one) / (double)linears - 4.127 / 16) < 0.002);
}

static void test_full_refused(void **state)
{
    (void)state;
    struct lora_opts o = {.method = LORA_FULL};
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l = NULL;
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open_quant(d, tiny_write(TINY_LLAMA), DEV_F32, DEV_QUANT_NF4, &m, e));
    FAILS(lora_open(m, &o, 1, &l, e), ERR_CONFIG, "model.quant is none");
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nf4),     cmocka_unit_test(test_int8),
        cmocka_unit_test(test_sources), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_full_refused)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
