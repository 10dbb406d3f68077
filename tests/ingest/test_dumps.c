/*
 * Whole dumps: the seven of institutional-like against their truth table, in one ingest; archives in
 * archives, litter, encrypted members, loose files, and which members are taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/ingest.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

enum { SITES = 7, ROWS = 727, MAX_RECORDS = 2000 };

static struct comm *comm;
static struct arena arena;
static struct ingest_opts opts;
static struct ingest_source_opts sources[SITES];
static struct ingest_summary sum;
static struct err e;

static int setup(void **state)
{
    (void)state;
    err_clear(&e);
    testdir_make();
    arena_init(&arena, 256 << 20);
    log_setup(LOG_ERROR, 0);
    assert_true(comm_open_self(&comm, &e));
    assert_true(opt_defaults(ingest_table, &arena, &opts, &e));
    memset(sources, 0, sizeof sources);
    for (int i = 0; i < SITES; i++)
        sources[i] = (struct ingest_source_opts){
            .name = "one", .format = FORMAT_AUTO, .split = INGEST_SPLIT_HASH};
    opts.dir = testdir_path("corpus");
    opts.sources = (struct opt_list){sources, 1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(comm);
    arena_free(&arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

/* ---- the corpus */
struct kept {
    const char *source;
    struct record r;
};
static struct kept kept[MAX_RECORDS];
static size_t nkept;

static struct str copy(struct str s)
{
    struct str out;
    assert_true(arena_str(&arena, s, &out, &e));
    return out;
}

static void run(void)
{
    struct record_corpus c;

    if (!ingest_run(&opts, comm, &sum, &e)) fail_msg("%s", e.text);
    assert_true(record_corpus_open(opts.dir, &arena, &c, &e));
    nkept = 0;
    for (size_t b = 0; b < c.nblocks; b++) {
        struct record_reader *r;
        assert_true(record_block_open(&c.blocks[b], &r, &e));
        for (size_t i = 0; i < record_reader_count(r); i++) {
            struct kept *k = &kept[nkept++];
            assert_true(nkept < MAX_RECORDS);
            record_reader_get(r, i, &k->r);
            k->source = c.blocks[b].source;
            k->r.text = copy(k->r.text);
            k->r.study = copy(k->r.study);
            k->r.patient = copy(k->r.patient);
        }
        record_reader_close(r);
    }
}

static struct str section(const struct record *r, int s)
{
    return str_sub(r->text, r->section[s].offset, r->section[s].offset + r->section[s].length);
}

/* ---- the truth table */
/* Words parted by one blank each; a line break that an export wrote as <br> is white space too. */
static struct str words(struct str s)
{
    struct sbuf b;
    struct str out;

    sbuf_init(&b, 1 << 20);
    for (size_t i = 0; i < s.n; i++) {
        bool br = i + 4 <= s.n && s.p[i] == '<' && (s.p[i + 1] | 0x20) == 'b' &&
                  (s.p[i + 2] | 0x20) == 'r' && s.p[i + 3] == '>';
        bool blank = br || strchr(" \t\r\n", s.p[i]) != NULL;
        if (br) i += 3;
        if (blank && (b.n == 0 || b.p[b.n - 1] == ' ')) continue;
        assert_true(sbuf_putc(&b, blank ? ' ' : s.p[i], &e));
    }
    while (b.n > 0 && b.p[b.n - 1] == ' ')
        b.n--;
    out = copy((struct str){b.p ? b.p : "", b.n});
    sbuf_free(&b);
    return out;
}

struct score {
    size_t exact, whole; /* all sections equal; or all their words in a row in the text */
};

static bool is_of(const struct kept *k, struct str site, struct str accession)
{
    return strlen(k->source) == 6 && str_starts(site, str_of(k->source)) &&
           str_eq(k->r.study, accession);
}

/* What this dump does not carry is not asked of it. */
static bool carries(struct str site, int s)
{
    if (str_starts(site, STR("site_c"))) return s != SEC_TECHNIQUE && s != SEC_COMPARISON;
    return !str_eqz(site, "site_g") || s != SEC_TECHNIQUE;
}

static struct score compare(const struct record *r, const json_t *row, struct str site)
{
    static const struct {
        const char *key;
        int section;
    } keys[] = {{"findings", SEC_FINDINGS},
                {"impression", SEC_IMPRESSION},
                {"clinical", SEC_CLINICAL},
                {"technique", SEC_TECHNIQUE},
                {"comparison", SEC_COMPARISON}};
    struct str text = words(r->text), want;
    struct score s = {1, 1};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_true(json_get_str(row, keys[i].key, &want, &e));
        if (!carries(site, keys[i].section)) continue;
        want = words(want);
        if (str_eq(want, words(section(r, keys[i].section)))) continue;
        s.exact = 0;
        if (want.n > 0 && str_find(text, want, 0) == SIZE_MAX) s.whole = 0;
    }
    if (json_object_get(row, "text")) { /* site_b: one column with all of it */
        assert_true(json_get_str(row, "text", &want, &e));
        s.whole = str_starts(text, words(want));
    }
    return s;
}

