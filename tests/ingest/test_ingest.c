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
#include "ingest/ingest.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

static struct comm *comm;
static struct arena arena;
static struct ingest_opts opts;
static struct ingest_source_opts sources[3];
static struct ingest_summary sum;
static struct err e;

static int setup(void **state)
{
    (void)state;
    err_clear(&e);
    testdir_make();
    arena_init(&arena, 64 << 20);
    log_setup(LOG_ERROR, 0);
    assert_true(comm_open_self(&comm, &e));
    assert_true(opt_defaults(ingest_table, &arena, &opts, &e));
    memset(sources, 0, sizeof sources);
    sources[0].name = "one";
    sources[0].split = INGEST_SPLIT_HASH;
    opts.dir = testdir_path("corpus");
    opts.sources = (struct opt_list){sources, 1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_disarm_all();
    comm_close(comm);
    arena_free(&arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

/* ---- sources */
static const char *write_zip(const char *name, struct zipmake *z)
{
    const char *path = testdir_path(name);
    struct str keep;
    zipmake_end(z, false, NULL);
    testdir_write(path, z->p, z->n);
    zipmake_free(z);
    assert_true(arena_str(&arena, str_of(path), &keep, &e));
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
    assert_true(arena_str(&arena, str_of(path), &keep, &e));
    return keep.p;
}

static void run(void)
{
    if (!ingest_run(&opts, comm, &sum, &e)) fail_msg("%s", e.text);
}

static void run_fails(enum err_code code, const char *part)
{
    assert_false(ingest_run(&opts, comm, &sum, &e));
    if (e.code != code || !strstr(e.text, part)) fail_msg("%s: %s", err_code_name(e.code), e.text);
    err_clear(&e);
}

/* ---- the corpus */
typedef void (*record_fn)(const struct record *r, size_t i, void *ctx);

static void each_record(const char *source, record_fn fn, void *ctx)
{
    struct record_corpus c;
    struct arena a;
    size_t n = 0;
    arena_init(&a, 16 << 20);
    assert_true(record_corpus_open(opts.dir, &a, &c, &e));
    for (size_t b = 0; b < c.nblocks; b++) {
        struct record_reader *r;
        uint8_t sha[32];
        assert_true(record_reader_open(c.blocks[b].path, &r, &e));
        record_reader_sha256(r, sha);
        assert_memory_equal(sha, c.blocks[b].sha256, 32);
        assert_int_equal(record_reader_count(r), c.blocks[b].records);
        for (size_t i = 0; i < record_reader_count(r); i++) {
            struct record rec;
            record_reader_get(r, i, &rec);
            if (!source || strcmp(c.blocks[b].source, source) == 0) fn(&rec, n++, ctx);
        }
        record_reader_close(r);
    }
    arena_free(&a);
}

static void count_one(const struct record *r, size_t i, void *ctx)
{
    (void)r;
    (void)i;
    ++*(size_t *)ctx;
}

/* Opens the corpus, checks every block against the manifest. */
static size_t count_records(void)
{
    size_t n = 0;
    each_record(NULL, count_one, &n);
    return n;
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
    sources[0].path = plain_zip("a.zip", 9000);
    run();
    assert_int_equal(sum.reports, 9000);
    assert_int_equal(sum.blocks, 3);
    assert_int_equal(sum.blocks_made, 3);
    assert_true(record_corpus_open(opts.dir, &arena, &c, &e));
    assert_int_equal(count_records(), 9000);
    run();
    assert_int_equal(sum.blocks_made, 0);
    /* One block gone, one damaged. */
    assert_true(fs_remove(c.blocks[1].path, &e));
    p = testdir_read(c.blocks[2].path, &n);
    p[n / 2] ^= 1;
    testdir_write(c.blocks[2].path, p, n);
    free(p);
    assert_int_equal(stat(c.blocks[0].path, &before), 0);
    run();
    assert_int_equal(sum.blocks_made, 2);
    assert_int_equal(count_records(), 9000);
    assert_int_equal(stat(c.blocks[0].path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(record_corpus_open(opts.dir, &arena, &again, &e));
    assert_memory_equal(c.digest, again.digest, 32);
}

static void test_change_remakes_one_source(void **state)
{
    struct record_corpus c;
    struct str *names;
    struct stat before, after;
    size_t n;
    (void)state;
    sources[0].path = plain_zip("a.zip", 10);
    sources[1] = sources[0];
    sources[1].name = "two";
    opts.sources.n = 2;
    run();
    assert_int_equal(sum.blocks_made, 2);
    assert_true(record_corpus_open(opts.dir, &arena, &c, &e));
    assert_int_equal(stat(c.blocks[0].path, &before), 0);
    sources[1].sections = MODE_MEDIQA;
    run();
    assert_int_equal(sum.blocks_made, 1);
    assert_int_equal(stat(c.blocks[0].path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* What nothing names any more is gone. */
    assert_true(fs_list(testdir_path("corpus/records/two"), &arena, &names, &n, &e));
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
    sources[0].path = write_zip("a.zip", &z);
    sources[1] = sources[0];
    sources[1].name = "two";
    opts.sources.n = 2;
    run();
    each_record("one", put_flags, flags);
    assert_int_equal(flags[0], 0);
    assert_int_equal(flags[1], RECORD_DUPLICATE); /* case, blanks and digits aside */
    assert_int_equal(flags[2], 0);
    assert_int_equal(flags[3], 0); /* neither findings nor impression: nothing to compare */
    assert_int_equal(flags[4], 0);
    each_record("two", put_flags, flags);
    assert_int_equal(flags[0], RECORD_DUPLICATE);
    assert_int_equal(flags[2], RECORD_DUPLICATE);
    assert_int_equal(sum.flags[4], 4);
    /* The earlier source goes: the later one's records are the first again. */
    sources[0] = sources[1];
    opts.sources.n = 1;
    run();
    each_record("two", put_flags, flags);
    assert_int_equal(flags[0], 0);
    assert_int_equal(flags[1], RECORD_DUPLICATE);
}

static void test_superseded(void **state)
{
    uint32_t flags[8];
    (void)state;
    sources[0].format = FORMAT_CSV;
    sources[0].path = write_csv("a.csv", "accession,mrn,status,findings,impression\n"
                                         "A1,P1,Prelim,The lungs are clear.,Normal.\n"
                                         "A1,P1,Final,The lungs are clear.,Normal.\n"
                                         "A2,P1,Final,Heart large.,Large.\n"
                                         "A2,P1,P,Heart small.,Small.\n"
                                         "A3,P2,F,Bone broken.,Broken.\n"
                                         "A3,P2,F,Bone whole.,Whole.\n");
    run();
    each_record("one", put_flags, flags);
    assert_int_equal(flags[0], RECORD_SUPERSEDED);
    assert_int_equal(flags[1], 0); /* the same text as one that does not count */
    assert_int_equal(flags[2], 0);
    assert_int_equal(flags[3], RECORD_SUPERSEDED);
    assert_int_equal(flags[4], RECORD_SUPERSEDED);
    assert_int_equal(flags[5], 0);
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
    sources[0].path = broken_zip();
    run_fails(ERR_LIMIT, "4 of 6 reports");
    assert_false(fs_exists(testdir_path("corpus/manifest.json")));
    assert_true(fs_exists(testdir_path("corpus/quarantine/one.jsonl"))); /* to see why */
    opts.max_bad = 0.7;
    run();
    assert_int_equal(sum.reports, 2);
    assert_int_equal(sum.ignored, 2);
    assert_int_equal(sum.rejected[REJECT_CRC], 1);
    assert_int_equal(sum.rejected[REJECT_ENCRYPTED], 1);
    assert_int_equal(sum.rejected[REJECT_CORRUPT], 1);
    assert_int_equal(sum.rejected[REJECT_DUPLICATE], 1);
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
    run();
    assert_int_equal(sum.blocks_made, 0);
    assert_int_equal(sum.rejected[REJECT_CRC], 1);
    sources[0].path = plain_zip("a.zip", 3);
    run();
    assert_false(fs_exists(testdir_path("corpus/quarantine/one.jsonl")));
}

static void test_unreadable_files(void **state)
{
    size_t n;
    char *p;
    (void)state;
    sources[0].path = plain_zip("a.zip", 100);
    p = testdir_read(sources[0].path, &n);
    testdir_write(sources[0].path, p, n - 100);
    free(p);
    run_fails(ERR_FORMAT, "copy the file again");
    run_fails(ERR_FORMAT, "a.zip");
    sources[0].path = testdir_path("none.zip");
    run_fails(ERR_IO, "none.zip");
    sources[0].format = FORMAT_CSV;
    sources[0].path = write_csv("a.csv", "Canary7731,color\nx,y\n");
    assert_false(ingest_run(&opts, comm, &sum, &e));
    assert_non_null(strstr(e.text, "none of the 2 columns is known as report text"));
    assert_null(strstr(e.text, "Canary")); /* it may be a report: the header may be missing */
    err_clear(&e);
    sources[0].path = write_csv("a.csv", "findings,color\nx,y\n");
    sources[0].columns.role[ROLE_IMPRESSION] =
        (struct opt_strs){(const char *const[]){"opinion"}, 1};
    run_fails(ERR_CONFIG, "none of the 2 columns is named opinion");
    sources[0].path = write_csv("a.csv", "");
    sources[0].columns.role[ROLE_IMPRESSION].n = 0;
    run();
    assert_int_equal(sum.reports, 0);
}

static void test_wrong_options(void **state)
{
    (void)state;
    sources[0].path = "x";
    sources[0].name = "a/b";
    run_fails(ERR_CONFIG, "only letters");
    sources[0].name = "one";
    sources[1] = sources[0];
    opts.sources.n = 2;
    run_fails(ERR_CONFIG, "two are named one");
    opts.sources.n = 0;
    run_fails(ERR_CONFIG, "sources is empty");
    opts.sources.n = 1;
    sources[0].split_list = "list.csv";
    run_fails(ERR_CONFIG, "go together");
    sources[0].split_list = NULL;
    sources[0].modality = "magic";
    run_fails(ERR_CONFIG, "modality");
    sources[0].modality = NULL;
    opts.ids = 1;
    run_fails(ERR_CONFIG, "corpus.ids");
    opts.ids = 0;
    opts.split_dev = opts.split_test = 0.6;
    run_fails(ERR_CONFIG, "split_dev");
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
    sources[0].format = FORMAT_CSV;
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        char pattern[600];
        snprintf(pattern, sizeof pattern, "%s", testdir_path(packed[i]));
        sources[0].path = pattern;
        run();
        assert_int_equal(sum.reports, 1);
        assert_int_equal(sum.pairs, 1);
        assert_int_equal(sum.rejected[REJECT_ROW_FIELDS], 0);
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
    sources[0].format = FORMAT_CSV;
    sources[0].path =
        write_csv("a.csv", "accession,mrn,report_text\nA1,P1,\"FINDINGS: 5 \xb5m \x96 "
                           "\x93ok\x94\r\n\r\nIMPRESSION: Normal.\"\n");
    run();
    assert_int_equal(sum.pairs, 1);
    each_record("one", expect_windows, NULL);
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
    sources[0].format = FORMAT_CSV;
    sources[0].path =
        write_csv("a.csv", "id,findings,impression\n1,The lungs<BR/>are clear.,x\n"
                           "2,The lungs\\nare clear.,x\n"
                           "3,\"The lungs_x000D_\nare clear.\",x\n"
                           "4,\"A \\n b\nc\",x\n5,a < b_x000,x\n6,\"A \\n b_x000D_\nc\",x\n");
    run();
    each_record("one", expect_break, NULL);
    cell = malloc(40000);
    assert_non_null(cell);
    snprintf(cell, 40000, "id,findings,impression\n1,%032767d,x\n", 1);
    sources[0].path = write_csv("a.csv", cell);
    run();
    assert_int_equal(sum.flags[3], 1); /* Excel's limit: cut */
    free(cell);
}

static void test_bad_rows(void **state)
{
    (void)state;
    sources[0].format = FORMAT_CSV;
    sources[0].path =
        write_csv("a.csv", "accession,findings,impression\nA1,a b,c\nA2,\"open,x\nA3,d,e\n"
                           "A4,f\n");
    opts.max_bad = 0.5;
    run();
    assert_int_equal(sum.reports, 2);
    assert_int_equal(sum.rejected[REJECT_ROW_QUOTES], 1);
    assert_int_equal(sum.rejected[REJECT_ROW_FIELDS], 1);
    assert_int_equal(sum.flags[6], 2); /* no patient column: weak splits */
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
    sources[0].path = testdir_path("t.tgz");
    run();
    assert_int_equal(sum.reports, 1);
    assert_int_equal(sum.ignored, 1);
    assert_int_equal(sum.pairs, 1);
    assert_int_equal(sum.modality[MOD_CR], 1);
}

static void test_site_a(void **state)
{
    const char *path = testdir_shared("data/institutional-like/site_a_ris_csv.tar.gz");
    (void)state;
    if (!path) skip();
    sources[0].format = FORMAT_CSV;
    sources[0].path = path;
    run();
    assert_int_equal(sum.reports, 113);
    assert_int_equal(sum.flags[5], 6); /* preliminary rows that a final one supersedes */
    assert_int_equal(sum.flags[4], 5); /* texts under a second accession */
    assert_int_equal(sum.modality[MOD_CR], 82);
    assert_int_equal(sum.modality[MOD_US], 13);
    assert_int_equal(sum.modality[MOD_UNKNOWN], 0);
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
    assert_true(parse_u64(r->patient, &id, &e));
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
    sources[0].path = plain_zip("a.zip", 3000);
    opts.limit = 300;
    run();
    assert_int_equal(sum.total, 3000);
    each_record(NULL, put_patient, &small);
    assert_true(small.n > 200 && small.n < 400);
    assert_int_equal(sum.reports, small.n);
    opts.limit = 900;
    run();
    each_record(NULL, put_patient, &large);
    assert_true(large.n > 780 && large.n < 1020);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(large.patient[i] || !small.patient[i]);
        assert_true(large.of[i] == 0 || large.of[i] == 3);
    }
    opts.limit = 5000;
    run();
    assert_int_equal(sum.reports, 3000);
    sources[0].format = FORMAT_CSV;
    sources[0].path = write_csv("a.csv", "mrn,findings,impression\n1,a,b\n2,c,d\n3,e,f\n4,g\n");
    opts.limit = 3;
    opts.max_bad = 0.5;
    run();
    assert_int_equal(sum.total, 3);
    assert_int_equal(sum.reports, 3);
    opts.limit = 0;
    run(); /* the whole may follow a trial, but no trial takes its place */
    assert_int_equal(sum.reports, 3);
    opts.limit = 1;
    run_fails(ERR_CONFIG, "holds a whole corpus");
    assert_int_equal(count_records(), 3);
}

/* Every step fails once, or for good from then on: the corpus of before opens and is whole, and the
 * next run finishes. */
static void sweep(enum fault_point point, bool forever, uint64_t step)
{
    const char *first = sources[0].path;
    for (uint64_t n = 1;; n += step) {
        bool ok, fired;
        sources[0].sections = n % 2 ? MODE_MEDIQA : MODE_OWN; /* something is to be made */
        fault_arm(point, n, forever);
        ok = ingest_run(&opts, comm, &sum, &e);
        fired = fault_fired();
        fault_disarm_all();
        if (!ok) {
            assert_true(fired);
            assert_true(e.code == ERR_NOMEM || e.code == ERR_IO || e.code == ERR_LIB);
            err_clear(&e);
        }
        assert_int_equal(count_records(), 40);
        run();
        assert_int_equal(sum.reports, 40);
        if (!fired) break;
    }
    sources[0].path = first;
}

static void test_disk_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_OPEN, FAULT_WRITE,  FAULT_FSYNC, FAULT_RENAME,
                                              FAULT_READ, FAULT_UNLINK, FAULT_MKDIR};
    (void)state;
    sources[0].path = plain_zip("a.zip", 40);
    run();
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        sweep(points[i], false, 1);
        sweep(points[i], true, 1);
    }
}

static void test_memory_faults(void **state)
{
    (void)state;
    sources[0].path = plain_zip("a.zip", 40);
    run();
    sweep(FAULT_MEM, false, 5);
    sweep(FAULT_MEM, true, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rerun_makes_only_what_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_remakes_one_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_superseded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_windows_cells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line_break_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar_of_reports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_site_a, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
