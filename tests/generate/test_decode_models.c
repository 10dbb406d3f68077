/* The decoding engine over real (tiny) models: beam search as transformers does it, and requests of
 * every kind in one batch, each with the answer it gets alone. */
#include "model/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "generate/decode.h"
#include "support/testdir.h"

enum { LONGEST = 64, PROMPTS = 4, MOST = 64 };

static json_t *gold; /* golden/beams.json */

struct rig {
    struct dev *d;
    struct model *m;
    struct lora *adapters[2];
    bool both;
};

static float value(const char *name, uint32_t ndims, float h)
{
    return ndims == 1 ? 1 + 0.5F * h : strstr(name, "relative") ? 3 * h : 0.4F * h;
}

static json_t *read_gold(const char *path)
{
    char full[700];
    json_t *j = NULL;
    snprintf(full, sizeof full, "%s/tests/%s", RADMILL_SOURCE, path);
    OK(json_read_file(full, 1 << 20, &j, e));
    return j;
}

static const char *model_dir(bool both)
{
    static char dir[600];
    if (!both) return tiny_write(TINY_LLAMA);
    json_t *t5 = read_gold("model/golden/t5.json");
    const json_t *flan = json_object_get(json_object_get(t5, "cases"), "flan");
    snprintf(dir, sizeof dir, "%s", tiny_write_golden("flan", flan, value, NULL));
    json_decref(t5);
    return dir;
}

/* An adapter with values that matter. */
static struct lora *open_adapter(struct model *m, uint32_t rank, uint64_t tag)
{
    const char *all[] = {"all-linear"};
    struct lora_opts o = {.rank = rank, .alpha = 6, .targets = {all, 1}};
    struct lora *l = NULL;
    OK(lora_open(m, &o, 1, &l, e));
    size_t n = (size_t)lora_count(l);
    float *f = malloc(n * sizeof *f);
    tiny_hash(tag, n, f);
    for (size_t i = 0; i < n; i++)
        f[i] *= 0.3F;
    OK(dev_upload(model_dev(m), lora_params(l), 0, f, n * sizeof *f, e));
    OK(lora_refresh(l, e));
    free(f);
    return l;
}

static void rig_open(struct rig *r, const char *device, bool both, enum dev_dtype t)
{
    *r = (struct rig){.both = both};
    OK(dev_open(device, 1, &r->d, e));
    OK(model_open(r->d, model_dir(both), t, &r->m, e));
    r->adapters[0] = open_adapter(r->m, 4, 3000);
    r->adapters[1] = open_adapter(r->m, 3, 3001);
}

static void rig_close(struct rig *r)
{
    lora_close(r->adapters[1]);
    lora_close(r->adapters[0]);
    model_close(r->m);
    dev_close(r->d);
}

static struct decode *open_engine(const struct rig *r, uint32_t slots, uint32_t prefill)
{
    struct decode_opts o = {.slots = slots,
                            .max_len = r->both ? 20 : LONGEST,
                            .max_new_tokens = 30,
                            .max_follow = LONGEST,
                            .prefill_rows = prefill};
    struct decode *d = NULL;
    OK(decode_open(r->m, r->adapters, 2, &o, &d, e));
    return d;
}

/* ---- prompts: the golden's, from the counter hash */

static uint32_t ids[LONGEST], starts[PROMPTS + 1];

static void make_prompts(bool both)
{
    float f[LONGEST];
    const json_t *lengths = json_object_get(gold, "lengths");
    for (uint32_t i = 0; i < PROMPTS; i++)
        starts[i + 1] = starts[i] + (uint32_t)json_integer_value(json_array_get(lengths, i));
    assert_true(starts[PROMPTS] <= LONGEST);
    tiny_hash(1000, starts[PROMPTS], f);
    for (uint32_t i = 0; i < starts[PROMPTS]; i++)
        ids[i] = (uint32_t)((f[i] + 0.5F) * (both ? 96 : 128));
}

