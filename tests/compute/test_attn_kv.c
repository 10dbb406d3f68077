/*
 * Keys and values that a device keeps in its own order: attention over them has the bits of
 * dev_attn_cached over rows, whatever lay there before, however they came in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"

enum { KV = 2, GROUP = 3, LEN = 83, SLOTS = 3, KEEP = 90, CUT = 37 };

struct shape {
    enum dev_dtype t;
    uint32_t hd, window, step;
    bool biased;
    int threads;
};

struct rig {
    const struct shape *s;
    struct dev *d;
    struct hmat q, k, v, bias, out; /* of the sequence: LEN rows */
    struct dev_attn a;
    struct dev_kv kv;
    struct dev_buf *mem, *at;
    uint32_t shift; /* keys and values of position i are those of row i + shift */
};

static void rig_open(struct rig *r, const char *name, const struct shape *s)
{
    uint32_t qc = KV * GROUP * s->hd, kc = KV * s->hd, ld = kc + (s->step == 5); /* odd, too */
    *r = (struct rig){.s = s};
    MUST(dev_open(name, s->threads, &r->d, e));
    r->a = (struct dev_attn){
        .heads = KV * GROUP, .kv_heads = KV, .head_dim = s->hd, .scale = 0.2f, .window = s->window};
    double *x[4] = {help_values(30, (size_t)LEN * qc, 1, s->t),
                    help_values(31, (size_t)LEN * kc, 1, s->t),
                    help_values(32, (size_t)LEN * kc, 1, s->t),
                    help_values(33, (size_t)9 * KV * GROUP, 1, DEV_F32)};
    r->q = help_mat(r->d, s->t, LEN, qc, qc, x[0]);
    r->k = help_mat(r->d, s->t, LEN, kc, ld, x[1]);
    r->v = help_mat(r->d, s->t, LEN, kc, ld, x[2]);
    r->bias = help_mat(r->d, DEV_F32, 9, KV * GROUP, KV * GROUP, x[3]);
    r->out = help_mat(r->d, s->t, LEN, qc, qc, NULL);
    for (int i = 0; i < 4; i++)
        free(x[i]);
    if (s->biased) r->a.bias = r->bias.m;
    r->kv = (struct dev_kv){
        .layers = 2, .slots = SLOTS, .len = dev_kv_len(KEEP), .kv_heads = KV, .head_dim = s->hd};
    size_t rows = (size_t)dev_kv_rows(&r->kv), bytes = rows * kc * dev_dtype_bytes(s->t);
    MUST(dev_buf_open(r->d, bytes, &r->mem, e));
    MUST(dev_buf_open(r->d, LEN * 4, &r->at, e));
    r->kv.mem = dev_mat_of(r->mem, 0, s->t, (uint32_t)rows, kc);
    unsigned char *nan = malloc(bytes); /* what an earlier sequence left */
    memset(nan, 0xFF, bytes);
    MUST(dev_upload(r->d, r->mem, 0, nan, bytes, e));
    free(nan);
}

static void rig_close(struct rig *r)
{
    struct hmat *m[] = {&r->q, &r->k, &r->v, &r->bias, &r->out};
    for (int i = 0; i < 5; i++)
        help_drop(m[i]);
    dev_buf_close(r->mem);
    dev_buf_close(r->at);
    dev_close(r->d);
}

static struct dev_mat rows(const struct hmat *h, uint32_t i, uint32_t n)
{
    return dev_mat_part(h->m, i, n, 0, h->m.cols);
}

/* Positions [first, end) of a slot, `step` at a time: put, then asked. */
static void push(struct rig *r, uint32_t slot, uint32_t first, uint32_t end, uint32_t layer)
{
    for (uint32_t i = first, n; i < end; i += n) {
        uint32_t at[LEN], slots[LEN], pos[LEN];
        n = end - i < r->s->step ? end - i : r->s->step;
        for (uint32_t k = 0; k < n; k++) {
            slots[k] = slot;
            pos[k] = i + k;
            at[k] = slot * r->kv.len + i + k;
        }
        MUST(dev_upload(r->d, r->at, 0, at, n * sizeof *at, e));
        MUST(dev_kv_put(r->d, &r->kv, layer, rows(&r->k, i + r->shift, n),
                        rows(&r->v, i + r->shift, n), dev_mat_of(r->at, 0, DEV_I32, 1, n), e));
        MUST(dev_attn_kv(r->d, &r->a, rows(&r->q, i, n), &r->kv, layer, slots, pos,
                         rows(&r->out, i, n), e));
        memset(slots, 0xFF, sizeof slots); /* the arrays are borrowed for the call */
    }
}

