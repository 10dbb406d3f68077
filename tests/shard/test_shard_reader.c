#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "shard/corpus_kit.h"
#include "shard/plan.h"
#include "shard/shard_manifest.h"
#include "support/testdir.h"

static const char *dir, *file;
static uint64_t made; /* number of the hit that fails */

static uint32_t length_of(size_t i)
{
    return (uint32_t)(10 + i % 50);
}

static int setup(void **state)
{
    (void)state;
    testdir_make();
    dir = testdir_path("shards");
    file = testdir_path("shards/CT/s00-00000-000000000000.h5");
    kit_lengths(dir, 200, length_of);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

static void samples_come_back(void **state)
{
    struct shard_set *set = NULL;
    struct err e = {0};

    (void)state;
    assert_true(shard_set_open(dir, SHARD_TRAIN, NULL, 0, true, &set, &e));
    assert_int_equal(shard_set_count(set), 200);
    for (size_t j = 0; j < 200; j++) {
        size_t i = j * 77 % 200; /* any order */
        struct sample x;
        assert_true(shard_set_get(set, i, &x, &e));
        assert_int_equal(x.length, length_of(i));
        assert_int_equal(x.target, length_of(i) / 2);
        for (uint32_t k = 0; k < x.length; k++)
            assert_int_equal(x.tokens[k], (i + k) % 100);
        assert_int_equal(x.entry, i);
        assert_int_equal(x.patient_key, i);
        assert_int_equal(x.text_hash.lo, i);
        assert_true(x.target_hash.hi == ~(uint64_t)i);
        assert_string_equal(shard_set_modality(set, i), "CT");
        assert_string_equal(shard_set_source(set, i), "alpha");
    }
    shard_set_close(set);
    assert_true(shard_set_open(dir, SHARD_DEV, NULL, 0, true, &set, &e));
    assert_int_equal(shard_set_count(set), 1);
    shard_set_close(set);
}

static void refuse(enum shard_split split, const char *const *names, size_t n, enum err_code code,
                   const char *what)
{
    struct shard_set *set = (struct shard_set *)1;
    struct err e = {0};
    size_t blocks = mem_live_blocks();

    assert_false(shard_set_open(dir, split, names, n, false, &set, &e));
    assert_null(set);
    assert_int_equal(e.code, code);
    if (!strstr(e.text, what)) fail_msg("'%s' not in '%s'", what, e.text);
    assert_int_equal(mem_live_blocks(), blocks);
}

static void what_is_not_there_is_named(void **state)
{
    static const char *const mr[] = {"MR"};

    (void)state;
    refuse(SHARD_TEST, NULL, 0, ERR_CONFIG, "no test samples; splits with samples: train, dev");
    refuse(SHARD_TRAIN, mr, 1, ERR_CONFIG, "no modality 'MR'");
    dir = testdir_path("nowhere");
    refuse(SHARD_TRAIN, NULL, 0, ERR_CONFIG, "run radmill shard first");
}

static void edit(const char *path, size_t at, char xor)
{
    size_t n;
    char *p = testdir_read(path, &n);
    p[at < n ? at : n - 1] ^= xor;
    testdir_write(path, p, n);
    free(p);
}

/* One flipped bit anywhere but in the tokens is seen at once, in the tokens when asked. */
static void flipped_bits_are_seen(void **state)
{
    struct shard_file f;
    struct err e = {0};
    size_t n, seen = 0;

    (void)state;
    assert_true(shard_file_open(file, true, &f, &e));
    uint64_t from = f.block.token_offset, to = from + f.block.token_bytes;
    shard_file_close(&f);
    free(testdir_read(file, &n));
    for (size_t at = 0; at < n; at += at < 200 ? 7 : 997) {
        edit(file, at, 4);
        bool ok = shard_file_open(file, true, &f, &e);
        shard_file_close(&f);
        if (ok) fail_msg("flipped bit at %zu of %zu was not seen", at, n);
        if (!ok) seen++;
        err_clear(&e);
        if (at >= from && at < to) {
            assert_true(shard_file_open(file, false, &f, &e));
            shard_file_close(&f);
        }
        edit(file, at, 4);
    }
    assert_true(seen > 30);
    for (size_t cut = 0; cut < n; cut += n / 13) {
        char *p = testdir_read(file, &n);
        testdir_write(file, p, cut);
        assert_false(shard_file_open(file, false, &f, &e));
        assert_int_equal(e.code, ERR_FORMAT);
        err_clear(&e);
        testdir_write(file, p, n);
        free(p);
    }
}

/* A token that is not of the vocabulary must not reach an embedding table. */
static void foreign_tokens_are_refused(void **state)
{
    struct shard_set *set = NULL;
    struct shard_file f;
    struct sample x;
    struct err e = {0};

    (void)state;
    assert_true(shard_file_open(file, false, &f, &e));
    size_t at = f.block.token_offset;
    shard_file_close(&f);
    edit(file, at, 127); /* token 0 becomes 127 of 100 */
    assert_true(shard_set_open(dir, SHARD_TRAIN, NULL, 0, false, &set, &e));
    assert_false(shard_set_get(set, 0, &x, &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_non_null(strstr(e.text, "not of the vocabulary"));
    err_clear(&e);
    assert_true(shard_set_get(set, 1, &x, &e));
    shard_set_close(set);
    refuse(SHARD_TEST, NULL, 0, ERR_CONFIG, "no test samples");
}

/* Change the manifest and make its checksum right again, so that the checks behind it are reached. */
static void replace(const char *what, const char *by)
{
    const char *path = testdir_path("shards/manifest.json");
    struct err e = {0};
    json_t *root;
    size_t n;
    char *p = testdir_read(path, &n), *at = strstr(p, what);

    assert_non_null(at);
    assert_int_equal(strlen(what), strlen(by));
    memcpy(at, by, strlen(by));
    testdir_write(path, p, n);
    free(p);
    KIT(json_read_file(path, 1 << 20, &root, &e), &e);
    KIT(json_seal(root, &e) && json_write_file(path, root, &e), &e);
    json_decref(root);
}

/* One flipped bit anywhere in the manifest is an error that names the file. */
static void flipped_bits_in_the_manifest_are_seen(void **state)
{
    const char *path = testdir_path("shards/manifest.json");
    struct shard_manifest m;
    struct arena a;
    size_t n;

    (void)state;
    free(testdir_read(path, &n));
    for (size_t at = 0; at < n; at++) {
        struct err e = {0};
        edit(path, at, (char)(1 << at % 7));
        arena_init(&a, 1 << 20);
        if (shard_manifest_read(dir, &a, &m, &e)) fail_msg("flipped bit at %zu was not seen", at);
        assert_non_null(strstr(e.text, "manifest.json"));
        arena_free(&a);
        edit(path, at, (char)(1 << at % 7));
    }
}

/* Damage is named by its dataset. */
static void damage_is_named(void **state)
{
    struct shard_file f;
    struct err e = {0};
    char want[64];

    (void)state;
    for (int c = 0; c < SHARD_COLS; c++) {
        KIT(shard_file_open(file, true, &f, &e), &e);
        size_t at = f.block.places[c].offset + f.block.places[c].bytes / 2;
        shard_file_close(&f);
        edit(file, at, 1);
        assert_false(shard_file_open(file, true, &f, &e));
        snprintf(want, sizeof want, ".h5: dataset /%s: checksum differs", shard_columns[c].name);
        if (!strstr(e.text, want)) fail_msg("'%s' not in '%s'", want, e.text);
        err_clear(&e);
        edit(file, at, 1);
    }
    edit(file, SHARD_BLOCK_BYTES + 20, 1); /* in the superblock */
    assert_false(shard_file_open(file, false, &f, &e));
    assert_non_null(strstr(e.text, "HDF5's own structures"));
}

static void manifests_that_lie_are_refused(void **state)
{
    (void)state;
    replace("\"train\": 200", "\"train\": 199");
    refuse(SHARD_TRAIN, NULL, 0, ERR_FORMAT, "the digest is not that of the files");
    replace("\"train\": 199", "\"train\": 200");
    replace("CT/s00-000", "../s00-000");
    refuse(SHARD_TRAIN, NULL, 0, ERR_FORMAT, "not one of ours");
    replace("../s00-000", "CT/s00-000");
    replace("shards/v2", "shards/v1");
    refuse(SHARD_TRAIN, NULL, 0, ERR_FORMAT, "schema is not shards/v2");
    replace("shards/v1", "shards/v2");
    replace("\"layout\": \"decoder\"", "\"layout\": \"encoder\"");
    refuse(SHARD_TRAIN, NULL, 0, ERR_FORMAT, "layout is none of ours");
    replace("\"layout\": \"encoder\"", "\"layout\": \"decoder\"");
    replace("\"tokenizer_sha256\": \"00", "\"tokenizer_sha256\": \"01");
    refuse(SHARD_TRAIN, NULL, 0, ERR_CONFIG, "another tokenizer or template");
    replace("\"tokenizer_sha256\": \"01", "\"tokenizer_sha256\": \"00");
    replace("\"vocab_size\": 100", "\"vocab_size\": 101");
    refuse(SHARD_TRAIN, NULL, 0, ERR_FORMAT, "contradicts the manifest");
}

/* Another whole shard under the same name is not the data set. */
static void exchanged_files_are_refused(void **state)
{
    size_t n;
    (void)state;
    kit_lengths(testdir_path("other"), 100, length_of);
    char *p = testdir_read(testdir_path("other/CT/s00-00000-000000000000.h5"), &n);
    testdir_write(file, p, n);
    free(p);
    refuse(SHARD_TRAIN, NULL, 0, ERR_FORMAT, "is not the file the manifest names");
}

static void other_tokenizers_are_refused(void **state)
{
    struct shard_info i = {.tokenizer_digest = {1}, .template_digest = {2}};
    uint8_t one[32] = {1}, two[32] = {2};
    struct err e = {0};

    (void)state;
    assert_true(shard_check_tokenizer(&i, one, two, "models/x", &e));
    assert_true(shard_check_tokenizer(&i, NULL, NULL, "models/x", &e));
    assert_false(shard_check_tokenizer(&i, two, NULL, "models/x", &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_string_equal(e.text, "the shards were made with tokenizer 010000000000, models/x has "
                                "020000000000: run radmill shard with it");
    err_clear(&e);
    assert_false(shard_check_tokenizer(&i, NULL, one, "models/x", &e));
    assert_non_null(strstr(e.text, "template"));
}

static bool open_set(struct err *e)
{
    struct shard_set *set = NULL;
    bool ok = shard_set_open(dir, SHARD_TRAIN, NULL, 0, true, &set, e);
    shard_set_close(set);
    return ok;
}

static bool open_file(struct err *e)
{
    struct shard_file f;
    bool ok = shard_file_open(file, true, &f, e);
    shard_file_close(&f);
    return ok;
}

static bool make_plan(struct err *e)
{
    struct plan_params q = {.seed = 1, .bin_tokens = 512, .bins_per_step = 1, .shuffle = true};
    struct shard_set *set = NULL;
    struct plan p = {0};
    fault_arm(FAULT_MEM, 0, false);
    KIT(shard_set_open(dir, SHARD_TRAIN, NULL, 0, false, &set, e), e);
    fault_arm(FAULT_MEM, made, false);
    bool ok = plan_init(&p, set, &q, e);
    plan_free(&p);
    shard_set_close(set);
    return ok;
}

/* Fails at the n-th hit for every n, without a leak; how often it fired. */
static size_t sweep(enum fault_point point, bool (*open)(struct err *))
{
    size_t blocks = mem_live_blocks(), fired = 0;

    for (made = 1;; made++, fired++) {
        struct err e = {0};
        fault_arm(point, made, false);
        bool ok = open(&e), hit = fault_fired();
        fault_disarm_all();
        assert_int_equal(ok, !hit);
        assert_int_equal(mem_live_blocks(), blocks);
        if (!hit) return fired;
    }
}

/* Not FAULT_MEM of a whole set: jansson 2.14 itself does not survive a failed allocation. */
static void faults_are_reported(void **state)
{
    (void)state;
#ifndef RADMILL_FAULTS
    printf("SKIP: built without fault points\n");
    skip();
#endif
    assert_true(sweep(FAULT_OPEN, open_set) >= 2);
    assert_true(sweep(FAULT_READ, open_set) >= 1);
    assert_true(sweep(FAULT_OPEN, open_file) >= 1);
    (void)sweep(FAULT_MEM, open_file); /* it maps: nothing to fail, today */
    assert_true(sweep(FAULT_MEM, make_plan) >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(flipped_bits_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_tokens_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(flipped_bits_in_the_manifest_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(manifests_that_lie_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(exchanged_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(other_tokenizers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_are_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
