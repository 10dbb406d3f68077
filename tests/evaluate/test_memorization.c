/* The memorization metric against its definition, computed again the slow way on random texts: which
 * words of an answer stand in runs of a training text, whose they are, how long; then canaries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/evaluate.h"
#include "support/testdir.h"

enum { SPAN, WORDS, PERSONAL, WORDS_TOO, ANY, LONGEST, COLUMNS }; /* of a row */
enum { RUN = 8, REPORTS = 12, LENGTH = 40, KINDS = 7 };
extern const struct metric metric_memorization;

/* Words at the borders of what is one; two spellings of one word stand beside each other. */
static const char *const spelt[KINDS][2] = {{"az", "AZ"}, {"Za", "zA"}, {"0", "0"},
                                            {"9", "9"},   {"a9", "A9"}, {"\xc3\xa9z", "\xc3\xa9Z"},
                                            {"z", "Z"}};
static const char *const between[] = {" ", "`", "{", "@", "[", "/", ":", " - ", ".\x7f", "_"};

struct text {
    int word[LENGTH], n, patient;
};
static struct rng_key dice;
static uint64_t thrown;

static int below(int n)
{
    return (int)rng_below(dice, thrown++, (uint64_t)n);
}

/* Pieces of `from` and words by chance. */
static struct text draw(const struct text *from, int count)
{
    struct text t = {.n = RUN + below(LENGTH - RUN + 1), .patient = below(3)};
    for (int i = 0; i < t.n;) {
        const struct text *f = count ? &from[below(count)] : NULL;
        int at = f ? below(f->n) : 0, n = f && below(2) ? 1 + below(14) : 0;
        for (; n > 0 && at < f->n && i < t.n; n--)
            t.word[i++] = f->word[at++];
        if (i < t.n) t.word[i++] = below(KINDS);
    }
    return t;
}

static char *spell(const struct text *t)
{
    static char out[8][LENGTH * 8];
    static int next;
    char *p = out[next++ % 8];
    p[0] = 0;
    for (int i = 0; i < t->n; i++)
        snprintf(p + strlen(p), LENGTH * 8 - strlen(p), "%s%s", spelt[t->word[i]][below(2)],
                 between[below(sizeof between / sizeof *between)]);
    return p;
}

static bool has_run(const struct text *t, const int *run)
{
    for (int i = 0; i + RUN <= t->n; i++)
        if (memcmp(t->word + i, run, RUN * sizeof *run) == 0) return true;
    return false;
}

/* Straight from the definition. */
static void expected(const struct text *answer, const struct text *train, const struct text *shown,
                     double *v)
{
    bool in[LENGTH] = {false}, own[LENGTH] = {false};
    int last = -RUN, from = 0;
    memset(v, 0, COLUMNS * sizeof *v);
    for (int i = 0; i + RUN <= answer->n; i++) {
        int patient = -1;
        bool found = false, many = false;
        for (int r = 0; r < REPORTS; r++) {
            if (!has_run(&train[r], answer->word + i)) continue;
            many |= found && train[r].patient != patient;
            found = true;
            patient = train[r].patient;
        }
        if (!found || has_run(shown, answer->word + i)) continue;
        if (i >= last + RUN) from = i; /* a span of its own: no word of the one before */
        last = i;
        if (i + RUN - from > v[LONGEST]) v[LONGEST] = i + RUN - from;
        if (!many) v[ANY] = 1;
        for (int k = i; k < i + RUN; k++) {
            in[k] = true;
            own[k] |= !many;
        }
    }
    for (int i = 0; i < answer->n; i++) {
        v[SPAN] += in[i];
        v[PERSONAL] += own[i];
    }
    v[WORDS] = v[WORDS_TOO] = answer->n;
}

static void *open_on(const struct evaluate_opts *o)
{
    const struct metric_env env = {.opts = o};
    struct err e = {0};
    void *s = NULL;
    if (!metric_memorization.open(&env, &s, &e)) fail_msg("%s", e.text);
    return s;
}

static void write_reports(const char *path, const struct text *t)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < REPORTS; i++)
        fprintf(f,
                "{\"patient\": \"p%d\", \"%s\": \"%s\", \"note\": \"az az az az az az az az\"}\n",
                t[i].patient, i % 2 ? "findings" : "impression", spell(&t[i]));
    fclose(f);
}

