/* The whole evaluation on one rank: numbers, files, comparisons, refusals, faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluate/eval_report.h"
#include "evaluate/evaluate.h"
#include "evaluate/meteor.h"
#include "evaluate/metric.h"
#include "evaluate/strata.h"
#include "support/testdir.h"

static struct comm *self;
static struct evaluate_summary sum;

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    log_setup(LOG_ERROR, 0);
    testdir_make();
    return comm_open_self(&self, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(self);
    testdir_remove();
    return mem_live_blocks() == 0 ? 0 : -1;
}

static const char small[] =
    "{\"id\": \"a\", \"prediction\": \"No acute disease.\", \"reference\": \"No acute disease.\", "
    "\"modality\": \"CR\", \"findings\": \"Lungs clear. Heart normal. Bones intact.\", \"group\": "
    "\"p1\", \"seen\": true}\n"
    "{\"id\": \"b\", \"prediction\": \"Edema.\", \"reference\": \"Small right effusion.\", "
    "\"modality\": \"CT\", \"findings\": \"Effusion on the right.\", \"group\": \"p1\", \"seen\": "
    "false}\n"
    "\n"
    "{\"id\": \"c\", \"prediction\": \"Small effusion\", \"reference\": \"Small left effusion.\", "
    "\"modality\": \"CT\", \"findings\": \"\", \"group\": \"p2\", \"seen\": false, \"x\": [1]}\n";

static const char *const constant_lead2[] = {"constant", "lead2"};
static const char *const rouge_bleu[] = {"rouge", "bleu"};

static struct evaluate_opts opts(const char *dir)
{
    return (struct evaluate_opts){.dir = dir,
                                  .metrics = {rouge_bleu, 1},
                                  .threads = 2,
                                  .bootstrap = 200,
                                  .seed = 1,
                                  .baselines = {constant_lead2, 2},
                                  .strata = true};
}

static const char *put(const char *name, const char *text)
{
    const char *path = testdir_path(name);
    testdir_write(path, text, strlen(text));
    return path;
}

static void run_ok(const struct evaluate_opts *o, const char *pairs,
                   const struct evaluate_other *others, size_t n)
{
    struct err e = {0};
    if (!evaluate_run(o, pairs, others, n, self, &sum, &e)) fail_msg("%s", e.text);
}

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12)) fail_msg("%.15f is not %.15f", a, b);
}

static struct boot_ci value(const char *name)
{
    const struct boot_ci *v = evaluate_value(&sum, name);
    if (!v) fail_msg("no value %s", name);
    return *v;
}

static size_t at(const char *name)
{
    size_t v = metric_set_find(&sum.set, name);
    assert_true(v != SIZE_MAX);
    return v;
}

/* knn: from the caller's texts, from a file, or left out with the reason. */
static bool get_train(void *ctx, size_t i, struct str *findings, struct str *impression,
                      struct err *e)
{
    static const char *const texts[][2] = {{"Bones intact.", "Bones."},
                                           {"An effusion on the right.", "Right effusion."}};
    size_t *calls = ctx;
    (void)e;
    ++*calls;
    if (findings) *findings = str_of(texts[i][0]);
    if (impression) *impression = str_of(texts[i][1]);
    return true;
}

static const struct evaluate_compared *compared(const char *name)
{
    for (size_t i = 0; i < sum.ncompared; i++)
        if (strcmp(sum.compared[i].name, name) == 0) return &sum.compared[i];
    fail_msg("%s was not compared", name);
    return NULL;
}

