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

static struct recompute ask(struct memory_question q, double limit_gib, uint64_t left)
{
    struct memory_plan p = {.bytes = {1000, 100, 10}};
    struct recompute again;
    uint64_t bytes;
    struct err e = {0};

    q.limit_gib = limit_gib;
    q.left = left;
    assert_true(memory_plan_recompute(&p, &q, &again, &e));
    struct decoder_room room = {q.tokens, q.rows, true, again, false};
    assert_true(decoder_room_bytes(q.spec, q.dtype, q.lora, &room, &bytes, &e));
    assert_int_equal(p.bytes[MEMORY_ACTIVATIONS], bytes);
    return again;
}

static uint64_t bytes_of(const struct memory_question *q, enum recompute_kind kind, uint32_t n)
{
    struct decoder_room room = {q->tokens, q->rows, true, {kind, n}, false};
    uint64_t bytes;
    struct err e = {0};
    assert_true(decoder_room_bytes(q->spec, q->dtype, q->lora, &room, &bytes, &e));
    return bytes;
}

/* Llama-3.2-1B's shape. Left is asked to hold optimizer and activations, the limit all parts. */
static void what_fits_with_the_least_work_is_taken(void **state)
{
    const struct model_spec s = {.arch = "llama",
                                 .layers = 16,
                                 .d = 2048,
                                 .ff = 8192,
                                 .heads = 32,
                                 .kv_heads = 8,
                                 .head_dim = 64,
                                 .vocab = 128256,
                                 .tied = true};
    struct lora_opts l = kit_lora();
    struct memory_question q = {
        .spec = &s, .dtype = DEV_BF16, .lora = &l, .tokens = 8192, .rows = 2048};
    const enum recompute_kind full = RECOMPUTE_FULL, none = RECOMPUTE_NONE;
    uint64_t all_kept = bytes_of(&q, RECOMPUTE_NONE, 0), least = bytes_of(&q, RECOMPUTE_FULL, 15);
    const double gib = 1 << 30;

    (void)state;
    assert_true(least < all_kept / 2);
    assert_int_equal(ask(q, 0, 0).kind, RECOMPUTE_NONE);
    assert_int_equal(ask(q, 0, all_kept + 10).kind, RECOMPUTE_NONE);
    assert_int_equal(ask(q, (double)(all_kept + 1110) / gib, 0).kind, RECOMPUTE_NONE);
    /* a slot and the block itself: two blocks must give before anything is won */
    struct recompute few = ask(q, 0, all_kept + 9);
    assert_true(few.kind != RECOMPUTE_NONE && few.blocks >= 1 && few.blocks <= 3);
    uint64_t last = recompute_cost(&s, few);
    for (uint64_t left = all_kept; left >= least + 10; left -= all_kept / 16) {
        struct recompute r = ask(q, 0, left);
        assert_true(bytes_of(&q, r.kind, r.blocks) + 10 <= left);
        assert_true(recompute_cost(&s, r) >= last);
        last = recompute_cost(&s, r);
    }
    struct recompute nothing_fits = ask(q, (double)least / gib, 0);
    assert_true(nothing_fits.kind == RECOMPUTE_FULL && nothing_fits.blocks == 15);
    q.asked = &full;
    assert_int_equal(ask(q, 0, 0).blocks, 15);
    q.asked = &none;
    assert_int_equal(ask(q, 0, 1000).kind, RECOMPUTE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_is_what_is_taken),
        cmocka_unit_test(what_fits_with_the_least_work_is_taken),
        cmocka_unit_test(a_plan_above_the_limit_says_what_to_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
