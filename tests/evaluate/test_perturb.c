/* Errors and harmless rewrites made on purpose: of the kind that was asked for, at the place that
 * was named, the same every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "evaluate/perturb.h"

static struct perturb *perturb;
static struct facts *facts;
static struct arena arena;

static const char *const texts[] = {
    "Moderate right pleural effusion. No pneumothorax. A 12 mm nodule in the left upper lobe, "
    "unchanged. Recommend follow-up CT in 6 months.",
    "1. Mild compression fracture of T12. 2. Stable cardiomegaly. 3. There is no evidence of "
    "pneumonia.",
    "There is a large disc herniation at L4-L5 with severe canal stenosis. The cord is normal. "
    "There is no fracture.",
    "Liver is normal. There is mild left hydronephrosis. A 5 mm stone is seen in the right kidney. "
    "No free fluid.",
    "Acute infarct in the left frontal lobe. No hemorrhage. Ventricles are normal in size.",
};
#define NTEXTS (sizeof texts / sizeof *texts)

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    arena_init(&arena, (size_t)1 << 30);
    return perturb_open(NULL, &perturb, &e) && facts_open(NULL, &facts, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    perturb_close(perturb);
    facts_close(facts);
    arena_free(&arena);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static bool make(const char *text, enum facts_kind kind, uint64_t index, struct perturbed *out)
{
    struct err e = {0};
    bool done;
    if (!perturb_error(perturb, str_of(text), kind, 7, index, &arena, &done, out, &e))
        fail_msg("%s", e.text);
    return done;
}

static bool rewrite(const char *text, enum perturb_rewrite kind, uint64_t i, struct perturbed *out)
{
    struct err e = {0};
    bool done;
    if (!perturb_harmless(perturb, str_of(text), kind, 7, i, &arena, &done, out, &e))
        fail_msg("%s", e.text);
    return done;
}

/* Outside the two spans nothing has changed. */
static void check_spans(struct str was, const struct perturbed *p)
{
    size_t head = p->was.to ? p->was.from : p->now.from;
    size_t tail = was.n - (p->was.to ? p->was.to : head);
    size_t now = p->now.to ? p->now.to : head;
    assert_true(head <= was.n && now <= p->text.n && p->text.n - now == tail);
    assert_memory_equal(was.p, p->text.p, head);
    assert_memory_equal(was.p + was.n - tail, p->text.p + now, tail);
}

static void every_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < FACTS_KINDS; kind++) {
        size_t done = 0, flagged = 0;
        for (size_t t = 0; t < NTEXTS; t++)
            for (uint64_t i = 0; i < 8; i++) {
                struct perturbed p;
                struct facts_result r;
                struct err e = {0};
                if (!make(texts[t], kind, i, &p)) continue;
                check_spans(str_of(texts[t]), &p);
                if (!facts_check(facts, p.text, str_of(texts[t]), STR(""), &arena, &r, &e))
                    fail_msg("%s", e.text);
                done++;
                flagged += r.by_kind[kind] > 0;
                if (!r.by_kind[kind])
                    printf("%s not seen: %.*s\n", facts_kind_names[kind], STR_ARG(p.text));
            }
        assert_true(done >= 8);
        assert_true(10 * flagged >= 9 * done);
    }
}

static void harmless(void **state)
{
    (void)state;
    for (int kind = 0; kind < REWRITE_KINDS; kind++) {
        size_t done = 0;
        for (size_t t = 0; t < NTEXTS; t++)
            for (uint64_t i = 0; i < 4; i++) {
                struct perturbed p;
                struct facts_result r;
                struct err e = {0};
                if (!rewrite(texts[t], kind, i, &p)) continue;
                if (!facts_check(facts, p.text, str_of(texts[t]), STR(""), &arena, &r, &e))
                    fail_msg("%s", e.text);
                if (r.nflags)
                    fail_msg("%s: %s: %.*s", perturb_rewrite_names[kind],
                             facts_kind_names[r.flags[0].kind], STR_ARG(p.text));
                done++;
            }
        assert_true(done >= 1);
    }
}

static void same_again(void **state)
{
    (void)state;
    bool differs = false;
    for (int kind = 0; kind < FACTS_KINDS; kind++) {
        struct perturbed p, q, other;
        assert_int_equal(make(texts[0], kind, 3, &p), make(texts[0], kind, 3, &q));
        assert_true(str_eq(p.text, q.text));
        differs |= make(texts[0], kind, 4, &other) && !str_eq(p.text, other.text);
    }
    assert_true(differs);
}

static void exact(void **state)
{
    (void)state;
    static const struct {
        enum facts_kind kind;
        const char *was, *now;
    } rows[] = {
        {FACTS_LATERALITY, "LEFT EFFUSION.", "RIGHT EFFUSION."},
        {FACTS_NEGATION, "No pleural effusion.", "Pleural effusion."},
        {FACTS_NEGATION, "There is a lung mass.", "There is no lung mass."},
        {FACTS_NEGATION, "A large right effusion.", "No large right effusion."},
        {FACTS_SEVERITY, "Mildly enlarged heart.", "Severely enlarged heart."},
        {FACTS_NUMBER, "Fracture of L3.", "Fracture of L2."},
        {FACTS_MISSING, "Normal heart. Acute fracture of the hip.", "Normal heart. "},
        {FACTS_TEMPORAL, "Stable nodule.", "Worsening nodule."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct perturbed p;
        assert_true(make(rows[i].was, rows[i].kind, 0, &p));
        assert_string_equal(p.text.p, rows[i].now);
    }
}

/* A recommendation is changed where there is one, and one more is made where there is none. */
static void recommendations(void **state)
{
    (void)state;
    struct perturbed p;
    for (uint64_t i = 0; i < 12; i++) {
        assert_true(make("Nodule. Recommend MRI in 6 months.", FACTS_RECOMMENDATION, i, &p));
        assert_null(strstr(p.text.p, "Recommend follow-up CT in 3 months."));
        assert_true(make("Nodule.", FACTS_RECOMMENDATION, i, &p));
        assert_non_null(strstr(p.text.p, "Recommend follow-up CT in 3 months."));
    }
}

/* Nothing to change: the text is left alone. */
static void nothing_to_do(void **state)
{
    (void)state;
    struct perturbed p;
    assert_false(make("", FACTS_LATERALITY, 0, &p));
    assert_false(make("Normal chest.", FACTS_MEASUREMENT, 0, &p));
    assert_false(make("Normal chest.", FACTS_MISSING, 0, &p));
    assert_false(rewrite("Normal chest.", REWRITE_UNIT, 0, &p));
    assert_false(rewrite("Mass. This is new.", REWRITE_ORDER, 0, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),    cmocka_unit_test(harmless),
        cmocka_unit_test(same_again),    cmocka_unit_test(exact),
        cmocka_unit_test(nothing_to_do), cmocka_unit_test(recommendations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