/* Three pairs whose scores can be counted by hand. */
static void by_hand(void **state)
{
    (void)state;
    const char *pairs = put("small.jsonl", small);
    struct evaluate_opts o = opts(testdir_path("small"));
    run_ok(&o, pairs, NULL, 0);
    assert_int_equal(sum.pairs, 3);
    assert_true(sum.clustered && sum.groups == 2);
    assert_string_equal(sum.signature[0], "rouge|stem:no|split:newline|v:1; stem: "
                                          "rouge|stem:porter-nltk|split:newline|v:1");
    close_to(value("rouge1.p").mean, (1 + 0 + 1) / 3.0);
    close_to(value("rouge1.r").mean, (1 + 0 + 2 / 3.0) / 3);
    close_to(value("rouge1.f").mean, (1 + 0 + 0.8) / 3);
    close_to(value("rouge2.f").mean, 1 / 3.0);
    assert_int_equal(sum.ncompared, 2);
    const struct evaluate_compared *c = compared("constant");
    assert_true(c->baseline && c->pairs == 3);
    close_to(c->value[at("rouge1.f")].mean, (2 * (2 / 4.0) * (2 / 3.0) / (2 / 4.0 + 2 / 3.0)) / 3);
    close_to(c->delta[at("rouge1.f")].ci.mean,
             value("rouge1.f").mean - c->value[at("rouge1.f")].mean);
    assert_int_equal(compared("lead2")->pairs, 2); /* the third has no findings */
    assert_int_equal(sum.nstrata, 6); /* by reference, seen, modality: the lengths are equal */
    assert_string_equal(sum.strata[0].value, "normal");
    assert_true(sum.strata[0].pairs == 1 && sum.strata[0].number[at("rouge1.f")].mean == 1);
    close_to(sum.strata[1].number[at("rouge1.f")].mean, 0.4);
    close_to(sum.strata[0].constant[at("rouge1.f")], c->value[at("rouge1.f")].mean * 3);
}

static json_t *read_json(const char *path)
{
    struct err e = {0};
    json_t *j;
    if (!json_read_file(path, 1 << 24, &j, &e)) fail_msg("%s", e.text);
    return j;
}

