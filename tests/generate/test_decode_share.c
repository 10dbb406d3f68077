/* What requests take over from each other, over the cache of fake_cache.h: how many tokens are worth
 * a copy, or waiting for; which slot a request gets; nothing under another adapter. The header of
 * generate/decode_share.c has the two figures, four and twenty-four. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "generate/fake_cache.h"

/* TEXT tokens, of which the first n are those of text `of` and the rest are its own. */
enum { TEXT = 40, TEXTS = 4 };
static uint32_t texts[TEXTS][LEN_MAX];
static struct {
    uint32_t shared;
    bool finished;
} told[TEXTS];
static struct lora *const adapters[2] = {0};

static bool tell(void *ctx, const struct decode_event *ev, struct err *e)
{
    (void)ctx;
    (void)e;
    if (!ev->finished) return true;
    told[(uintptr_t)ev->user].finished = true;
    told[(uintptr_t)ev->user].shared = ev->shared_tokens;
    return true;
}

static void write_text(uint32_t i, uint32_t of, uint32_t n)
{
    for (uint32_t k = 0; k < TEXT; k++)
        texts[i][k] = k < n ? texts[of][k] : (7 * i + k) % VOCAB;
    if (n < TEXT && i != of) texts[i][n] = (texts[of][n] + 1 + i) % VOCAB; /* parts from it here */
}

static struct decode *open_sharing(uint32_t slots, uint32_t prefill, bool share)
{
    struct decode_opts o = {.slots = slots,
                            .max_len = LEN_MAX,
                            .max_new_tokens = 20,
                            .prefill_rows = prefill,
                            .share_nothing = !share};
    struct decode *d = NULL;
    struct err e = {0};
    memset(told, 0, sizeof told);
    assert_true(decode_open(NULL, adapters, 2, &o, &d, &e));
    return d;
}

static void ask_text(struct decode *d, uint32_t i, int32_t adapter, uint32_t new_tokens)
{
    struct decode_request r = {.ids = texts[i],
                               .n = TEXT,
                               .max_new_tokens = new_tokens,
                               .adapter = adapter,
                               .user = (void *)(uintptr_t)i};
    struct err e = {0};
    uint64_t handle;
    if (!decode_submit(d, &r, &handle, &e)) fail_msg("%s", e.text);
}

static void steps(struct decode *d, uint32_t n)
{
    struct err e = {0};
    while (n-- > 0)
        assert_true(decode_step(d, tell, NULL, &e));
}

static void run_out(struct decode *d)
{
    while (decode_busy(d) > 0)
        steps(d, 1);
}

/* Copying less than four tokens is not worth it; four are. */
static void few_tokens_are_not_copied(void **state)
{
    (void)state;
    static const uint32_t common[][2] = {{0, 0}, {3, 0}, {4, 4}, {5, 5}, {39, 39}};
    for (size_t k = 0; k < sizeof common / sizeof *common; k++) {
        struct decode *d = open_sharing(2, 64, true);
        write_text(0, 0, 0);
        write_text(1, 0, common[k][0]);
        ask_text(d, 0, -1, 20);
        steps(d, 2);
        ask_text(d, 1, -1, 1);
        run_out(d);
        assert_int_equal(told[1].shared, common[k][1]);
        assert_int_equal(all_rows, TEXT + 19 + TEXT - common[k][1]);
        assert_int_equal(decode_get_stats(d)->shared_tokens, common[k][1]);
        decode_close(d);
    }
}

/* What the own slot still holds costs nothing; another's must be four tokens longer. */
static void own_beginning_first(void **state)
{
    (void)state;
    static const uint32_t cases[][3] = {/* own, other's, shared */
                                        {1, 0, 1},
                                        {2, 5, 2},
                                        {2, 6, 6},
                                        {9, 12, 9},
                                        {9, 13, 13}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct decode *d = open_sharing(2, 64, true);
        write_text(0, 0, 0);           /* what is asked for last */
        write_text(1, 0, cases[k][0]); /* ends, and leaves its beginning */
        write_text(2, 0, cases[k][1]); /* still answers in the other slot */
        ask_text(d, 1, 0, 1);
        ask_text(d, 2, 0, 20);
        steps(d, 2);
        assert_true(told[1].finished && !told[2].finished);
        ask_text(d, 0, 0, 1);
        run_out(d);
        assert_int_equal(told[0].shared, cases[k][2]);
        decode_close(d);
    }
}

/* Both come at once: the second waits for the first one's tokens if that spares it 24 or more. */
static void waiting_must_be_worth_it(void **state)
{
    (void)state;
    static const uint32_t cases[][3] = {/* common, held already, shared */
                                        {23, 0, 0},   {24, 0, 24},  {25, 0, 25},
                                        {33, 10, 10}, {34, 10, 34}, {35, 10, 35}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct decode *d = open_sharing(2, 64, true);
        uint32_t rows = TEXT, own = cases[k][1];
        write_text(0, 0, 0);
        write_text(1, 0, cases[k][0]);
        write_text(2, 1, own); /* of the second, it leaves what both have in common */
        write_text(3, 1, 0);   /* fills the other slot */
        if (own) {
            ask_text(d, 3, 1, 3);
            ask_text(d, 2, 1, 1);
            run_out(d);
            rows = all_rows + TEXT - own;
        }
        ask_text(d, 0, 1, 3);
        ask_text(d, 1, 1, 3);
        run_out(d);
        assert_int_equal(told[0].shared, own);
        assert_int_equal(told[1].shared, cases[k][2]);
        assert_int_equal(all_rows, rows + TEXT - cases[k][2] + 2 * 2);
        decode_close(d);
    }
}

/* Nothing is taken over from another adapter's rows, nor waited for. */
static void adapters_share_nothing(void **state)
{
    (void)state;
    uint64_t steps_taken[2];
    for (int share = 0; share < 2; share++) {
        struct decode *d = open_sharing(2, 128, share);
        write_text(0, 0, 0);
        write_text(1, 0, TEXT);
        ask_text(d, 0, 0, 3);
        ask_text(d, 1, 1, 3);
        run_out(d);
        assert_true(told[0].shared == 0 && told[1].shared == 0);
        steps_taken[share] = decode_get_stats(d)->steps;
        assert_int_equal(all_rows, 2 * (TEXT + 2));
        decode_close(d);
    }
    assert_int_equal(steps_taken[0], 3);
    assert_int_equal(steps_taken[1], 3);
}

/* A new text takes the slot that was used longest ago; a beginning that a slot holds counts more. */
static void slots_keep_what_may_come_again(void **state)
{
    (void)state;
    for (uint32_t known = 0; known < 2; known++) {
        struct decode *d = open_sharing(2, 64, true);
        write_text(0, 0, 0);
        write_text(1, 0, 0);
        write_text(2, 1, known ? 20 : 0);
        for (uint32_t i = 0; i < 3; i++) {
            ask_text(d, i, -1, 1);
            run_out(d);
        }
        assert_int_equal(told[2].shared, known ? 20 : 0);
        /* the other slot still has all but the last token of its text */
        told[1 - known].finished = false;
        ask_text(d, 1 - known, -1, 1);
        run_out(d);
        assert_int_equal(told[1 - known].shared, TEXT - 1);
        decode_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_tokens_are_not_copied),      cmocka_unit_test(own_beginning_first),
        cmocka_unit_test(waiting_must_be_worth_it),       cmocka_unit_test(adapters_share_nothing),
        cmocka_unit_test(slots_keep_what_may_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
