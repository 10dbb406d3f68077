#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/safetensors.h"
#include "support/testdir.h"

static const float numbers[6] = {1, -2, 3.5F, 0, 1e-30F, 7};

/* Two tensors: a [2, 3] f32, b [2] bf16. */
static bool write_two(const char *path, struct err *e)
{
    static const uint16_t half[2] = {0x3f80, 0xc000};
    struct safetensor list[] = {{.name = "a", .dtype = DTYPE_F32, .ndims = 2, .dims = {2, 3}},
                                {.name = "b \"x\"", .dtype = DTYPE_BF16, .ndims = 1, .dims = {2}}};
    struct safetensors_writer *w = NULL;
    bool ok = safetensors_writer_open(path, list, 2, &w, e) &&
              safetensors_writer_put(w, numbers, 8, e) &&
              safetensors_writer_put(w, numbers + 2, 16, e) &&
              safetensors_writer_put(w, half, sizeof half, e) && safetensors_writer_commit(w, e);
    safetensors_writer_close(w);
    return ok;
}

static void check_two(const char *path)
{
    struct safetensors *s = NULL;
    const struct safetensor *t;
    float b[2];
    size_t n;
    OK(safetensors_open(path, &s, e));
    assert_non_null(safetensors_list(s, &n));
    assert_int_equal(n, 2);
    OK(safetensors_need(s, "a", 2, 3, &t, e));
    assert_memory_equal(t->data, numbers, sizeof numbers);
    OK(safetensors_need(s, "b \"x\"", 2, 0, &t, e));
    dtype_to_f32(t->dtype, t->data, 2, b);
    assert_true(b[0] == 1 && b[1] == -2);
    FAILS(safetensors_need(s, "c", 2, 0, &t, e), ERR_FORMAT, "tensor c is missing");
    FAILS(safetensors_need(s, "a", 3, 2, &t, e), ERR_FORMAT,
          "tensor a has shape [2, 3], expected [3, 2]");
    FAILS(safetensors_need(s, "a", 6, 0, &t, e), ERR_FORMAT, "expected [6]");
    safetensors_close(s);
}

static void test_round_trip(void **state)
{
    (void)state;
    const char *path = testdir_path("two.safetensors");
    size_t n;
    OK(write_two(path, e));
    check_two(path);
    char *p = testdir_read(path, &n);
    assert_int_equal((uint8_t)p[0] % 8, 0); /* data starts on a multiple of 8 */
    assert_non_null(strstr(p + 8, "\"__metadata__\":{\"format\":\"pt\"}"));
    free(p);
}

/* header text and data bytes -> file in memory */
static size_t assemble(const char *header, size_t data, uint8_t *out)
{
    size_t n = strlen(header);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> (8 * i));
    memcpy(out + 8, header, n);
    memset(out + 8 + n, 0, data);
    return 8 + n + data;
}

static void test_bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        enum err_code code;
        const char *part;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, ERR_FORMAT,
         "cut short"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 12, ERR_FORMAT,
         "4 bytes behind"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, ERR_FORMAT,
         "shape asks for 12"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ERR_FORMAT,
         "unknown dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, ERR_FORMAT,
         "list of sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, ERR_FORMAT,
         "list of sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8,
         ERR_LIMIT, "overflows"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}}", 8,
         ERR_LIMIT, "overflows"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
         ERR_LIMIT, "9 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, ERR_FORMAT,
         "not [begin, end]"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, ERR_FORMAT,
         "not [begin, end]"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, ERR_FORMAT,
         "not [begin, end]"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[4],\"data_offsets\":[2,6]}}",
         6, ERR_FORMAT, "overlapping"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[4],\"data_offsets\":[5,9]}}",
         9, ERR_FORMAT, "a hole"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ERR_FORMAT, "dtype"},
        {"{\"a\":7}", 0, ERR_FORMAT, "tensor a"},
        {"[]", 0, ERR_FORMAT, "does not start with"},
        {"{\"a\":", 0, ERR_FORMAT, ""},
    };
    uint8_t buf[1024];
    struct safetensors *s = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = assemble(bad[i].header, bad[i].data, buf);
        FAILS(safetensors_open_memory(buf, n, "file", &s, e), bad[i].code, bad[i].part);
        assert_null(s);
    }
    FAILS(safetensors_open_memory(buf, 7, "file", &s, e), ERR_FORMAT, "7 bytes");
    memset(buf, 0xff, 16);
    FAILS(safetensors_open_memory(buf, 16, "file", &s, e), ERR_LIMIT, "not a safetensors file?");
    size_t n = assemble("{}", 0, buf);
    buf[0] = 200;
    FAILS(safetensors_open_memory(buf, n, "file", &s, e), ERR_FORMAT,
          "cut short inside its header");
    const char lfs[] = "version https://example.org/git-lfs/spec/v1\noid sha256:0\nsize 5\n";
    FAILS(safetensors_open_memory((const uint8_t *)lfs, sizeof lfs - 1, "w", &s, e), ERR_FORMAT,
          "w is a git-LFS pointer");
    /* and a good one: empty tensors, padding blanks */
    n = assemble("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,2],\"data_offsets\":[0,0]},\"b\":{"
                 "\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}   ",
                 1, buf);
    OK(safetensors_open_memory(buf, n, "file", &s, e));
    safetensors_close(s);
}

