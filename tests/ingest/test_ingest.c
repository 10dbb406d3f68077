/*
 * ingest/ingest on one rank: what is made again and what is not, what is left out and said so, and
 * that a failure at any step leaves the old corpus whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/ingestkit.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

/* ---- sources */
static const char *write_zip(const char *name, struct zipmake *z)
{
    const char *path = testdir_path(name);
    struct str keep;
    zipmake_end(z, false, NULL);
    testdir_write(path, z->p, z->n);
    zipmake_free(z);
    assert_true(arena_str(&kit.arena, str_of(path), &keep, &kit.e));
    return keep.p;
}

static void add_report(struct zipmake *z, unsigned patient, unsigned study, const char *text,
                       struct zipmake_how how)
{
    char name[100];
    snprintf(name, sizeof name, "files/p1%u/p1%07u/s5%07u.txt", patient % 10, patient, study);
    zipmake_add(z, name, text, strlen(text), how);
}

static const char *plain_zip(const char *name, unsigned reports)
{
    struct zipmake z;
    char text[200];
    zipmake_init(&z);
    for (unsigned i = 0; i < reports; i++) {
        snprintf(text, sizeof text, "x\n FINDINGS: Finding %c%c%c.\n IMPRESSION: Thing.\n",
                 'a' + i / 676 % 26, 'a' + i / 26 % 26, 'a' + i % 26);
        add_report(&z, i / 3, i, text, (struct zipmake_how){0});
    }
    return write_zip(name, &z);
}

static const char *write_csv(const char *name, const char *text)
{
    const char *path = testdir_path(name);
    struct str keep;
    testdir_write(path, text, strlen(text));
    assert_true(arena_str(&kit.arena, str_of(path), &keep, &kit.e));
    return keep.p;
}

static void put_flags(const struct record *r, size_t i, void *ctx)
{
    uint32_t *flags = ctx;
    flags[i] = r->flags & (RECORD_DUPLICATE | RECORD_SUPERSEDED);
}

