/* Rotary scalings that stretch a context, against transformers (golden/rope.json): frequencies,
 * logits, losses, gradients, greedy answers on both sides of longrope's and dynamic's border. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/convert.h"
#include "model/convert_gguf.h"
#include "model/gguf_spec.h"
#include "model/model_opts.h"
#include "support/testdir.h"

enum { V = 64, MAX = 48, NEW = 8 };
#define F32_TOL 2e-5 /* of the reference's f32 (measured: below 3e-6) */

static json_t *root;

/* ---- one case, one run */

struct run {
    const char *name;
    const json_t *gold, *tensors;
    char dir[600];
    uint32_t n, context;
    uint32_t tokens[MAX], rows[MAX], cu[2];
    struct decoder_batch b;
};
typedef void run_fn(const struct run *r, const char *device);

static float value_of(const char *name, uint32_t ndims, float h)
{
    (void)name;
    return ndims == 1 ? 1 + 0.5F * h : 0.7F * h;
}

static void run_set(struct run *r, const json_t *gold)
{
    float f[MAX];
    r->gold = gold;
    r->n = (uint32_t)tiny_number(gold, "n");
    r->context = (uint32_t)tiny_number(gold, "context");
    tiny_hash(1000, r->n, f);
    for (uint32_t i = 0; i < r->n; i++) {
        r->tokens[i] = (uint32_t)((f[i] + 0.5F) * V);
        r->rows[i] = i;
    }
    r->cu[0] = 0;
    r->cu[1] = r->n;
    r->b = (struct decoder_batch){.tokens = r->tokens,
                                  .ntokens = r->n,
                                  .cu = r->cu,
                                  .nseq = 1,
                                  .rows = r->rows,
                                  .labels = r->tokens + 1,
                                  .nrows = r->n - 1};
}

static void each_run(run_fn *fn, const char *device)
{
    const char *name;
    json_t *c;
    json_object_foreach(json_object_get(root, "cases"), name, c)
    {
        struct run r = {.name = name, .tensors = json_object_get(c, "tensors")};
        const json_t *runs = json_object_get(c, "runs");
        snprintf(r.dir, sizeof r.dir, "%s", tiny_write_golden(name, c, value_of, NULL));
        for (size_t i = 0; i < json_array_size(runs); i++) {
            run_set(&r, json_array_get(runs, i));
            fn(&r, device);
        }
    }
}

static void rig_open(struct tiny_rig *g, const struct run *r, const char *device, enum dev_dtype t)
{
    struct lora_opts o = {.method = LORA_FULL};
    tiny_rig_model(g, device, r->dir, t);
    OK(model_set_context(g->m, r->context, e));
    OK(lora_open(g->m, &o, 1, &g->l, e));
    tiny_rig_work(g, MAX, MAX);
}

/* All rows' logits: labels play no part. */
static void logits_of(struct tiny_rig *g, const struct run *r, float *out)
{
    struct decoder_batch all = r->b;
    uint32_t labels[MAX] = {0};
    all.nrows = r->n;
    all.labels = labels;
    OK(decoder_logits(g->w, &all, out, e));
}

/* ---- against the reference */

/* transformers' number of a tensor, which its values and its summary follow. */
static uint64_t tag_of(const struct run *r, const char *name)
{
    const json_t *t;
    size_t i;
    json_array_foreach(r->tensors, i, t)
    {
        if (strcmp(json_string_value(json_array_get(t, 0)), name) == 0) return i;
    }
    fail_msg("%s", name);
    return 0;
}