/* Every cut of a good file is an error, never a crash. */
static void test_every_cut(void **state)
{
    (void)state;
    const char *path = testdir_path("cut.safetensors");
    size_t n;
    struct safetensors *s = NULL;
    OK(write_two(path, e));
    char *p = testdir_read(path, &n);
    for (size_t k = 0; k < n; k++) {
        struct err e = {0};
        assert_false(safetensors_open_memory((uint8_t *)p, k, "file", &s, &e));
    }
    free(p);
}

static void write_one(const char *path, const char *name)
{
    struct safetensor t = {.name = name, .dtype = DTYPE_F32, .ndims = 1, .dims = {6}};
    struct safetensors_writer *w = NULL;
    OK(safetensors_writer_open(path, &t, 1, &w, e));
    OK(safetensors_writer_put(w, numbers, sizeof numbers, e));
    OK(safetensors_writer_commit(w, e));
    safetensors_writer_close(w);
}

static void index_of(const char *dir, const char *map)
{
    char path[700], text[700];
    int n =
        snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":48},\"weight_map\":{%s}}", map);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
    testdir_write(path, text, (size_t)n);
}

static void test_shards(void **state)
{
    (void)state;
    char dir[600], path[700];
    uint8_t one[32], two[32];
    struct safetensors *s = NULL;
    snprintf(dir, sizeof dir, "%s", testdir_path("sharded"));
    OK(fs_mkdirs(dir, e));
    FAILS(safetensors_open(dir, &s, e), ERR_IO, "neither model.safetensors nor");
    snprintf(path, sizeof path, "%s/m-1.safetensors", dir);
    write_one(path, "first");
    snprintf(path, sizeof path, "%s/m-2.safetensors", dir);
    write_one(path, "second");
    index_of(dir, "\"second\":\"m-2.safetensors\",\"first\":\"m-1.safetensors\"");
    OK(safetensors_open(dir, &s, e));
    assert_non_null(safetensors_find(s, "first"));
    assert_non_null(safetensors_find(s, "second"));
    OK(safetensors_digest(s, 1, one, e));
    safetensors_close(s);
    s = NULL;
    index_of(dir, "\"second\":\"m-2.safetensors\",\"first\":\"../m-1.safetensors\"");
    FAILS(safetensors_open(dir, &s, e), ERR_FORMAT, "names no plain file");
    index_of(dir, "\"second\":\"m-2.safetensors\",\"third\":\"m-1.safetensors\"");
    FAILS(safetensors_open(dir, &s, e), ERR_FORMAT, "tensor third is not in m-1.safetensors");
    index_of(dir, "\"second\":\"m-3.safetensors\"");
    FAILS(safetensors_open(dir, &s, e), ERR_IO, "m-3.safetensors");
    index_of(dir, "");
    FAILS(safetensors_open(dir, &s, e), ERR_LIMIT, "names 0 shards");
    snprintf(path, sizeof path, "%s/m-2.safetensors", dir);
    write_one(path, "first");
    index_of(dir, "\"first\":\"m-1.safetensors\",\"x\":\"m-2.safetensors\"");
    FAILS(safetensors_open(dir, &s, e), ERR_FORMAT, "first is there twice");

    /* the digest names the tensors, not the files they are spread over */
    struct safetensor list[] = {{.name = "second", .dtype = DTYPE_F32, .ndims = 1, .dims = {6}},
                                {.name = "first", .dtype = DTYPE_F32, .ndims = 1, .dims = {6}}};
    struct safetensors_writer *w = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    OK(safetensors_writer_open(path, list, 2, &w, e));
    OK(safetensors_writer_put(w, numbers, sizeof numbers, e));
    OK(safetensors_writer_put(w, numbers, sizeof numbers, e));
    OK(safetensors_writer_commit(w, e));
    safetensors_writer_close(w);
    OK(safetensors_open(dir, &s, e));
    for (uint32_t threads = 0; threads < 4; threads++) {
        OK(safetensors_digest(s, threads, two, e));
        assert_memory_equal(one, two, sizeof one);
    }
    safetensors_close(s);
}