static void files(void **state)
{
    (void)state;
    const char *pairs = put("small.jsonl", small);
    struct evaluate_opts o = opts(testdir_path("files"));
    o.cluster = EVALUATE_CLUSTER_NONE;
    run_ok(&o, pairs, NULL, 0);
    assert_false(sum.clustered);
    char *rows = testdir_read(testdir_path("files/per_pair.jsonl"), NULL);
    assert_non_null(strstr(
        rows, "{\"id\": \"a\", \"rouge1\": {\"p\": 1, \"r\": 1, \"f\": 1}, \"rouge2\": {\"p\": 1"));
    char *c = strstr(rows, "{\"id\": \"c\", \"rouge1\": {\"p\": 1, \"r\": 0.66666666666666663");
    assert_non_null(c);
    assert_true(strstr(rows, "\"id\": \"b\"") < c);
    free(rows);
    json_t *j = read_json(testdir_path("files/report.json"));
    json_t *m = json_object_get(json_object_get(j, "values"), "rouge1.f");
    close_to(json_number_value(json_object_get(m, "mean")), value("rouge1.f").mean);
    assert_true(json_is_true(json_object_get(m, "headline")));
    assert_int_equal(json_array_size(json_object_get(j, "strata")), sum.nstrata);
    assert_int_equal(json_array_size(json_object_get(j, "compared")), 2);
    m = json_array_get(json_object_get(j, "metrics"), 0);
    assert_string_equal(json_string_value(json_object_get(m, "signature")), sum.signature[0]);
    json_decref(j);
    char *md = testdir_read(testdir_path("files/report.md"), NULL);
    assert_non_null(strstr(md, "| ROUGE-1 precision | rouge1.p | 66.7 ("));
    assert_non_null(strstr(md, "| reference | normal | 1 | 100.0 +42.9 | 100.0"));
    assert_null(strstr(md, "effusion")); /* no report text */
    free(md);
    struct stat st;
    assert_int_equal(stat(testdir_path("files/per_pair.jsonl"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* without a folder: only what was asked for */
    struct evaluate_opts bare = opts(NULL);
    bare.per_pair = testdir_path("alone.jsonl");
    run_ok(&bare, pairs, NULL, 0);
    assert_true(fs_exists(bare.per_pair));
}

/* The project's golden corpus: means, intervals, strata, the comparison with the constant. */
static void golden(void **state)
{
    (void)state;
    const char *pairs = testdir_shared("data/metrics/corpus_knn.jsonl");
    if (!pairs) skip();
    struct evaluate_opts o = opts(testdir_path("golden"));
    o.bootstrap = 600; /* test_bootstrap holds the full number to 0.003 */
    run_ok(&o, pairs, NULL, 0);
    assert_true(fabs(value("rougeL.f").mean - 0.5995738003103884) < 1e-9);
    assert_true(fabs(value("rougeL.f").lo - 0.5750589813429422) < 0.006);
    assert_true(fabs(value("rougeL.f").hi - 0.6238819730865441) < 0.006);
    const struct evaluate_compared *c = compared("constant");
    assert_true(fabs(c->value[at("rougeL.f")].mean - 0.476960410977803) < 1e-9);
    assert_true(fabs(c->delta[at("rougeL.f")].ci.mean - 0.12261338933258549) < 1e-9);
    close_to(c->delta[at("rougeL.f")].p, 1.0 / 601); /* no flip in 600 is as far out */
    /* our own lead of two sentences, close to the golden file's */
    assert_true(fabs(compared("lead2")->value[at("rougeL.f")].mean - 0.11151597516728197) < 0.003);
    assert_true(sum.strata[0].number[at("rougeL.f")].mean > 0.82 &&
                sum.strata[1].number[at("rougeL.f")].mean < 0.28);
}

/* BLEU beside ROUGE: sacrebleu's corpus and sentence numbers, their differences, p of both kinds.
 */
static void golden_bleu(void **state)
{
    (void)state;
    const char *pairs = testdir_shared("data/metrics/corpus_knn.jsonl");
    if (!pairs) skip();
    struct evaluate_opts o = opts(testdir_path("bleu"));
    o.metrics.n = 2;
    o.strata = false;
    run_ok(&o, pairs, NULL, 0);
    assert_true(fabs(value("bleu_corpus").mean - 28.743996837789492) < 1e-9);
    assert_true(fabs(value("bleu_corpus_addk").mean - 28.7509588182634) < 1e-9);
    assert_true(fabs(value("bleu_corpus_lc").mean - 29.09368412178582) < 1e-9);
    assert_true(fabs(value("nltk_bleu_corpus.method1").mean - 0.25598762528835706) < 1e-9);
    assert_true(fabs(value("bleu").mean - 48.64105696105682) < 1e-9);
    assert_true(value("bleu_corpus").lo < 28.7 && value("bleu_corpus").hi > 28.8);
    assert_true(value("bleu_corpus").hi - value("bleu_corpus").lo < 8);
    const struct evaluate_compared *c = compared("constant");
    const struct evaluate_delta *corpus = &c->delta[at("bleu_corpus")];
    assert_true(fabs(c->value[at("bleu_corpus")].mean - 9.719875503321799) < 1e-9);
    assert_true(fabs(c->value[at("nltk_bleu_corpus.method1")].mean - 0.10361285532907274) < 1e-9);
    close_to(corpus->ci.mean, value("bleu_corpus").mean - c->value[at("bleu_corpus")].mean);
    assert_true(corpus->ci.lo > 10 && corpus->ci.hi < 30);
    assert_true(fabs(c->delta[at("bleu")].ci.mean - (48.64105696105682 - 28.41997215588783)) <
                1e-9);
    close_to(corpus->p, 1.0 / 201);
    close_to(c->delta[at("bleu")].p, 1.0 / 201);
    /* two systems, seven headline values, all p equal */
    close_to(corpus->holm, 14.0 / 201);
    assert_true(isnan(c->delta[at("bleu_lc")].holm));
    char *rows = testdir_read(testdir_path("bleu/per_pair.jsonl"), NULL);
    assert_non_null(strstr(rows, ", \"bleu\": 100.00000000000004, \"bleu_none\": "));
    assert_non_null(strstr(rows,
                           ", \"nltk_bleu\": {\"method1\": 1, \"method2\": 1, \"method3\": 1, "
                           "\"method4\": 1}}\n"));
    assert_null(strstr(rows, "corpus"));
    free(rows);
    json_t *j = read_json(testdir_path("bleu/report.json"));
    json_t *b = json_object_get(json_object_get(j, "values"), "bleu_corpus");
    close_to(json_number_value(json_object_get(b, "mean")), value("bleu_corpus").mean);
    json_decref(j);
    char *md = testdir_read(testdir_path("bleu/report.md"), NULL);
    assert_non_null(strstr(md, "| BLEU, corpus | bleu_corpus | 28.7 ("));
    assert_non_null(strstr(md, "| constant (baseline) | 1000 | BLEU, corpus | 9.7 ("));
    free(md);
}

static void other_systems(void **state)
{
    (void)state;
    const char *pairs = put("small.jsonl", small);
    /* other order, one pair missing, one unknown to us */
    struct evaluate_other o[] = {
        {"base",
         put("base.jsonl",
             "{\"id\": \"c\", \"prediction\": \"x\", \"reference\": \"Small left effusion.\"}\n"
             "{\"id\": \"z\", \"prediction\": \"x\", \"reference\": \"y\"}\n"
             "{\"id\": \"a\", \"prediction\": \"No disease\", \"reference\": \"No acute "
             "disease.\"}\n")},
        {"lines", put("lines.jsonl",
                      "{\"prediction\": \"No\", \"reference\": \"No acute disease.\"}\n"
                      "{\"prediction\": \"No\", \"reference\": \"Small right effusion.\"}\n"
                      "{\"prediction\": \"No\", \"reference\": \"Small left effusion.\"}\n")}};
    struct evaluate_opts opt = opts(testdir_path("others"));
    run_ok(&opt, pairs, o, 2);
    assert_int_equal(sum.ncompared, 4);
    const struct evaluate_compared *b = compared("base");
    assert_true(!b->baseline && b->pairs == 2);
    close_to(b->value[at("rouge1.f")].mean, 0.8 / 2);
    close_to(b->delta[at("rouge1.f")].ci.mean, (0.2 + 0.8) / 2);
    close_to(compared("lines")->value[at("rouge1.f")].mean, 0.5 / 3);
}

static void nearest_baseline(void **state)
{
    (void)state;
    static const char *const knn[] = {"knn", "lead2"};
    const char *pairs = put("small.jsonl", small);
    size_t calls = 0;
    const struct train_texts train = {&calls, 2, "two reports", get_train};
    struct evaluate_opts o = opts(testdir_path("knn"));
    o.baselines = (struct opt_strs){knn, 1};
    o.train = &train;
    run_ok(&o, pairs, NULL, 0);
    const struct evaluate_compared *c = compared("knn");
    assert_true(c->baseline && c->pairs == 2 && calls == 4);
    /* "Bones." against "No acute disease.", "Right effusion." against "Small right effusion." */
    close_to(c->value[at("rouge1.f")].mean, 0.8 / 2);
    assert_non_null(strstr(c->note, "nearest of 2 training reports"));
    assert_int_equal(sum.nleft_out, 0);
    o.train = NULL;
    o.train_pairs =
        put("train.jsonl", "{\"findings\": \"lungs\", \"reference\": \"No disease\"}\n");
    run_ok(&o, pairs, NULL, 0);
    close_to(compared("knn")->value[at("rouge1.f")].mean, 0.8 / 2); /* the second shares no word */
    o.train_pairs = NULL;
    o.no_train = "no corpus here";
    run_ok(&o, pairs, NULL, 0);
    assert_int_equal(sum.nleft_out, 1);
    assert_string_equal(sum.left_out[0].why, "no corpus here");
    json_t *j = read_json(testdir_path("knn/report.json"));
    assert_int_equal(json_array_size(json_object_get(j, "left_out")), 1);
    json_decref(j);
    char *md = testdir_read(testdir_path("knn/report.md"), NULL);
    assert_non_null(strstr(md, "Baseline knn is left out: no corpus here."));
    free(md);
    o.baselines.n = 2;
    run_ok(&o, put("bare.jsonl", "{\"prediction\": \"a\", \"reference\": \"b\"}\n"), NULL, 0);
    assert_int_equal(sum.nleft_out, 2); /* no findings: neither can speak */
}

static void expect_refusal(const struct evaluate_opts *o, const char *pairs, const char *other,
                           enum err_code code, const char *text)
{
    struct err e = {0};
    struct evaluate_other v = {"other", other};
    assert_false(evaluate_run(o, pairs, &v, other ? 1 : 0, self, &sum, &e));
    if (e.code != code || !strstr(e.text, text)) fail_msg("%d: %s", e.code, e.text);
    assert_null(strstr(e.text, "effusion"));
}

static void refusals(void **state)
{
    (void)state;
    static const char *const unknown[] = {"rogue"}, *const twice[] = {"lead2", "lead2"};
    const char *pairs = put("small.jsonl", small);
    struct evaluate_opts o = opts(testdir_path("refused"));
    expect_refusal(&o, pairs,
                   put("o1.jsonl", "{\"id\": \"a\", \"prediction\": \"\", \"reference\": \"other "
                                   "effusion\"}\n"),
                   ERR_FORMAT, "different references");
    expect_refusal(&o, pairs,
                   put("o2.jsonl", "{\"id\": \"q\", \"prediction\": \"\", \"reference\": \"\"}\n"),
                   ERR_FORMAT, "shares no id");
    expect_refusal(&o, pairs, put("o3.jsonl", "{\"prediction\": \"\", \"reference\": \"\"}\n"),
                   ERR_FORMAT, "it has 1 pairs, the evaluated file 3");
    expect_refusal(&o, pairs,
                   put("o4.jsonl",
                       "{\"id\": \"a\", \"prediction\": \"\", \"reference\": \"No acute "
                       "disease.\"}\n{\"id\": \"a\", \"prediction\": \"\", "
                       "\"reference\": \"No acute disease.\"}\n"),
                   ERR_FORMAT, "pairs 1 and 2 have the same id");
    expect_refusal(&o, testdir_path("missing.jsonl"), NULL, ERR_IO, "missing.jsonl");
    expect_refusal(&o, put("bad.jsonl", "{\"prediction\": \"effusion\"}\n"), NULL, ERR_FORMAT,
                   "line 1: \"reference\" is missing");
    o.metrics = (struct opt_strs){unknown, 1};
    expect_refusal(&o, pairs, NULL, ERR_CONFIG, "\"rogue\" is unknown; known: rouge, ");
    o = opts(testdir_path("refused"));
    o.baselines = (struct opt_strs){twice, 2};
    expect_refusal(&o, pairs, NULL, ERR_CONFIG, "twice");
    o = opts(NULL);
    expect_refusal(&o, pairs, NULL, ERR_CONFIG, "evaluate.dir is missing");
    o = opts(testdir_path("refused"));
    o.cluster = EVALUATE_CLUSTER_PATIENT;
    expect_refusal(&o, put("nogroup.jsonl", "{\"prediction\": \"\", \"reference\": \"\"}\n"), NULL,
                   ERR_CONFIG, "1 of 1 pairs have no \"group\"");
    o = opts(testdir_path("refused"));
    o.train_pairs = testdir_path("no-training.jsonl");
    static const char *const knn[] = {"knn"};
    o.baselines = (struct opt_strs){knn, 1};
    expect_refusal(&o, pairs, NULL, ERR_IO, "no-training.jsonl");
    /* an answer that a metric cannot take */
    static const char *const meteor[] = {"meteor"};
    size_t n = 2 * ((size_t)METEOR_MAX_TOKENS + 1);
    char *long_pairs = malloc(n + 200);
    assert_non_null(long_pairs);
    size_t at = (size_t)snprintf(long_pairs, 200,
                                 "{\"prediction\": \"a\", \"reference\": \"a\"}\n"
                                 "{\"reference\": \"a\", \"prediction\": \"");
    for (size_t i = 0; i < n; i++)
        long_pairs[at++] = i % 2 ? ' ' : 'a';
    snprintf(long_pairs + at, 100, "\"}\n");
    o = opts(testdir_path("refused"));
    o.metrics = (struct opt_strs){meteor, 1};
    expect_refusal(&o, put("long.jsonl", long_pairs), NULL, ERR_LIMIT, "pair 2, metric meteor");
    free(long_pairs);
    assert_false(fs_exists(testdir_path("refused/report.json")));
}

/* What is swept: the whole run, or (allocations) its parts behind jansson's parser, which does not
 * survive a failing allocation: it loses characters or crashes. */
static bool swept_run(enum fault_point p, const char *pairs, const struct evaluate_opts *o,
                      struct err *e)
{
    static struct pair three[3] = {
        {.id = STR_INIT("a"),
         .reference = STR_INIT("No acute disease."),
         .modality = STR_INIT("CR")},
        {.id = STR_INIT("b"), .reference = STR_INIT("Small right effusion.")},
        {.id = STR_INIT("c"), .reference = STR_INIT("Small left effusion."), .seen = 1},
    };
    static double scores[3 * METRIC_COLUMNS_MAX];
    struct eval_run r = {
        .o = o, .comm = self, .pairs = three, .n = 3, .scores = scores, .threads = 1};
    struct stratum s[STRATA_MAX];
    struct arena a;
    size_t n;
    if (p != FAULT_MEM) return evaluate_run(o, pairs, NULL, 0, self, &sum, e);
    r.out = &sum;
    arena_init(&a, 1 << 20);
    bool ok = strata_make(three, 3, &a, s, &n, e) && eval_report_write(&r, pairs, e);
    arena_free(&a);
    return ok;
}

enum { RESULTS = 3 };
static const char *const results[RESULTS] = {"swept/report.json", "swept/report.md",
                                             "swept/per_pair.jsonl"};

/* Every failing system call or allocation arrives as an error, or (a status that cannot be written)
 * costs no result; the report is there whole or not at all. */
static void sweep_point(enum fault_point p, const char *pairs, const struct evaluate_opts *o,
                        const char *want)
{
    char path[RESULTS][1024]; /* testdir_path's own do not last */
    for (size_t i = 0; i < RESULTS; i++)
        snprintf(path[i], sizeof path[i], "%s", testdir_path(results[i]));
    size_t live = mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct err e = {0};
        for (size_t i = 0; i < RESULTS; i++)
            (void)unlink(path[i]);
        fault_arm(p, n, false);
        bool ok = swept_run(p, pairs, o, &e);
        done = !fault_fired();
        fault_disarm_all();
        assert_int_equal(mem_live_blocks(), live);
        if (done && !ok) fail_msg("point %d hit %d: %s", (int)p, (int)n, e.text);
        for (size_t i = 0; ok && i < RESULTS; i++)
            assert_true(fs_exists(path[i]));
        assert_true(ok || e.code == ERR_NOMEM || e.code == ERR_IO);
        if (fs_exists(path[0])) {
            char *text = testdir_read(path[0], NULL);
            assert_string_equal(text, want);
            free(text);
        } else {
            assert_false(ok);
        }
        assert_true(n < 5000);
    }
}

static void fault_sweep(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    char pairs[1024], dir[1024];
    snprintf(pairs, sizeof pairs, "%s", put("small.jsonl", small));
    snprintf(dir, sizeof dir, "%s", testdir_path("swept"));
    struct evaluate_opts o = opts(dir);
    run_ok(&o, pairs, NULL, 0);
    char *want = testdir_read(testdir_path("swept/report.json"), NULL);
    for (int p = 0; p < FAULT_POINTS; p++)
        sweep_point((enum fault_point)p, pairs, &o, want);
    free(want);
#else
    skip();
#endif
}

static void options(void **state)
{
    (void)state;
    struct arena a;
    struct opt_doc d;
    struct evaluate_opts o;
    struct err e = {0};
    arena_init(&a, 1 << 20);
    assert_true(opt_doc_parse(STR("evaluate: {dir: r, threads: 3, baselines: constant}\n"), "/x/y",
                              NULL, 0, NULL, &a, &d, &e));
    assert_true(opt_bind(&d, "evaluate", evaluate_table, &o, &e));
    assert_true(o.threads == 3 && o.strata && o.bootstrap == 10000 && o.metrics.n >= 4);
    assert_int_equal(o.baselines.n, 1);
    assert_string_equal(o.metrics.v[0], "rouge");
    assert_int_equal(o.cluster, EVALUATE_CLUSTER_AUTO);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),       cmocka_unit_test(files),
        cmocka_unit_test(golden),        cmocka_unit_test(golden_bleu),
        cmocka_unit_test(other_systems), cmocka_unit_test(nearest_baseline),
        cmocka_unit_test(refusals),      cmocka_unit_test(fault_sweep),
        cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
