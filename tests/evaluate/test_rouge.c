/* ROUGE against Google's rouge-score: the shared golden pairs, and long synthetic ones. */
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
#include "base/mem.h"
#include "evaluate/rouge.h"
#include "support/testdir.h"

static struct rouge *scorer[2]; /* plain, stem */

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    return rouge_open(false, &scorer[0], &e) && rouge_open(true, &scorer[1], &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    rouge_close(scorer[0]);
    rouge_close(scorer[1]);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static struct str text_of(const json_t *row, const char *key)
{
    json_t *v = json_object_get(row, key);
    assert_true(json_is_string(v));
    return (struct str){json_string_value(v), json_string_length(v)};
}

static struct rouge_scores score(bool stem, struct str prediction, struct str reference)
{
    struct rouge_scores s;
    struct err e = {0};
    if (!rouge_pair(scorer[stem], prediction, reference, &s, &e)) fail_msg("%s", e.text);
    return s;
}

static double number(const json_t *o, const char *key, size_t index)
{
    json_t *v = json_is_array(o) ? json_array_get(o, index) : json_object_get(o, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

/* want: {"rouge1": {p, r, f} or [p, r, f], ...} */
static void check(const struct rouge_scores *s, const json_t *want, size_t line, double tolerance)
{
    for (int k = 0; k < ROUGE_KINDS; k++) {
        json_t *w = json_object_get(want, rouge_names[k]);
        assert_non_null(w);
        const double got[3] = {s->v[k].p, s->v[k].r, s->v[k].f};
        static const char *const keys[3] = {"p", "r", "f"};
        for (size_t j = 0; j < 3; j++)
            if (!(fabs(got[j] - number(w, keys[j], j)) <= tolerance))
                fail_msg("line %zu %s %s: %.12f, not %.12f", line, rouge_names[k], keys[j], got[j],
                         number(w, keys[j], j));
    }
}

static size_t golden_file(const char *path, bool nested)
{
    size_t size, line = 0;
    char *text = testdir_read(path, &size);
    struct str rest = {text, size}, s;
    while (str_split(&rest, '\n', &s)) {
        struct err e = {0};
        json_t *row;
        if (s.n == 0) continue;
        line++;
        if (!json_parse(s, "golden", &row, &e)) fail_msg("%s", e.text);
        struct str p = text_of(row, "prediction"), r = text_of(row, "reference");
        struct rouge_scores plain = score(false, p, r), stem = score(true, p, r);
        check(&plain, nested ? json_object_get(row, "plain") : row, line, 1e-12);
        check(&stem, json_object_get(row, "stem"), line, 1e-12);
        json_decref(row);
    }
    free(text);
    return line;
}

static void golden_shared(void **state)
{
    (void)state;
    const char *path = testdir_shared("data/metrics/golden_rouge_bleu.jsonl");
    if (!path) skip();
    assert_int_equal(golden_file(path, false), 501);
}

static void golden_long(void **state)
{
    (void)state;
    assert_int_equal(golden_file(RADMILL_SOURCE "/tests/support/golden/rouge_extra.jsonl", true),
                     64);
}

/* Texts of tests/support/golden/rouge_long.py. */
static char *long_text(uint64_t x, const json_t *size, uint64_t words, size_t *bytes)
{
    static const char *const ends[] = {"", "s", "ing", "ed"};
    size_t n = (size_t)number(size, NULL, 0), every = (size_t)number(size, NULL, 1), at = 0;
    char *out = malloc(n * 16 + 1);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint64_t v = (x >> 33) % words, k = v / 4;
        do
            out[at++] = (char)('a' + k % 26);
        while (k /= 26);
        at += (size_t)snprintf(out + at, 8, "t%s%c", ends[v % 4],
                               every && (i + 1) % every == 0 ? '\n' : ' ');
    }
    *bytes = at;
    return out;
}

/* Kinds that the reference implementation had no memory for are not in the golden row. */
static void check_some(const struct rouge_scores *s, const json_t *want, size_t line)
{
    for (int k = 0; k < ROUGE_KINDS; k++) {
        json_t *w = json_object_get(want, rouge_names[k]);
        const double got[3] = {s->v[k].p, s->v[k].r, s->v[k].f};
        for (size_t j = 0; w && j < 3; j++)
            if (!(fabs(got[j] - number(w, NULL, j)) <= 1e-12))
                fail_msg("line %zu %s[%zu]: %.12f, not %.12f", line, rouge_names[k], j, got[j],
                         number(w, NULL, j));
    }
}

static void golden_very_long(void **state)
{
    (void)state;
    size_t size, line = 0;
    char *text = testdir_read(RADMILL_SOURCE "/tests/support/golden/rouge_long.jsonl", &size);
    struct str rest = {text, size}, s;
    for (; str_split(&rest, '\n', &s) && s.n > 0; line++) {
        struct err e = {0};
        json_t *row;
        struct str p, r;
        if (!json_parse(s, "golden", &row, &e)) fail_msg("%s", e.text);
        uint64_t words = (uint64_t)number(row, "words", 0);
        p.p = long_text(2 * line + 1, json_object_get(row, "prediction"), words, &p.n);
        r.p = long_text(2 * line + 2, json_object_get(row, "reference"), words, &r.n);
        struct rouge_scores plain = score(false, p, r), stem = score(true, p, r);
        check_some(&plain, json_object_get(row, "plain"), line);
        check_some(&stem, json_object_get(row, "stem"), line);
        free((char *)(uintptr_t)p.p);
        free((char *)(uintptr_t)r.p);
        json_decref(row);
    }
    assert_int_equal(line, 7);
    free(text);
}

/* The plain mean over a corpus is what reports quote. */
static void corpus_means(void **state)
{
    (void)state;
    const char *corpus = testdir_shared("data/metrics/corpus_knn.jsonl");
    if (!corpus) skip();
    struct err e = {0};
    json_t *want;
    assert_true(
        json_read_file(testdir_shared("data/metrics/golden_corpus.json"), 1 << 20, &want, &e));
    static const char *const systems[3][2] = {
        {"knn", "prediction"}, {"lead2", "prediction_lead2"}, {"const", NULL}};
    double sum[3][2][ROUGE_KINDS][3] = {0};
    size_t size, n = 0;
    char *text = testdir_read(corpus, &size);
    struct str rest = {text, size}, s;
    for (; str_split(&rest, '\n', &s) && s.n > 0; n++) {
        json_t *row;
        assert_true(json_parse(s, "corpus", &row, &e));
        for (int y = 0; y < 3; y++)
            for (int stem = 0; stem < 2; stem++) {
                struct str p = systems[y][1] ? text_of(row, systems[y][1])
                                             : STR("No acute cardiopulmonary abnormality.");
                struct rouge_scores v = score(stem, p, text_of(row, "reference"));
                for (int k = 0; k < ROUGE_KINDS; k++) {
                    sum[y][stem][k][0] += v.v[k].p;
                    sum[y][stem][k][1] += v.v[k].r;
                    sum[y][stem][k][2] += v.v[k].f;
                }
            }
        json_decref(row);
    }
    free(text);
    assert_int_equal(n, 1000);
    for (int y = 0; y < 3; y++)
        for (int stem = 0; stem < 2; stem++) {
            struct rouge_scores mean;
            for (int k = 0; k < ROUGE_KINDS; k++)
                mean.v[k] = (struct rouge_prf){sum[y][stem][k][0] / 1000, sum[y][stem][k][1] / 1000,
                                               sum[y][stem][k][2] / 1000};
            json_t *sys = json_object_get(json_object_get(want, "systems"), systems[y][0]);
            check(&mean, json_object_get(sys, stem ? "rouge_mean_stem" : "rouge_mean_nostem"),
                  (size_t)y, 1e-9);
        }
    json_decref(want);
}

/* Earlier pairs, and the word table's emptying, leave no trace. */
static void no_memory(void **state)
{
    (void)state;
    struct str p = STR("Opacities in the right lungs.\nStable."), r = STR("Stable opacity.\nLung");
    struct rouge_scores first = score(true, p, r);
    char word[32];
    for (int i = 0; i < 300000; i++) {
        int n = snprintf(word, sizeof word, "w%dings %d", i, i);
        score(true, (struct str){word, (size_t)n}, STR("the"));
    }
    struct rouge_scores again = score(true, p, r);
    assert_memory_equal(&first, &again, sizeof first);
}

static void refuses_endless_text(void **state)
{
    (void)state;
    size_t n = 2 * (ROUGE_MAX_TOKENS + 1);
    char *text = malloc(n);
    struct rouge_scores s;
    struct err e = {0};
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 ? ' ' : 'a';
    assert_false(rouge_pair(scorer[0], (struct str){text, n}, STR("a"), &s, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    struct err none = {0};
    assert_true(rouge_pair(scorer[0], (struct str){text, n - 2}, STR("a b"), &s, &none));
    assert_true(s.v[ROUGE_1].r == 0.5);
    free(text);
}

/* No allocation that fails leaks or leaves a scorer that lies. */
static void fault_sweep(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    struct str p = STR("Opacities in\nthe right lungs"), r = STR("Lungs: opacity\non the right");
    struct rouge_scores want = score(true, p, r), got;
    size_t live = mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct rouge *s = NULL;
        struct err e = {0};
        fault_arm(FAULT_MEM, n, false);
        bool ok = rouge_open(true, &s, &e) && rouge_pair(s, p, r, &got, &e);
        done = !fault_fired();
        fault_disarm_all();
        assert_true(ok == done);
        if (!ok) {
            assert_int_equal(e.code, ERR_NOMEM);
            struct err again = {0};
            if (s) assert_true(rouge_pair(s, p, r, &got, &again));
        }
        if (s) assert_memory_equal(&got, &want, sizeof want);
        rouge_close(s);
        assert_int_equal(mem_live_blocks(), live);
        assert_true(n < 1000);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_shared),    cmocka_unit_test(golden_long),
        cmocka_unit_test(golden_very_long), cmocka_unit_test(corpus_means),
        cmocka_unit_test(no_memory),        cmocka_unit_test(refuses_endless_text),
        cmocka_unit_test(fault_sweep),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
