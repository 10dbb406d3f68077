/* BLEU against sacrebleu 2.6.0 and NLTK: the shared golden pairs and corpora, and made-up pairs
 * full of punctuation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/bleu.h"
#include "evaluate/bleu_tok.h"
#include "evaluate/grams.h"
#include "support/testdir.h"

static struct bleu *scorer;
static struct bleu_tok tok;

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    return bleu_open(&scorer, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    bleu_close(scorer);
    bleu_tok_free(&tok);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static struct str text_of(const json_t *row, const char *key)
{
    json_t *v = json_object_get(row, key);
    assert_true(json_is_string(v));
    return (struct str){json_string_value(v), json_string_length(v)};
}

static struct bleu_stats stats(enum bleu_tokens t, struct str prediction, struct str reference)
{
    struct bleu_stats s;
    struct err e = {0};
    if (!bleu_pair(scorer, t, prediction, reference, &s, &e)) fail_msg("%s", e.text);
    return s;
}

static void near(double got, const json_t *row, const char *key, size_t line)
{
    json_t *v = json_object_get(row, key);
    assert_true(json_is_number(v));
    if (!(fabs(got - json_number_value(v)) <= 1e-9))
        fail_msg("line %zu %s: %.12f, not %.12f", line, key, got, json_number_value(v));
}

static void check_tokens(struct str text, struct str want, size_t line)
{
    struct err e = {0};
    struct str rest, token, piece;
    assert_true(bleu_tok_13a(&tok, text, &rest, &e));
    while (bleu_tok_next(&rest, &token)) {
        if (!str_split(&want, ' ', &piece) || !str_eq(token, piece)) fail_msg("line %zu", line);
    }
    assert_true(want.n == 0);
}

typedef void (*row_fn)(const json_t *row, size_t line);

static size_t each_row(const char *path, row_fn fn)
{
    size_t size, line = 0;
    char *text = testdir_read(path, &size);
    struct str rest = {text, size}, s;
    while (str_split(&rest, '\n', &s)) {
        struct err e = {0};
        json_t *row;
        if (s.n == 0) continue;
        if (!json_parse(s, "golden", &row, &e)) fail_msg("%s", e.text);
        fn(row, ++line);
        json_decref(row);
    }
    free(text);
    return line;
}

static void shared_row(const json_t *row, size_t line)
{
    struct str p = text_of(row, "prediction"), r = text_of(row, "reference");
    struct bleu_stats s = stats(BLEU_13A, p, r), words = stats(BLEU_BLANKS, p, r);
    check_tokens(p, text_of(row, "tok13a_prediction"), line);
    near(bleu_score(&s, BLEU_EXP, true), row, "bleu", line);
    near(bleu_score(&s, BLEU_EXP, false), row, "bleu_noeff", line);
    near(bleu_score(&s, BLEU_FLOOR, true), row, "bleu_floor", line);
    near(bleu_score(&s, BLEU_ADD_K, true), row, "bleu_addk", line);
    near(bleu_score(&s, BLEU_NONE, true), row, "bleu_none", line);
    static const char *const methods[] = {"method1", "method2", "method3", "method4"};
    bleu_nltk_totals(&words);
    for (int m = 0; m < 4; m++)
        near(bleu_nltk(&words, m + 1), json_object_get(row, "nltk_bleu"), methods[m], line);
    struct bleu_stats lower = stats(BLEU_13A_LOWER, p, r);
    near(bleu_score(&lower, BLEU_EXP, true), row, "bleu_lc", line);
    const json_t *d = json_object_get(row, "bleu_detail");
    assert_true(json_integer_value(json_object_get(d, "sys_len")) == (json_int_t)s.hyp);
    assert_true(json_integer_value(json_object_get(d, "ref_len")) == (json_int_t)s.ref);
    for (size_t n = 0; n < BLEU_ORDER; n++) {
        json_t *c = json_array_get(json_object_get(d, "counts"), n);
        assert_true(json_number_value(c) == (double)s.match[n]);
    }
}

static void golden_shared(void **state)
{
    (void)state;
    const char *path = testdir_shared("data/metrics/golden_rouge_bleu.jsonl");
    if (!path) skip();
    assert_int_equal(each_row(path, shared_row), 501);
}

static void extra_row(const json_t *row, size_t line)
{
    struct str p = text_of(row, "prediction"), r = text_of(row, "reference");
    struct bleu_stats s = stats(BLEU_13A, p, r), words = stats(BLEU_BLANKS, p, r);
    check_tokens(p, text_of(row, "tok"), line);
    near(bleu_score(&s, BLEU_EXP, true), row, "bleu", line);
    near(bleu_score(&s, BLEU_EXP, false), row, "corpus", line);
    bleu_nltk_totals(&words);
    near(bleu_nltk(&words, 1), row, "nltk1", line);
}

static void golden_extra(void **state)
{
    (void)state;
    assert_int_equal(each_row(RADMILL_SOURCE "/tests/support/golden/bleu_extra.jsonl", extra_row),
                     160);
}

/* Plain texts are cut at once as the four passes cut them. */
static void plain_tokens(void **state)
{
    (void)state;
    static const char pieces[] = "aB5.,-.5- ()_'\n\t/09\x1c%.";
    struct rng_key key = rng_key(7, RNG_TEST, 0);
    size_t plain = 0;
    uint64_t draw = 0;
    for (int round = 0; round < 30000; round++) {
        char bytes[24];
        size_t n = (size_t)rng_below(key, draw++, sizeof bytes), at = 0;
        for (size_t i = 0; i < n; i++)
            bytes[i] = pieces[rng_below(key, draw++, sizeof pieces - 1)];
        struct str text = {bytes, n}, rest, want, got;
        struct err e = {0};
        if (!bleu_tok_is_plain(text)) continue;
        plain++;
        assert_true(bleu_tok_13a(&tok, text, &rest, &e));
        while (bleu_tok_next(&rest, &want))
            if (!bleu_tok_plain_next(text, &at, &got) || !str_eq(want, got))
                fail_msg("round %d: a token of %zu bytes", round, want.n);
        assert_false(bleu_tok_plain_next(text, &at, &got));
    }
    assert_true(plain > 5000);
    assert_false(bleu_tok_is_plain(STR("a &lt; b")) || bleu_tok_is_plain(STR("x-\ny")));
    assert_false(bleu_tok_is_plain(STR("a..5")) || bleu_tok_is_plain(STR("caf\xc3\xa9")));
}

