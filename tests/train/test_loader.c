#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/testdir.h"
#include "train/kit.h"
#include "train/loader.h"

static struct shard_set *set;
static struct plan plan;

static int open_all(void **state)
{
    struct err e = {0};
    struct plan_params q = {.seed = 1, .bin_tokens = 64, .bins_per_step = 4, .shuffle = true};
    char shards[600];

    (void)state;
    testdir_make();
    snprintf(shards, sizeof shards, "%s", testdir_path("shards"));
    kit_shards(shards);
    if (!shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e)) kit_die("shards", &e);
    if (!plan_init(&plan, set, &q, &e)) kit_die("plan", &e);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    plan_free(&plan);
    shard_set_close(set);
    testdir_remove();
    return 0;
}

static void check_sample(const struct decoder_batch *b, uint32_t i, const struct sample *s,
                         uint32_t first, uint32_t *row)
{
    uint32_t at = b->cu[i];

    assert_int_equal(b->cu[i + 1] - at, s->length);
    assert_memory_equal(b->tokens + at, s->tokens, s->length * sizeof *s->tokens);
    for (uint32_t t = first; t < s->length; t++, (*row)++) {
        assert_int_equal(b->rows[*row], at + t - 1); /* never the neighbour's last position */
        assert_int_equal(b->labels[*row], s->tokens[t]);
    }
    assert_int_equal(b->labels[*row - 1], 2); /* the end mark is learned, always */
}

static void bins_hold_their_samples(bool all)
{
    struct loader l;
    struct err e = {0};
    uint64_t rows = 0;

    assert_true(loader_init(&l, set, all, 64, &e));
    loader_plan(&l, &plan);
    for (uint64_t bin = 0; bin < plan.nbins; bin++) {
        const struct plan_bin *pb = &plan.bins[bin];
        struct decoder_batch b;
        uint32_t row = 0;
        assert_true(loader_get(&l, bin, &b, &e));
        assert_int_equal(b.nseq, pb->samples);
        assert_int_equal(b.ntokens, pb->tokens);
        assert_int_equal(b.cu[b.nseq], b.ntokens);
        for (uint32_t i = 0; i < b.nseq; i++) {
            struct sample s;
            assert_true(shard_set_get(set, plan.order[pb->first + i], &s, &e));
            check_sample(&b, i, &s, all ? 1 : s.target, &row);
        }
        assert_int_equal(row, b.nrows);
        assert_int_equal(loader_rows(&l, bin, bin + 1), b.nrows);
        assert_int_equal(b.nrows, all ? pb->tokens - pb->samples : pb->targets);
        rows += b.nrows;
    }
    assert_int_equal(loader_rows(&l, 0, plan.nbins), rows);
    loader_free(&l);
}

static void targets_bear_the_loss(void **state)
{
    (void)state;
    bins_hold_their_samples(false);
}

static void all_tokens_but_the_first_may_bear_it(void **state)
{
    (void)state;
    bins_hold_their_samples(true);
}

static void a_step_has_the_plan_s_targets(void **state)
{
    struct loader l;
    struct err e = {0};

    (void)state;
    assert_true(loader_init(&l, set, false, 64, &e));
    loader_plan(&l, &plan);
    for (uint64_t k = 0; k < plan.nsteps; k++) {
        uint64_t end = (k + 1) * 4 < plan.nbins ? (k + 1) * 4 : plan.nbins;
        assert_int_equal(loader_rows(&l, k * 4, end), plan_step_targets(&plan, k));
    }
    loader_free(&l);
}

/* Inputs end to end, labels apart from them, neither above its limit. */
static void inputs_and_labels_lie_apart(void **state)
{
    struct plan_params q = {
        .seed = 1, .bin_tokens = 40, .bin_targets = 30, .bins_per_step = 4, .shuffle = true};
    struct shard_set *both = NULL;
    struct plan p;
    struct loader l;
    struct err e = {0};
    uint64_t samples = 0;
    char dir[600];

    (void)state;
    snprintf(dir, sizeof dir, "%s", testdir_path("both"));
    kit_shards_of(dir, 90, SHARD_ENCODER_DECODER);
    if (!shard_set_open(dir, SHARD_TRAIN, NULL, 0, true, &both, &e)) kit_die("shards", &e);
    if (!plan_init(&p, both, &q, &e)) kit_die("plan", &e);
    assert_true(loader_init(&l, both, false, 40, &e));
    loader_plan(&l, &p);
    for (uint64_t bin = 0; bin < p.nbins; bin++) {
        struct decoder_batch b;
        assert_true(loader_get(&l, bin, &b, &e));
        assert_true(b.ntokens <= 40 && b.nrows <= 30 && !b.rows);
        assert_int_equal(b.nrows, loader_rows(&l, bin, bin + 1));
        for (uint32_t i = 0; i < b.nseq; i++) {
            struct sample s;
            assert_true(shard_set_get(both, p.order[p.bins[bin].first + i], &s, &e));
            assert_int_equal(b.cu[i + 1] - b.cu[i], s.target);
            assert_memory_equal(b.tokens + b.cu[i], s.tokens, s.target * sizeof *s.tokens);
            assert_int_equal(b.label_cu[i + 1] - b.label_cu[i], s.length - s.target);
            assert_memory_equal(b.labels + b.label_cu[i], s.tokens + s.target,
                                (s.length - s.target) * sizeof *s.tokens);
        }
        assert_int_equal(b.cu[b.nseq], b.ntokens);
        assert_int_equal(b.label_cu[b.nseq], b.nrows);
        samples += b.nseq;
    }
    assert_int_equal(samples, 90);
    loader_free(&l);
    plan_free(&p);
    shard_set_close(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_bear_the_loss),
        cmocka_unit_test(all_tokens_but_the_first_may_bear_it),
        cmocka_unit_test(inputs_and_labels_lie_apart),
        cmocka_unit_test(a_step_has_the_plan_s_targets),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
