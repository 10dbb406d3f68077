#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/testdir.h"
#include "train/kit.h"
#include "train/memory_plan.h"

enum { TOKENS = 256, ROWS = 100 };

/* What is planned before anything is taken is what is taken. */
static void the_plan_is_what_is_taken(void **state)
{
    const struct step_opts o = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .bins_per_step = 4};
    struct lora_opts l = kit_lora();
    struct decoder_work *w = NULL;
    struct comm *c = NULL;
    struct step s;
    struct kit k;
    struct err e = {0};
    char model[600];

    (void)state;
    snprintf(model, sizeof model, "%s/model", testdir_make());
    kit_open(&k, model, "cpu", &kit_small, &l, 64);
    assert_true(comm_open_self(&c, &e));
    size_t before = dev_bytes_live(k.d);
    assert_true(decoder_work_open(k.m, k.l, TOKENS, ROWS, true, &w, &e));
    uint64_t want;
    assert_true(
        decoder_work_bytes(model_get_spec(k.m), DEV_F32, &l, TOKENS, ROWS, true, &want, &e));
    assert_int_equal(dev_bytes_live(k.d) - before, want);
    before = dev_bytes_live(k.d);
    assert_true(step_init(&s, &o, k.m, k.l, w, c, &e));
    assert_int_equal(dev_bytes_live(k.d) - before, step_bytes(lora_count(k.l)));
    step_free(&s);
    decoder_work_close(w);
    comm_close(c);
    kit_close(&k);
    testdir_remove();
}

static void a_plan_above_the_limit_says_what_to_change(void **state)
{
    const struct memory_plan p = {.bytes = {1 << 30, 1 << 20, 1 << 20, (uint64_t)1 << 31}};
    struct err e = {0};

    (void)state;
    assert_int_equal(memory_plan_total(&p), 3 * ((uint64_t)1 << 30) + 2 * (1 << 20));
    assert_true(memory_plan_check(&p, 0, &e));
    assert_true(memory_plan_check(&p, 3.1, &e));
    assert_false(memory_plan_check(&p, 3.0, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_non_null(strstr(e.text, "train.bin_tokens"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_is_what_is_taken),
        cmocka_unit_test(a_plan_above_the_limit_says_what_to_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
