/* ingest/record: what goes in comes out, equal bytes for equal records, no damage goes unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ingest/record_late.h"
#include "support/testdir.h"

static const uint8_t config[32] = {1, 2, 3};
static struct err e;

static int setup(void **state)
{
    (void)state;
    err_clear(&e);
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static struct record sample(unsigned i, char *text, size_t cap)
{
    struct record r = {.entry = 7 + i,
                       .offset = 1000 * i,
                       .member = i % 3,
                       .time = 20260102030405 + i,
                       .reader = 99 * i,
                       .flags = i};
    snprintf(text, cap, "FINDINGS: number %u.\nIMPRESSION: \xc3\xa9.", i);
    r.text = (struct str){text, strlen(text)};
    r.section[SEC_FINDINGS] = (struct record_span){10, 9};
    r.section[SEC_IMPRESSION] = (struct record_span){(uint32_t)r.text.n - 3, 3};
    r.patient = STR("p-1");
    r.study = i % 2 ? STR("") : STR("s-2");
    r.modality = (uint8_t)(i % MOD_COUNT);
    r.origin = ORIGIN_TEXT;
    r.split = (uint8_t)(i % SPLIT_COUNT);
    r.mode = MODE_MEDIQA;
    r.status = STATUS_FINAL;
    r.hash_raw = (struct hash128){i, 2};
    r.hash_norm = (struct hash128){3, i};
    return r;
}

static bool write_block(const char *path, unsigned n, uint8_t sha[32])
{
    struct record_writer *w = NULL;
    char text[100];
    bool ok = record_writer_open(path, "src", 4096, config, &w, &e);
    for (unsigned i = 0; ok && i < n; i++) {
        struct record r = sample(i, text, sizeof text);
        ok = record_writer_put(w, &r, &e);
    }
    ok = ok && record_writer_reject(w, 99, 12345, REJECT_CRC, &e);
    if (ok) {
        record_writer_ignore(w, 5);
        record_writer_last(w);
        ok = record_writer_commit(w, &e);
        if (ok && sha) record_writer_sha256(w, sha);
    }
    record_writer_close(w);
    return ok;
}

static void expect_block(const char *path, unsigned n)
{
    struct record_reader *r;
    struct record_rejected rej;
    char text[100];
    assert_true(record_reader_open(path, &r, &e));
    const struct record_block_info *info = record_reader_info(r);
    assert_string_equal(info->source, "src");
    assert_int_equal(info->first_entry, 4096);
    assert_int_equal(info->entries, n + 6);
    assert_int_equal(info->ignored, 5);
    assert_true(info->last);
    assert_memory_equal(info->config_sha256, config, 32);
    assert_int_equal(record_reader_count(r), n);
    for (unsigned i = 0; i < n; i++) {
        struct record got, want = sample(i, text, sizeof text);
        record_reader_get(r, i, &got);
        assert_true(str_eq(got.text, want.text));
        assert_true(str_eq(got.patient, want.patient));
        assert_true(str_eq(got.study, want.study));
        assert_memory_equal(got.section, want.section, sizeof want.section);
        assert_int_equal(got.entry, want.entry);
        assert_int_equal(got.offset, want.offset);
        assert_int_equal(got.member, want.member);
        assert_true(got.time == want.time && got.reader == want.reader);
        assert_int_equal(got.modality, want.modality);
        assert_int_equal(got.origin, want.origin);
        assert_int_equal(got.split, want.split);
        assert_int_equal(got.mode, want.mode);
        assert_int_equal(got.status, want.status);
        assert_int_equal(got.flags, want.flags);
        assert_memory_equal(&got.hash_raw, &want.hash_raw, sizeof want.hash_raw);
        assert_memory_equal(&got.hash_norm, &want.hash_norm, sizeof want.hash_norm);
    }
    assert_int_equal(record_reader_rejects(r), 1);
    record_reader_rejected(r, 0, &rej);
    assert_int_equal(rej.entry, 99);
    assert_int_equal(rej.offset, 12345);
    assert_int_equal(rej.reason, REJECT_CRC);
    record_reader_close(r);
}

/* ---- the late file */
static void test_late_file(void **state)
{
    static const size_t counts[] = {0, 1, 5000};
    (void)state;
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        struct record_near near[3] = {{{1, 2}, {9, 9}}, {{3, 2}, {8, 9}}, {{0, 7}, {7, 9}}};
        uint16_t flags[5000];
        struct record_late late = {flags, counts[k], near, k ? 3 : 0}, got;
        char name[RECORD_LATE_NAME], again[RECORD_LATE_NAME], path[600];
        uint8_t sha[32], file_sha[32];
        struct arena a;
        size_t n;
        char *p;
        for (size_t i = 0; i < counts[k]; i++)
            flags[i] = (uint16_t)(i % 2 ? RECORD_DUPLICATE : RECORD_NEAR_DUPLICATE);
        arena_init(&a, 1 << 20);
        assert_true(record_late_write(testdir_path(""), &late, name, sha, &e));
        assert_true(record_late_write(testdir_path(""), &late, again, file_sha, &e));
        assert_string_equal(name, again);
        snprintf(path, sizeof path, "%s", testdir_path(name));
        assert_true(sha256_file(path, file_sha, &e));
        assert_memory_equal(sha, file_sha, 32);
        assert_true(record_late_read(path, sha, counts[k], &a, &got, &e));
        assert_int_equal(got.n, counts[k]);
        assert_int_equal(got.nnear, late.nnear);
        assert_memory_equal(got.flags, flags, counts[k] * sizeof *flags);
        assert_memory_equal(got.near, near, late.nnear * sizeof *near);
        assert_false(record_late_read(path, sha, counts[k] + 1, &a, &got, &e));
        assert_non_null(strstr(e.text, "late-"));
        err_clear(&e);
        p = testdir_read(path, &n);
        for (size_t at = 0; at < n; at += n / 50 + 1) {
            p[at] ^= 4;
            testdir_write(path, p, n);
            p[at] ^= 4;
            assert_false(record_late_read(path, sha, counts[k], &a, &got, &e));
            assert_int_equal(e.code, ERR_FORMAT);
            assert_non_null(strstr(e.text, "late-"));
            err_clear(&e);
        }
        free(p);
        arena_free(&a);
    }
}

