/* Continuous batching against a model that remembers: the cache of fake_cache.h stands in for
 * lib/model's; its next token depends on every token of the sequence, so an answer tells whether it
 * saw its own prompt alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "generate/decode_pick.h"
#include "generate/fake_cache.h"

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
    double nll[N];
    size_t order[N], count, stop_at;
};

static bool keep(void *ctx, size_t i, const struct decode_answer *a, struct err *e)
{
    struct seen *s = ctx;
    assert_true(i < N && !s->got[i] && a->n < LEN_MAX);
    s->got[i] = true;
    s->n[i] = a->n;
    s->ended[i] = a->ended;
    s->nll[i] = a->nll;
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
        uint64_t h = start_of(-1);
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

/* What follows is read behind the prompt, whatever the answer was, and changes no answer. */
static double follow_nll(const struct decode_prompt *p)
{
    uint64_t h = start_of(-1);
    double sum = 0;
    for (uint32_t k = 0; k < p->n; k++)
        h = mix(h, p->ids[k]);
    for (uint32_t k = 0; k < p->nfollow; k++) {
        float v[VOCAB];
        logits_of(h, v);
        sum -= (double)(float)((double)v[p->follow[k]] - log_sum(v));
        h = mix(h, p->follow[k]);
    }
    return sum;
}

static bool stop_at_third(void *ctx, size_t i, const uint32_t *answer, uint32_t n)
{
    (void)ctx;
    (void)answer;
    return i % 5 == 0 && n == 3;
}

static void what_follows(void **state)
{
    (void)state;
    static const uint32_t shapes[][3] = {/* slots, prefill rows, beams */
                                         {1, 1, 0},
                                         {3, 5, 0},
                                         {8, 64, 0},
                                         {16, 400, 0},
                                         {7, 9, 3}};
    static struct seen plain, got;
    static struct decode_prompt with[N];
    for (size_t i = 0; i < N; i++) {
        with[i] = prompts[i];
        with[i].nfollow = (uint32_t)(i % 4 == 3 ? 0 : 1 + i * 5 % 23);
        with[i].follow = ids[(i + 11) % N];
    }
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        struct decode_opts o = opts(shapes[k][0], shapes[k][1]);
        struct decode_request like = {
            .max_new_tokens = 20, .adapter = -1, .beams = shapes[k][2], .eos = {EOS}, .neos = 1};
        struct decode_batch b = {.like = &like, .n = N, .stop = stop_at_third};
        for (int follow = 0; follow < 2; follow++) {
            struct seen *s = follow ? &got : &plain;
            struct decode *d = NULL;
            struct err e = {0};
            memset(s, 0, sizeof *s);
            o.max_follow = follow ? 30 + 23 : 0;
            b.prompts = follow ? with : prompts;
            assert_true(decode_open(NULL, NULL, 0, &o, &d, &e));
            assert_true(decode_all(d, &b, keep, s, &e));
            assert_true(most_rows <= o.slots + o.prefill_rows);
            decode_close(d);
        }
        check_same(&plain, &got);
        for (size_t i = 0; i < N; i++)
            if (got.nll[i] != follow_nll(&with[i]))
                fail_msg("shape %zu, prompt %zu: %.9f, not %.9f", k, i, got.nll[i],
                         follow_nll(&with[i]));
    }
    struct decode_opts o = opts(4, 16);
    struct decode_stats stats = {0};
    struct err e = {0};
    o.max_follow = 30;
    assert_false(decode_run(NULL, NULL, &o, with, N, keep, &got, &stats, &e));
    assert_int_equal(e.code, ERR_LIMIT);
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

/* ---- requests of all kinds together */

static struct lora *const adapters[2] = {0};
enum { KINDS = 4 };

/* Greedy, drawn, drawn from few, with alternatives; under the base and two adapters. */
static struct decode_request request_of(size_t i)
{
    static const struct decode_sampling how[KINDS] = {
        {.seed = 0},
        {.temperature = 1.0},
        {.temperature = 0.7, .top_k = 7, .top_p = 0.8},
        {.seed = 0}};
    struct decode_request r = {.ids = prompts[i].ids,
                               .n = prompts[i].n,
                               .max_new_tokens = 5 + (uint32_t)i % 16,
                               .adapter = (int32_t)(i % 3) - 1,
                               .sampling = how[i % KINDS],
                               .eos = {EOS},
                               .neos = 1,
                               .logprobs = i % KINDS != 1,
                               .top = i % KINDS == 3 ? 4 : 0,
                               .user = (void *)(uintptr_t)i};
    r.sampling.seed = i * 17;
    return r;
}