static void golden(const struct run *r, const char *device)
{
    struct tiny_rig g;
    float *logits = malloc((size_t)MAX * V * sizeof *logits), last[V];
    double loss, want = tiny_number(r->gold, "loss");
    size_t n, seen = 0;

    rig_open(&g, r, device, DEV_F32);
    logits_of(&g, r, logits);
    tiny_summary(logits, (size_t)r->n * V, 900, json_object_get(r->gold, "logits"), F32_TOL,
                 r->name);
    for (size_t i = 0; i < V; i++)
        last[i] = (float)json_number_value(json_array_get(json_object_get(r->gold, "last"), i));
    assert_true(rel_rms(logits + (size_t)(r->n - 1) * V, last, V) < F32_TOL);
    loss = tiny_rig_grad(&g, &r->b);
    if (!(fabs(loss - want) < F32_TOL * want)) fail_msg("%s: loss %.9g", r->name, loss);
    const struct lora_tensor *t = lora_tensors(g.l, &n);
    for (size_t i = 0; i < n; i++) {
        json_t *gold = json_object_get(json_object_get(r->gold, "grad"), t[i].name);
        if (!gold) continue;
        tiny_summary(g.host + t[i].offset, (size_t)t[i].rows * t[i].cols, tag_of(r, t[i].name),
                     gold, F32_TOL, t[i].name);
        seen++;
    }
    assert_int_equal(seen, 2);
    free(logits);
    tiny_rig_close(&g);
}

static void test_golden(void **state)
{
    (void)state;
    each_run(golden, test_device());
}

static void test_strict(void **state)
{
    (void)state;
    each_run(golden, "strict");
}

/* bf16 against our own f32: at most twice what the reference loses by its bf16. */
static void half(const struct run *r, const char *device)
{
    struct tiny_rig a, b;
    float *x = malloc((size_t)MAX * V * sizeof *x), *y = malloc((size_t)MAX * V * sizeof *y);
    double gap = tiny_number(json_object_get(r->gold, "bf16_gap"), "logits"), got, la, lb;

    rig_open(&a, r, device, DEV_F32);
    rig_open(&b, r, device, DEV_BF16);
    logits_of(&a, r, x);
    logits_of(&b, r, y);
    got = rel_rms(y, x, (size_t)r->n * V);
    la = tiny_rig_grad(&a, &r->b);
    lb = tiny_rig_grad(&b, &r->b);
    print_message("%s %u: bf16 %.4f (reference %.4f)\n", r->name, r->n, got, gap);
    assert_true(got > 0 && got <= 2 * gap);
    assert_true(fabs(la - lb) <= 3e-3 * la);
    free(x);
    free(y);
    tiny_rig_close(&a);
    tiny_rig_close(&b);
}

static void test_bf16(void **state)
{
    (void)state;
    each_run(half, test_device());
}

/* ---- decoding: a cache gives what training's path gives, and the reference's greedy answer */

static void answer(struct tiny_rig *g, const struct run *r, uint32_t *out)
{
    struct decoder_cache *c = NULL;
    uint32_t slot[MAX] = {0}, pos[MAX], next = 0, want = r->n - 1;
    float last[V], *all = malloc((size_t)MAX * V * sizeof *all);

    logits_of(g, r, all);
    OK(tiny_cache_open(g->m, NULL, 1, MAX + NEW, MAX, &c, e));
    for (uint32_t i = 0; i < r->n; i++)
        pos[i] = i;
    OK(tiny_step(c, &(struct decoder_rows){r->tokens, slot, pos, r->n}, &want, 1, &next, last, e));
    assert_true(rel_rms(last, all + (size_t)want * V, V) < 2e-6);
    want = 0;
    for (uint32_t k = 0; k < NEW; k++) {
        out[k] = next;
        pos[0] = r->n + k;
        OK(tiny_step(c, &(struct decoder_rows){out + k, slot, pos, 1}, &want, 1, &next, last, e));
    }
    decoder_cache_close(c);
    free(all);
}

static void greedy(const struct run *r, const char *device)
{
    const json_t *gold = json_object_get(r->gold, "greedy");
    struct tiny_rig g;
    uint32_t got[NEW];

    if (!gold) return; /* the answer crosses the border, where there is none to compare with */
    rig_open(&g, r, device, DEV_F32);
    answer(&g, r, got);
    for (size_t k = 0; k < NEW; k++) {
        if (got[k] != (uint32_t)json_integer_value(json_array_get(gold, k)))
            fail_msg("%s %u: greedy token %zu is %u", r->name, r->n, k, got[k]);
    }
    tiny_rig_close(&g);
}

static void test_greedy(void **state)
{
    (void)state;
    each_run(greedy, test_device());
}