/* ---- tests */
static void test_rerun_makes_only_what_is_missing(void **state)
{
    struct record_corpus c, again;
    size_t n;
    char *p;
    struct stat before, after;
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 9000);
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 9000);
    assert_int_equal(kit.sum.blocks, 3);
    assert_int_equal(kit.sum.blocks_made, 3);
    assert_true(record_corpus_open(kit.opts.dir, &kit.arena, &c, &kit.e));
    assert_int_equal(ingestkit_count(), 9000);
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 0);
    /* One block gone, one damaged. */
    assert_true(fs_remove(c.blocks[1].path, &kit.e));
    p = testdir_read(c.blocks[2].path, &n);
    p[n / 2] ^= 1;
    testdir_write(c.blocks[2].path, p, n);
    free(p);
    assert_int_equal(stat(c.blocks[0].path, &before), 0);
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 2);
    assert_int_equal(ingestkit_count(), 9000);
    assert_int_equal(stat(c.blocks[0].path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(record_corpus_open(kit.opts.dir, &kit.arena, &again, &kit.e));
    assert_memory_equal(c.digest, again.digest, 32);
}

static void test_change_remakes_one_source(void **state)
{
    struct record_corpus c;
    struct str *names;
    struct stat before, after;
    size_t n;
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 10);
    kit.sources[1] = kit.sources[0];
    kit.sources[1].name = "two";
    kit.opts.sources.n = 2;
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 2);
    assert_true(record_corpus_open(kit.opts.dir, &kit.arena, &c, &kit.e));
    assert_int_equal(stat(c.blocks[0].path, &before), 0);
    kit.sources[1].sections = MODE_MEDIQA;
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 1);
    assert_int_equal(stat(c.blocks[0].path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* What nothing names any more is gone. */
    assert_true(fs_list(testdir_path("corpus/records/two"), &kit.arena, &names, &n, &kit.e));
    assert_int_equal(n, 1);
}

static void test_duplicates(void **state)
{
    struct zipmake z;
    uint32_t flags[8];
    (void)state;
    zipmake_init(&z);
    add_report(&z, 1, 1, "x\n FINDINGS: Clear  12 lungs.\n IMPRESSION: Normal.",
               (struct zipmake_how){0});
    add_report(&z, 2, 2, "y\n FINDINGS: clear 34\n LUNGS.\n IMPRESSION: normal.",
               (struct zipmake_how){0});
    add_report(&z, 3, 3, "y\n FINDINGS: Clear.\n IMPRESSION: Lungs normal.",
               (struct zipmake_how){0});
    add_report(&z, 4, 4, "nothing\n HISTORY: x", (struct zipmake_how){0});
    add_report(&z, 5, 5, "nothing\n HISTORY: x", (struct zipmake_how){0});
    kit.sources[0].path = write_zip("a.zip", &z);
    kit.sources[1] = kit.sources[0];
    kit.sources[1].name = "two";
    kit.opts.sources.n = 2;
    ingestkit_run();
    ingestkit_each("one", put_flags, flags);
    assert_int_equal(flags[0], 0);
    assert_int_equal(flags[1], RECORD_DUPLICATE); /* case, blanks and digits aside */
    assert_int_equal(flags[2], 0);
    assert_int_equal(flags[3], 0); /* neither findings nor impression: nothing to compare */
    assert_int_equal(flags[4], 0);
    ingestkit_each("two", put_flags, flags);
    assert_int_equal(flags[0], RECORD_DUPLICATE);
    assert_int_equal(flags[2], RECORD_DUPLICATE);
    assert_int_equal(kit.sum.flags[4], 4);
    /* The earlier source goes: the later one's records are the first again. */
    kit.sources[0] = kit.sources[1];
    kit.opts.sources.n = 1;
    ingestkit_run();
    ingestkit_each("two", put_flags, flags);
    assert_int_equal(flags[0], 0);
    assert_int_equal(flags[1], RECORD_DUPLICATE);
}

static void test_superseded(void **state)
{
    uint32_t flags[8];
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = write_csv("a.csv", "accession,mrn,status,findings,impression\n"
                                             "A1,P1,Prelim,The lungs are clear.,Normal.\n"
                                             "A1,P1,Final,The lungs are clear.,Normal.\n"
                                             "A2,P1,Final,Heart large.,Large.\n"
                                             "A2,P1,P,Heart small.,Small.\n"
                                             "A3,P2,F,Bone broken.,Broken.\n"
                                             "A3,P2,F,Bone whole.,Whole.\n");
    ingestkit_run();
    ingestkit_each("one", put_flags, flags);
    assert_int_equal(flags[0], RECORD_SUPERSEDED);
    assert_int_equal(flags[1], 0); /* the same text as one that does not count */
    assert_int_equal(flags[2], 0);
    assert_int_equal(flags[3], RECORD_SUPERSEDED);
    assert_int_equal(flags[4], RECORD_SUPERSEDED);
    assert_int_equal(flags[5], 0);
}

/* ---- growth: what is there stays, name, bytes and time */
struct kept {
    struct record_corpus c;
    struct stat st[8];
};

static void note(struct kept *k)
{
    assert_true(record_corpus_open(kit.opts.dir, &kit.arena, &k->c, &kit.e));
    assert_true(k->c.nblocks <= 8);
    for (size_t i = 0; i < k->c.nblocks; i++)
        assert_int_equal(stat(k->c.blocks[i].path, &k->st[i]), 0);
}

/* Every block of `old` is the first of that many of the new corpus, untouched. */
static void expect_kept(const struct kept *old)
{
    struct kept now;
    note(&now);
    assert_true(now.c.nblocks >= old->c.nblocks);
    for (size_t i = 0; i < old->c.nblocks; i++) {
        assert_string_equal(now.c.blocks[i].path, old->c.blocks[i].path);
        assert_memory_equal(now.c.blocks[i].sha256, old->c.blocks[i].sha256, 32);
        assert_int_equal(now.st[i].st_ino, old->st[i].st_ino);
        assert_int_equal(now.st[i].st_mtim.tv_sec, old->st[i].st_mtim.tv_sec);
        assert_int_equal(now.st[i].st_mtim.tv_nsec, old->st[i].st_mtim.tv_nsec);
    }
}

static void expect_in_manifest(const char *part)
{
    size_t n;
    char *p = testdir_read(testdir_path("corpus/manifest.json"), &n);
    if (!strstr(p, part)) fail_msg("no %s in %s", part, p);
    free(p);
}

static void test_growth(void **state)
{
    struct kept first, second;
    uint32_t flags[8];
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = ingestkit_path("dump-*.csv");
    write_csv("dump-m.csv", "accession,mrn,status,findings,impression\n"
                            "A1,P1,F,The lungs are clear.,Normal.\n"
                            "A2,P1,F,Heart large.,Large.\n");
    ingestkit_run();
    expect_in_manifest("\"generation\": 1");
    note(&first);
    /* It sorts in front; it corrects one report and repeats the text of another. */
    write_csv("dump-a.csv", "accession,mrn,status,findings,impression\n"
                            "A1,P1,C,The lungs are dense.,Oedema.\n"
                            "A3,P2,F,Heart large.,Large.\n");
    ingestkit_run();
    assert_int_equal(kit.sum.blocks, 2);
    assert_int_equal(kit.sum.blocks_made, 1);
    assert_int_equal(kit.sum.pairs, 2);
    expect_in_manifest("\"generation\": 2");
    expect_kept(&first);
    ingestkit_each("one", put_flags, flags);
    assert_int_equal(flags[0], RECORD_SUPERSEDED);
    assert_int_equal(flags[1], 0);
    assert_int_equal(flags[2], 0);
    assert_int_equal(flags[3], RECORD_DUPLICATE);
    note(&second);
    ingestkit_run(); /* nothing to do */
    assert_int_equal(kit.sum.blocks_made, 0);
    expect_in_manifest("\"generation\": 2");
    expect_kept(&second);
    /* The first dump goes: the other keeps its number, and what it said of others is gone. */
    assert_true(fs_remove(testdir_path("dump-m.csv"), &kit.e));
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 0);
    ingestkit_each("one", put_flags, flags);
    assert_int_equal(flags[1], 0);
}

