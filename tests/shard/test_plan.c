#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "shard/corpus_kit.h"
#include "shard/plan.h"
#include "support/testdir.h"

static struct shard_set *set;

static int setup(void **state)
{
    (void)state;
    testdir_make();
    set = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shard_set_close(set);
    testdir_remove();
    return 0;
}

/* The same formula stands in tests/support/golden/plan_bins.py. */
static uint32_t golden_length(size_t i)
{
    return (uint32_t)(20 + i * 7919 % 301 + (i % 17 == 0) * 400);
}

static uint32_t golden_answer(size_t i)
{
    return (uint32_t)(2 + i * 104729 % 61 + (i % 13 == 0) * 200);
}

static void open_parts(size_t n)
{
    struct err e = {0};

    shard_set_close(set);
    set = NULL;
    kit_parts(testdir_path("parts"), n, golden_length, golden_answer);
    KIT(shard_set_open(testdir_path("parts"), SHARD_TRAIN, NULL, 0, false, &set, &e), &e);
}

static void open_lengths(size_t n, uint32_t (*length)(size_t))
{
    struct err e = {0};

    shard_set_close(set);
    set = NULL;
    kit_lengths(testdir_path("lengths"), n, length);
    KIT(shard_set_open(testdir_path("lengths"), SHARD_TRAIN, NULL, 0, false, &set, &e), &e);
}

static struct plan make(const struct plan_params *q)
{
    struct plan p;
    struct err e = {0};
    KIT(plan_init(&p, set, q, &e), &e);
    return p;
}

/* Every sample once, bins tile the order, no bin over, sums right. */
static void check_plan(const struct plan *p, const struct plan_params *q)
{
    const uint32_t *lengths = shard_set_lengths(set), *targets = shard_set_targets(set);
    uint8_t *seen = calloc(p->nsamples, 1);
    uint64_t at = 0;

    assert_int_equal(p->nsamples, shard_set_count(set));
    for (size_t b = 0; b < p->nbins; b++) {
        uint64_t tokens = 0, loss = 0;
        bool apart = shard_set_info(set)->layout == SHARD_ENCODER_DECODER;
        assert_int_equal(p->bins[b].first, at);
        assert_true(p->bins[b].samples > 0);
        for (uint32_t i = 0; i < p->bins[b].samples; i++, at++) {
            uint32_t s = p->order[at];
            assert_true(s < p->nsamples && !seen[s]);
            seen[s] = 1;
            tokens += lengths[s];
            loss += lengths[s] - targets[s];
        }
        assert_int_equal(tokens, p->bins[b].tokens);
        assert_int_equal(loss, p->bins[b].targets);
        assert_true((apart ? tokens - loss : tokens) <= q->bin_tokens);
        assert_true(!apart || loss <= (q->bin_targets ? q->bin_targets : q->bin_tokens));
    }
    assert_int_equal(at, p->nsamples);
    assert_int_equal(p->nsteps, (p->nbins + q->bins_per_step - 1) / q->bins_per_step);
    free(seen);
}

/* The ranks' slices of every step tile the bins in order, for any number of ranks. */
static void check_slices(const struct plan *p, int size)
{
    uint64_t next = 0, tokens = 0, loss = 0;

    for (uint64_t k = 0; k < p->nsteps; k++) {
        for (int r = 0; r < size; r++) {
            uint64_t begin, end;
            plan_rank_bins(p, k, r, size, &begin, &end);
            assert_int_equal(begin, next);
            assert_true(end >= begin &&
                        end - begin <= (p->bins_per_step + (uint32_t)size - 1) / (uint32_t)size);
            next = end;
        }
        tokens += plan_step_tokens(p, k);
        loss += plan_step_targets(p, k);
    }
    assert_int_equal(next, p->nbins);
    for (size_t b = 0; b < p->nbins; b++) {
        tokens -= p->bins[b].tokens;
        loss -= p->bins[b].targets;
    }
    assert_int_equal(tokens, 0);
    assert_int_equal(loss, 0);
}

