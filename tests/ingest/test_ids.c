/*
 * ingest/ids: with corpus.ids: hash no raw id is on disk, and all that ids decide - splits, whose
 * report supersedes whose, who is forgotten - is as with keep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "ingest/export.h"
#include "ingest/forget.h"
#include "ingest/ingestkit.h"
#include "support/testdir.h"

enum { ROWS = 300 };

/* Three reports a patient; each accession twice, preliminary and final. */
static void write_table(const char *path)
{
    static char text[100000];
    size_t n = (size_t)snprintf(text, sizeof text, "accession,mrn,status,findings,impression\n");
    for (unsigned i = 0; i < ROWS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "QQQ%u,ZYX%u,%s,Finding %c%c.,Word %c.\n",
                              i / 2, i / 6, i % 2 ? "final" : "preliminary", 'a' + i / 26 % 26,
                              'a' + i % 26, 'a' + i % 26);
    testdir_write(path, text, n);
}

static void write_key(const char *name, const char *text)
{
    kit.opts.id_key_file = ingestkit_path(name);
    testdir_write(kit.opts.id_key_file, text, strlen(text));
}

static int setup(void **state)
{
    ingestkit_setup(state);
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = ingestkit_path("a.csv");
    write_table(kit.sources[0].path);
    return 0;
}

static void hash_ids(void)
{
    kit.opts.ids = INGEST_IDS_HASH;
    write_key("key", "  a secret of more than sixteen bytes\n");
}

struct row {
    char patient[64], study[64];
    uint32_t flags;
    uint8_t split;
};
static void take(const struct record *r, size_t i, void *ctx)
{
    struct row *row = (struct row *)ctx + i;
    assert_true(r->patient.n < sizeof row->patient && r->study.n < sizeof row->study);
    *row = (struct row){.flags = r->flags, .split = r->split};
    memcpy(row->patient, r->patient.p, r->patient.n);
    memcpy(row->study, r->study.p, r->study.n);
}

/* Golden: hmac.new(sha256(key), b"patient\0ZYX17", sha256) and b"study\0QQQ51" of CPython 3.11, the
 * first 16 bytes. */
static void test_hmac(void **state)
{
    static struct row row[ROWS];
    (void)state;
    hash_ids();
    ingestkit_run();
    ingestkit_each(NULL, take, row);
    assert_string_equal(row[102].patient, "13bfada752c6ed24677dd5cb53fb8c16");
    assert_string_equal(row[102].study, "214a2295c5e8afc9ed5fbe6d820c4e67");
}

static void test_same_decisions(void **state)
{
    static struct row raw[ROWS], hashed[ROWS];
    uint64_t superseded = 0;
    (void)state;
    ingestkit_run();
    ingestkit_each(NULL, take, raw);
    assert_true(ingestkit_files_with(kit.opts.dir, "ZYX") > 0); /* else the test is blind */
    assert_true(ingestkit_files_with(kit.opts.dir, "QQQ") > 0);
    hash_ids();
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 1); /* no block with raw ids is taken over */
    ingestkit_each(NULL, take, hashed);
    assert_int_equal(ingestkit_files_with(kit.opts.dir, "ZYX"), 0);
    assert_int_equal(ingestkit_files_with(kit.opts.dir, "QQQ"), 0);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(raw[i].flags, hashed[i].flags);
        assert_int_equal(raw[i].split, hashed[i].split);
        superseded += (raw[i].flags & RECORD_SUPERSEDED) != 0;
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(strcmp(raw[i].patient, raw[k].patient) == 0,
                             strcmp(hashed[i].patient, hashed[k].patient) == 0);
            assert_int_equal(strcmp(raw[i].study, raw[k].study) == 0,
                             strcmp(hashed[i].study, hashed[k].study) == 0);
        }
    }
    assert_int_equal(superseded, ROWS / 2);
}

static void test_forget(void **state)
{
    struct forget_summary gone;
    (void)state;
    hash_ids();
    ingestkit_run();
    assert_true(forget_run(&kit.opts, STR("ZYX0\nZYX7\nnobody\n"), &gone, &kit.e));
    assert_int_equal(gone.known, 2);
    assert_int_equal(gone.records, 12);
    assert_int_equal(ingestkit_count(), ROWS - 12);
    kit.sources[1] = kit.sources[0];
    kit.sources[1].name = "two";
    kit.opts.sources.n = 2;
    ingestkit_run(); /* a second dump brings them back: it does not */
    assert_int_equal(ingestkit_count(), 2 * (ROWS - 12));
    write_key("other", "another secret, long enough");
    ingestkit_run_fails(ERR_CONFIG, "its patients would come back");
    kit.opts.ids = INGEST_IDS_KEEP;
    kit.opts.id_key_file = NULL;
    ingestkit_run_fails(ERR_CONFIG, "its patients would come back");
}

static void test_exports_with_raw_ids(void **state)
{
    struct export_opts o = {.corpus_dir = kit.opts.dir,
                            .source = &kit.sources[0],
                            .hashed_ids = true,
                            .format = EXPORT_MEDIQA,
                            .split = SPLIT_TRAIN,
                            .path = ingestkit_path("out")};
    struct export_counts n;
    (void)state;
    hash_ids();
    ingestkit_run();
    assert_false(export_run(&o, &n, &kit.e));
    assert_int_equal(kit.e.code, ERR_CONFIG);
    assert_false(fs_exists(o.path));
    o.format = EXPORT_JSONL;
    o.split = -1;
    err_clear(&kit.e);
    assert_true(export_run(&o, &n, &kit.e));
    assert_int_equal(n.written, ROWS);
}

static void test_wrong_options(void **state)
{
    (void)state;
    kit.opts.ids = INGEST_IDS_HASH;
    ingestkit_run_fails(ERR_CONFIG, "needs corpus.id_key_file");
    write_key("short", "fifteen bytes..\n");
    ingestkit_run_fails(ERR_CONFIG, "shorter than 16 bytes");
    kit.opts.ids = INGEST_IDS_KEEP;
    ingestkit_run_fails(ERR_CONFIG, "goes with ids: hash");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hmac, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_same_decisions, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_forget, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_exports_with_raw_ids, setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_options, setup, ingestkit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