/* Any flipped byte of the manifest or of the late file is named, and a rerun mends it. */
static void test_damaged_corpus(void **state)
{
    struct str *names;
    struct arena a;
    size_t n, nnames, hits = 0;
    char *p;
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 40);
    ingestkit_run();
    arena_init(&a, 16 << 20);
    assert_true(fs_list(kit.opts.dir, &a, &names, &nnames, &kit.e));
    for (size_t f = 0; f < nnames; f++) {
        const char *path;
        if (!str_ends(names[f], STR(".h5")) && !str_eqz(names[f], "manifest.json")) continue;
        assert_true(fs_join(&a, kit.opts.dir, names[f].p, &path, &kit.e));
        p = testdir_read(path, &n);
        for (size_t at = 0; at < n; at += n / 40 + 1, hits++) {
            struct record_corpus c;
            struct arena read;
            arena_init(&read, 16 << 20);
            if (p[at] == ' ' || p[at] == '\n') continue; /* of the layout, no more */
            p[at] ^= 1;
            testdir_write(path, p, n);
            p[at] ^= 1;
            if (record_corpus_open(kit.opts.dir, &read, &c, &kit.e)) fail_msg("byte %zu", at);
            assert_non_null(strstr(kit.e.text, names[f].p));
            err_clear(&kit.e);
            arena_free(&read);
        }
        free(p);
        ingestkit_run();
        assert_int_equal(ingestkit_count(), 40);
    }
    assert_true(hits > 60);
    arena_free(&a);
}

static const char *broken_zip(void)
{
    struct zipmake z;
    const char *t = "x\n FINDINGS: Canary7731.\n IMPRESSION: Normal, normal, normal, normal.\n";
    zipmake_init(&z);
    zipmake_add(&z, "files/", "", 0, (struct zipmake_how){.stored = true});
    zipmake_add(&z, "__MACOSX/files/p10/p10000001/._s50000001.txt", "x", 1,
                (struct zipmake_how){0});
    add_report(&z, 1, 1, t, (struct zipmake_how){0});
    add_report(&z, 2, 2, t, (struct zipmake_how){.bad_crc = true});
    add_report(&z, 3, 3, t, (struct zipmake_how){.encrypted = true});
    add_report(&z, 1, 4, "old", (struct zipmake_how){0}); /* comes again */
    add_report(&z, 4, 5, t, (struct zipmake_how){.damaged = true});
    add_report(&z, 1, 4, t, (struct zipmake_how){.descriptor = true});
    return write_zip("broken.zip", &z);
}