struct answer {
    uint32_t ids[LONGEST], n, tokens;
    bool ended, finished;
    double nll; /* of what follows */
};

static bool keep(void *ctx, const struct decode_event *ev, struct err *e)
{
    struct answer *a = (struct answer *)ctx + (uintptr_t)ev->user;
    (void)e;
    assert_false(a->finished);
    if (!ev->finished) {
        a->tokens++;
        return true;
    }
    a->finished = true;
    a->ended = ev->reason == DECODE_BY_EOS;
    a->n = ev->n;
    a->nll = ev->nll;
    memcpy(a->ids, ev->ids, ev->n * sizeof *ev->ids);
    return true;
}

static void run_out(struct decode *d, struct answer *a)
{
    while (decode_busy(d) > 0)
        OK(decode_step(d, keep, a, e));
}

static void submit(struct decode *d, const struct decode_request *r)
{
    uint64_t handle;
    OK(decode_submit(d, r, &handle, e));
}

/* ---- beam search against transformers */

static struct decode_request beam_request(uint32_t prompt, const json_t *s)
{
    const char *early = json_string_value(json_object_get(s, "early"));
    const json_t *eos = json_object_get(s, "eos");
    struct decode_request r = {.ids = ids + starts[prompt],
                               .n = starts[prompt + 1] - starts[prompt],
                               .adapter = -1,
                               .beams = (uint32_t)tiny_number(s, "beams"),
                               .length_penalty = tiny_number(s, "penalty"),
                               .max_new_tokens = (uint32_t)tiny_number(s, "most"),
                               .neos = (uint32_t)json_array_size(eos)};
    r.early_stopping = strcmp(early, "true") == 0    ? DECODE_STOP_EARLY
                       : strcmp(early, "never") == 0 ? DECODE_STOP_NEVER
                                                     : DECODE_STOP_SOON;
    for (uint32_t i = 0; i < r.neos; i++)
        r.eos[i] = (int32_t)json_integer_value(json_array_get(eos, i));
    return r;
}

static void check_beams(const json_t *want, const struct answer *a, const char *what, size_t i)
{
    const json_t *w = json_array_get(want, i), *tokens = json_object_get(w, "ids");
    assert_true(a->finished && a->tokens == 0);
    if (a->n != json_array_size(tokens))
        fail_msg("%s %zu: %u tokens, not %zu", what, i, a->n, json_array_size(tokens));
    for (uint32_t k = 0; k < a->n; k++)
        if (a->ids[k] != (uint32_t)json_integer_value(json_array_get(tokens, k)))
            fail_msg("%s %zu: token %u is %u", what, i, k, a->ids[k]);
    assert_int_equal(a->ended, json_is_true(json_object_get(w, "ended")));
}

static void beams_of(const char *device, bool both, uint32_t slots)
{
    static struct answer a[MOST];
    const char *what = both ? "flan" : "llama";
    const json_t *settings = json_object_get(gold, "settings"), *want = json_object_get(gold, what);
    size_t n = json_array_size(settings);
    struct rig r;
    assert_true(PROMPTS * n <= MOST);
    memset(a, 0, sizeof a);
    make_prompts(both);
    rig_open(&r, device, both, DEV_F32);
    struct decode *d = open_engine(&r, slots, 7);
    for (uint32_t p = 0; p < PROMPTS; p++)
        for (uint32_t s = 0; s < n; s++) {
            struct decode_request q = beam_request(p, json_array_get(settings, s));
            q.user = (void *)(uintptr_t)(p * n + s);
            submit(d, &q);
        }
    run_out(d, a);
    for (size_t i = 0; i < PROMPTS * n; i++)
        check_beams(want, &a[i], what, i);
    decode_close(d);
    rig_close(&r);
}

static void test_beams(void **state)
{
    (void)state;
    beams_of("cpu", false, 8);
    beams_of("cpu", false, 23);
    beams_of("strict", false, 9);
}