/* Sequences of both sides of the border together, each with the bits it has alone. */
static void company(const char *name, uint32_t context, enum dev_dtype type)
{
    struct run r = {.name = name};
    const json_t *c = json_object_get(json_object_get(root, "cases"), name);
    struct tiny_rig g;
    struct decoder_cache *both = NULL, *one = NULL;
    float *a = malloc(2 * sizeof(float[V])), *b = malloc(2 * sizeof(float[V]));
    uint32_t slot[MAX + 8], pos[MAX + 8], tok[MAX + 8], zero[MAX] = {0}, next[2], n = 8;

    snprintf(r.dir, sizeof r.dir, "%s", tiny_write_golden(name, c, value_of, NULL));
    run_set(&r, json_array_get(json_object_get(c, "runs"), 2));
    assert_int_equal(r.n, 40);
    r.context = context;
    rig_open(&g, &r, test_device(), type);
    for (uint32_t i = 0; i < n + r.n; i++) {
        slot[i] = i >= n;
        pos[i] = i < n ? i : i - n;
        tok[i] = r.tokens[pos[i]];
    }
    uint32_t want[2] = {n - 1, n + r.n - 1};
    OK(tiny_cache_open(g.m, NULL, 2, MAX, MAX + 8, &both, e));
    OK(tiny_step(both, &(struct decoder_rows){tok, slot, pos, n + r.n}, want, 2, next, a, e));
    decoder_cache_close(both);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t len = i ? r.n : n, at = len - 1;
        OK(tiny_cache_open(g.m, NULL, 1, MAX, MAX, &one, e));
        OK(tiny_step(one, &(struct decoder_rows){r.tokens, zero, pos + (i ? n : 0), len}, &at, 1,
                     next, b + (size_t)i * V, e));
        decoder_cache_close(one);
    }
    assert_memory_equal(a, b, 2 * sizeof(float[V]));
    free(a);
    free(b);
    tiny_rig_close(&g);
}

static void test_company(void **state)
{
    (void)state;
    company("longrope", 64, DEV_F32);
    company("longrope", 64, DEV_BF16);
    company("dynamic", 40, DEV_F32);
}

/* ---- what a config says */

static void spec_of(const char *name, struct model_spec *s)
{
    char *text = json_dumps(
        json_object_get(json_object_get(json_object_get(root, "cases"), name), "config"), 0);
    OK(model_spec_parse(str_of(text), name, s, e));
    free(text);
}

static void test_frequencies(void **state)
{
    (void)state;
    const char *name;
    json_t *c;
    json_object_foreach(json_object_get(root, "cases"), name, c)
    {
        const json_t *run;
        size_t k;
        json_array_foreach(json_object_get(c, "runs"), k, run)
        {
            struct model_spec s;
            float inv[ROPE_PAIRS];
            double a = tiny_number(run, "attention");
            spec_of(name, &s);
            s.context = (uint32_t)tiny_number(run, "context");
            model_spec_inv_freq(&s, inv);
            for (size_t i = 0; i < s.head_dim / 2; i++) {
                double w = json_number_value(json_array_get(json_object_get(run, "inv_freq"), i));
                if (fabs((double)inv[i] - w) > 1e-6 * w)
                    fail_msg("%s: inv_freq[%zu] = %.9g, golden %.9g", name, i, (double)inv[i], w);
            }
            assert_true(fabs((double)model_spec_score_factor(&s) - a * a) < 1e-6 * a * a);
        }
    }
}