static void test_bad_entries(void **state)
{
    size_t n;
    char *p;
    (void)state;
    kit.sources[0].path = broken_zip();
    ingestkit_run_fails(ERR_LIMIT, "3 of 5 reports"); /* the old entry is no defect */
    assert_false(fs_exists(testdir_path("corpus/manifest.json")));
    assert_true(fs_exists(testdir_path("corpus/quarantine/one.jsonl"))); /* to see why */
    kit.opts.max_bad = 0.7;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 2);
    assert_int_equal(kit.sum.ignored, 2);
    assert_int_equal(kit.sum.rejected[REJECT_CRC], 1);
    assert_int_equal(kit.sum.rejected[REJECT_ENCRYPTED], 1);
    assert_int_equal(kit.sum.rejected[REJECT_CORRUPT], 1);
    assert_int_equal(kit.sum.rejected[REJECT_DUPLICATE], 1);
    p = testdir_read(testdir_path("corpus/quarantine/one.jsonl"), &n);
    assert_non_null(strstr(p, "{\"file\": 0, \"entry\": 3, \"offset\": "));
    assert_non_null(strstr(p, "\"reason\": \"crc\"}\n"));
    assert_null(strstr(p, "10000002"));
    assert_null(strstr(p, "Canary"));
    free(p);
    p = testdir_read(testdir_path("corpus/manifest.json"), &n);
    assert_non_null(strstr(p, "\"encrypted\": 1"));
    assert_null(strstr(p, "10000002"));
    assert_null(strstr(p, "50000001"));
    free(p);
    /* Blocks found again know their rejects too; a source without any has no list. */
    ingestkit_run();
    assert_int_equal(kit.sum.blocks_made, 0);
    assert_int_equal(kit.sum.rejected[REJECT_CRC], 1);
    kit.sources[0].path = plain_zip("a.zip", 3);
    ingestkit_run();
    assert_false(fs_exists(testdir_path("corpus/quarantine/one.jsonl")));
}

static void test_unreadable_files(void **state)
{
    size_t n;
    char *p;
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 100);
    p = testdir_read(kit.sources[0].path, &n);
    testdir_write(kit.sources[0].path, p, n - 100);
    free(p);
    ingestkit_run_fails(ERR_FORMAT, "copy the file again");
    ingestkit_run_fails(ERR_FORMAT, "a.zip");
    kit.sources[0].path = testdir_path("none.zip");
    ingestkit_run_fails(ERR_IO, "none.zip");
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = write_csv("a.csv", "Canary7731,color\nx,y\n");
    assert_false(ingest_run(&kit.opts, kit.comm, &kit.sum, &kit.e));
    assert_non_null(strstr(kit.e.text, "none of the 2 columns is known as report text"));
    assert_null(strstr(kit.e.text, "Canary")); /* it may be a report: the header may be missing */
    err_clear(&kit.e);
    kit.sources[0].path = write_csv("a.csv", "findings,color\nx,y\n");
    kit.sources[0].columns.role[ROLE_IMPRESSION] =
        (struct opt_strs){(const char *const[]){"opinion"}, 1};
    ingestkit_run_fails(ERR_CONFIG, "none of the 2 columns is named opinion");
    kit.sources[0].path = write_csv("a.csv", "");
    kit.sources[0].columns.role[ROLE_IMPRESSION].n = 0;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 0);
}

static void test_wrong_options(void **state)
{
    (void)state;
    kit.sources[0].path = "x";
    kit.sources[0].name = "a/b";
    ingestkit_run_fails(ERR_CONFIG, "only letters");
    kit.sources[0].name = "one";
    kit.sources[1] = kit.sources[0];
    kit.opts.sources.n = 2;
    ingestkit_run_fails(ERR_CONFIG, "two are named one");
    kit.opts.sources.n = 0;
    ingestkit_run_fails(ERR_CONFIG, "sources is empty");
    kit.opts.sources.n = 1;
    kit.sources[0].split_list = "list.csv";
    ingestkit_run_fails(ERR_CONFIG, "go together");
    kit.sources[0].split_list = NULL;
    kit.sources[0].modality = "magic";
    ingestkit_run_fails(ERR_CONFIG, "modality");
    kit.sources[0].modality = NULL;
    kit.opts.ids = 1;
    ingestkit_run_fails(ERR_CONFIG, "corpus.ids");
    kit.opts.ids = 0;
    kit.opts.split_dev = kit.opts.split_test = 0.6;
    ingestkit_run_fails(ERR_CONFIG, "split_dev");
}