struct story {
    uint32_t ids[LEN_MAX], n, ntop;
    double logprob[LEN_MAX];
    struct decode_alternative top[LEN_MAX][4];
    enum decode_reason reason;
    uint32_t final[LEN_MAX], final_n, shared;
    bool finished;
};
static struct story stories[N];

static bool tell(void *ctx, const struct decode_event *ev, struct err *e)
{
    struct story *all = ctx, *s = &all[(uintptr_t)ev->user];
    (void)e;
    assert_false(s->finished);
    if (ev->finished) {
        s->finished = true;
        s->reason = ev->reason;
        s->shared = ev->shared_tokens;
        s->final_n = ev->n;
        memcpy(s->final, ev->ids, ev->n * sizeof *ev->ids);
        assert_true(ev->queued_s >= 0 && ev->prefill_s >= 0 && ev->decode_s >= 0);
        return true;
    }
    assert_int_equal(ev->index, s->n);
    assert_true(ev->ntop <= 4);
    s->ntop = ev->ntop;
    memcpy(s->top[s->n], ev->top, ev->ntop * sizeof *ev->top);
    s->logprob[s->n] = (double)ev->logprob;
    s->ids[s->n++] = ev->id;
    return true;
}

static struct decode *open_engine(uint32_t slots, uint32_t prefill)
{
    struct decode_opts o = opts(slots, prefill);
    struct decode *d = NULL;
    struct err e = {0};
    assert_true(decode_open(NULL, adapters, 2, &o, &d, &e));
    return d;
}

static void submit(struct decode *d, const struct decode_request *r, uint64_t *handle)
{
    struct err e = {0};
    uint64_t h;
    if (!decode_submit(d, r, &h, &e)) fail_msg("%s", e.text);
    if (handle) *handle = h;
}

static void run_out(struct decode *d, struct story *to)
{
    struct err e = {0};
    while (decode_busy(d) > 0)
        assert_true(decode_step(d, tell, to, &e));
}

/* All of `which` (NULL: all) through one engine. */
static void answer_all(struct decode *d, struct story *to)
{
    memset(to, 0, N * sizeof *to);
    for (size_t i = 0; i < N; i++) {
        struct decode_request r = request_of(i);
        submit(d, &r, NULL);
    }
    assert_int_equal(decode_busy(d), N);
    run_out(d, to);
}

/* What is chosen follows from the logits by its definition. */
static void check_story(size_t i, const struct story *s)
{
    struct decode_request r = request_of(i);
    uint64_t h = start_of(r.adapter);
    for (uint32_t k = 0; k < r.n; k++)
        h = mix(h, r.ids[k]);
    assert_true(s->finished && s->final_n == s->n && s->n <= r.max_new_tokens);
    assert_memory_equal(s->final, s->ids, s->n * sizeof *s->ids);
    for (uint32_t k = 0; k < s->n; k++) {
        float v[VOCAB];
        uint32_t rank = 0;
        logits_of(h, v);
        double p = (double)v[s->ids[k]] - log_sum(v);
        if (r.logprobs) assert_true(fabs(s->logprob[k] - p) < 1e-5);
        for (uint32_t t = 0; t < VOCAB; t++)
            rank += v[t] > v[s->ids[k]];
        assert_true(r.sampling.temperature > 0 || rank == 0);
        assert_true(r.sampling.top_k == 0 || rank < r.sampling.top_k);
        for (uint32_t t = 0; t < r.top; t++) {
            assert_true(t == 0 || s->top[k][t].logprob <= s->top[k][t - 1].logprob);
            p = (double)v[s->top[k][t].id] - log_sum(v);
            assert_true(fabs((double)s->top[k][t].logprob - p) < 1e-5);
        }
        assert_true(r.top == 0 || s->top[k][0].id == s->ids[k]);
        h = mix(h, s->ids[k]);
    }
    assert_true(s->reason == DECODE_BY_EOS || s->n == r.max_new_tokens);
}

static void any_company(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{1, 64}, {2, 3}, {5, 1}, {16, 400}, {7, 16}};
    static struct story got[N];
    size_t drawn = 0;
    struct decode *d = open_engine(3, 8);
    answer_all(d, stories);
    answer_all(d, got); /* again, with what the slots still hold */
    decode_close(d);
    for (size_t i = 0; i < N; i++) {
        check_story(i, &stories[i]);
        stories[i].shared = got[i].shared; /* the only thing that may differ */
        assert_memory_equal(&stories[i], &got[i], sizeof *got);
    }
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        d = open_engine(shapes[k][0], shapes[k][1]);
        answer_all(d, got);
        decode_close(d);
        for (size_t i = 0; i < N; i++) {
            got[i].shared = stories[i].shared;
            assert_memory_equal(&stories[i], &got[i], sizeof *got);
        }
    }
    /* another seed draws something else */
    d = open_engine(2, 64);
    for (size_t i = 1; i < N; i += KINDS) {
        struct decode_request r = request_of(i);
        memset(got, 0, sizeof got);
        r.sampling.seed++;
        submit(d, &r, NULL);
        run_out(d, got);
        drawn += got[i].n != stories[i].n ||
                 memcmp(got[i].ids, stories[i].ids, got[i].n * sizeof *got[i].ids) != 0;
    }
    decode_close(d);
    assert_true(drawn >= N / KINDS - 1);
    assert_int_equal(mem_live_blocks(), 0);
}