/* How long a sequence may be, with and without a context. */
static void test_lengths(void **state)
{
    (void)state;
    struct model_spec s;
    spec_of("yarn", &s);
    assert_int_equal(model_spec_longest(&s), 64);
    s.max_positions = 16; /* Qwen2.5's card adds the scaling and leaves the length */
    assert_int_equal(model_spec_longest(&s), 64);
    OK(model_spec_check_length(&s, 1000, e)); /* as without scaling */
    spec_of("longrope", &s);
    assert_int_equal(model_spec_longest(&s), 16);
    OK(model_spec_check_length(&s, 16, e));
    FAILS(
        model_spec_check_length(&s, 17, e), ERR_CONFIG,
        "a sequence of 17 tokens is beyond the 16 that the model's rope_type longrope is set for; "
        "set model.context");
    s.context = 16;
    assert_int_equal(model_spec_longest(&s), 16);
    s.context = 17;
    assert_int_equal(model_spec_longest(&s), 64);
    FAILS(model_spec_check_length(&s, 65, e), ERR_CONFIG, "beyond the 64");
    spec_of("dynamic", &s);
    assert_int_equal(model_spec_longest(&s), 24);
    FAILS(model_spec_check_length(&s, 25, e), ERR_CONFIG, "rope_type dynamic");
    s.context = 40;
    OK(model_spec_check_length(&s, 40, e));
}

/* The digest of a model, as model_opts opens it with a context. */
static void digest_of(const char *dir, uint32_t context, uint8_t out[32])
{
    struct model_opts o = {.base = dir, .device = "cpu", .threads = 1, .context = context};
    struct dev *d = NULL;
    struct model *m = NULL;
    OK(model_slot_open(NULL, &o, &d, &m, e));
    assert_int_equal(model_get_spec(m)->context, context);
    model_digest(m, out);
    model_close(m);
    dev_close(d);
}

/* Weights under other angles are another base: a checkpoint is not continued with them, an adapter
 * that comes to them is warned of. */
static void test_digest(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    char dir[600];
    struct model_opts o = {.device = "cpu", .threads = 1, .context = 65};
    struct dev *d = NULL;
    struct model *m = NULL;
    const json_t *cases = json_object_get(root, "cases");

    snprintf(dir, sizeof dir, "%s",
             tiny_write_golden("longrope", json_object_get(cases, "longrope"), value_of, NULL));
    digest_of(dir, 0, a);
    digest_of(dir, 16, b);
    assert_memory_equal(a, b, 32);
    digest_of(dir, 17, a);
    assert_memory_not_equal(a, b, 32);
    digest_of(dir, 64, b); /* the same long factors */
    assert_memory_equal(a, b, 32);
    o.base = dir;
    FAILS(model_slot_open(NULL, &o, &d, &m, e), ERR_CONFIG,
          "model.context 65 is beyond max_position_embeddings 64");
    assert_true(!d && !m);
    snprintf(dir, sizeof dir, "%s",
             tiny_write_golden("dynamic", json_object_get(cases, "dynamic"), value_of, NULL));
    digest_of(dir, 24, a);
    digest_of(dir, 25, b);
    assert_memory_not_equal(a, b, 32);
    digest_of(dir, 26, a);
    assert_memory_not_equal(a, b, 32);
}

/* ---- refused */

static const char *with(const char *scaling)
{
    static char text[2048];
    snprintf(text, sizeof text,
             "{\"model_type\": \"llama\", \"hidden_size\": 16, \"intermediate_size\": 16, "
             "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"vocab_size\": 16, "
             "\"max_position_embeddings\": 64, \"rope_scaling\": {%s}}",
             scaling);
    return text;
}

