/* The nearest text against scikit-learn's TF-IDF, ties, and the reader of training reports. */
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
#include "evaluate/nearest.h"
#include "evaluate/train_texts.h"
#include "support/testdir.h"

static int teardown(void **state)
{
    (void)state;
    return mem_live_blocks() == 0 ? 0 : -1;
}

static void check_query(const struct nearest *n, struct nearest_scratch *s, const json_t *row)
{
    struct err e = {0};
    struct str query;
    size_t index;
    double cosine;
    assert_true(json_get_str(row, "query", &query, &e));
    assert_true(nearest_find(n, s, query, &index, &cosine, &e));
    json_int_t want = json_integer_value(json_object_get(row, "index"));
    if (want < 0 ? index != SIZE_MAX : index != (size_t)want)
        fail_msg("%zu, not %lld", index, (long long)want);
    assert_true(fabs(cosine - json_number_value(json_object_get(row, "cosine"))) < 1e-12);
}

static void golden(void **state)
{
    (void)state;
    size_t size, queries = 0;
    char *text = testdir_read(RADMILL_SOURCE "/tests/support/golden/nearest.jsonl", &size);
    struct str rest = {text, size}, line, t;
    struct nearest *n;
    struct nearest_scratch *s = NULL;
    struct err e = {0};
    assert_true(nearest_open(&n, &e));
    while (str_split(&rest, '\n', &line) && line.n > 0) {
        json_t *row;
        assert_true(json_parse(line, "row", &row, &e));
        if (json_object_get(row, "text")) {
            assert_true(json_get_str(row, "text", &t, &e) && nearest_add(n, t, &e));
        } else {
            if (!s) assert_true(nearest_seal(n, &e) && nearest_scratch_open(n, &s, &e));
            check_query(n, s, row);
            queries++;
        }
        json_decref(row);
    }
    assert_int_equal(nearest_count(n), 80);
    assert_int_equal(queries, 63);
    nearest_scratch_close(s);
    nearest_close(n);
    free(text);
}

static bool two_texts(size_t *index, struct err *e)
{
    struct nearest *n = NULL;
    struct nearest_scratch *s = NULL;
    double cosine;
    bool ok = nearest_open(&n, e) && nearest_add(n, STR("clear lungs"), e) &&
              nearest_add(n, STR("Lungs clear."), e) && nearest_seal(n, e) &&
              nearest_scratch_open(n, &s, e) &&
              nearest_find(n, s, STR("lungs clear"), index, &cosine, e);
    nearest_scratch_close(s);
    nearest_close(n);
    return ok;
}

/* Equal scores: the lower number, always. */
static void ties_and_faults(void **state)
{
    (void)state;
    size_t index;
    struct err e = {0};
    assert_true(two_texts(&index, &e));
    assert_int_equal(index, 0);
#ifdef RADMILL_FAULTS
    size_t live = mem_live_blocks();
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        struct err f = {0};
        fault_arm(FAULT_MEM, k, false);
        bool ok = two_texts(&index, &f);
        done = !fault_fired();
        fault_disarm_all();
        assert_true(ok == done && (ok || f.code == ERR_NOMEM) && k < 100);
        assert_int_equal(mem_live_blocks(), live);
    }
#endif
}

static bool parse(const char *text, struct arena *a, struct train_texts *out, struct err *e)
{
    return train_texts_parse(str_of(text), "train.jsonl", a, out, e);
}

static void training_reports(void **state)
{
    (void)state;
    struct arena a;
    struct train_texts t;
    struct str findings, impression;
    struct err e = {0};
    arena_init(&a, 1 << 20);
    assert_true(parse("{\"findings\": \"F1\", \"reference\": \"R1\", \"prediction\": \"x\"}\n\n"
                      "{\"findings\": \"F2\", \"impression\": \"R2\", \"split\": \"train\"}\n"
                      "{\"findings\": \"F3\", \"impression\": \"R3\", \"split\": \"test\"}\n"
                      "{\"findings\": \"\", \"impression\": \"R4\"}\n"
                      "{\"findings\": \"F5\", \"impression\": null}\n",
                      &a, &t, &e));
    assert_int_equal(t.n, 2);
    assert_true(t.get(t.ctx, 1, &findings, &impression, &e));
    assert_true(str_eqz(findings, "F2") && str_eqz(impression, "R2"));
    assert_true(t.get(t.ctx, 0, NULL, &impression, &e) && str_eqz(impression, "R1"));
    static const char *const bad[][2] = {
        {"{\"findings\": \"secret\"}\n", "train.jsonl: line 1: a training report needs"},
        {"\n{\"findings\": 7, \"reference\": \"secret\"}\n", "line 2: \"findings\" is not a text"},
        {"[\"secret\"]\n", "line 1"},
        {"{\"findings\": \"secret\", \"reference\": \"x\", \"split\": \"dev\"}\n",
         "no training report"},
        {"", "no training report"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err f = {0};
        assert_false(parse(bad[i][0], &a, &t, &f));
        if (f.code != ERR_FORMAT || !strstr(f.text, bad[i][1])) fail_msg("%zu: %s", i, f.text);
        assert_null(strstr(f.text, "secret"));
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(ties_and_faults),
        cmocka_unit_test(training_reports),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
