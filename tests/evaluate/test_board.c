/* The comparison: words side by side, quoted rows, --where, and whole runs: common pairs, seeds,
 * external tests, text only where asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/board_impl.h"
#include "evaluate/word_diff.h"
#include "support/testdir.h"

#define OK(x)                                                                                      \
    do {                                                                                           \
        if (!(x)) fail_msg("%s", e->text);                                                         \
    } while (0)

static struct err err, *e = &err;
static struct comm *comm;

static void expect_error(bool ok, enum err_code code, const char *part)
{
    assert_false(ok);
    assert_int_equal(e->code, code);
    if (!strstr(e->text, part)) fail_msg("\"%s\" lacks \"%s\"", e->text, part);
    err = (struct err){0};
}

/* ---- words */

static void test_words(void **state)
{
    struct arena a;
    struct diff_side l, r;
    (void)state;
    arena_init(&a, 64 << 20);
    OK(word_diff(STR("No acute  pulmonary disease."), STR("no acute cardiopulmonary disease"), &a,
                 &l, &r, e));
    assert_int_equal(l.n, 4);
    assert_int_equal(r.n, 4);
    const bool want[4] = {true, true, false, true};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(l.v[i].common, want[i]);
        assert_int_equal(r.v[i].common, want[i]);
    }
    OK(word_diff(STR(""), STR("- a"), &a, &l, &r, e));
    assert_int_equal(l.n, 0);
    assert_int_equal(r.n, 2);
    assert_false(r.v[0].common || r.v[1].common);
    /* the longest, not the first: "b c" of "a b c" and "b c a" */
    OK(word_diff(STR("a b c"), STR("b c a"), &a, &l, &r, e));
    assert_true(!l.v[0].common && l.v[1].common && l.v[2].common && !r.v[2].common);
    /* beyond the limit: different, not compared */
    char *many = malloc(5000);
    for (int i = 0; i < 2500; i++)
        memcpy(many + 2 * i, "x ", 2);
    OK(word_diff((struct str){many, 5000}, (struct str){many, 5000}, &a, &l, &r, e));
    assert_int_equal(l.n, 2500);
    assert_true(l.v[WORD_DIFF_MAX - 1].common && !l.v[WORD_DIFF_MAX].common);
    free(many);
    arena_free(&a);
}

/* Any two texts: what is marked common reads the same on both sides, and nothing longer would. */
static void test_words_in_common(void **state)
{
    enum { WORDS = 12 };
    struct rng_key key = rng_key(8, RNG_TEST, 0);
    uint64_t at = 0;
    (void)state;
    for (int turn = 0; turn < 500; turn++) {
        struct arena a;
        struct diff_side l, r;
        char text[2][2 * WORDS + 1] = {""};
        size_t n[2], best[WORDS + 1][WORDS + 1] = {{0}}, common = 0;
        for (int side = 0; side < 2; side++) {
            n[side] = rng_below(key, at++, WORDS + 1);
            for (size_t i = 0; i < n[side]; i++) {
                text[side][2 * i] = (char)('a' + rng_below(key, at++, 4));
                text[side][2 * i + 1] = ' ';
            }
            text[side][2 * n[side]] = 0;
        }
        for (size_t i = 1; i <= n[0]; i++)
            for (size_t j = 1; j <= n[1]; j++) {
                size_t up = best[i - 1][j], left = best[i][j - 1];
                best[i][j] = up > left ? up : left;
                if (text[0][2 * i - 2] == text[1][2 * j - 2]) best[i][j] = best[i - 1][j - 1] + 1;
            }
        arena_init(&a, 1 << 20);
        OK(word_diff(str_of(text[0]), str_of(text[1]), &a, &l, &r, e));
        assert_true(l.n == n[0] && r.n == n[1]);
        for (size_t i = 0, j = 0; i < l.n; i++) {
            if (!l.v[i].common) continue;
            while (j < r.n && !r.v[j].common)
                j++;
            assert_true(j < r.n && str_eq(l.v[i].text, r.v[j].text));
            j++;
            common++;
        }
        for (size_t j = 0; j < r.n; j++)
            common -= r.v[j].common; /* neither side has more */
        assert_int_equal(common, 0);
        for (size_t i = 0; i < l.n; i++)
            common += l.v[i].common;
        assert_int_equal(common, best[n[0]][n[1]]);
        arena_free(&a);
    }
}