static bool status_is(const struct record *r, const json_t *row, struct str site)
{
    struct str want;

    assert_true(json_get_str(row, "status", &want, &e));
    /* Four dumps do not say it. */
    if (r->status == STATUS_UNKNOWN) return strchr("bcdg", site.p[5]) != NULL;
    return r->status == (str_eqz(want, "P") ? STATUS_PRELIMINARY : STATUS_FINAL);
}

static struct score score_row(const json_t *row)
{
    struct str site, accession;
    struct score best = {0, 0};

    assert_true(json_get_str(row, "site", &site, &e));
    assert_true(json_get_str(row, "accession", &accession, &e));
    for (size_t i = 0; i < nkept; i++) {
        struct score s;
        if (!is_of(&kept[i], site, accession) || !status_is(&kept[i].r, row, site)) continue;
        s = compare(&kept[i].r, row, site);
        if (s.exact + s.whole > best.exact + best.whole) best = s;
    }
    return best;
}

static void test_truth(void **state)
{
    static const char *const files[SITES] = {"site_a_ris_csv.tar.gz", "site_b_tsv.7z",
                                             "site_c_excel_csv.zip",  "site_d_jsonl.tar.zst",
                                             "site_e_hl7.tar.xz",     "site_f_fhir.ndjson.gz",
                                             "site_g_openi_xml.tgz"};
    static const char *const names[SITES] = {"site_a", "site_b", "site_c", "site_d",
                                             "site_e", "site_f", "site_g"};
    struct score total = {0, 0};
    char *truth;
    size_t n, rows = 0;
    struct str rest, line;

    (void)state;
    if (!testdir_shared("data/institutional-like/truth.jsonl.gz")) skip();
    for (int i = 0; i < SITES; i++) {
        char path[200];
        snprintf(path, sizeof path, "data/institutional-like/%s", files[i]);
        sources[i].path = copy(str_of(testdir_shared(path))).p;
        sources[i].name = names[i];
    }
    opts.sources.n = SITES;
    run();
    assert_int_equal(sum.reports, ROWS);
    assert_int_equal(nkept, ROWS);
    assert_int_equal(sum.modality[MOD_CR], 563);
    assert_int_equal(sum.flags[5], 6); /* superseded */
    truth = testdir_gunzip(testdir_shared("data/institutional-like/truth.jsonl.gz"), &n);
    rest = (struct str){truth, n};
    while (str_split(&rest, '\n', &line)) {
        json_t *row;
        struct score s;
        if (line.n == 0) continue;
        assert_true(json_parse(line, "truth", &row, &e));
        s = score_row(row);
        json_decref(row);
        total.exact += s.exact;
        total.whole += s.whole;
        rows++;
    }
    free(truth);
    assert_int_equal(rows, ROWS);
    assert_int_equal(total.whole, ROWS);
    printf("truth rows: %zu of %d reproduced, %zu with every section as labelled\n", total.whole,
           ROWS, total.exact);
    /* The table's sections of full-text reports were cut by fewer headers than ours. */
    assert_true(total.exact >= 710);
}

/* ---- containers */
static void shell(const char *command)
{
    char cmd[3000];
    snprintf(cmd, sizeof cmd, "cd '%s' && %s", testdir_path(""), command);
    assert_int_equal(system(cmd), 0);
}

static const char *path_of(const char *name)
{
    return copy(str_of(testdir_path(name))).p;
}

static void add_file(struct zipmake *z, const char *name, const char *file, struct zipmake_how how)
{
    size_t n;
    char *p = testdir_read(testdir_path(file), &n);
    zipmake_add(z, name, p, n, how);
    free(p);
}

static void expect_studies(const char *want)
{
    char got[1000] = "";
    for (size_t i = 0; i < nkept; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s:%llu", i ? " " : "",
                 STR_ARG(kept[i].r.study), (unsigned long long)kept[i].r.member);
    assert_string_equal(got, want);
}