static void same_bits(const char *name, const struct shape *s)
{
    struct rig r;
    uint32_t slot[LEN], pos[LEN];
    rig_open(&r, name, s);
    push(&r, 1, 0, 60, 1); /* somebody else's, longer than what is taken over */
    push(&r, 0, 0, LEN, 0);
    push(&r, 2, 0, CUT, 1);
    r.shift = 7; /* goes on with other tokens than who takes over its beginning */
    push(&r, 2, CUT, 60, 1);
    r.shift = 0;
    MUST(dev_kv_copy(r.d, &r.kv, 2, 1, 0, CUT, e));
    push(&r, 1, CUT, LEN, 1);
    double *got = help_get(&r.out);
    for (uint32_t i = 0; i < LEN; i++) {
        slot[i] = 0;
        pos[i] = i;
    }
    MUST(dev_attn_cached(r.d, &r.a, r.q.m, r.k.m, r.v.m, LEN, slot, pos, r.out.m, e));
    double *want = help_get(&r.out);
    for (size_t i = 0; i < (size_t)LEN * r.q.m.cols; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s, type %d, head %u, window %u, step %u: element %zu is %g, not %g", name,
                     (int)s->t, s->hd, s->window, s->step, i, got[i], want[i]);
    free(got);
    free(want);
    rig_close(&r);
}

/* The last tokens of slots 2 and 0 once more, in one call as a step of decoding puts them; those of
 * slot 2 are `shift` rows further on. */
static void put_together(struct rig *r, uint32_t layer)
{
    enum { FIRST = 76, N = LEN - FIRST, OF_TWO = 3 };
    uint32_t at[N];
    for (uint32_t i = 0; i < N; i++)
        at[i] = i < OF_TWO ? 2 * r->kv.len + FIRST - r->shift + i : FIRST + i;
    MUST(dev_upload(r->d, r->at, 0, at, sizeof at, e));
    MUST(dev_kv_put(r->d, &r->kv, layer, rows(&r->k, FIRST, N), rows(&r->v, FIRST, N),
                    dev_mat_of(r->at, 0, DEV_I32, 1, N), e));
}

/* Single queries of several sequences in one call, as decoding asks them, among a longer run: each
 * with the bits it has alone. */
static void same_in_company(const char *name, const struct shape *s)
{
    enum { ROWS = 12 };
    static const uint32_t slot[ROWS] = {0, 1, 0, 2, 1, 1, 1, 0, 2, 0, 1, 2};
    static const uint32_t pos[ROWS] = {82, 31, 40, 63, 5, 6, 7, 0, 64, 31, 59, 32};
    struct rig r;
    rig_open(&r, name, s);
    push(&r, 0, 0, LEN, 1);
    r.shift = 3;
    push(&r, 1, 0, 60, 1);
    r.shift = 9;
    push(&r, 2, 0, 70, 1);
    for (uint32_t i = 0; i < ROWS; i++)
        MUST(dev_attn_kv(r.d, &r.a, rows(&r.q, i, 1), &r.kv, 1, slot + i, pos + i,
                         rows(&r.out, i, 1), e));
    double *want = help_get(&r.out);
    r.shift = 0U - 20; /* others, which must go again */
    push(&r, 0, 79, LEN, 1);
    r.shift = 9;
    put_together(&r, 1);
    MUST(
        dev_attn_kv(r.d, &r.a, rows(&r.q, 0, ROWS), &r.kv, 1, slot, pos, rows(&r.out, 0, ROWS), e));
    double *got = help_get(&r.out);
    for (size_t i = 0; i < (size_t)ROWS * r.q.m.cols; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s, type %d, head %u: element %zu in company is %g, not %g", name, (int)s->t,
                     s->hd, i, got[i], want[i]);
    free(got);
    free(want);
    rig_close(&r);
}

static const uint32_t steps[] = {1, 5, LEN};

/* The stand-in for CUDA is slow: a row at a time, and wide heads, are left to the processor. */
static bool leaves_out(const char *name, int i)
{
    return strcmp(name, "cuda") == 0 && (i < 8 || i & 2);
}

static void over_shapes(const char *name)
{
    for (int i = 0; i < 24; i++) {
        if (leaves_out(name, i)) continue;
        struct shape s = {.t = i & 1 ? DEV_BF16 : DEV_F32,
                          .hd = i & 2 ? 64 : 24,
                          .window = i & 4 ? 11 : 0,
                          .biased = i & 4,
                          .threads = i / 8 ? 2 : 1, /* many small calls wake many threads */
                          .step = steps[i / 8]};
        same_bits(name, &s);
        if (s.step < LEN) continue;
        s.threads = 1;
        same_in_company(name, &s);
    }
}

/* cuda: a device without an order of its own. */
static void test_bits_are_those_of_rows(void **state)
{
    static const char *const names[] = {"cpu",      "strict",     "cpu:generic",
                                        "cpu:avx2", "cpu:avx512", "cuda"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct err e = {0};
        struct dev *d = NULL;
        if (!dev_open(names[i], 1, &d, &e)) {
            printf("SKIP: %s\n", e.text);
            continue;
        }
        dev_close(d);
        over_shapes(names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits_are_those_of_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