/* One product an adapter a step. */
static void adapters_stand_together(void **state)
{
    (void)state;
    struct decode *d = open_engine(16, 400);
    answer_all(d, stories);
    decode_close(d);
    assert_true(runs <= 3 * calls);
}

static void frequencies(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    struct decode_request r = request_of(1);
    struct pick_scratch s;
    struct err e = {0};
    float v[VOCAB];
    uint32_t count[VOCAB] = {0}, by_p[VOCAB] = {0};
    double all, before = 0;
    struct decode_alternative best[VOCAB];
    assert_true(pick_scratch_init(&s, VOCAB, &e));
    logits_of(99, v);
    all = log_sum(v);
    for (uint32_t i = 0; i < DRAWS; i++) {
        struct decode_choice c;
        r.sampling = (struct decode_sampling){.temperature = 1, .seed = 5};
        pick_token(&r, i, v, &s, &c);
        count[c.id]++;
        r.sampling.top_p = 0.5;
        pick_token(&r, i, v, &s, &c);
        by_p[c.id]++;
    }
    assert_int_equal(pick_best(v, VOCAB, VOCAB, best), VOCAB);
    for (uint32_t k = 0; k < VOCAB; k++) {
        double p = exp((double)v[best[k].id] - all), sd = sqrt(p * (1 - p) * DRAWS);
        assert_true(fabs((double)count[best[k].id] - p * DRAWS) < 5 * sd);
        /* in the nucleus as long as those before it have less than half */
        assert_int_equal(by_p[best[k].id] > 0, before < 0.5);
        before += p;
    }
    pick_scratch_free(&s);
}

/* A shared instruction is pushed once, whenever the others come, and not under another adapter. */
static void beginnings_are_shared(void **state)
{
    (void)state;
    static uint32_t text[12][LEN_MAX];
    static struct story with[12], without[12];
    uint32_t pushed[2];
    for (uint32_t pass = 0; pass < 2; pass++) {
        struct story *to = pass ? with : without;
        struct decode_opts o = opts(4, 64);
        struct decode *d = NULL;
        struct err e = {0};
        o.share_nothing = pass == 0;
        memset(to, 0, sizeof with);
        assert_true(decode_open(NULL, adapters, 2, &o, &d, &e));
        for (uint32_t i = 0; i < 12; i++) {
            for (uint32_t k = 0; k < 40; k++)
                text[i][k] = k < 30 ? k : (i * 5 + k) % VOCAB;
            struct decode_request r = {.ids = text[i],
                                       .n = 40,
                                       .max_new_tokens = 3 + i % 3,
                                       .adapter = (int32_t)(i / 6),
                                       .user = (void *)(uintptr_t)i};
            submit(d, &r, NULL);
        }
        run_out(d, to);
        pushed[pass] = all_rows;
        assert_int_equal(decode_get_stats(d)->shared_tokens, pass ? 10 * 30 : 0);
        decode_close(d);
    }
    assert_int_equal(pushed[0] - pushed[1], 10 * 30);
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(with[i].shared, i % 6 ? 30 : 0);
        assert_int_equal(with[i].n, 3 + i % 3);
        assert_memory_equal(with[i].ids, without[i].ids, sizeof with[i].ids);
    }
}

/* ---- cancelling, the queue, refusals of requests */

struct meddler {
    struct decode *d;
    uint64_t handle[N];
    size_t tokens, finished, cancelled;
};

/* Cancels each even request at its third token and submits one more for each odd one that ends. */
static bool meddle(void *ctx, const struct decode_event *ev, struct err *e)
{
    struct meddler *m = ctx;
    size_t i = (uintptr_t)ev->user;
    (void)e;
    m->tokens += !ev->finished;
    if (ev->finished) {
        m->finished++;
        m->cancelled += ev->reason == DECODE_CANCELLED;
        if (ev->reason == DECODE_CANCELLED) assert_true(i % 2 == 0 && ev->n == 3);
        if (i % 2 && i < N) {
            struct decode_request r = request_of(i);
            r.user = (void *)(uintptr_t)(N + i);
            submit(m->d, &r, NULL);
        }
    } else if (i % 2 == 0 && ev->index == 2) {
        assert_true(decode_cancel(m->d, ev->handle));
    }
    return true;
}