/* Every packing of a file in a tar in a zip; two levels are one too many. Names are not paths. */
static void test_nested(void **state)
{
    static struct zipmake z;
    (void)state;
    shell("for i in 1 2 3 4 5 6 7 8 9; do printf 'id,text\\nS%d,FINDINGS: x.\\n' $i > $i.csv; done;"
          "gzip 1.csv; xz 2.csv; bzip2 3.csv; mkdir __MACOSX && cp 9.csv __MACOSX/._a.csv;"
          "tar cf in.tar 1.csv.gz 2.csv.xz 3.csv.bz2 __MACOSX/._a.csv;"
          "tar czf in.tgz --transform 's|4.csv|../../etc/4.csv|' 4.csv;"
          "tar cf deep.tar 5.csv && gzip -c deep.tar > deep.tar.gz && tar cf two.tar deep.tar.gz "
          "6.csv");
    zipmake_init(&z);
    add_file(&z, "in.tar", "in.tar", (struct zipmake_how){0});
    add_file(&z, "in.tgz", "in.tgz", (struct zipmake_how){.descriptor = true});
    add_file(&z, "two.tar", "two.tar", (struct zipmake_how){0});
    add_file(&z, "7.csv", "7.csv", (struct zipmake_how){0});
    add_file(&z, "8.csv", "8.csv", (struct zipmake_how){.encrypted = true});
    add_file(&z, "a/.DS_Store", "9.csv", (struct zipmake_how){0});
    zipmake_end(&z, false, NULL);
    testdir_write(testdir_path("out.zip"), z.p, z.n);
    zipmake_free(&z);
    sources[0].path = path_of("out.zip");
    opts.max_bad = 0.9;
    run();
    expect_studies("S1:0 S2:2 S3:4 S4:8 S6:11 S7:13");
    assert_int_equal(sum.rejected[REJECT_NESTED], 1);
    assert_int_equal(sum.rejected[REJECT_ENCRYPTED], 1);
    assert_int_equal(sum.ignored, 2);
    /* A zip in a tar, too. */
    shell("tar cf z.tar out.zip");
    sources[0].path = path_of("z.tar");
    run();
    expect_studies("S7:3");
    assert_int_equal(sum.rejected[REJECT_NESTED], 3);
}

static void test_members(void **state)
{
    (void)state;
    shell("printf 'id,text\\nS1,x\\n' > reports.csv; printf 'a,b\\n1,2\\n' > people.csv;"
          "tar czf d.tar.gz people.csv reports.csv");
    sources[0].path = path_of("d.tar.gz");
    assert_false(ingest_run(&opts, comm, &sum, &e)); /* people.csv is no table of reports */
    assert_non_null(strstr(e.text, "name them under columns"));
    err_clear(&e);
    sources[0].members = "*reports*";
    run();
    expect_studies("S1:1");
    assert_int_equal(sum.ignored, 1);
}

/* Single files in every packing, and a plain one. */
static void test_single_files(void **state)
{
    static const char *const files[] = {"a.csv",     "a.csv.gz", "a.csv.xz", "a.csv.bz2",
                                        "a.csv.zst", "a.7z",     "a.tar.zst"};
    (void)state;
    /* The zst is one raw block, by hand: RFC 8878, 3.1.1. */
    shell("printf 'id;findings\\nS1;x\\n' > a.csv; gzip -k a.csv; xz -k a.csv; bzip2 -k a.csv;"
          "printf '\\050\\265\\057\\375\\040\\021\\211\\000\\000' | cat - a.csv > a.csv.zst;"
          "cmake -E tar cf a.7z --format=7zip a.csv; cmake -E tar cf a.tar.zst --zstd a.csv");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        sources[0].path = path_of(files[i]);
        run();
        expect_studies("S1:0");
    }
}

/* Many loose messages make one block, not as many; ids may come from names. */
static void test_loose_files(void **state)
{
    (void)state;
    shell("mkdir r && for i in $(seq 100 199); do printf 'FINDINGS: seen %d.\\n' $i > r/P_A$i.txt; "
          "done");
    sources[0].path = path_of("r/*.txt");
    sources[0].names = "{patient}_{study}.txt";
    run();
    assert_int_equal(sum.reports, 100);
    assert_int_equal(sum.blocks, 1);
    assert_true(str_eqz(kept[7].r.study, "A107") && str_eqz(kept[7].r.patient, "P"));
    assert_int_equal(kept[7].r.member, 7);
    assert_true(str_eqz(section(&kept[7].r, SEC_FINDINGS), "seen 107."));
    run();
    assert_int_equal(sum.blocks_made, 0);
    shell("printf 'FINDINGS: other.\\n' > r/P_A107.txt");
    run();
    assert_int_equal(sum.blocks_made, 1);
    assert_true(str_eqz(section(&kept[7].r, SEC_FINDINGS), "other."));
}

/* A bomb in an archive in an archive. */
static void test_bomb(void **state)
{
    (void)state;
    shell("(printf 'id,text\\n1,'; head -c 100000000 /dev/zero | tr '\\0' 'x') | gzip > b.csv.gz;"
          "tar cf b.tar b.csv.gz");
    sources[0].path = path_of("b.tar");
    assert_false(ingest_run(&opts, comm, &sum, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_non_null(strstr(e.text, "max_ratio"));
    err_clear(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_truth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_single_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loose_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bomb, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
