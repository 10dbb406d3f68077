/* Every golden row through the product's own door: evaluate_run's per_pair.jsonl against
 * golden_rouge_bleu.jsonl key by key, its values against golden_corpus.json; and the table of
 * metrics itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluate/chrf.h"
#include "evaluate/evaluate.h"
#include "evaluate/meteor.h"
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

static void run(const char *pairs, const char *rows, const struct evaluate_other *others, size_t n)
{
    static const char *const all[] = {"all"};
    const struct evaluate_opts o = {
        .per_pair = rows, .metrics = {all, 1}, .bootstrap = 100, .seed = 1, .threads = 2};
    struct err e = {0};
    if (!evaluate_run(&o, pairs, others, n, self, &sum, &e)) fail_msg("%s", e.text);
}

/* ---- rows */

/* Keys of the golden file that are no number of ours: texts, and BLEU without effective order. */
static bool is_other(const char *key)
{
    static const char *const keys[] = {"id",         "kind",    "study_id",          "prediction",
                                       "reference",  "idx",     "tok13a_prediction", "bleu_detail",
                                       "bleu_noeff", "findings"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

static size_t compare(json_t *want, const json_t *got, size_t line)
{
    const char *key;
    json_t *w;
    size_t n = 0;
    json_object_foreach(want, key, w)
    {
        const json_t *g = json_object_get(got, key);
        if (is_other(key)) continue;
        if (!g) fail_msg("line %zu: no %s", line, key);
        if (json_is_object(w)) {
            n += compare(w, g, line);
        } else {
            double d = fabs(json_number_value(w) - json_number_value(g));
            if (!(d <= 1e-9)) fail_msg("line %zu: %s is off by %g", line, key, d);
            n++;
        }
    }
    return n;
}

/* Numbers compared. */
static size_t compare_files(const char *want, const char *got, size_t lines)
{
    size_t size[2], numbers = 0, line = 0;
    char *text[2] = {testdir_read(want, &size[0]), testdir_read(got, &size[1])};
    struct str rest[2] = {{text[0], size[0]}, {text[1], size[1]}}, s[2];
    while (str_split(&rest[0], '\n', &s[0]) && s[0].n > 0) {
        json_t *w = NULL, *g = NULL;
        struct err e = {0};
        line++;
        assert_true(str_split(&rest[1], '\n', &s[1]));
        assert_true(json_parse(s[0], "want", &w, &e) && json_parse(s[1], "got", &g, &e));
        numbers += compare(w, g, line);
        json_decref(w);
        json_decref(g);
    }
    assert_int_equal(line, lines);
    assert_int_equal(rest[1].n, 0);
    free(text[0]);
    free(text[1]);
    return numbers;
}

static void golden_rows(void **state)
{
    (void)state;
    const char *golden = testdir_shared("data/metrics/golden_rouge_bleu.jsonl");
    if (!golden) skip();
    const char *rows = testdir_path("rows.jsonl");
    run(golden, rows, NULL, 0);
    assert_int_equal(compare_files(golden, rows, 501), 501 * (24 + 5 + 4 + 2));
}

static void published_rows(void **state)
{
    (void)state;
    const char *golden = testdir_shared("data/metrics/openi_llm_outputs.jsonl");
    if (!golden) skip();
    const char *rows = testdir_path("openi.jsonl");
    run(golden, rows, NULL, 0);
    assert_true(compare_files(golden, rows, 237) >= 237 * 12);
}

/* ---- the corpus */

/* The pairs file of one of the golden corpus's systems: key NULL is the constant sentence. */
static const char *system_file(const char *name, const char *key)
{
    const char *path = testdir_path(name);
    size_t size;
    char *text = testdir_read(testdir_shared("data/metrics/corpus_knn.jsonl"), &size);
    struct str rest = {text, size}, line;
    struct sbuf b;
    struct err e = {0};
    sbuf_init(&b, 16 << 20);
    while (str_split(&rest, '\n', &line) && line.n > 0) {
        json_t *row;
        struct str p = STR("No acute cardiopulmonary abnormality."), r;
        assert_true(json_parse(line, "row", &row, &e) && json_get_str(row, "reference", &r, &e));
        if (key) assert_true(json_get_str(row, key, &p, &e));
        assert_true(sbuf_put(&b, STR("{\"prediction\": "), &e) && json_put_str(&b, p, false, &e) &&
                    sbuf_put(&b, STR(", \"reference\": "), &e) && json_put_str(&b, r, false, &e) &&
                    sbuf_put(&b, STR("}\n"), &e));
        json_decref(row);
    }
    testdir_write(path, b.p, b.n);
    sbuf_free(&b);
    free(text);
    return path;
}

static double value_of(const struct boot_ci *values, const char *name)
{
    size_t v = metric_set_find(&sum.set, name);
    if (v == SIZE_MAX) fail_msg("no value %s", name);
    return values[v].mean;
}

static void check(const struct boot_ci *values, const char *name, const json_t *want)
{
    double got = value_of(values, name);
    assert_true(json_is_number(want));
    if (!(fabs(got - json_number_value(want)) <= 1e-9))
        fail_msg("%s is %.12f, not %.12f", name, got, json_number_value(want));
}

static void check_means(const struct boot_ci *values, const char *prefix, json_t *want)
{
    const char *kind, *part;
    json_t *v, *x;
    json_object_foreach(want, kind, v) json_object_foreach(v, part, x)
    {
        char name[64];
        snprintf(name, sizeof name, "%s%s.%s", prefix, kind, part);
        check(values, name, x);
    }
}

static void check_system(const struct boot_ci *values, const json_t *want)
{
    static const char *const bleu[][2] = {{"bleu_corpus", "bleu_corpus_exp"},
                                          {"bleu_corpus_none", "bleu_corpus_none"},
                                          {"bleu_corpus_floor", "bleu_corpus_floor"},
                                          {"bleu_corpus_addk", "bleu_corpus_addk"},
                                          {"bleu_corpus_lc", "bleu_corpus_lc"}};
    const char *method;
    json_t *x;
    check_means(values, "", json_object_get(want, "rouge_mean_nostem"));
    check_means(values, "stem.", json_object_get(want, "rouge_mean_stem"));
    for (size_t i = 0; i < sizeof bleu / sizeof bleu[0]; i++)
        check(values, bleu[i][0], json_object_get(json_object_get(want, bleu[i][1]), "score"));
    check(values, "bleu", json_object_get(want, "bleu_sentence_mean"));
    check(values, "chrf_corpus", json_object_get(want, "chrf_corpus"));
    json_object_foreach(json_object_get(want, "nltk_corpus_bleu"), method, x)
    {
        char name[64];
        snprintf(name, sizeof name, "nltk_bleu_corpus.%s", method);
        check(values, name, x);
    }
}

static void golden_corpus(void **state)
{
    (void)state;
    if (!testdir_shared("data/metrics/golden_corpus.json")) skip();
    const struct evaluate_other others[] = {
        {"lead2", system_file("lead2.jsonl", "prediction_lead2")},
        {"const", system_file("const.jsonl", NULL)}};
    struct err e = {0};
    json_t *all;
    run(system_file("knn.jsonl", "prediction"), testdir_path("knn_rows.jsonl"), others, 2);
    assert_true(
        json_read_file(testdir_shared("data/metrics/golden_corpus.json"), 1 << 20, &all, &e));
    const json_t *systems = json_object_get(all, "systems");
    check_system(sum.value, json_object_get(systems, "knn"));
    check_system(sum.compared[0].value, json_object_get(systems, "lead2"));
    check_system(sum.compared[1].value, json_object_get(systems, "const"));
    json_decref(all);
}

/* ---- the table */

/* Every value's columns lie in its metric's row, names are one of a kind, one prefix stands
 * together: what eval_rows nests by. */
static void table_is_sound(void **state)
{
    (void)state;
    struct metric_set s;
    struct err e = {0};
    const char *const all[] = {"all"}, *const comma[] = {"bleu, rouge1", "chrf"};
    const char *const bad[] = {"rouge,,bleu"};
    assert_true(metric_set_init(&s, &(struct opt_strs){all, 1}, &e));
    assert_true(s.n >= 5 && s.nvalues > 40);
    for (size_t v = 0; v < s.nvalues; v++) {
        const struct metric *m = s.metric[s.of[v]];
        assert_int_equal(metric_set_find(&s, s.value[v]->name), v);
        assert_true(s.value[v]->column + s.value[v]->columns <= m->ncolumns);
        assert_true((s.value[v]->stat != NULL) || s.value[v]->columns == 1);
        assert_true(s.value[v]->label && s.value[v]->scale > 0);
    }
    assert_true(metric_set_init(&s, &(struct opt_strs){comma, 2}, &e));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.metric[0]->name, "rouge"); /* the table's order, whatever the list's */
    assert_false(metric_set_init(&s, &(struct opt_strs){bad, 1}, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    struct err none = {0};
    assert_false(metric_set_init(&s, &(struct opt_strs){NULL, 0}, &none));
}

/* ---- the fact check's rows: flags with their places in the pair's own texts */

static void check_flag(const json_t *flag, const char *kind, const struct str texts[3],
                       const char *const words[3])
{
    static const char *const keys[] = {"generated_span", "reference_span", "source_span"};
    assert_string_equal(json_string_value(json_object_get(flag, "kind")), kind);
    for (int i = 0; i < 3; i++) {
        const json_t *span = json_object_get(flag, keys[i]);
        if (json_is_null(span)) continue;
        size_t from = (size_t)json_integer_value(json_array_get(span, 0));
        size_t to = (size_t)json_integer_value(json_array_get(span, 1));
        if (str_find(str_sub(texts[i], from, to), str_of(words[i]), 0) == SIZE_MAX)
            fail_msg("%s %s: [%zu, %zu)", kind, keys[i], from, to);
    }
    assert_true(json_is_array(json_object_get(flag, "generated_span")));
}

static void fact_rows(void **state)
{
    (void)state;
    static const char pairs[] =
        "{\"prediction\": \"Small left pleural effusion.\", \"reference\": \"Small right pleural "
        "effusion.\", \"findings\": \"There is a right pleural effusion.\", \"clinical\": "
        "\"Cough.\"}\n"
        "{\"prediction\": \"No acute disease.\", \"reference\": \"No acute disease.\"}\n";
    const struct str texts[] = {STR("Small left pleural effusion."),
                                STR("Small right pleural effusion."),
                                STR("There is a right pleural effusion.")};
    static const char *const words[] = {"effusion", "effusion", "effusion"};
    const char *path = testdir_path("facts.jsonl"), *rows = testdir_path("facts_rows.jsonl");
    struct err e = {0};
    json_t *row = NULL;
    testdir_write(path, pairs, strlen(pairs));
    run(path, rows, NULL, 0);
    char *text = testdir_read(rows, NULL);
    struct str rest = str_of(text), line;
    assert_true(str_split(&rest, '\n', &line) && json_parse(line, "row", &row, &e));
    json_t *facts = json_object_get(row, "facts"), *flags = json_object_get(facts, "flags");
    assert_true(json_number_value(json_object_get(facts, "score")) < 100);
    assert_int_equal(json_array_size(flags), 1);
    check_flag(json_array_get(flags, 0), "laterality", texts, words);
    json_t *kinds = json_object_get(facts, "by_kind");
    assert_int_equal(json_integer_value(json_object_get(kinds, "laterality")), 1);
    json_decref(row);
    assert_true(str_split(&rest, '\n', &line) && json_parse(line, "row", &row, &e));
    facts = json_object_get(row, "facts");
    assert_int_equal(json_array_size(json_object_get(facts, "flags")), 0);
    assert_true(json_is_array(json_object_get(facts, "flags")));
    assert_true(json_is_null(json_object_get(facts, "support"))); /* no findings to ask */
    json_decref(row);
    free(text);
}

/* ---- chrF and METEOR alone: limits and failing allocations */

static bool score_both(double out[2], struct err *e)
{
    struct chrf *c = NULL;
    struct meteor *m = NULL;
    struct chrf_stats s = {0};
    struct str p = STR("Small effusions \xc3\xa9t\xc3\xa9"),
               r = STR("small Effusion, \xc3\xa9t\xc3\xa9");
    bool ok = chrf_open(&c, e) && meteor_open(&m, e) && chrf_pair(c, p, r, &s, e) &&
              meteor_pair(m, p, r, &out[1], e);
    out[0] = chrf_score(&s);
    chrf_close(c);
    meteor_close(m);
    return ok;
}

static void faults(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    double want[2], got[2];
    struct err e = {0};
    assert_true(score_both(want, &e));
    size_t live = mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct err f = {0};
        fault_arm(FAULT_MEM, n, false);
        bool ok = score_both(got, &f);
        done = !fault_fired();
        fault_disarm_all();
        assert_true(ok == done && (ok || f.code == ERR_NOMEM) && n < 100);
        assert_int_equal(mem_live_blocks(), live);
    }
    assert_memory_equal(want, got, sizeof want);
#else
    print_message("SKIP: built without fault points\n");
    skip();
#endif
}

/* Every metric that scores a pair at a time, opened and asked for a short pair and a long one. */
static bool ask(const struct metric *m, double *row, struct err *e)
{
    static const struct evaluate_opts o = {.metrics = {0}};
    static char words[2][2000];
    const struct metric_text t[] = {
        {.prediction = STR("Small effusion. No mass. A b."),
         .reference = STR("Small left effusion. No mass."),
         .findings = STR("There is a small effusion.")},
        {.prediction = {words[0], 1200}, .reference = {words[1], 1500}}};
    const struct metric_env env = {.opts = &o, .texts = t, .n = 2, .threads = 1};
    void *s = NULL;
    memset(row, 0, 2 * m->ncolumns * sizeof *row);
    for (int side = 0; side < 2; side++) /* 300 and 375 words of three letters */
        for (int i = 0; i < 2000; i++)
            words[side][i] = i % 4 == 3 ? ' ' : (char)('a' + (i / 4 * (3 + side) + i % 4) % 7);
    bool ok = m->open(&env, &s, e) && m->score(s, &t[0], 1, row, m->ncolumns, e) &&
              m->score(s, &t[1], 1, row + m->ncolumns, m->ncolumns, e);
    m->close(s);
    return ok;
}

/* An allocation that fails is an error, never a number. */
static void faults_of_each(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    static double want[2 * METRIC_COLUMNS_MAX], got[2 * METRIC_COLUMNS_MAX];
    size_t tried = 0;
    for (const struct metric *const *m = metric_table; *m; m++) {
        struct err e = {0};
        if ((*m)->whole) continue;
        if (!ask(*m, want, &e)) fail_msg("%s: %s", (*m)->name, e.text);
        size_t live = mem_live_blocks();
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct err f = {0};
            fault_arm(FAULT_MEM, n, false);
            bool ok = ask(*m, got, &f);
            done = !fault_fired();
            fault_disarm_all();
            if (ok != done || (!ok && f.code != ERR_NOMEM))
                fail_msg("%s, allocation %d: %d %s", (*m)->name, (int)n, ok, f.text);
            assert_int_equal(mem_live_blocks(), live);
            assert_true(n < 2000);
        }
        assert_memory_equal(want, got, 2 * (*m)->ncolumns * sizeof *want);
        tried++;
    }
    assert_true(tried >= 5);
#else
    print_message("SKIP: built without fault points\n");
    skip();
#endif
}

static void limits(void **state)
{
    (void)state;
    size_t n = 2 * (size_t)METEOR_MAX_TOKENS + 2;
    char *text = malloc(CHRF_MAX_BYTES + 1);
    struct chrf *c = NULL;
    struct meteor *m = NULL;
    struct chrf_stats s;
    double score;
    struct err e = {0}, f = {0};
    assert_non_null(text);
    for (size_t i = 0; i <= CHRF_MAX_BYTES; i++)
        text[i] = i % 2 ? ' ' : 'a';
    struct str endless = {text, n}, endless_bytes = {text, (size_t)CHRF_MAX_BYTES + 1};
    assert_true(chrf_open(&c, &e) && meteor_open(&m, &e));
    assert_false(chrf_pair(c, endless_bytes, STR("a"), &s, &e));
    assert_false(meteor_pair(m, STR("a"), endless, &score, &f));
    assert_true(e.code == ERR_LIMIT && f.code == ERR_LIMIT);
    chrf_close(c);
    meteor_close(m);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_rows),   cmocka_unit_test(published_rows),
        cmocka_unit_test(golden_corpus), cmocka_unit_test(table_is_sound),
        cmocka_unit_test(fact_rows),     cmocka_unit_test(faults),
        cmocka_unit_test(limits),        cmocka_unit_test(faults_of_each),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
