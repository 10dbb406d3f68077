/* Continuous batching against a model that remembers: the cache below stands in for lib/model's and
 * checks the promises its callers make (rows in order, each position once, no slot shared), and its
 * next token depends on every token of the sequence, so an answer tells whether it saw its own
 * prompt alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "generate/decode.h"

enum { VOCAB = 50, EOS = 3, SLOTS_MAX = 16, LEN_MAX = 64 };

struct decoder_cache {
    uint32_t slots, max_len, max_rows;
};
static struct decoder_cache cache;
static uint64_t state_of[SLOTS_MAX][LEN_MAX + 1]; /* hash of a slot's tokens up to a position */
static uint32_t filled[SLOTS_MAX];
static uint32_t most_rows, calls;
static bool cache_open;

static uint64_t mix(uint64_t h, uint32_t token)
{
    h = (h ^ token) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

static uint32_t choice(uint64_t h)
{
    return (uint32_t)((h >> 7) % VOCAB);
}

bool decoder_cache_open(struct model *m, struct lora *l, uint32_t slots, uint32_t max_len,
                        uint32_t max_rows, struct decoder_cache **out, struct err *e)
{
    (void)m;
    (void)l;
    *out = NULL;
    if (fault_hit(FAULT_OPEN)) return err_set(e, ERR_LIB, "no device memory");
    assert_true(slots > 0 && slots <= SLOTS_MAX && max_len <= LEN_MAX && !cache_open);
    cache = (struct decoder_cache){slots, max_len, max_rows};
    memset(filled, 0, sizeof filled);
    most_rows = calls = 0;
    cache_open = true;
    *out = &cache;
    return true;
}

void decoder_cache_close(struct decoder_cache *c)
{
    if (c) cache_open = false;
}

bool decoder_step(struct decoder_cache *c, const uint32_t *tokens, const uint32_t *slot,
                  const uint32_t *pos, uint32_t n, const uint32_t *want, uint32_t nwant,
                  uint32_t *next, float *logits, struct err *e)
{
    assert_true(c == &cache && n > 0 && n <= c->max_rows && nwant <= n && !logits);
    if (fault_hit(FAULT_READ)) return err_set(e, ERR_LIB, "the device failed");
    for (uint32_t i = 0; i < n; i++) {
        assert_true(slot[i] < c->slots && pos[i] < c->max_len && tokens[i] < VOCAB);
        /* the next position of its sequence, or a new sequence */
        assert_true(pos[i] == filled[slot[i]] || pos[i] == 0);
        state_of[slot[i]][0] = 1;
        state_of[slot[i]][pos[i] + 1] = mix(state_of[slot[i]][pos[i]], tokens[i]);
        filled[slot[i]] = pos[i] + 1;
    }
    for (uint32_t j = 0; j < nwant; j++) {
        assert_true(want[j] < n);
        next[j] = choice(state_of[slot[want[j]]][pos[want[j]] + 1]);
    }
    most_rows = n > most_rows ? n : most_rows;
    calls++;
    return true;
}

bool decoder_begin(struct decoder_cache *c, uint32_t slot, const uint32_t *prompt, uint32_t n,
                   const uint32_t **rows, uint32_t *nrows, struct err *e)
{
    assert_true(c == &cache && slot < c->slots && n > 0 && n < c->max_len);
    if (fault_hit(FAULT_WRITE)) return err_set(e, ERR_LIB, "the device failed");
    *rows = prompt;
    *nrows = n;
    return true;
}

enum { N = 40 };
static uint32_t ids[N][LEN_MAX];
static struct decode_prompt prompts[N];

static int setup(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        prompts[i] = (struct decode_prompt){.ids = ids[i], .n = 1 + (i * 7) % 30};
        for (uint32_t k = 0; k < prompts[i].n; k++)
            ids[i][k] = (i * 31 + k * k + 5) % VOCAB;
    }
    return 0;
}

struct seen {
    uint32_t ids[N][LEN_MAX], n[N];
    bool ended[N], got[N];
    size_t order[N], count, stop_at;
};

static bool keep(void *ctx, size_t i, const struct decode_answer *a, struct err *e)
{
    struct seen *s = ctx;
    assert_true(i < N && !s->got[i] && a->n < LEN_MAX);
    s->got[i] = true;
    s->n[i] = a->n;
    s->ended[i] = a->ended;
    memcpy(s->ids[i], a->ids, a->n * sizeof *a->ids);
    s->order[s->count++] = i;
    if (s->stop_at && s->count == s->stop_at) return err_set(e, ERR_STOPPED, "stop");
    return true;
}

static struct decode_opts opts(uint32_t slots, uint32_t prefill)
{
    return (struct decode_opts){.slots = slots,
                                .max_len = LEN_MAX,
                                .max_new_tokens = 20,
                                .prefill_rows = prefill,
                                .eos = {-1, EOS},
                                .neos = 2};
}

/* One prompt at a time, straight from the definition. */
static void expected(const struct decode_opts *o, struct seen *s)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < N; i++) {
        uint64_t h = 1;
        for (uint32_t k = 0; k < prompts[i].n; k++)
            h = mix(h, prompts[i].ids[k]);
        while (s->n[i] < o->max_new_tokens && prompts[i].n + s->n[i] < o->max_len) {
            uint32_t t = choice(h);
            s->ended[i] = t == EOS;
            if (s->ended[i]) break;
            s->ids[i][s->n[i]++] = t;
            h = mix(h, t);
        }
        s->got[i] = true;
    }
}