static void test_beams_behind_encoder(void **state)
{
    (void)state;
    beams_of("cpu", true, 8);
    beams_of("cpu", true, 23);
    beams_of("strict", true, 9);
}

/* ---- everything in one batch */

enum { MIXED = 48 };

/* Greedy, drawn, searched; the base and two adapters; some prompts begin alike; most are followed
 * by something. */
static struct decode_request mixed_request(uint32_t i)
{
    uint32_t p = i % PROMPTS, f = (p + 1 + i / 7) % PROMPTS;
    uint32_t most = starts[f + 1] - starts[f];
    struct decode_request r = {.ids = ids + starts[p],
                               .n = starts[p + 1] - starts[p],
                               .max_new_tokens = 4 + i % 9,
                               .adapter = (int32_t)(i / PROMPTS % 3) - 1,
                               .eos = {2, 17},
                               .neos = 2,
                               .length_penalty = 1,
                               .follow = ids + starts[f],
                               .nfollow = i % 11 < most ? i % 11 : most,
                               .user = (void *)(uintptr_t)i};
    if (p == 2) r.n -= i % 5;
    if (i % 5 == 1) r.sampling = (struct decode_sampling){.temperature = 1.3, .seed = i};
    if (i % 5 == 2)
        r.sampling =
            (struct decode_sampling){.temperature = 0.8, .top_k = 20, .top_p = 0.9, .seed = i};
    if (i % 5 == 3) r.beams = 3;
    return r;
}

static void mixed(const struct rig *r, uint32_t slots, uint32_t prefill, struct answer *a)
{
    struct decode *d = open_engine(r, slots, prefill);
    memset(a, 0, MIXED * sizeof *a);
    for (uint32_t i = 0; i < MIXED; i++) {
        struct decode_request q = mixed_request(i);
        submit(d, &q);
    }
    run_out(d, a);
    decode_close(d);
}

/* What follows, as training reads it: prompt and text as a whole. */
static double loss_of(const struct rig *r, const struct decode_request *q)
{
    uint32_t tokens[LONGEST], rows[LONGEST], n = q->nfollow, cu[2] = {0, q->n};
    uint32_t label_cu[2] = {0, n};
    struct decoder_work *w = NULL;
    double loss;
    memcpy(tokens, q->ids, q->n * sizeof *tokens);
    memcpy(tokens + q->n, q->follow, n * sizeof *tokens);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = q->n - 1 + i;
    if (!r->both) cu[1] = q->n + n;
    struct decoder_batch b = {.tokens = tokens,
                              .ntokens = cu[1],
                              .cu = cu,
                              .nseq = 1,
                              .rows = r->both ? NULL : rows,
                              .labels = q->follow,
                              .nrows = n,
                              .label_cu = label_cu};
    OK(decoder_work_open(r->m, q->adapter < 0 ? NULL : r->adapters[q->adapter], LONGEST, LONGEST,
                         false, &w, e));
    OK(decoder_loss(w, &b, &loss, NULL, e));
    decoder_work_close(w);
    return loss;
}

static void check_losses(const struct rig *r, const struct answer *a, double tolerance)
{
    for (uint32_t i = 0; i < MIXED; i++) {
        struct decode_request q = mixed_request(i);
        double want = q.nfollow ? loss_of(r, &q) : 0;
        if (!(fabs(a[i].nll - want) <= tolerance * (1 + want)))
            fail_msg("request %u: what follows has %.9g, not %.9g", i, a[i].nll, want);
    }
}