static struct bleu_stats corpus[3];
static double sentence_sum[3];

static void corpus_row(const json_t *row, size_t line)
{
    (void)line;
    const struct str p[3] = {text_of(row, "prediction"), text_of(row, "prediction_lead2"),
                             STR("No acute cardiopulmonary abnormality.")};
    for (int y = 0; y < 3; y++) {
        struct bleu_stats s = stats(BLEU_13A, p[y], text_of(row, "reference"));
        sentence_sum[y] += bleu_score(&s, BLEU_EXP, true);
        corpus[y].hyp += s.hyp;
        corpus[y].ref += s.ref;
        for (int n = 0; n < BLEU_ORDER; n++) {
            corpus[y].match[n] += s.match[n];
            corpus[y].total[n] += s.total[n];
        }
    }
}

static void golden_corpora(void **state)
{
    (void)state;
    static const char *const names[] = {"knn", "lead2", "const"};
    static const struct {
        const char *key;
        enum bleu_smooth smooth;
    } kinds[] = {{"bleu_corpus_exp", BLEU_EXP},
                 {"bleu_corpus_floor", BLEU_FLOOR},
                 {"bleu_corpus_addk", BLEU_ADD_K},
                 {"bleu_corpus_none", BLEU_NONE}};
    const char *path = testdir_shared("data/metrics/corpus_knn.jsonl");
    if (!path) skip();
    struct err e = {0};
    json_t *want;
    assert_int_equal(each_row(path, corpus_row), 1000);
    assert_true(
        json_read_file(testdir_shared("data/metrics/golden_corpus.json"), 1 << 20, &want, &e));
    for (size_t y = 0; y < 3; y++) {
        json_t *sys = json_object_get(json_object_get(want, "systems"), names[y]);
        near(sentence_sum[y] / 1000, sys, "bleu_sentence_mean", y);
        for (size_t k = 0; k < 4; k++)
            near(bleu_score(&corpus[y], kinds[k].smooth, false), json_object_get(sys, kinds[k].key),
                 "score", y);
    }
    json_decref(want);
}

