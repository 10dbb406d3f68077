#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/testdir.h"

enum { V = 128 };

struct rig {
    struct dev *d;
    struct model *m;
    struct lora *l;
};

static void rig_open(struct rig *r, const char *device, enum tiny_case c, enum dev_dtype t)
{
    const char *dir = tiny_write(c);
    OK(dev_open(device, 1, &r->d, e));
    OK(model_open(r->d, dir, t, &r->m, e));
    r->l = tiny_lora(r->m, 0);
}

static void rig_close(struct rig *r)
{
    lora_close(r->l);
    model_close(r->m);
    dev_close(r->d);
}

/* Logits of every position of sample i, pushed `chunk` tokens at a time into `slot` of a cache. */
static void push(struct rig *r, const struct tiny_batch *one, uint32_t slots, uint32_t slot,
                 uint32_t chunk, float *logits)
{
    struct decoder_cache *c = NULL;
    uint32_t n = one->cu[1], slot_of[TINY_TOKENS], pos[TINY_TOKENS], want[TINY_TOKENS],
             next[TINY_TOKENS];
    OK(tiny_cache_open(r->m, r->l, slots, 24, 20, &c, e));
    for (uint32_t at = 0; at < n; at += chunk) {
        uint32_t k = n - at < chunk ? n - at : chunk;
        for (uint32_t i = 0; i < k; i++) {
            slot_of[i] = slot;
            pos[i] = at + i;
            want[i] = i;
        }
        OK(tiny_step(c, &(struct decoder_rows){one->tokens + at, slot_of, pos, k}, want, k, next,
                     logits + (size_t)at * V, e));
        for (uint32_t i = 0; i < k; i++) { /* the greedy choice is the logits' first maximum */
            const float *row = logits + (size_t)(at + i) * V;
            uint32_t best = 0;
            for (uint32_t v = 1; v < V; v++)
                best = row[v] > row[best] ? v : best;
            assert_int_equal(next[i], best);
        }
    }
    decoder_cache_close(c);
}

/* All positions through the training path. */
static void teach(struct rig *r, const struct tiny_batch *one, float *logits)
{
    struct decoder_work *w = NULL;
    struct decoder_batch b = one->b;
    uint32_t rows[TINY_TOKENS];
    for (uint32_t i = 0; i < b.ntokens; i++)
        rows[i] = i;
    b.rows = rows;
    b.nrows = b.ntokens;
    OK(decoder_work_open(r->m, r->l, 64, 64, false, &w, e));
    OK(decoder_logits(w, &b, logits, e));
    decoder_work_close(w);
}

static void same_as_training(const char *device)
{
    float a[TINY_TOKENS * V], b[TINY_TOKENS * V];
    struct tiny_batch t, one;
    tiny_batch(&t);
    for (enum tiny_case c = 0; c < TINY_CASES; c++) {
        struct rig r;
        rig_open(&r, device, c, DEV_F32);
        for (uint32_t i = 0; i < TINY_SEQS; i++) {
            tiny_single(&t, i, &one);
            teach(&r, &one, a);
            push(&r, &one, 2, 1, 20, b);
            assert_true(rel_rms(b, a, (size_t)one.cu[1] * V) < 2e-6);
        }
        rig_close(&r);
    }
}

static void test_same_as_training(void **state)
{
    (void)state;
    same_as_training(test_device());
}

static void test_same_as_training_strict(void **state)
{
    (void)state;
    same_as_training("strict");
}

/* Bit for bit: one by one, in pieces, at once; in another slot of a larger cache. */
static void cut_does_not_matter(enum dev_dtype type)
{
    float a[TINY_TOKENS * V], b[TINY_TOKENS * V];
    struct tiny_batch t, one;
    struct rig r;
    tiny_batch(&t);
    tiny_single(&t, 2, &one);
    rig_open(&r, test_device(), TINY_MISTRAL, type);
    push(&r, &one, 1, 0, 1, a);
    for (uint32_t chunk = 2; chunk <= 20; chunk += 3) {
        memset(b, 0, sizeof b);
        push(&r, &one, 3, chunk % 3, chunk, b);
        assert_memory_equal(a, b, (size_t)one.cu[1] * V * sizeof *a);
    }
    rig_close(&r);
}

static void test_cut_does_not_matter(void **state)
{
    (void)state;
    cut_does_not_matter(DEV_F32);
    cut_does_not_matter(DEV_BF16);
}

/* Four sequences together, rows interleaved, give each the bits it gets alone. */
static void company(enum dev_dtype type)
{
    float alone[TINY_TOKENS * V];
    struct tiny_batch t, one;
    struct rig r;
    struct decoder_cache *c = NULL;
    tiny_batch(&t);
    rig_open(&r, test_device(), TINY_LLAMA, type);
    for (uint32_t i = 0; i < TINY_SEQS; i++) {
        tiny_single(&t, i, &one);
        push(&r, &one, 1, 0, one.cu[1], alone + (size_t)t.cu[i] * V);
    }
    OK(tiny_cache_open(r.m, r.l, TINY_SEQS, 24, 20, &c, e));
    for (uint32_t step = 0; step < 19; step++) {
        uint32_t tok[TINY_SEQS], slot[TINY_SEQS], pos[TINY_SEQS], want[TINY_SEQS], next[TINY_SEQS],
            n = 0;
        float logits[TINY_SEQS * V];
        for (uint32_t i = 0; i < TINY_SEQS; i++) {
            if (t.cu[i] + step >= t.cu[i + 1]) continue;
            tok[n] = t.tokens[t.cu[i] + step];
            slot[n] = i;
            pos[n] = step;
            want[n] = n;
            n++;
        }
        OK(tiny_step(c, &(struct decoder_rows){tok, slot, pos, n}, want, n, next, logits, e));
        for (uint32_t k = 0; k < n; k++)
            assert_memory_equal(logits + (size_t)k * V, alone + (size_t)(t.cu[slot[k]] + step) * V,
                                V * sizeof *logits);
    }
    decoder_cache_close(c);
    rig_close(&r);
}

static void test_company(void **state)
{
    (void)state;
    company(DEV_F32);
    company(DEV_BF16);
}

static void test_bytes(void **state)
{
    (void)state;
    const char *dir = tiny_write(TINY_MISTRAL);
    struct dev *d = NULL;
    struct model *m = NULL;
    struct decoder_cache *c = NULL;
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open(d, dir, DEV_BF16, &m, e));
    size_t before = dev_bytes_live(d);
    OK(tiny_cache_open(m, NULL, 5, 33, 70, &c, e));
    assert_int_equal(dev_bytes_live(d) - before, tiny_cache_bytes(m, 5, 33, 70));
    decoder_cache_close(c);
    model_close(m);
    dev_close(d);
}

static int setup(void **state)
{
    (void)state;
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_training), cmocka_unit_test(test_same_as_training_strict),
        cmocka_unit_test(test_cut_does_not_matter), cmocka_unit_test(test_company),
        cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
