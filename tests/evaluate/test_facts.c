/* The fact check by rule: each rule on made-up sentences, the shared suite, and what must hold for
 * any texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "evaluate/facts_kit.h"
#include "support/testdir.h"

/* The kinds of the flags as "kind kind ", in the order of enum facts_kind. */
static const char *kinds(const char *generated, const char *reference)
{
    static char text[256];
    struct facts_result r = check(generated, reference, "");
    text[0] = 0;
    for (int k = 0; k < FACTS_KINDS; k++)
        if (r.by_kind[k])
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? " " : "",
                     facts_kind_names[k]);
    return text;
}

#define EXPECT(want, generated, reference) assert_string_equal(kinds(generated, reference), want)

static void one_of_each(void **state)
{
    (void)state;
    EXPECT("negation", "There is a pleural effusion.", "There is no pleural effusion.");
    EXPECT("laterality", "Left pleural effusion.", "Right pleural effusion.");
    EXPECT("level", "Right lower lobe nodule.", "Right upper lobe nodule.");
    EXPECT("number", "Compression fracture of T11.", "Compression fracture of T12.");
    EXPECT("measurement", "A 12 mm nodule.", "An 8 mm nodule.");
    EXPECT("severity", "Severe hydronephrosis.", "Mild hydronephrosis.");
    EXPECT("temporal", "Worsening cardiomegaly.", "Stable cardiomegaly.");
    EXPECT("added", "Clear lungs. Large right pneumothorax.", "Clear lungs.");
    EXPECT("missing", "No acute fracture.", "No acute fracture. Obstructing ureteral stone.");
}

struct tally {
    unsigned found[FACTS_KINDS], total[FACTS_KINDS], benign, false_flags;
};

static void tally_row(const json_t *row, struct tally *t)
{
    json_t *want = json_object_get(row, "expected_flags");
    struct facts_result r = check(json_string_value(json_object_get(row, "generated")),
                                  json_string_value(json_object_get(row, "reference")),
                                  json_string_value(json_object_get(row, "findings")));
    if (json_array_size(want) == 0) {
        t->benign++;
        t->false_flags += r.nflags > 0;
        return;
    }
    for (int k = 0; k < FACTS_KINDS; k++) {
        if (strcmp(facts_kind_names[k], json_string_value(json_array_get(want, 0))) != 0) continue;
        t->total[k]++;
        t->found[k] += r.by_kind[k] > 0;
    }
}

static void shared_suite(void **state)
{
    (void)state;
    const char *path = testdir_shared("data/metrics/factcheck_suite.jsonl");
    struct tally t = {0};
    unsigned found = 0, total = 0;
    size_t size;
    if (!path) skip();
    char *text = testdir_read(path, &size);
    struct str rest = {text, size}, line;
    while (str_split(&rest, '\n', &line)) {
        struct err e = {0};
        json_t *row;
        if (line.n == 0) continue;
        if (!json_parse(line, "suite", &row, &e)) fail_msg("%s", e.text);
        tally_row(row, &t);
        json_decref(row);
    }
    free(text);
    for (int k = 0; k < FACTS_KINDS; k++) {
        if (t.total[k]) printf("%s %u/%u  ", facts_kind_names[k], t.found[k], t.total[k]);
        assert_true(100 * t.found[k] >= 85 * t.total[k]);
        found += t.found[k];
        total += t.total[k];
    }
    printf("all %u/%u, benign flagged %u/%u\n", found, total, t.false_flags, t.benign);
    assert_true(total >= 216 && 100 * found >= 95 * total);
    assert_true(t.benign >= 137 && 100 * t.false_flags <= t.benign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_each),
        cmocka_unit_test(shared_suite),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
