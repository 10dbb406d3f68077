/* ingest/zip_dir, ingest/zip_read and archive_zip_entry: sound zips, and each trap by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ingest/zip_read.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

static const struct zip_limits limits = {1 << 20, 200};
static struct zipmake zip;
static struct zip_dir dir;
static struct zip_reader *reader;
static struct err e;

static int setup(void **state)
{
    (void)state;
    zipmake_init(&zip);
    err_clear(&e);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    zip_reader_close(reader);
    reader = NULL;
    zip_dir_free(&dir);
    zipmake_free(&zip);
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static struct str bytes(void)
{
    return (struct str){(const char *)zip.p, zip.n};
}

static void open_zip(void)
{
    assert_true(zip_dir_read(bytes(), 1 << 20, &dir, &e));
    assert_true(zip_reader_open(bytes(), &dir, limits, &reader, &e));
}

static void expect_text(size_t i, const char *want)
{
    struct str got;
    bool rejected;
    enum record_reject why;
    for (int slow = 0; slow < 2; slow++) {
        zip_reader_slow(reader, slow);
        assert_true(zip_reader_get(reader, i, &got, &rejected, &why, &e));
        assert_false(rejected);
        assert_int_equal(got.n, strlen(want));
        assert_memory_equal(got.p, want, got.n);
    }
}

static void expect_reject(size_t i, enum record_reject want)
{
    struct str got;
    bool rejected;
    enum record_reject why;
    zip_reader_slow(reader, false);
    assert_true(zip_reader_get(reader, i, &got, &rejected, &why, &e));
    assert_true(rejected);
    assert_string_equal(record_reject_names[why], record_reject_names[want]);
}

static void add(const char *name, const char *text, struct zipmake_how how)
{
    zipmake_add(&zip, name, text, strlen(text), how);
}

static void test_sound(void **state)
{
    (void)state;
    add("files/", "", (struct zipmake_how){.stored = true});
    add("files/a.txt", "stored text", (struct zipmake_how){.stored = true});
    add("files/b.txt", "deflated text, deflated text, deflated text", (struct zipmake_how){0});
    add("files/empty.txt", "", (struct zipmake_how){.stored = true});
    add("../../etc/x.txt", "a name is data", (struct zipmake_how){0});
    add("/abs/\xc3\xa9.txt", "non-ASCII name", (struct zipmake_how){0});
    zipmake_end(&zip, false, NULL);
    open_zip();
    assert_int_equal(dir.n, 6);
    expect_text(1, "stored text");
    expect_text(2, "deflated text, deflated text, deflated text");
    expect_text(3, "");
    expect_text(4, "a name is data");
    expect_text(5, "non-ASCII name");
    assert_true(str_eqz(zip_dir_name(&dir, 4), "../../etc/x.txt"));
    assert_false(fs_exists("../../etc/x.txt"));
}

static void test_zip64_prefix_comment(void **state)
{
    char comment[40001];
    (void)state;
    memset(comment, 'P', sizeof comment - 1); /* longer than what libarchive looks through */
    comment[sizeof comment - 1] = 0;
    add("a", "first", (struct zipmake_how){0});
    add("b", "second", (struct zipmake_how){.stored = true});
    zipmake_end(&zip, true, comment);
    open_zip();
    assert_int_equal(dir.n, 2);
    expect_text(0, "first");
    expect_text(1, "second");
}

/* Something in front of the archive (a self-extractor): all offsets are off by its length. */
static void test_shifted(void **state)
{
    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct zipmake inner;
        zipmake_init(&inner);
        zipmake_add(&inner, "a", "text", 4, (struct zipmake_how){.stored = true});
        zipmake_end(&inner, zip64, NULL);
        zipmake_raw(&zip, "#!/bin/sh\nexit\n", 15);
        zipmake_raw(&zip, inner.p, inner.n);
        open_zip();
        expect_text(0, "text");
        zipmake_free(&inner);
        teardown(state);
    }
}