#ifdef RADMILL_FAULTS
/* Fail the n-th hit of each point, once and for good: an error, no leak, the old file whole. */
static void test_fault_sweep(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s", testdir_path("swept.safetensors"));
    OK(write_two(path, e));
    for (int p = 0; p < FAULT_POINTS; p++) {
        for (int forever = 0; forever < 2; forever++) {
            for (uint64_t n = 1; n < 200; n++) {
                struct err e = {0};
                size_t before = mem_live_blocks();
                fault_arm((enum fault_point)p, n, forever);
                bool ok = write_two(path, &e);
                bool fired = fault_fired();
                fault_disarm_all();
                assert_int_equal(mem_live_blocks(), before);
                assert_true(ok == !fired || p == FAULT_UNLINK);
                if (!ok) assert_true(e.code != ERR_NONE);
                check_two(path);
                if (!fired) break;
            }
        }
    }
    struct err gc = {0};
    assert_true(fs_gc_tmp(testdir_path("."), &gc));
}

static void test_open_out_of_memory(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s", testdir_path("mem.safetensors"));
    OK(write_two(path, e));
    for (uint64_t n = 1; n < 200; n++) {
        struct err e = {0};
        struct safetensors *s = NULL;
        size_t before = mem_live_blocks();
        fault_arm(FAULT_MEM, n, n % 2);
        bool ok = safetensors_open(path, &s, &e);
        bool fired = fault_fired();
        fault_disarm_all();
        assert_true(ok == !fired);
        safetensors_close(s);
        assert_int_equal(mem_live_blocks(), before);
        if (!fired) return;
    }
    fail_msg("the fault never stopped firing");
}
#endif

static void test_dtypes(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) { /* every f16 and bf16 comes back as itself */
        float f = dtype_f16_to_f32((uint16_t)h), g = dtype_bf16_to_f32((uint16_t)h);
        if (f == f)
            assert_int_equal(dtype_f32_to_f16(f), h);
        else
            assert_true((dtype_f32_to_f16(f) & 0x7fff) > 0x7c00);
        if (g == g)
            assert_int_equal(dtype_f32_to_bf16(g), h);
        else
            assert_true((dtype_f32_to_bf16(g) & 0x7fff) > 0x7f80);
    }
    assert_true(dtype_f16_to_f32(0x3c00) == 1 && dtype_f16_to_f32(0x0001) == 0x1p-24F);
    assert_true(dtype_f16_to_f32(0x7bff) == 65504);
    /* ties to even, overflow, underflow */
    assert_int_equal(dtype_f32_to_f16(1 + 0x1p-11F), 0x3c00);
    assert_int_equal(dtype_f32_to_f16(1 + 3 * 0x1p-11F), 0x3c02);
    assert_int_equal(dtype_f32_to_f16(65519.9F), 0x7bff);
    assert_int_equal(dtype_f32_to_f16(65520), 0x7c00);
    assert_int_equal(dtype_f32_to_f16(-0x1p-26F), 0x8000);
    assert_int_equal(dtype_f32_to_f16(0x1.8p-25F), 0x0001);
    assert_int_equal(dtype_f32_to_bf16(1 + 0x1p-8F), 0x3f80);
    assert_int_equal(dtype_f32_to_bf16(1 + 3 * 0x1p-8F), 0x3f82);
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
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_every_cut),   cmocka_unit_test(test_shards),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_fault_sweep), cmocka_unit_test(test_open_out_of_memory),
#endif
        cmocka_unit_test(test_dtypes),
    };
    tiny_spare_jansson();
    return cmocka_run_group_tests(tests, setup, teardown);
}