static void test_round_trip(void **state)
{
    const char *path = testdir_path("b.h5");
    (void)state;
    for (unsigned n = 0; n < 300; n += 99) {
        uint8_t sha[32], file_sha[32], reader_sha[32];
        struct record_reader *r;
        assert_true(write_block(path, n, sha));
        expect_block(path, n);
        assert_true(sha256_file(path, file_sha, &e));
        assert_memory_equal(sha, file_sha, 32);
        assert_true(record_reader_open(path, &r, &e));
        record_reader_sha256(r, reader_sha);
        assert_memory_equal(sha, reader_sha, 32);
        record_reader_close(r);
    }
}

/* HDF5 would put the time into the file. Its calls land here: no two are the same. */
static time_t now = 1000000000;
time_t time(time_t *out)
{
    now += 100;
    if (out) *out = now;
    return now;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    *tv = (struct timeval){time(NULL), 0};
    return 0;
}

static void test_equal_bytes(void **state)
{
    uint8_t a[32], b[32];
    (void)state;
    assert_true(write_block(testdir_path("a.h5"), 50, a));
    assert_true(write_block(testdir_path("b.h5"), 50, b));
    assert_memory_equal(a, b, 32);
    assert_true(write_block(testdir_path("b.h5"), 51, b));
    assert_memory_not_equal(a, b, 32);
}

static void test_damage(void **state)
{
    const char *path = testdir_path("b.h5"), *bad = testdir_path("bad.h5");
    struct record_reader *r;
    size_t n;
    char *p;
    (void)state;
    assert_true(write_block(path, 20, NULL));
    p = testdir_read(path, &n);
    for (size_t i = 0; i < n; i += i < 200 || i + 200 > n ? 1 : 61) {
        p[i] ^= 0x40;
        testdir_write(bad, p, n);
        p[i] ^= 0x40;
        assert_false(record_reader_open(bad, &r, &e));
        assert_int_equal(e.code, ERR_FORMAT);
        assert_null(r);
        err_clear(&e);
    }
    for (size_t cut = 0; cut < n; cut += 997) {
        testdir_write(bad, p, cut);
        assert_false(record_reader_open(bad, &r, &e));
        assert_int_equal(e.code, ERR_FORMAT);
        err_clear(&e);
    }
    free(p);
    assert_false(record_reader_open(testdir_path("none.h5"), &r, &e));
    assert_int_equal(e.code, ERR_IO);
}

/* The folder's own fsync comes after the rename: then the new one is there already. */
static void expect_old_or_new(const char *path)
{
    struct record_reader *r;
    size_t n;
    assert_true(record_reader_open(path, &r, &e));
    n = record_reader_count(r);
    record_reader_close(r);
    assert_true(n == 3 || n == 30);
    expect_block(path, (unsigned)n);
}

/* Each step of writing fails once, then for good: what is there is whole, the old or the new. */
static void test_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC,
                                              FAULT_RENAME};
    const char *path = testdir_path("b.h5");
    (void)state;
    assert_true(write_block(path, 3, NULL));
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        for (uint64_t n = 1;; n++) {
            bool forever = n % 2 == 0, ok, fired;
            fault_arm(points[k], n, forever);
            ok = write_block(path, 30, NULL);
            fired = fault_fired();
            fault_disarm_all();
            if (ok) break;
            assert_true(fired);
            assert_true(e.code == ERR_NOMEM || e.code == ERR_IO);
            err_clear(&e);
            assert_int_equal(mem_live_blocks(), 0);
            expect_old_or_new(path);
        }
        assert_true(write_block(path, 3, NULL));
    }
}

static void test_reader_faults(void **state)
{
    const char *path = testdir_path("b.h5");
    struct record_reader *r;
    (void)state;
    assert_true(write_block(path, 3, NULL));
    for (uint64_t n = 1;; n++) {
        bool ok;
        fault_arm(FAULT_MEM, n, false);
        ok = record_reader_open(path, &r, &e);
        fault_disarm_all();
        if (ok) break;
        assert_int_equal(e.code, ERR_NOMEM);
        err_clear(&e);
        assert_int_equal(mem_live_blocks(), 0);
    }
    record_reader_close(r);
}

/* Other programs can read it: h5dump is a stranger to us. */
static void test_strangers(void **state)
{
    const char *path = testdir_path("b.h5");
    char cmd[1200], line[256] = "";
    FILE *f;
    (void)state;
    if (system("command -v h5dump >/dev/null 2>&1") != 0) {
        print_message("SKIP: h5dump is not there\n");
        skip();
    }
    assert_true(write_block(path, 3, NULL));
    snprintf(cmd, sizeof cmd, "h5dump -d /id/entry '%s' | grep '(0)'", path);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(pclose(f), 0);
    assert_non_null(strstr(line, "7, 8, 9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_equal_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