static void test_descriptor(void **state)
{
    (void)state;
    add("a", "sizes stand behind the data, the data", (struct zipmake_how){.descriptor = true});
    add("b", "and again, and again, and again", (struct zipmake_how){.descriptor = true});
    zipmake_end(&zip, false, NULL);
    open_zip();
    expect_text(0, "sizes stand behind the data, the data");
    expect_text(1, "and again, and again, and again");
}

static void test_stale_entry(void **state)
{
    (void)state;
    add("a", "old text of a", (struct zipmake_how){.unlisted = true});
    add("b", "text of b", (struct zipmake_how){0});
    add("a", "new text of a", (struct zipmake_how){0});
    zipmake_end(&zip, false, NULL);
    open_zip();
    assert_int_equal(dir.n, 2);
    expect_text(0, "text of b");
    expect_text(1, "new text of a");
}

static void test_rejects(void **state)
{
    static char zeros[1 << 20], large[(1 << 20) + 1];
    const char *text = "The lungs are clear. The lungs are clear. The lungs are not.";
    (void)state;
    add("crc-stored", text, (struct zipmake_how){.stored = true, .bad_crc = true});
    add("crc-deflated", text, (struct zipmake_how){.bad_crc = true});
    add("encrypted", text, (struct zipmake_how){.encrypted = true});
    add("damaged", text, (struct zipmake_how){.damaged = true});
    add("claims-less", text, (struct zipmake_how){.claim = 10});
    add("claims-more", text, (struct zipmake_how){.claim = 1000});
    add("method", text, (struct zipmake_how){.stored = true, .method = 97});
    zipmake_add(&zip, "bomb", zeros, sizeof zeros, (struct zipmake_how){0});
    zipmake_add(&zip, "large", large, sizeof large, (struct zipmake_how){.stored = true});
    add("whole", text, (struct zipmake_how){0});
    add("cut", text, (struct zipmake_how){.cut = true});
    zipmake_end(&zip, false, NULL);
    open_zip();
    expect_reject(0, REJECT_CRC);
    expect_reject(1, REJECT_CRC);
    expect_reject(2, REJECT_ENCRYPTED);
    expect_reject(3, REJECT_CORRUPT);
    expect_reject(4, REJECT_SIZE);
    expect_reject(5, REJECT_SIZE);
    expect_reject(6, REJECT_METHOD);
    expect_reject(7, REJECT_RATIO);
    expect_reject(8, REJECT_TOO_LARGE);
    expect_text(9, text);
    expect_reject(10, REJECT_TRUNCATED);
}

/* libarchive must reject what the fast path rejects. */
static void test_slow_rejects(void **state)
{
    const char *text = "The lungs are clear. The lungs are clear. The lungs are not.";
    (void)state;
    add("a", text, (struct zipmake_how){.stored = true, .bad_crc = true});
    add("b", text, (struct zipmake_how){.bad_crc = true});
    add("c", text, (struct zipmake_how){.damaged = true});
    add("d", text, (struct zipmake_how){.claim = 10});
    zipmake_end(&zip, false, NULL);
    open_zip();
    zip_reader_slow(reader, true);
    for (size_t i = 0; i < 4; i++) {
        struct str got;
        bool rejected;
        enum record_reject why;
        assert_true(zip_reader_get(reader, i, &got, &rejected, &why, &e));
        assert_true(rejected);
    }
}

static void test_local_header_of_another(void **state)
{
    (void)state;
    add("aaaa", "text of a", (struct zipmake_how){.stored = true});
    add("bbbb", "text of b", (struct zipmake_how){.stored = true});
    memcpy(zip.v[0].name, "cccc", 4);
    zip.v[1].offset += 2;
    zipmake_end(&zip, false, NULL);
    open_zip();
    expect_reject(0, REJECT_LOCAL);
    expect_reject(1, REJECT_LOCAL);
}