#define LISTS        "\"short_factor\": [1, 1.5, 2, 2.5], \"long_factor\": [2, 4, 6, 8]"
#define LONGROPE     "\"type\": \"longrope\", \"original_max_position_embeddings\": 16, " LISTS
#define LISTED(long) "\"type\": \"longrope\", \"short_factor\": [1, 1.5, 2, 2.5]" long
#define YARN         "\"type\": \"yarn\", \"original_max_position_embeddings\": 16"
static const char *const refused[][2] = {
    {"\"type\": \"su\"", "rope_type su is not supported, expected default"},
    {"\"type\": 3", "rope_type is not text"},
    {"\"type\": \"longrope\", \"short_factor\": [1, 1.5, 2]",
     "rope_type longrope: short_factor is not a list of 4 numbers (head_dim / 2)"},
    {"\"type\": \"longrope\", \"short_factor\": [1, 1.5, 2, 2, 2]",
     "short_factor is not a list of 4 numbers"},
    {LISTED(""), "long_factor is not a list of 4 numbers"},
    {LISTED(", \"long_factor\": 4"), "long_factor is not a list of 4 numbers"},
    {LISTED(", \"long_factor\": [2, 4, \"6\", 8]"),
     "long_factor[2] is not a number from 0.001 to 1000000"},
    {LISTED(", \"long_factor\": [2, 0, 6, 8]"), "long_factor[1] is not a number"},
    {LISTED(", \"long_factor\": [2, 4, 6, 1e30]"), "long_factor[3] is not a number"},
    {LONGROPE ", \"factor\": 0.5", "longrope: factor is not a number from 1 to 1000000"},
    {LONGROPE ", \"factor\": \"4\"", "factor is not a positive number"},
    {LONGROPE ", \"attention_factor\": 0", "attention_factor is not a positive number"},
    {LONGROPE ", \"attention_factor\": 1e9", "is not from 0.001 to 1000"},
    {"\"type\": \"longrope\", \"original_max_position_embeddings\": 1, " LISTS,
     "longrope: original_max_position_embeddings is not a whole number from 2 to 16777216"},
    {"\"type\": \"yarn\", \"factor\": 2, \"original_max_position_embeddings\": 16.5",
     "yarn: original_max_position_embeddings is not a whole number"},
    {"\"type\": \"yarn\", \"factor\": null, \"original_max_position_embeddings\": 65",
     "yarn: factor is not a number from 1"}, /* null: the ratio */
    {YARN, "rope_type yarn: factor is missing"},
    {YARN ", \"factor\": 0.99", "yarn: factor is not a number from 1 to 1000000"},
    {YARN ", \"factor\": 1e7", "yarn: factor is not a number from 1 to 1000000"},
    {YARN ", \"factor\": 4, \"beta_fast\": 1, \"beta_slow\": 2",
     "yarn: beta_fast and beta_slow are not two numbers"},
    {YARN ", \"factor\": 4, \"beta_slow\": 1e-310", "beta_fast and beta_slow are not"},
    {YARN ", \"factor\": 4, \"truncate\": 1", "truncate is not true or false"},
    {YARN ", \"factor\": 4, \"mscale\": -1", "mscale is not a positive number"},
    {YARN ", \"factor\": 4, \"mscale\": 1e9, \"mscale_all_dim\": 1",
     "attention_factor (or what follows for it) is not from 0.001 to 1000"},
    {YARN ", \"factor\": 4, \"rope_theta\": 1", "yarn: rope_theta is not above 1"},
    {YARN ", \"factor\": 4, \"partial_rotary_factor\": 0.5",
     "partial_rotary_factor 0.5 is not supported"},
    {"\"type\": \"dynamic\"", "dynamic: factor is missing"},
    {"\"type\": \"dynamic\", \"factor\": null", "dynamic: factor is not a number from 1"},
    {"\"type\": \"dynamic\", \"factor\": 0.9", "dynamic: factor is not a number from 1"},
};

static void test_refusals(void **state)
{
    (void)state;
    struct model_spec s;
    OK(model_spec_parse(str_of(with(LONGROPE)), "config", &s, e));
    assert_true(s.rope == ROPE_LONGROPE && s.rope_long[3] == 8 && s.rope_short[1] == 1.5F);
    assert_true(fabs(s.rope_attention - sqrt(1.5)) < 1e-12); /* 64 / 16, over log 16 */
    OK(model_spec_parse(str_of(with(YARN ", \"factor\": 4, \"mscale\": 0, \"mscale_all_dim\": 1")),
                        "config", &s, e));
    assert_true(fabs(s.rope_attention - (0.1 * log(4) + 1)) < 1e-12); /* mscale 0 is none */
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        FAILS(model_spec_parse(str_of(with(refused[i][0])), "config", &s, e), ERR_FORMAT,
              refused[i][1]);
}

/* ---- out and in again */