/* A lone file, gzip, and inside tar and zip: the same records; litter and folders do not count. */
static void test_packings(void **state)
{
    char cmd[2000];
    const char *dir = testdir_path("in");
    static const char *const packed[] = {"in/t.csv", "t.csv.gz", "t.tar.gz", "t.tar.xz",
                                         "in/*.csv"};
    (void)state;
    snprintf(
        cmd, sizeof cmd,
        "mkdir '%s' && cd '%s' && printf '\\357\\273\\277Accession #;MRN;Findings;Impression\\r\\n"
        "A1;P1;\"The lungs\\r\\nare \"\"clear\"\".\";Normal.\\r\\n' > t.csv && echo x > .junk.csv "
        "&& "
        "gzip -c t.csv > ../t.csv.gz && tar czf ../t.tar.gz . && tar cJf ../t.tar.xz .",
        dir, dir);
    assert_int_equal(system(cmd), 0);
    kit.sources[0].format = FORMAT_CSV;
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        char pattern[600];
        snprintf(pattern, sizeof pattern, "%s", testdir_path(packed[i]));
        kit.sources[0].path = pattern;
        ingestkit_run();
        assert_int_equal(kit.sum.reports, 1);
        assert_int_equal(kit.sum.pairs, 1);
        assert_int_equal(kit.sum.rejected[REJECT_ROW_FIELDS], 0);
    }
}

static void expect_windows(const struct record *r, size_t i, void *ctx)
{
    (void)i;
    (void)ctx;
    assert_true(str_find(r->text, STR("5 \xc2\xb5m \xe2\x80\x93 \xe2\x80\x9cok\xe2\x80\x9d"), 0) !=
                SIZE_MAX);
    assert_true(r->flags & RECORD_REPAIRED_UTF8);
    assert_true(str_eqz(r->patient, "P1"));
    assert_true(str_eqz(r->study, "A1"));
}

static void test_windows_cells(void **state)
{
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path =
        write_csv("a.csv", "accession,mrn,report_text\nA1,P1,\"FINDINGS: 5 \xb5m \x96 "
                           "\x93ok\x94\r\n\r\nIMPRESSION: Normal.\"\n");
    ingestkit_run();
    assert_int_equal(kit.sum.pairs, 1);
    ingestkit_each("one", expect_windows, NULL);
}

static void expect_break(const struct record *r, size_t i, void *ctx)
{
    static const char *const want[] = {"The lungs\nare clear.",
                                       "The lungs\nare clear.",
                                       "The lungs\nare clear.",
                                       "A \\n b\nc",
                                       "a < b_x000",
                                       "A \\n b\nc"};
    struct str text = {r->text.p + r->section[SEC_FINDINGS].offset,
                       r->section[SEC_FINDINGS].length};
    (void)ctx;
    if (!str_eqz(text, want[i])) fail_msg("row %zu: %.*s", i, STR_ARG(text));
    assert_int_equal(r->flags & RECORD_TRUNCATED, 0);
}

/* Line breaks that an export wrote as marks; none where there are real ones. */
static void test_line_break_marks(void **state)
{
    char *cell;
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path =
        write_csv("a.csv", "id,findings,impression\n1,The lungs<BR/>are clear.,x\n"
                           "2,The lungs\\nare clear.,x\n"
                           "3,\"The lungs_x000D_\nare clear.\",x\n"
                           "4,\"A \\n b\nc\",x\n5,a < b_x000,x\n6,\"A \\n b_x000D_\nc\",x\n");
    ingestkit_run();
    ingestkit_each("one", expect_break, NULL);
    cell = malloc(40000);
    assert_non_null(cell);
    snprintf(cell, 40000, "id,findings,impression\n1,%032767d,x\n", 1);
    kit.sources[0].path = write_csv("a.csv", cell);
    ingestkit_run();
    assert_int_equal(kit.sum.flags[3], 1); /* Excel's limit: cut */
    free(cell);
}