static void test_unreadable_directory(void **state)
{
    (void)state;
    add("a", "text", (struct zipmake_how){0});
    add("b", "text", (struct zipmake_how){0});
    zipmake_end(&zip, false, NULL);
    /* Cut at every length: never a directory, never a crash. */
    for (size_t n = 0; n < zip.n; n++) {
        assert_false(zip_dir_read((struct str){(const char *)zip.p, n}, 100, &dir, &e));
        assert_int_equal(e.code, ERR_FORMAT);
        assert_non_null(strstr(e.text, "copy the file again"));
        err_clear(&e);
    }
    zip.p[zip.n - 22 - 47] ^= 1; /* the second entry's signature */
    assert_false(zip_dir_read(bytes(), 100, &dir, &e));
    assert_non_null(strstr(e.text, "entry 1"));
}

static void test_count_is_not_believed(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        add("x", "y", (struct zipmake_how){.stored = true});
    zipmake_end(&zip, false, NULL);
    zip.p[zip.n - 22 + 8] = zip.p[zip.n - 22 + 10] = 2; /* as after 65,536 entries more */
    open_zip();
    assert_int_equal(dir.n, 5);
    zip_dir_free(&dir);
    assert_false(zip_dir_read(bytes(), 4, &dir, &e));
    assert_int_equal(e.code, ERR_LIMIT);
}

static void test_no_memory(void **state)
{
    const char *text = "The lungs are clear. The lungs are clear. The lungs are not.";
    (void)state;
    add("a", text, (struct zipmake_how){0});
    add("b", text, (struct zipmake_how){.damaged = true}); /* goes through libarchive */
    zipmake_end(&zip, false, NULL);
    for (uint64_t n = 1;; n++) {
        bool ok, rejected;
        enum record_reject why;
        struct str got;
        fault_arm(FAULT_MEM, n, false);
        ok = zip_dir_read(bytes(), 100, &dir, &e) &&
             zip_reader_open(bytes(), &dir, limits, &reader, &e) &&
             zip_reader_get(reader, 0, &got, &rejected, &why, &e) &&
             zip_reader_get(reader, 1, &got, &rejected, &why, &e);
        bool fired = fault_fired();
        fault_disarm_all();
        assert_true(ok != fired);
        if (!fired) break;
        assert_int_equal(e.code, ERR_NOMEM);
        err_clear(&e);
        zip_reader_close(reader);
        reader = NULL;
        zip_dir_free(&dir);
        assert_int_equal(mem_live_blocks(), 0);
    }
}

/* Every entry of a real zip, by libdeflate and by libarchive. */
static void test_equal_to_libarchive(void **state)
{
    const char *path = testdir_shared("data/mimic-like/mimic-cxr-reports.zip");
    struct fs_map map;
    size_t files = 0;
    (void)state;
    if (!path) skip();
    assert_true(fs_map_open(path, &map, &e));
    struct str file = {(const char *)map.p, map.n};
    assert_true(zip_dir_read(file, 1 << 20, &dir, &e));
    assert_true(zip_reader_open(file, &dir, limits, &reader, &e));
    for (size_t i = 0; i < dir.n; i++) {
        struct str fast, slow;
        bool rejected;
        enum record_reject why;
        char *copy;
        zip_reader_slow(reader, false);
        assert_true(zip_reader_get(reader, i, &fast, &rejected, &why, &e));
        assert_false(rejected);
        copy = malloc(fast.n + 1);
        assert_non_null(copy);
        memcpy(copy, fast.p, fast.n);
        zip_reader_slow(reader, true);
        assert_true(zip_reader_get(reader, i, &slow, &rejected, &why, &e));
        assert_false(rejected);
        assert_int_equal(slow.n, fast.n);
        assert_memory_equal(slow.p, copy, fast.n);
        files += fast.n > 0;
        free(copy);
    }
    assert_int_equal(files, 3049);
    fs_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zip64_prefix_comment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shifted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rejects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_rejects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_local_header_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_count_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_equal_to_libarchive, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