/* A folder written from a folder, a GGUF file and the folder made of it compute the same. */
static void exported(const char *name, uint32_t context, bool gguf)
{
    static const char tok[] = "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, "
                              "\"ab\": 2}, \"merges\": [\"a b\"]}, \"pre_tokenizer\": {\"type\": "
                              "\"ByteLevel\"}}";
    const json_t *c = json_object_get(json_object_get(root, "cases"), name), *runs;
    struct run r = {.name = name, .tensors = json_object_get(c, "tensors")};
    char base[600], path[700], file[700];
    struct weights_drift drift;

    snprintf(base, sizeof base, "%s", tiny_write_golden(name, c, value_of, NULL));
    snprintf(path, sizeof path, "%s/tokenizer.json", base);
    testdir_write(path, tok, sizeof tok - 1);
    snprintf(r.dir, sizeof r.dir, "%s", testdir_path("exported"));
    OK(convert_to_hf(base, r.dir, DTYPE_F32, e));
    runs = json_object_get(c, "runs");
    for (size_t i = 0; i < json_array_size(runs); i++) {
        run_set(&r, json_array_get(runs, i));
        if (r.context == context) golden(&r, test_device());
    }
    struct gguf_export x = {r.dir, NULL, base, "tiny", GGML_F32};
    snprintf(file, sizeof file, "%s", testdir_path("exported.gguf"));
    if (!gguf) {
        FAILS(convert_gguf_model(&x, file, &drift, e), ERR_CONFIG, "truncate false");
        return;
    }
    OK(convert_gguf_model(&x, file, &drift, e));
    snprintf(r.dir, sizeof r.dir, "%s", testdir_path("imported"));
    OK(convert_to_hf(file, r.dir, DTYPE_F32, e));
    for (size_t i = 0; i < json_array_size(runs); i++) {
        run_set(&r, json_array_get(runs, i));
        if (r.context == context) golden(&r, test_device());
    }
}

static void test_exports(void **state)
{
    (void)state;
    exported("yarn", 0, true);
    exported("yarn_old", 0, true);
    exported("yarn_mscale", 0, false);
    exported("longrope", 0, true);
    exported("longrope", 64, true);
    exported("longrope_factor", 48, true);
    exported("longrope_attention", 48, true);
    exported("dynamic", 0, true); /* GGUF: plain, up to its context length */
}

/* ---- GGUF as the package gguf writes it, and what is refused of it */

#define CORPUS RADMILL_SOURCE "/tests/model/corpus_gguf/"

static bool gguf_read(const char *path, struct model_spec *s, struct err *e)
{
    struct gguf *g = NULL;
    bool ok = gguf_open(path, &g, e) && gguf_spec_read(g, s, e);
    gguf_close(g);
    return ok;
}

static void test_gguf_package(void **state)
{
    (void)state;
    struct model_spec s;
    OK(gguf_read(CORPUS "yarn", &s, e));
    assert_true(s.rope == ROPE_YARN && s.rope_factor == 4 && s.rope_original == 16 &&
                !s.rope_exact);
    assert_true(s.rope_high == 2 && s.rope_low == 0.5);
    assert_true(fabs(s.rope_attention - 1.25 * (0.1 * log(4) + 1)) < 1e-9);
    OK(gguf_read(CORPUS "longrope", &s, e));
    assert_true(s.rope == ROPE_LONGROPE && s.rope_original == 16 && s.rope_attention == 1.25);
    assert_true(s.rope_short[3] == 2.5F && s.rope_long[0] == 2);
    assert_int_equal(model_spec_longest(&s), 16);
}

struct gguf_case {
    const char *type; /* of the scaling */
    float factor;     /* 0: none */
    const char *key;  /* one more, NULL: none */
    float value;
    uint32_t pairs; /* values of the tensors of divisors, 0: none */
    float divisor;
    const char *error; /* NULL: read */
};