static void every_sample_once_on_any_ranks(void **state)
{
    struct plan_params q = {.seed = 3, .bin_tokens = 1024, .bins_per_step = 6, .shuffle = true};

    (void)state;
    open_lengths(20000, golden_length);
    for (q.epoch = 0; q.epoch < 2; q.epoch++) {
        struct plan p = make(&q);
        check_plan(&p, &q);
        for (int size = 1; size <= 8; size++)
            check_slices(&p, size);
        plan_free(&p);
    }
}

static void bins_are_full(void **state)
{
    struct plan_params q = {.seed = 3, .bin_tokens = 2048, .bins_per_step = 1, .shuffle = true};
    uint64_t tokens = 0;

    (void)state;
    open_lengths(30000, golden_length);
    struct plan p = make(&q);
    for (size_t b = 0; b < p.nbins; b++)
        tokens += p.bins[b].tokens;
    double fill = (double)tokens / ((double)p.nbins * q.bin_tokens);
    print_message("fill %.2f %%\n", fill * 100);
    assert_true(fill >= 0.995);
    plan_free(&p);
}

/* The longest sample fills a bin exactly; the shortest is one token. */
static uint32_t extreme_length(size_t i)
{
    return i % 3 == 0 ? 64 : i % 3 == 1 ? 1 : 63;
}

static void extremes_fit(void **state)
{
    struct plan_params q = {.seed = 1, .bin_tokens = 64, .bins_per_step = 1000, .shuffle = true};
    struct err e = {0};

    (void)state;
    open_lengths(9000, extreme_length);
    struct plan p = make(&q);
    check_plan(&p, &q);
    assert_true(p.nbins <= 6002); /* 64; 63 + 1, but for what windows part */
    plan_free(&p);
    q.bin_tokens = 63;
    assert_false(plan_init(&p, set, &q, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "sample 0 has 64 tokens, a bin 63"));
    err_clear(&e);
    q.bin_tokens = 0;
    assert_false(plan_init(&p, set, &q, &e));
    assert_int_equal(e.code, ERR_CONFIG);
}

/* Encoder-decoder: neither limit is ever passed, whichever of them binds. */
static void two_limits_hold(void **state)
{
    static const uint32_t targets[] = {0, 262, 300, 1000};
    struct plan_params q = {.seed = 3, .bin_tokens = 2048, .bins_per_step = 6, .shuffle = true};
    struct err e = {0};
    size_t nbins[4];

    (void)state;
    open_parts(20000);
    for (size_t k = 0; k < 4; k++) {
        q.bin_targets = targets[k];
        struct plan p = make(&q);
        check_plan(&p, &q);
        check_slices(&p, 3);
        nbins[k] = p.nbins;
        plan_free(&p);
        q.shuffle = !q.shuffle;
        p = make(&q);
        check_plan(&p, &q);
        plan_free(&p);
        q.shuffle = true;
    }
    assert_true(nbins[1] > nbins[2] && nbins[2] > nbins[3] && nbins[3] >= nbins[0]);
    q.bin_targets = 261; /* the longest answer has 262 */
    struct plan p;
    assert_false(plan_init(&p, set, &q, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "262 target tokens, a bin 261"));
}

/* What decides the plan changes the digest; what does not, does not. */
static void digests_tell_plans_apart(void **state)
{
    struct plan_params q = {.seed = 3, .bin_tokens = 1024, .bins_per_step = 6, .shuffle = true};

    (void)state;
    open_lengths(500, golden_length);
    struct plan a = make(&q), b = make(&q);
    assert_memory_equal(a.digest, b.digest, 32);
    plan_free(&b);
    for (int k = 0; k < 5; k++) {
        struct plan_params o = q;
        if (k == 0) o.seed++;
        if (k == 1) o.epoch++;
        if (k == 2) o.bin_tokens++;
        if (k == 3) o.bins_per_step++;
        if (k == 4) o.shuffle = false;
        b = make(&o);
        assert_memory_not_equal(a.digest, b.digest, 32);
        plan_free(&b);
    }
    plan_free(&a);
    open_lengths(501, golden_length);
    b = make(&q);
    assert_memory_not_equal(a.digest, b.digest, 32);
    plan_free(&b);
}

static void without_shuffle_the_order_stays(void **state)
{
    struct plan_params q = {.seed = 3, .bin_tokens = 1024, .bins_per_step = 6};

    (void)state;
    open_lengths(500, golden_length);
    struct plan p = make(&q);
    check_plan(&p, &q);
    for (size_t i = 0; i < p.nsamples; i++)
        assert_int_equal(p.order[i], i);
    plan_free(&p);
}