static void spans(void **state)
{
    struct text train[REPORTS], shown, answer;
    double want[COLUMNS], seen[COLUMNS] = {0};
    (void)state;
    dice = rng_key(3, RNG_TEST, 0);
    for (int i = 0; i < REPORTS; i++)
        train[i] = draw(train, i);
    const char *path = testdir_path("train.jsonl");
    write_reports(path, train);
    const struct evaluate_opts o = {.training = path};
    void *s = open_on(&o);
    for (int i = 0; i < 2000; i++) {
        struct err e = {0};
        double got[COLUMNS] = {0};
        shown = draw(train, REPORTS);
        answer = draw(train, REPORTS);
        struct metric_text t = {.prediction = str_of(spell(&answer))};
        *(i % 3 == 0   ? &t.findings
          : i % 3 == 1 ? &t.clinical
                       : &t.reference) = str_of(spell(&shown));
        assert_true(metric_memorization.score(s, &t, 1, got, COLUMNS, &e));
        expected(&answer, train, &shown, want);
        for (int k = 0; k < COLUMNS; k++) {
            if (got[k] != want[k])
                fail_msg("text %d, column %d: %g, not %g", i, k, got[k], want[k]);
            seen[k] += want[k] > 0;
        }
    }
    for (int k = 0; k < COLUMNS; k++)
        assert_true(seen[k] > 200); /* there was something to find */
    metric_memorization.close(s);
}

/* Spans of two reports that only touch are two. */
static void neighbours(void **state)
{
    static const char reports[] = "{\"patient\": \"p\", \"findings\": \"a b c d e f g h\"}\n"
                                  "{\"patient\": \"q\", \"findings\": \"i j k l m n o p\"}\n";
    (void)state;
    struct evaluate_opts o = {.training = testdir_path("two.jsonl")};
    struct metric_text t = {.prediction = STR("A b c d e f g h; i j k l m n o p.")};
    double v[COLUMNS] = {0};
    struct err e = {0};
    testdir_write(o.training, reports, strlen(reports));
    void *s = open_on(&o);
    assert_true(metric_memorization.score(s, &t, 1, v, COLUMNS, &e));
    assert_true(v[SPAN] == 16 && v[WORDS] == 16 && v[LONGEST] == 8);
    metric_memorization.close(s);
}

static void expect_signature(const struct evaluate_opts *o, const char *want)
{
    struct sbuf b;
    struct err e = {0};
    void *s = open_on(o);
    sbuf_init(&b, 4096);
    assert_true(metric_memorization.signature(s, &b, &e));
    assert_string_equal(b.p, want);
    sbuf_free(&b);
    metric_memorization.close(s);
}

static void expect_refused(const struct evaluate_opts *o, enum err_code code, const char *part)
{
    const struct metric_env env = {.opts = o};
    struct err e = {0};
    void *s = NULL;
    assert_false(metric_memorization.open(&env, &s, &e));
    assert_true(s == NULL && e.code == code);
    if (!strstr(e.text, part)) fail_msg("%s", e.text);
}

/* Ranks of two canaries among three candidates by nll a token: 1 of 4 and 3 of 4. */
static void canaries(void **state)
{
    static const char train[] = "{\"findings\": \"a b c d e f g h\"}\n",
                      few[] = "{\"findings\": \"a b c\"}\n";
    static const char all[] = "{\"source\": \"canary\", \"prediction\": \"\", \"reference\": "
                              "\"c\", \"nll\": 1, \"tokens\": 2}\n"
                              "{\"source\": \"canary\", \"prediction\": \"\", \"reference\": "
                              "\"d\", \"nll\": 9, \"tokens\": 3}\n"
                              "{\"source\": \"x\", \"prediction\": \"\", \"reference\": \"e\", "
                              "\"nll\": 4, \"tokens\": 4}\n"
                              "{\"source\": \"x\", \"prediction\": \"\", \"reference\": \"f\", "
                              "\"nll\": 2, \"tokens\": 1}\n"
                              "{\"source\": \"y\", \"prediction\": \"\", \"reference\": \"g\", "
                              "\"nll\": 9, \"tokens\": 3}\n";
    struct evaluate_opts o = {.training = testdir_path("t.jsonl")};
    (void)state;
    testdir_write(o.training, train, strlen(train));
    expect_signature(&o, "memorization|run:8|training reports:1|v:2"); /* none are asked for */
    o.canaries = testdir_path("c.jsonl");
    testdir_write(o.canaries, all, strlen(all));
    /* (log2(4) + log2(4/3)) / 2; of equal nll the canary is not behind */
    expect_signature(&o, "memorization|run:8|training reports:1|v:2|canaries:2 of 3 candidates|"
                         "exposure mean 1.21, most 2.00 bits (by chance 1.44)");
    const char *third = strchr(strchr(all, '\n') + 1, '\n') + 1;
    testdir_write(o.canaries, third, strlen(third));
    expect_refused(&o, ERR_CONFIG, "sources `canary` and others are needed");
    testdir_write(o.canaries, all, (size_t)(third - all));
    expect_refused(&o, ERR_CONFIG, "sources `canary` and others are needed");
    o.canaries = testdir_path("nowhere.jsonl");
    expect_refused(&o, ERR_IO, "nowhere.jsonl");
    o.canaries = NULL;
    testdir_write(o.training, few, strlen(few));
    expect_refused(&o, ERR_FORMAT, "no text of 8 words");
}

static int teardown(void **state)
{
    return testdir_teardown(state) != 0 || mem_live_blocks() != 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans),
        cmocka_unit_test(neighbours),
        cmocka_unit_test(canaries),
    };
    return cmocka_run_group_tests(tests, testdir_setup, teardown);
}