static void gguf_write(const struct gguf_case *c, const char *path)
{
    static const struct {
        const char *key;
        uint32_t v;
    } sizes[] = {{"llama.context_length", 64},
                 {"llama.embedding_length", 16},
                 {"llama.block_count", 1},
                 {"llama.feed_forward_length", 16},
                 {"llama.attention.head_count", 2}};
    struct gguf_entry list[3] = {
        {.name = "token_embd.weight", .type = GGML_F32, .ndims = 2, .dims = {16, 3}},
        {.name = "rope_factors_long.weight", .type = GGML_F32, .ndims = 1, .dims = {c->pairs}},
        {.name = "rope_factors_short.weight", .type = GGML_F32, .ndims = 1, .dims = {c->pairs}}};
    struct gguf_writer *w = NULL;
    float f[48] = {0}, div[8];
    size_t n = c->pairs ? 3 : 1;
    OK(gguf_writer_open(&w, e));
    OK(gguf_put_str(w, "general.architecture", STR("llama"), e));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        OK(gguf_put_u32(w, sizes[i].key, sizes[i].v, e));
    OK(gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5F, e));
    OK(gguf_put_u32(w, "llama.rope.scaling.original_context_length", 16, e));
    OK(gguf_put_str(w, "llama.rope.scaling.type", str_of(c->type), e));
    if (c->factor != 0) OK(gguf_put_f32(w, "llama.rope.scaling.factor", c->factor, e));
    if (c->key) OK(gguf_put_f32(w, c->key, c->value, e));
    OK(gguf_writer_start(w, path, list, n, e));
    OK(gguf_writer_put(w, f, sizeof f, e));
    for (size_t i = 0; i < 8; i++)
        div[i] = c->divisor;
    for (size_t i = 1; i < n; i++)
        OK(gguf_writer_put(w, div, c->pairs * sizeof *div, e));
    OK(gguf_writer_commit(w, e));
    gguf_writer_close(w);
}

static void test_gguf_refusals(void **state)
{
    (void)state;
#define KEY(name) "llama.rope.scaling." name
    static const struct gguf_case cases[] = {
        {"yarn", 4, NULL, 0, 0, 0, NULL},
        {"yarn", 4, KEY("yarn_ext_factor"), 1, 0, 0, NULL},
        {"longrope", 0, NULL, 0, 4, 2, NULL},
        {"longrope", 1, NULL, 0, 4, 2, NULL},
        {"alibi", 4, NULL, 0, 0, 0, "expected none, linear, yarn or longrope"},
        {"yarn", 0, NULL, 0, 0, 0, "llama.rope.scaling.factor is missing"},
        {"yarn", 0.5F, NULL, 0, 0, 0, "llama.rope.scaling.factor is out of range"},
        {"yarn", 4, KEY("attn_factor"), -1, 0, 0, "llama.rope.scaling.attn_factor is out of range"},
        {"yarn", 4, KEY("yarn_beta_fast"), 0.5F, 0, 0, "beta_fast and beta_slow are not"},
        {"yarn", 4, KEY("yarn_log_multiplier"), 0.1F, 0, 0, "yarn_log_multiplier is not supported"},
        {"yarn", 4, KEY("yarn_ext_factor"), 0, 0, 0, "yarn_ext_factor is not supported"},
        {"longrope", 0, NULL, 0, 0, 0, "rope_factors_short.weight has not 4 values of type F32"},
        {"longrope", 0, NULL, 0, 5, 2, "rope_factors_short.weight has not 4 values of type F32"},
        {"longrope", 0, NULL, 0, 4, 0, "rope_factors_short.weight: value 0 is out of range"},
        {"longrope", 2, NULL, 0, 4, 2, "beside longrope's divisors is not supported"},
        {"longrope", 0, KEY("attn_factor"), 1e7F, 4, 2, "attn_factor is out of range"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_spec s;
        char path[700];
        snprintf(path, sizeof path, "%s", testdir_path("case.gguf"));
        gguf_write(&cases[i], path);
        if (cases[i].error)
            FAILS(gguf_read(path, &s, e), ERR_FORMAT, cases[i].error);
        else
            OK(gguf_read(path, &s, e));
    }
}

static int setup(void **state)
{
    (void)state;
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/rope.json", 1 << 20, &root, e));
    return testdir_make() ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(root);
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frequencies),  cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_golden),       cmocka_unit_test(test_strict),
        cmocka_unit_test(test_bf16),         cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_company),      cmocka_unit_test(test_digest),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_exports),
        cmocka_unit_test(test_gguf_package), cmocka_unit_test(test_gguf_refusals)};
    log_setup(LOG_WARN, 0);
    return cmocka_run_group_tests(tests, setup, teardown);
}
