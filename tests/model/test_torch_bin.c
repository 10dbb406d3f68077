/* Files of torch.save (tests/support/golden/model_torch.py, torch 2.15) read as weights; pickles that
 * would run something are refused by name. */
#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model/safetensors.h"
#include "support/testdir.h"

#define CORPUS RADMILL_SOURCE "/tests/model/corpus_torch/"

static void check(const struct safetensors *s, const char *name, enum dtype t, uint32_t ndims,
                  uint64_t count, double first)
{
    const struct safetensor *x = safetensors_find(s, name);
    float f[16];
    assert_non_null(x);
    assert_int_equal(x->dtype, t);
    assert_int_equal(x->ndims, ndims);
    assert_int_equal(x->count, count);
    assert_int_equal(x->bytes, count * dtype_bytes(t));
    if (!dtype_is_weight(t)) return;
    dtype_to_f32(t, x->data, count, f);
    for (uint64_t i = 0; i < count; i++)
        assert_true((double)f[i] == first + 0.25 * (double)i);
}

static void check_state(const char *path)
{
    struct safetensors *s = NULL;
    const struct safetensor *e64;
    size_t n;
    OK(safetensors_open(path, &s, e));
    safetensors_list(s, &n);
    assert_int_equal(n, 7);
    check(s, "a", DTYPE_F32, 2, 12, 0);
    check(s, "b", DTYPE_BF16, 1, 5, 1);
    check(s, "c", DTYPE_F16, 2, 4, 2);
    check(s, "d", DTYPE_F64, 0, 1, 3);
    check(s, "e", DTYPE_I64, 1, 2, 0);
    check(s, "f", DTYPE_F32, 2, 6, 5);
    check(s, "g", DTYPE_F32, 2, 12, 0);
    e64 = safetensors_find(s, "e");
    assert_memory_equal(e64->data, ((int64_t[]){7, -8}), 16);
    assert_int_equal(safetensors_find(s, "a")->dims[0], 3);
    assert_int_equal(safetensors_find(s, "a")->dims[1], 4);
    safetensors_close(s);
}

static void test_both_forms(void **state)
{
    (void)state;
    check_state(CORPUS "zip.bin");
    check_state(CORPUS "legacy.bin");
    check_state(CORPUS "wrapped.bin");
    check_state(CORPUS "trained.bin");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
    } bad[] = {
        {"evil_system.bin", "asks for posix.system"},
        {"evil_legacy.bin", "asks for posix.system"},
        {"evil_eval4.bin", "asks for builtins.eval"},
        {"evil_inst.bin", "instruction 0x69"},
        {"evil_newobj.bin", "instruction 0x81"},
        {"evil_ext.bin", "instruction 0x82"},
        {"evil_persid.bin", "a reference that is no storage"},
        {"evil_oob.bin", "tensor a reaches behind its storage"},
        {"evil_packed.bin", "compressed or encrypted"},
        {"strided.bin", "tensor a is not contiguous"},
    };
    static const uint8_t pickle[] = "\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\x01"
                                    "aK\x01s.";
    struct safetensors *s = NULL;
    char path[700];
    FAILS(safetensors_open_memory(pickle, sizeof pickle - 1, "w", &s, e), ERR_FORMAT,
          "w: a pickle");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(path, sizeof path, CORPUS "%s", bad[i].file);
        FAILS(safetensors_open(path, &s, e), ERR_FORMAT, bad[i].text);
        assert_null(s);
    }
    assert_int_not_equal(access("/tmp/radmill-was-run", F_OK), 0);
}

/* A file cut anywhere is an error, not a crash and not half a model. */
static void test_cut(void **state)
{
    (void)state;
    static const char *const files[] = {"zip.bin", "legacy.bin"};
    for (size_t k = 0; k < 2; k++) {
        char path[700];
        size_t n;
        snprintf(path, sizeof path, CORPUS "%s", files[k]);
        char *p = testdir_read(path, &n);
        for (size_t cut = 1; cut < n; cut++) {
            struct safetensors *s = NULL;
            struct err err = {0};
            uint8_t *copy = malloc(cut); /* a read past the end is then seen by a sanitizer */
            memcpy(copy, p, cut);
            assert_false(safetensors_open_memory(copy, cut, "cut", &s, &err));
            free(copy);
        }
        free(p);
    }
}

static void copy(const char *from, const char *dir, const char *name)
{
    char to[1400];
    size_t n;
    char *p = testdir_read(from, &n);
    snprintf(to, sizeof to, "%s/%s", dir, name);
    testdir_write(to, p, n);
    free(p);
}

/* Folders: pytorch_model.bin, an index with shards, a shard that is missing, none of them. */
static void test_folders(void **state)
{
    (void)state;
    static const char index[] = "{\"weight_map\": {\"a\": \"one.bin\", \"b\": \"one.bin\", \"z\": "
                                "\"two.bin\"}}";
    struct safetensors *s = NULL;
    char dir[600], path[700];
    snprintf(dir, sizeof dir, "%s", testdir_path("bin"));
    OK(fs_mkdirs(dir, e));
    FAILS(safetensors_open(dir, &s, e), ERR_IO, "holds no weights");
    copy(CORPUS "zip.bin", dir, "pytorch_model.bin");
    check_state(dir);
    snprintf(path, sizeof path, "%s/pytorch_model.bin", dir);
    OK(fs_remove(path, e));
    copy(CORPUS "legacy.bin", dir, "one.bin");
    snprintf(path, sizeof path, "%s/pytorch_model.bin.index.json", dir);
    testdir_write(path, index, sizeof index - 1);
    FAILS(safetensors_open(dir, &s, e), ERR_IO, "names two.bin, which is not there: 1 of 2 shards");
    snprintf(path, sizeof path, "%s/snapshots", dir);
    OK(fs_mkdirs(path, e));
    snprintf(path, sizeof path, "%s/pytorch_model.bin.index.json", dir);
    OK(fs_remove(path, e));
    FAILS(safetensors_open(dir, &s, e), ERR_IO, "entry of a Hugging Face cache");
}

/* A Hugging Face cache: snapshots/REV/NAME is a link into blobs. */
static void test_cache_links(void **state)
{
    (void)state;
    char dir[600], path[700];
    snprintf(dir, sizeof dir, "%s", testdir_path("cache"));
    snprintf(path, sizeof path, "%s/blobs", dir);
    OK(fs_mkdirs(path, e));
    copy(CORPUS "zip.bin", path, "0123abcd");
    snprintf(path, sizeof path, "%s/snapshots/9f", dir);
    OK(fs_mkdirs(path, e));
    snprintf(path, sizeof path, "%s/snapshots/9f/pytorch_model.bin", dir);
    assert_int_equal(symlink("../../blobs/0123abcd", path), 0);
    snprintf(path, sizeof path, "%s/snapshots/9f", dir);
    check_state(path);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_forms),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_folders),
                                       cmocka_unit_test(test_cache_links)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