/* The first hundred have one text, the next thirty are pairs. */
static size_t repeated(size_t i)
{
    return i < 100 ? 1000 : i < 130 ? 1001 + i / 2 : i;
}

static void a_text_is_seen_once_an_epoch(void **state)
{
    enum { N = 500, TEXTS = 1 + 15 + 370 };
    struct plan_params q = {.seed = 3, .bin_tokens = 1024, .bins_per_step = 6, .once = true};
    unsigned seen[N] = {0};
    uint8_t digest[32];
    struct err e = {0};

    (void)state;
    kit_repeats(testdir_path("repeats"), N, golden_length, repeated);
    KIT(shard_set_open(testdir_path("repeats"), SHARD_TRAIN, NULL, 0, false, &set, &e), &e);
    for (q.epoch = 0; q.epoch < 100; q.epoch++) {
        unsigned texts[2000] = {0};
        q.shuffle = q.epoch % 2;
        struct plan p = make(&q);
        assert_int_equal(p.nsamples, TEXTS);
        uint64_t tokens = 0, want = 0;
        for (size_t i = 0; i < p.nsamples; i++) {
            assert_int_equal(texts[repeated(p.order[i])]++, 0);
            seen[p.order[i]]++;
            want += golden_length(p.order[i]);
        }
        for (size_t b = 0; b < p.nbins; b++)
            tokens += p.bins[b].tokens;
        assert_int_equal(tokens, want);
        memcpy(digest, p.digest, 32);
        plan_free(&p);
    }
    for (size_t i = 0; i < N; i++) /* each of a group in turn */
        assert_int_equal(seen[i], i < 100 ? 1 : i < 130 ? 50 : 100);
    q.epoch = 99;
    q.once = false;
    struct plan all = make(&q);
    assert_int_equal(all.nsamples, N);
    assert_memory_not_equal(all.digest, digest, 32);
    plan_free(&all);
}

/* Against an independent implementation, see the script. */
static void equals_the_reference(void **state)
{
    size_t n;
    char *text = testdir_read(RADMILL_SOURCE "/tests/shard/golden_plan.txt", &n);
    char *line = strchr(text, '\n') + 1; /* behind the comment */
    int rows = 0;

    (void)state;
    for (char *next; (next = strchr(line, '\n')) != NULL; line = next + 1, rows++) {
        unsigned long long samples, seed, bins;
        struct plan_params q = {.bins_per_step = 8, .shuffle = true};
        char want[65], have[65];
        uint8_t digest[32];
        struct sha256 h;
        *next = 0;
        assert_int_equal(sscanf(line, "%llu %llu %u %u %u %llu %64s", &samples, &seed, &q.epoch,
                                &q.bin_tokens, &q.bin_targets, &bins, want),
                         7);
        q.seed = seed;
        if (q.bin_targets)
            open_parts(samples);
        else
            open_lengths(samples, golden_length);
        struct plan p = make(&q);
        assert_int_equal(p.nbins, bins);
        sha256_init(&h);
        sha256_put(&h, p.order, p.nsamples * sizeof *p.order);
        for (size_t b = 0; b < p.nbins; b++)
            sha256_put(&h, &p.bins[b].samples, 4);
        sha256_end(&h, digest);
        hash_hex(digest, 32, have);
        assert_string_equal(have, want);
        plan_free(&p);
    }
    assert_int_equal(rows, 6);
    free(text);
}

static void nothing_is_leaked(void **state)
{
    struct plan_params q = {.seed = 3, .bin_tokens = 1024, .bins_per_step = 6, .shuffle = true};
    size_t blocks;

    (void)state;
    open_lengths(500, golden_length);
    blocks = mem_live_blocks();
    struct plan p = make(&q);
    plan_free(&p);
    assert_int_equal(mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_sample_once_on_any_ranks, setup, teardown),
        cmocka_unit_test_setup_teardown(bins_are_full, setup, teardown),
        cmocka_unit_test_setup_teardown(extremes_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(two_limits_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(digests_tell_plans_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(without_shuffle_the_order_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_is_seen_once_an_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(equals_the_reference, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_leaked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