static void check_same(const struct seen *a, const struct seen *b)
{
    for (size_t i = 0; i < N; i++) {
        assert_true(a->got[i] && b->got[i]);
        if (a->n[i] != b->n[i]) fail_msg("answer %zu: %u tokens, not %u", i, b->n[i], a->n[i]);
        assert_true(a->ended[i] == b->ended[i]);
        assert_memory_equal(a->ids[i], b->ids[i], a->n[i] * sizeof a->ids[i][0]);
    }
}

static void any_batching(void **state)
{
    (void)state;
    static const uint32_t shapes[][3] = {/* slots, prefill rows, window */
                                         {1, 1, 0},  {1, 64, 0},  {3, 5, 0},   {4, 4, 8},
                                         {8, 64, 0}, {16, 7, 16}, {16, 400, 1}};
    static struct seen want, got;
    struct decode_opts o = opts(1, 1);
    uint64_t prompt_tokens = 0, new_tokens = 0;
    size_t ended = 0;
    expected(&o, &want);
    for (size_t i = 0; i < N; i++) {
        prompt_tokens += prompts[i].n;
        new_tokens += want.n[i] + want.ended[i];
        ended += want.ended[i];
    }
    assert_true(ended > 5 && ended < N - 5); /* both ends are exercised */
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        struct decode_stats stats = {0};
        struct err e = {0};
        o = opts(shapes[k][0], shapes[k][1]);
        o.window = shapes[k][2];
        memset(&got, 0, sizeof got);
        assert_true(decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &e));
        check_same(&want, &got);
        assert_false(cache_open);
        assert_int_equal(stats.prompt_tokens, prompt_tokens);
        assert_int_equal(stats.new_tokens, new_tokens);
        assert_int_equal(stats.steps, calls);
        assert_true(most_rows <= o.slots + o.prefill_rows);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

/* Slots are kept busy: with all prompts prefilled at once, the steps are near the least possible.
 */
static void slots_are_refilled(void **state)
{
    (void)state;
    static struct seen got;
    struct decode_opts o = opts(8, 400);
    struct decode_stats stats = {0};
    struct err e = {0};
    memset(&got, 0, sizeof got);
    assert_true(decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &e));
    /* every step hands one token to each of 8 sequences but for the tail of the last answers */
    assert_true(stats.steps <= stats.new_tokens / 8 + o.max_new_tokens);
}

static void windows_keep_order(void **state)
{
    (void)state;
    static struct seen got;
    struct decode_opts o = opts(1, 64);
    struct decode_stats stats = {0};
    struct err e = {0};
    memset(&got, 0, sizeof got);
    o.window = 10;
    assert_true(decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &e));
    for (size_t i = 0; i < N; i++) {
        assert_true(got.order[i] / 10 == i / 10);
        if (i % 10) assert_true(prompts[got.order[i - 1]].n >= prompts[got.order[i]].n);
    }
}

static void room_ends_an_answer(void **state)
{
    (void)state;
    static struct seen want, got;
    struct decode_opts o = opts(4, 16);
    struct decode_stats stats = {0};
    struct err e = {0};
    o.max_len = 31; /* the longest prompt has 30 tokens */
    expected(&o, &want);
    memset(&got, 0, sizeof got);
    assert_true(decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &e));
    check_same(&want, &got);
}

static void refusals(void **state)
{
    (void)state;
    static struct seen got;
    struct decode_stats stats = {0};
    struct decode_opts o = opts(4, 16);
    struct err full = {0}, empty = {0}, stop = {0}, none = {0};
    memset(&got, 0, sizeof got);
    o.max_len = 30;
    assert_false(decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &full));
    assert_int_equal(full.code, ERR_LIMIT);
    struct decode_prompt nothing = {.ids = ids[0], .n = 0};
    o = opts(4, 16);
    assert_false(decode_run(NULL, NULL, &o, &nothing, 1, keep, &got, &stats, &empty));
    assert_int_equal(empty.code, ERR_LIMIT);
    assert_int_equal(got.count, 0);
    got.stop_at = 7;
    assert_false(decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &stop));
    assert_true(stop.code == ERR_STOPPED && got.count == 7 && !cache_open);
    assert_true(decode_run(NULL, NULL, &o, prompts, 0, keep, &got, &stats, &none));
    assert_int_equal(mem_live_blocks(), 0);
}

static void fault_sweep(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    static const enum fault_point points[] = {FAULT_MEM, FAULT_OPEN, FAULT_READ};
    static struct seen got;
    for (size_t k = 0; k < 3; k++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct decode_opts o = opts(4, 16);
            struct decode_stats stats = {0};
            struct err e = {0};
            memset(&got, 0, sizeof got);
            fault_arm(points[k], n, false);
            bool ok = decode_run(NULL, NULL, &o, prompts, N, keep, &got, &stats, &e);
            done = !fault_fired();
            fault_disarm_all();
            assert_true(ok == done && !cache_open && n < 1000);
            assert_int_equal(mem_live_blocks(), 0);
        }
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_batching),       cmocka_unit_test(slots_are_refilled),
        cmocka_unit_test(windows_keep_order), cmocka_unit_test(room_ends_an_answer),
        cmocka_unit_test(refusals),           cmocka_unit_test(fault_sweep),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