static void expect_no_header(const struct record *r, size_t i, void *ctx)
{
    static const char *const want[] = {"Clear.", "Clear.", "", "Findings are few.",
                                       "IMPRESSION: x"};
    (void)ctx;
    assert_true(str_eqz(
        (struct str){r->text.p + r->section[SEC_FINDINGS].offset, r->section[SEC_FINDINGS].length},
        want[i]));
}

/* A cell that begins with its own header: that is not its text; alone it is none. */
static void test_header_in_cell(void **state)
{
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = write_csv("a.csv", "id,findings,impression\n1,FINDINGS: Clear.,x\n"
                                             "2,\"Findings:\nClear.\",x\n3,FINDINGS:,x\n"
                                             "4,Findings are few.,x\n5,IMPRESSION: x,y\n");
    ingestkit_run();
    ingestkit_each("one", expect_no_header, NULL);
}

/* A source that yields nothing is said, with what its files hold. */
static void test_empty_source(void **state)
{
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = write_csv("a.csv", "id,findings,impression\n");
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 0);
    assert_int_equal(kit.sum.nempty, 1);
    assert_string_equal(kit.sum.empty[0].name, kit.sources[0].name);
    assert_int_equal(kit.sum.empty[0].files, 1);
    assert_int_equal(kit.sum.empty[0].entries + kit.sum.empty[0].rejected, 0);
    kit.sources[0].path = write_csv("a.csv", "id,findings,impression\n1,a\n1,a,b\n");
    kit.opts.max_bad = 0.5;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 1);
    assert_int_equal(kit.sum.nempty, 0);
}

static void test_bad_rows(void **state)
{
    (void)state;
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path =
        write_csv("a.csv", "accession,findings,impression\nA1,a b,c\nA2,\"open,x\nA3,d,e\n"
                           "A4,f\n");
    kit.opts.max_bad = 0.5;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 2);
    assert_int_equal(kit.sum.rejected[REJECT_ROW_QUOTES], 1);
    assert_int_equal(kit.sum.rejected[REJECT_ROW_FIELDS], 1);
    assert_int_equal(kit.sum.flags[6], 2); /* no patient column: weak splits */
}

/* A tar of the MIMIC layout gives what the zip gives. */
static void test_tar_of_reports(void **state)
{
    char cmd[1500];
    (void)state;
    snprintf(cmd, sizeof cmd,
             "cd '%s' && mkdir -p files/p10/p10000001 && printf 'x\\n FINDINGS: a.\\n IMPRESSION: "
             "b.\\n' > files/p10/p10000001/s50000001.txt && cp files/p10/p10000001/s50000001.txt "
             "files/p10/p10000001/index.html && tar czf t.tgz files",
             testdir_path(""));
    assert_int_equal(system(cmd), 0);
    kit.sources[0].path = testdir_path("t.tgz");
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 1);
    assert_int_equal(kit.sum.ignored, 1);
    assert_int_equal(kit.sum.pairs, 1);
    assert_int_equal(kit.sum.modality[MOD_CR], 1);
}

static void test_site_a(void **state)
{
    const char *path = testdir_shared("data/institutional-like/site_a_ris_csv.tar.gz");
    (void)state;
    if (!path) skip();
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = path;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 113);
    assert_int_equal(kit.sum.flags[5], 6); /* preliminary rows that a final one supersedes */
    assert_int_equal(kit.sum.flags[4], 5); /* texts under a second accession */
    assert_int_equal(kit.sum.modality[MOD_CR], 82);
    assert_int_equal(kit.sum.modality[MOD_US], 13);
    assert_int_equal(kit.sum.modality[MOD_UNKNOWN], 0);
}

struct trial {
    size_t n;
    bool patient[1000]; /* of plain_zip: three reports each */
    size_t of[1000];
};