static void callbacks_may_submit_and_cancel(void **state)
{
    (void)state;
    struct meddler m = {.d = open_engine(4, 16)};
    struct err e = {0};
    for (size_t i = 0; i < N; i++) {
        struct decode_request r = request_of(i);
        r.neos = 0;
        submit(m.d, &r, &m.handle[i]);
    }
    while (decode_busy(m.d) > 0)
        assert_true(decode_step(m.d, meddle, &m, &e));
    assert_int_equal(m.finished, N + N / 2);
    assert_int_equal(m.cancelled, N / 2);
    assert_false(decode_cancel(m.d, m.handle[0]));
    decode_close(m.d);
    assert_int_equal(mem_live_blocks(), 0);
}

static void waiting_requests(void **state)
{
    (void)state;
    struct decode_opts o = opts(1, 64);
    struct decode *d = NULL;
    struct err e = {0};
    uint64_t handle[3], h;
    o.queue = 3;
    memset(stories, 0, sizeof stories);
    assert_true(decode_open(NULL, NULL, 0, &o, &d, &e));
    struct decode_request r = request_of(1);
    r.adapter = -1;
    r.neos = 0;
    for (size_t i = 0; i < 3; i++) {
        r.user = (void *)(uintptr_t)i;
        submit(d, &r, &handle[i]);
    }
    assert_false(decode_submit(d, &r, &h, &e));
    assert_true(e.code == ERR_LIMIT && decode_busy(d) == 3);
    /* the last of the queue goes, then one joins behind those that are left */
    assert_true(decode_cancel(d, handle[2]) && decode_cancel(d, handle[0]));
    assert_true(decode_step(d, tell, stories, &e));
    assert_true(stories[2].finished && stories[2].reason == DECODE_CANCELLED && stories[2].n == 0);
    assert_true(stories[0].finished && !stories[1].finished && decode_busy(d) == 1);
    r.user = (void *)(uintptr_t)3;
    submit(d, &r, NULL);
    run_out(d, stories);
    assert_true(stories[1].finished && stories[3].finished && stories[1].n == stories[3].n);
    submit(d, &r, NULL); /* closed with work left */
    decode_close(d);
    assert_int_equal(mem_live_blocks(), 0);
}

static void refused(struct decode *d, const struct decode_request *r, enum err_code code)
{
    struct err e = {0};
    uint64_t h;
    assert_false(decode_submit(d, r, &h, &e));
    assert_int_equal(e.code, code);
    assert_int_equal(decode_busy(d), 0);
}

static void bad_requests(void **state)
{
    (void)state;
    struct decode *d = open_engine(2, 8);
    struct decode_request good = request_of(0), r;
    uint32_t strange[2] = {1, VOCAB};
    r = good, r.n = 0, refused(d, &r, ERR_LIMIT);
    r = good, r.n = LEN_MAX, refused(d, &r, ERR_LIMIT);
    r = good, r.max_new_tokens = 0, refused(d, &r, ERR_LIMIT);
    r = good, r.max_new_tokens = 21, refused(d, &r, ERR_LIMIT);
    r = good, r.adapter = 2, refused(d, &r, ERR_CONFIG);
    r = good, r.adapter = -2, refused(d, &r, ERR_CONFIG);
    r = good, r.sampling.temperature = -1, refused(d, &r, ERR_CONFIG);
    r = good, r.sampling.temperature = (double)NAN, refused(d, &r, ERR_CONFIG);
    r = good, r.sampling.top_p = 1.5, refused(d, &r, ERR_CONFIG);
    r = good, r.top = DECODE_TOP + 1, refused(d, &r, ERR_LIMIT);
    r = good, r.neos = DECODE_EOS + 1, refused(d, &r, ERR_LIMIT);
    r = good, r.ids = strange, r.n = 2, refused(d, &r, ERR_FORMAT);
    decode_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_batching),
        cmocka_unit_test(what_follows),
        cmocka_unit_test(slots_are_refilled),
        cmocka_unit_test(windows_keep_order),
        cmocka_unit_test(room_ends_an_answer),
        cmocka_unit_test(refusals),
        cmocka_unit_test(fault_sweep),
        cmocka_unit_test(any_company),
        cmocka_unit_test(adapters_stand_together),
        cmocka_unit_test(frequencies),
        cmocka_unit_test(beginnings_are_shared),
        cmocka_unit_test(callbacks_may_submit_and_cancel),
        cmocka_unit_test(waiting_requests),
        cmocka_unit_test(bad_requests),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