static void test_durations(void **state)
{
    static const struct {
        double s;
        const char *want;
    } rows[] = {{-1, "-"},    {0, "-"},        {0.6, "1 s"},   {1, "1 s"},     {59, "59 s"},
                {60, "1m00"}, {3599, "59m59"}, {3600, "1h00"}, {3660, "1h01"}, {36610, "10h10"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[24];
        board_duration(rows[i].s, out);
        assert_string_equal(out, rows[i].want);
    }
}

/* ---- a board with two systems on three pairs, by hand */

enum { PAIRS = 3 };
struct rig {
    struct board b;
    struct evaluate_summary summary;
    struct evaluate_opts o;
    struct board_opts bo;
    struct pair pairs[PAIRS];
};

static void rig_open(struct rig *r)
{
    static const char *const names[] = {"rouge"};
    static const char *const modality[PAIRS] = {"CT", "MR", "CT"};
    *r = (struct rig){.o = {.metrics = {names, 1}, .seed = 1}};
    r->bo.sample = 10;
    r->b.o = &r->bo;
    r->b.run = (struct eval_run){.o = &r->o, .comm = comm, .out = &r->summary};
    arena_init(&r->b.run.arena, 16 << 20);
    OK(metric_set_init(&r->summary.set, &r->o.metrics, e));
    for (size_t i = 0; i < PAIRS; i++)
        r->pairs[i] = (struct pair){.modality = str_of(modality[i]),
                                    .reference = i ? STR("No effusion.") : STR("Large mass there."),
                                    .seen = (int)i - 1};
    r->b.run.pairs = r->pairs;
    r->b.run.n = PAIRS;
    size_t width = r->summary.set.ncolumns;
    size_t f = r->summary.set.column[metric_set_find(&r->summary.set, "rougeL.f")];
    for (size_t i = 0; i < 2; i++) {
        struct board_row *row = &r->b.row[r->b.nrows++];
        snprintf(row->name, sizeof row->name, i ? "second run" : "first");
        snprintf(row->letter, sizeof row->letter, "%c", (char)('A' + i));
        row->scores = calloc(PAIRS * width, sizeof *row->scores);
        for (size_t k = 0; k < PAIRS; k++)
            row->scores[k * width + f] = i ? 0.5 : 0.25 * (double)(k + 1);
    }
}

static void rig_close(struct rig *r)
{
    for (size_t i = 0; i < r->b.nrows; i++)
        free(r->b.row[i].scores);
    arena_free(&r->b.run.arena);
}

static void where_is(const char *text, unsigned want)
{
    struct rig *r = malloc(sizeof *r);
    rig_open(r);
    r->bo.where = text;
    if (!board_where(&r->b, e)) fail_msg("%s: %s", text, e->text);
    unsigned got = 0;
    for (size_t i = 0; i < r->b.nselected; i++)
        got |= 1u << r->b.selected[i];
    if (got != want) fail_msg("%s: pairs %#x, expected %#x", text, got, want);
    rig_close(r);
    free(r);
}

static void where_fails(const char *text, const char *part)
{
    struct rig *r = malloc(sizeof *r);
    rig_open(r);
    r->bo.where = text;
    expect_error(board_where(&r->b, e), ERR_CONFIG, part);
    rig_close(r);
    free(r);
}

/* A's rougeL is 25, 50, 75; B's 50. */
static void test_where(void **state)
{
    (void)state;
    where_is("A.rougeL > B.rougeL", 4);
    where_is("A.rougeL >= B.rougeL.f", 6);
    where_is("A.rougeL.f<B.rougeL", 1);
    where_is("rougeL = 50", 2);
    where_is("rougeL != 50 and modality = CT", 5);
    where_is("modality != CT", 2);
    where_is("A.rougeL - B.rougeL > 20", 4);
    where_is("10 + A.rougeL < 'second run'.rougeL", 1);
    where_is("first.rougeL > 60", 4);
    where_is("words > 2", 1);
    where_is("reference = normal", 6);
    where_is("seen = unknown", 1);
    where_is("seen = yes", 4);
    where_is("words < 0", 0);
    where_fails("", "empty");
    where_fails("A.rougeL", "expected <");
    where_fails("A.rougeL > ", "expected a value");
    where_fails("A.rougeL > 1 or 2", "\"and\"");
    where_fails("Z.rougeL > 1", "Z is no row");
    where_fails("A.bleu > 1", "bleu");
    where_fails("'first > 1", "quote");
    where_fails("A.rougeL > 1 and", "the end");
    where_fails("A.rougeL ; 1", "';'");
    where_fails("modality > CT", "= or !=");
    where_fails("'first' > 1", ".value");
}

/* A sample is a part of the matching ones, the same for a seed. */
static void test_sample(void **state)
{
    struct rig *r = malloc(sizeof *r);
    (void)state;
    rig_open(r);
    r->bo.where = "words > 0";
    r->bo.sample = 2;
    OK(board_where(&r->b, e));
    assert_int_equal(r->b.nmatching, 3);
    assert_int_equal(r->b.nselected, 2);
    assert_true(r->b.selected[0] < r->b.selected[1]);
    rig_close(r);
    free(r);
}

/* ---- quoted rows */

static void test_published(void **state)
{
    struct rig *r = malloc(sizeof *r);
    (void)state;
    rig_open(r);
    size_t v = metric_set_find(&r->summary.set, "rougeL.f");
    OK(board_published_parse(&r->b,
                             STR("\xef\xbb\xbfname,note,train,rougeL.f,bertscore.f\r\n"
                                 "\"Llama, \"\"8B\"\"\",a table,49m,32.5,\r\n\r\nother,,,,70\n"),
                             "x.csv", e));
    assert_int_equal(r->b.nrows, 4);
    assert_string_equal(r->b.row[2].name, "Llama, \"8B\"");
    assert_string_equal(r->b.row[2].quoted_train, "49m");
    assert_true(r->b.row[2].quoted[v] == 32.5 && isnan(r->b.row[3].quoted[v]));
    assert_false(board_has(&r->b, 3, v));
    static const char *const bad[][2] = {
        {"", "empty"},
        {"note\nx\n", "lacks \"name\""},
        {"name,rogueL\nx,1\n", "rogueL is no value"},
        {"name,rougeL.f\nx\n", "line 2: 1 fields"},
        {"name,rougeL.f\nx,nan\n", "line 2"},
        {"name,rougeL.f\nx,1e999\n", "line 2"},
        {"name\n\"x\n", "not closed"},
        {"name\n\"x\"y\n", "behind a closing quote"},
        {"name,note\n,y\n", "no name"},
        {"name\n\xff\n", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(board_published_parse(&r->b, str_of(bad[i][0]), "x.csv", e), ERR_FORMAT,
                     bad[i][1]);
    rig_close(r);
    free(r);
}

/* ---- whole runs */

static const char *const refs[] = {"No acute disease.", "Left pleural effusion.", "Normal chest.",
                                   "Right pneumothorax &amp; <b>mass</b>."};

/* A folder of ours: ids from..to-1, its answers right for the first `right`. */
static void write_run(const char *dir, const char *name, int from, int to, int right, int seed)
{
    char path[64], line[512], *all = calloc(1, 1 << 16);
    size_t n = 0;
    OK(fs_mkdirs(testdir_path(dir), e));
    for (int i = from; i < to; i++)
        n += (size_t)snprintf(all + n, (1 << 16) - n,
                              "{\"id\": \"%s:0:%d\", \"source\": \"%s\", \"modality\": \"CR\", "
                              "\"group\": \"g%d\", \"findings\": \"Clear. Heart is normal. x\", "
                              "\"nll\": 2.0, \"tokens\": 4, \"prediction\": \"%s\", "
                              "\"reference\": \"%s\"}\n",
                              i % 5 ? "in" : "ext", i, i % 5 ? "in" : "ext", i / 2,
                              i < right ? refs[i % 4] : "secretword", refs[i % 4]);
    snprintf(path, sizeof path, "%s/pairs.jsonl", dir);
    testdir_write(testdir_path(path), all, n);
    free(all);
    if (seed < 0) return;
    snprintf(path, sizeof path, "%s/adapter", dir);
    OK(fs_mkdirs(testdir_path(path), e));
    snprintf(path, sizeof path, "%s/pairs.meta.json", dir);
    n = (size_t)snprintf(line, sizeof line,
                         "{\"name\": \"%s\", \"adapter\": \"%s/%s/adapter\", \"pairs\": 8, "
                         "\"device\": \"isa=avx2 threads=1\", \"inputs\": {\"max_new_tokens\": 4, "
                         "\"adapter\": \"%d\"}, \"measured\": {\"pairs\": 8, \"wall_s\": 90, "
                         "\"ranks\": 1}}",
                         name, testdir_path("."), dir, seed);
    testdir_write(testdir_path(path), line, n);
    snprintf(path, sizeof path, "%s/adapter/radmill.json", dir);
    n = (size_t)snprintf(line, sizeof line,
                         "{\"config\": \"train:\\n  dir: /a/%d\\n  lr: 0.1\\n  seed: %d\\n\", "
                         "\"device\": \"isa=avx2 threads=2\", \"shards\": {\"dataset\": \"d\"}, "
                         "\"base\": {\"weights\": \"w\"}, \"plan\": {\"seed\": %d}}",
                         seed, seed, seed);
    testdir_write(testdir_path(path), line, n);
    snprintf(path, sizeof path, "%s/summary.json", dir);
    testdir_write(testdir_path(path), "{\"seconds\": 4000, \"ranks\": 2}", 29);
}

static const char *const metrics[] = {"rouge", "bleu"}, *const baselines[] = {"constant", "lead2"};
static struct evaluate_opts options(void)
{
    static char dir[600];
    snprintf(dir, sizeof dir, "%s", testdir_path("out"));
    return (struct evaluate_opts){.dir = dir,
                                  .metrics = {metrics, 2},
                                  .bootstrap = 100,
                                  .seed = 1,
                                  .baselines = {baselines, 2},
                                  .strata = true,
                                  .threads = 1,
                                  .device = "cpu"};
}

static char *read_out(const char *name)
{
    char path[64];
    size_t n;
    snprintf(path, sizeof path, "out/%s", name);
    return testdir_read(testdir_path(path), &n);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("lacks \"%s\"", part);
}

/* Row below row from the first dot of each forest on, and none outside the picture. */
static void forests_are_in_their_frames(const char *html)
{
    size_t rows = 0;

    for (const char *p = html; (p = strstr(p, "<svg class=\"forest\" viewBox=\"0 0 ")); p++) {
        const char *end = strstr(p, "</svg>"), *dot = p;
        double height, y, above = 0;
        assert_non_null(end);
        assert_int_equal(sscanf(p, "<svg class=\"forest\" viewBox=\"0 0 %*d %lf", &height), 1);
        while ((dot = strstr(dot + 1, " cy=\"")) && dot < end) {
            assert_int_equal(sscanf(dot, " cy=\"%lf", &y), 1);
            assert_true(y > above && y < height);
            above = y;
            rows++;
        }
    }
    assert_true(rows > 0);
}

/* Every table of differences has each system and baseline but the yardstick, and no quoted row. */
static void differences_of_all(const char *html)
{
    size_t tables = 0;
    for (const char *p = html; (p = strstr(p, "<caption>This row minus ")); p++, tables++) {
        static const char *const names[] = {"alpha (2 seeds)", "be_ta", "constant", "lead2"};
        const char *of = p + strlen("<caption>This row minus "), *end = strstr(p, "</table>");
        const char *body = strstr(p, "<tbody>");
        assert_true(body && end && body < end);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            bool yardstick = strncmp(of, names[i], strlen(names[i])) == 0;
            const char *row = strstr(body, names[i]);
            if ((row && row < end) == yardstick) fail_msg("%s: %d", names[i], yardstick);
        }
        const char *quoted = strstr(body, "quoted one");
        assert_true(!quoted || quoted > end);
    }
    assert_true(tables > 1);
}

/* Two seeds are one row; the third lacks two pairs; a source is an external test. */
static void test_runs(void **state)
{
    struct board_summary s;
    static const char *const external[] = {"ext"};
    (void)state;

    testdir_make();
    write_run("a1", "alpha", 0, 20, 20, 1);
    write_run("a2", "alpha", 0, 20, 10, 2);
    write_run("b", "beta", 2, 22, 0, -1);
    testdir_write(testdir_path("p.csv"), "name,note,rougeL.f\nquoted one,a paper,33\n", 41);
    char in_path[3][600];
    snprintf(in_path[0], 600, "%s", testdir_path("a1"));
    snprintf(in_path[1], 600, "%s", testdir_path("a2/"));
    snprintf(in_path[2], 600, "%s", testdir_path("b/pairs.jsonl"));
    const struct board_input in[] = {{NULL, in_path[0]}, {NULL, in_path[1]}, {"be|ta", in_path[2]}};
    char published[600];
    snprintf(published, sizeof published, "%s", testdir_path("p.csv"));
    struct evaluate_opts o = options();
    struct board_opts b = {.published = published,
                           .external = {external, 1},
                           .where = "A.rougeL > B.rougeL",
                           .sample = 3,
                           .cases = 2};
    OK(board_run(&o, &b, in, 3, comm, &s, e));
    assert_int_equal(s.rows, 5); /* alpha, beta, constant, lead2, quoted */
    assert_int_equal(s.pairs, 18);
    assert_int_equal(s.left_out, 2);
    assert_int_equal(s.selected, 18);
    has(s.table.p, "alpha (2 seeds)");
    sbuf_free(&s.table);
    char *md = read_out("comparison.md"), *html = read_out("comparison.html");
    char *csv = read_out("comparison.csv"), *tex = read_out("comparison.tex");
    has(md, "| A | alpha (2 seeds) | 1h06 | 1m30 | 0.500 ");
    has(md, "CPU avx2, 2 ranks of 2 threads");
    has(md, "External test: 3 pairs");
    has(md, "be_ta");
    has(md, "quoted one (quoted)");
    has(md, "\xc2\xb1");
    has(html, "External test");
    has(html, "3 shown, drawn with the seed");
    has(html, "<td class=\"n\">33.0</td>");
    forests_are_in_their_frames(html);
    differences_of_all(html);
    has(tex, "alpha (2 seeds)");
    has(csv, "\"Reports of the training's sources\",A,\"alpha (2 seeds)\",system,rougeL.f,15,");
    assert_null(strstr(html, "secretword"));
    assert_null(strstr(html, "pleural"));
    assert_null(strstr(html, "in:0:"));
    assert_null(strstr(html, testdir_path("")));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http"));
    assert_false(fs_exists(testdir_path("out/audit.jsonl")));
    free(md);
    free(csv);
    free(tex);
    /* text where asked for: escaped, marked, noted first */
    b.show_text = true;
    b.yardstick = "be_ta"; /* and against another row than the first */
    OK(board_run(&o, &b, in, 3, comm, &s, e));
    sbuf_free(&s.table);
    free(html);
    html = read_out("comparison.html");
    has(html, "<ins>secretword</ins>");
    has(html, "<caption>This row minus be_ta");
    differences_of_all(html);
    has(html, "&amp;amp; &lt;b&gt;mass&lt;/b&gt;.");
    char *audit = read_out("audit.jsonl");
    has(audit, "with the text of reports");
    free(audit);
    free(html);
    testdir_remove();
}

/* The mean over seeds lies between the runs, with the deviation of two numbers. */
static void test_seeds(void **state)
{
    struct board_summary s;
    (void)state;
    testdir_make();
    write_run("a1", "alpha", 0, 20, 20, 1);
    write_run("a2", "alpha", 0, 20, 10, 2);
    char in_path[2][600];
    snprintf(in_path[0], 600, "%s", testdir_path("a1"));
    snprintf(in_path[1], 600, "%s", testdir_path("a2"));
    const struct board_input in[] = {{NULL, in_path[0]}, {NULL, in_path[1]}};
    struct evaluate_opts o = options();
    struct board_opts b = {.cases = 1};
    OK(board_run(&o, &b, in, 2, comm, &s, e));
    sbuf_free(&s.table);
    char *csv = read_out("comparison.csv");
    /* 100 and 50: mean 75, standard deviation 35.36 */
    has(csv, "\"All pairs\",A,\"alpha (2 seeds)\",system,rougeL.f,20,75,");
    has(csv, ",35.35533905932738,2,");
    free(csv);
    /* the same run twice is two rows: its seed is there already */
    const struct board_input twice[] = {{"x", in_path[0]}, {"y", in_path[0]}};
    OK(board_run(&o, &b, twice, 2, comm, &s, e));
    assert_int_equal(s.rows, 4);
    sbuf_free(&s.table);
    testdir_remove();
}

static void refused(const struct board_input *in, size_t n, const struct board_opts *b,
                    enum err_code code, const char *part)
{
    struct evaluate_opts o = options();
    struct board_summary s;
    bool ok = board_run(&o, b, in, n, comm, &s, e);
    sbuf_free(&s.table);
    expect_error(ok, code, part);
    assert_false(fs_exists(testdir_path("out/comparison.html")));
}

static void test_refused(void **state)
{
    struct board_opts b = {.cases = 1};
    (void)state;
    testdir_make();
    write_run("a", "alpha", 0, 4, 4, -1);
    write_run("far", "far", 10, 14, 4, -1);
    OK(fs_mkdirs(testdir_path("none"), e));
    char path[4][600];
    snprintf(path[0], 600, "%s", testdir_path("a"));
    snprintf(path[1], 600, "%s", testdir_path("far"));
    snprintf(path[2], 600, "%s", testdir_path("none"));
    snprintf(path[3], 600, "%s", testdir_path("gone"));
    const struct board_input in[] = {
        {NULL, path[0]}, {NULL, path[1]}, {NULL, path[2]}, {NULL, path[3]}};
    refused(in, 0, &b, ERR_CONFIG, "needs a run");
    refused(in, 2, &b, ERR_FORMAT, "share no pair");
    refused(in + 2, 1, &b, ERR_CONFIG, "no pairs.jsonl");
    refused(in + 3, 1, &b, ERR_CONFIG, "is not there");
    b.yardstick = "nobody";
    refused(in, 1, &b, ERR_CONFIG, "nobody");
    b.yardstick = NULL;
    b.where = "x > 1";
    refused(in, 1, &b, ERR_CONFIG, "--where");
    testdir_remove();
}

static int setup(void **state)
{
    (void)state;
    return comm_open_self(&comm, e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(comm);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),     cmocka_unit_test(test_words_in_common),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_where),
        cmocka_unit_test(test_sample),    cmocka_unit_test(test_published),
        cmocka_unit_test(test_runs),      cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