static void put_patient(const struct record *r, size_t i, void *ctx)
{
    struct trial *t = ctx;
    uint64_t id;
    (void)i;
    assert_true(parse_u64(r->patient, &id, &kit.e));
    id -= 10000000;
    assert_true(id < 1000);
    t->patient[id] = true;
    t->of[id]++;
    t->n++;
}

/* Whole patients, about as many reports as asked for, and a larger trial only adds to it. */
static void test_limit(void **state)
{
    struct trial small = {0}, large = {0};
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 3000);
    kit.opts.limit = 300;
    ingestkit_run();
    assert_int_equal(kit.sum.total, 3000);
    ingestkit_each(NULL, put_patient, &small);
    assert_true(small.n > 200 && small.n < 400);
    assert_int_equal(kit.sum.reports, small.n);
    assert_true(kit.sum.report_seconds > 0 && kit.sum.report_seconds < kit.sum.seconds);
    kit.opts.limit = 900;
    ingestkit_run();
    ingestkit_each(NULL, put_patient, &large);
    assert_true(large.n > 780 && large.n < 1020);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(large.patient[i] || !small.patient[i]);
        assert_true(large.of[i] == 0 || large.of[i] == 3);
    }
    kit.opts.limit = 5000;
    ingestkit_run();
    assert_int_equal(kit.sum.reports, 3000);
    kit.sources[0].format = FORMAT_CSV;
    kit.sources[0].path = write_csv("a.csv", "mrn,findings,impression\n1,a,b\n2,c,d\n3,e,f\n4,g\n");
    kit.opts.limit = 3;
    kit.opts.max_bad = 0.5;
    ingestkit_run();
    assert_int_equal(kit.sum.total, 3);
    assert_int_equal(kit.sum.reports, 3);
    kit.opts.limit = 0;
    ingestkit_run(); /* the whole may follow a trial, but no trial takes its place */
    assert_int_equal(kit.sum.reports, 3);
    kit.opts.limit = 1;
    ingestkit_run_fails(ERR_CONFIG, "holds a whole corpus");
    assert_int_equal(ingestkit_count(), 3);
}

/* Every step fails once, or for good from then on: the corpus of before opens and is whole, and the
 * next run finishes. */
static void sweep(enum fault_point point, bool forever, uint64_t step)
{
    const char *first = kit.sources[0].path;
    for (uint64_t n = 1;; n += step) {
        bool ok, fired;
        kit.sources[0].sections = n % 2 ? MODE_MEDIQA : MODE_OWN; /* something is to be made */
        fault_arm(point, n, forever);
        ok = ingest_run(&kit.opts, kit.comm, &kit.sum, &kit.e);
        fired = fault_fired();
        fault_disarm_all();
        if (!ok) {
            assert_true(fired);
            assert_true(kit.e.code == ERR_NOMEM || kit.e.code == ERR_IO || kit.e.code == ERR_LIB);
            err_clear(&kit.e);
        }
        assert_int_equal(ingestkit_count(), 40);
        ingestkit_run();
        assert_int_equal(kit.sum.reports, 40);
        if (!fired) break;
    }
    kit.sources[0].path = first;
}

static void test_disk_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_OPEN, FAULT_WRITE,  FAULT_FSYNC, FAULT_RENAME,
                                              FAULT_READ, FAULT_UNLINK, FAULT_MKDIR};
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 40);
    ingestkit_run();
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        sweep(points[i], false, 1);
        sweep(points[i], true, 1);
    }
}

static void test_memory_faults(void **state)
{
    (void)state;
    kit.sources[0].path = plain_zip("a.zip", 40);
    ingestkit_run();
    sweep(FAULT_MEM, false, 5);
    sweep(FAULT_MEM, true, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rerun_makes_only_what_is_missing, ingestkit_setup,
                                        ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_change_remakes_one_source, ingestkit_setup,
                                        ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_duplicates, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_growth, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_corpus, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_superseded, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_bad_entries, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_files, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_wrong_options, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_packings, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_windows_cells, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_line_break_marks, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_header_in_cell, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_empty_source, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_bad_rows, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_tar_of_reports, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_site_a, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_limit, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_disk_faults, ingestkit_setup, ingestkit_teardown),
        cmocka_unit_test_setup_teardown(test_memory_faults, ingestkit_setup, ingestkit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