static void mixed_of(const char *device, bool both, enum dev_dtype t)
{
    static const uint32_t shapes[][2] = {{4, 5}, {9, 64}, {16, 3}};
    static struct answer alone[MIXED], got[MIXED];
    struct rig r;
    uint32_t differ = 0;
    make_prompts(both);
    rig_open(&r, device, both, t);
    memset(alone, 0, sizeof alone);
    for (uint32_t i = 0; i < MIXED; i++) {
        struct decode_request q = mixed_request(i);
        struct decode *d = open_engine(&r, 3, 64);
        submit(d, &q);
        run_out(d, alone);
        decode_close(d);
    }
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        mixed(&r, shapes[k][0], shapes[k][1], got);
        for (uint32_t i = 0; i < MIXED; i++) {
            if (memcmp(&alone[i], &got[i], sizeof *got) != 0)
                fail_msg("%s: request %u differs with %u slots", device, i, shapes[k][0]);
        }
    }
    check_losses(&r, alone, t == DEV_F32 ? 1e-6 : 1e-3);
    /* the adapters do something: requests 0, 4, 8 have one prompt and are greedy or drawn */
    for (uint32_t i = 0; i + 2 * PROMPTS < MIXED; i += 3 * PROMPTS)
        differ += memcmp(alone[i].ids, alone[i + PROMPTS].ids, 4 * sizeof *ids) != 0 &&
                  memcmp(alone[i].ids, alone[i + 2 * PROMPTS].ids, 4 * sizeof *ids) != 0;
    assert_true(differ > 0);
    rig_close(&r);
}

static void test_mixed(void **state)
{
    (void)state;
    mixed_of("cpu", false, DEV_F32);
    mixed_of("cpu", false, DEV_BF16);
    mixed_of("strict", false, DEV_F32);
}

static void test_mixed_behind_encoder(void **state)
{
    (void)state;
    mixed_of("cpu", true, DEV_F32);
    mixed_of("cpu", true, DEV_BF16);
    mixed_of("strict", true, DEV_F32);
}

/* An adapter among others gives what it gives as the only one, with probabilities. */
static void test_only_adapter(void **state)
{
    (void)state;
    static struct answer one[PROMPTS], many[PROMPTS];
    for (int both = 0; both < 2; both++) {
        struct rig r;
        struct decode *d[2] = {NULL};
        make_prompts(both);
        rig_open(&r, "cpu", both, DEV_BF16);
        d[0] = open_engine(&r, 4, 32);
        struct decode_opts o = {
            .slots = 2, .max_len = LONGEST, .max_new_tokens = 12, .prefill_rows = 9};
        OK(decode_open(r.m, &r.adapters[1], 1, &o, &d[1], e));
        memset(one, 0, sizeof one);
        memset(many, 0, sizeof many);
        for (uint32_t k = 0; k < 2; k++)
            for (uint32_t i = 0; i < PROMPTS; i++) {
                struct decode_request q = mixed_request(0);
                q.ids = ids + starts[i];
                q.n = starts[i + 1] - starts[i];
                q.adapter = k ? 0 : 1;
                q.max_new_tokens = 12;
                q.user = (void *)(uintptr_t)i;
                submit(d[k], &q);
            }
        run_out(d[0], many);
        run_out(d[1], one);
        assert_memory_equal(one, many, sizeof one);
        decode_close(d[1]);
        decode_close(d[0]);
        rig_close(&r);
    }
}

/* What is planned is what is taken. */
static void test_bytes(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        struct decode_opts o = {
            .slots = 5, .max_len = 40, .max_new_tokens = 13, .prefill_rows = 30};
        struct decode *d = NULL;
        struct rig r;
        rig_open(&r, "cpu", both, DEV_BF16);
        size_t before = dev_bytes_live(r.d);
        OK(decode_open(r.m, NULL, 0, &o, &d, e));
        assert_int_equal(dev_bytes_live(r.d) - before,
                         decode_bytes(model_get_spec(r.m), DEV_BF16, &o));
        decode_close(d);
        rig_close(&r);
    }
}

static int setup(void **state)
{
    (void)state;
    testdir_make();
    gold = read_gold("generate/golden/beams.json");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(gold);
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beams),        cmocka_unit_test(test_beams_behind_encoder),
        cmocka_unit_test(test_mixed),        cmocka_unit_test(test_mixed_behind_encoder),
        cmocka_unit_test(test_only_adapter), cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