/* N-grams counted by their places and by numbers: the same, for texts with many and few kinds. */
static void two_ways_to_count(void **state)
{
    (void)state;
    static uint32_t ref[400], hyp[400];
    struct grams places = {0}, numbers = {.count = true};
    struct rng_key key = rng_key(8, RNG_TEST, 0);
    uint64_t draw = 0;
    for (int round = 0; round < 2000; round++) {
        uint64_t kinds = 1 + rng_below(key, draw++, round % 2 ? 4 : 60);
        size_t nref = (size_t)rng_below(key, draw++, round % 4 ? 40 : 400);
        size_t nhyp = (size_t)rng_below(key, draw++, 400);
        struct gram_texts t = {ref, hyp, nref, nhyp, (uint32_t)kinds};
        uint64_t want[GRAMS_MAX], got[GRAMS_MAX];
        struct err e = {0};
        for (size_t i = 0; i < t.nref; i++)
            ref[i] = (uint32_t)rng_below(key, draw++, kinds);
        for (size_t i = 0; i < t.nhyp; i++)
            hyp[i] = (uint32_t)rng_below(key, draw++, kinds + kinds / 4 + 1);
        assert_true(grams_match(&places, &t, GRAMS_MAX, want, &e));
        assert_true(grams_match(&numbers, &t, GRAMS_MAX, got, &e));
        assert_memory_equal(want, got, sizeof want);
    }
    grams_free(&places);
    grams_free(&numbers);
}

static void limits_and_faults(void **state)
{
    (void)state;
    size_t n = 2 * (size_t)BLEU_MAX_TOKENS + 2;
    char *text = malloc(n);
    struct bleu_stats s;
    struct err e = {0};
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 ? ' ' : 'a';
    assert_false(bleu_pair(scorer, BLEU_13A, (struct str){text, n}, STR("a"), &s, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    free(text);
#ifdef RADMILL_FAULTS
    size_t live = mem_live_blocks();
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        struct bleu *b = NULL;
        struct err f = {0};
        fault_arm(FAULT_MEM, k, false);
        bool ok = bleu_open(&b, &f) &&
                  bleu_pair(b, BLEU_13A, STR("a &lt; b c d"), STR("a b c d"), &s, &f);
        done = !fault_fired();
        fault_disarm_all();
        bleu_close(b);
        assert_true(ok == done && (ok || f.code == ERR_NOMEM) && k < 200);
        assert_int_equal(mem_live_blocks(), live);
    }
    /* the other way to count, which long texts take */
    enum { MANY = 300 };
    static uint32_t items[MANY];
    const struct gram_texts same = {items, items, MANY, MANY, 7};
    for (uint32_t i = 0; i < MANY; i++)
        items[i] = i * i % 11 % 7;
    done = false;
    for (uint64_t k = 1; !done; k++) {
        struct grams g = {.count = true};
        struct err f = {0};
        uint64_t match[4];
        fault_arm(FAULT_MEM, k, false);
        bool ok = grams_match(&g, &same, 4, match, &f);
        done = !fault_fired();
        fault_disarm_all();
        grams_free(&g);
        assert_true(ok == done && (ok || f.code == ERR_NOMEM) && k < 200);
        for (uint64_t o = 0; ok && o < 4; o++)
            assert_int_equal(match[o], MANY - o);
        assert_int_equal(mem_live_blocks(), live);
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_shared),     cmocka_unit_test(golden_extra),
        cmocka_unit_test(plain_tokens),      cmocka_unit_test(golden_corpora),
        cmocka_unit_test(limits_and_faults), cmocka_unit_test(two_ways_to_count),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
