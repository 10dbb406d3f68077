/* T5 against golden/t5.json: Flan-T5's form (gated, a head of its own) and the first T5's (relu,
 * tied and scaled, more blocks in the decoder). */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/decoder_parts.h"
#include "support/testdir.h"

enum { SEQS = 4, TOKENS = 42, LABELS = 24, VOCAB = 96, RANK = 4, MOST_NEW = 64 };
static const char *const cases[] = {"flan", "t5"};
enum { CASES = sizeof cases / sizeof *cases };

static const json_t *gold_of(const char *name)
{
    json_t *j = json_object_get(json_object_get(tiny_t5, "cases"), name);
    assert_non_null(j);
    return j;
}

static float value(const char *name, uint32_t ndims, float h)
{
    return ndims == 1 ? 1 + 0.5F * h : strstr(name, "relative") ? 3 * h : 0.4F * h;
}

/* ---- the golden's samples */

struct bin {
    uint32_t tokens[TOKENS], cu[SEQS + 1], labels[LABELS], label_cu[SEQS + 1];
    struct decoder_batch b;
};

static void make_bin(struct bin *t)
{
    const json_t *prompts = json_object_get(tiny_t5, "prompts"),
                 *labels = json_object_get(tiny_t5, "labels");
    float f[TOKENS + LABELS];
    uint32_t at = 0;
    tiny_hash(1000, TOKENS + LABELS, f);
    t->cu[0] = t->label_cu[0] = 0;
    for (uint32_t s = 0; s < SEQS; s++) {
        t->cu[s + 1] = t->cu[s] + (uint32_t)json_integer_value(json_array_get(prompts, s));
        t->label_cu[s + 1] =
            t->label_cu[s] + (uint32_t)json_integer_value(json_array_get(labels, s));
        for (uint32_t i = t->cu[s]; i < t->cu[s + 1]; i++)
            t->tokens[i] = (uint32_t)((f[at++] + 0.5F) * 94) + 2;
        for (uint32_t i = t->label_cu[s]; i < t->label_cu[s + 1]; i++)
            t->labels[i] = (uint32_t)((f[at++] + 0.5F) * 94) + 2;
    }
    assert_int_equal(at, TOKENS + LABELS);
    t->b = (struct decoder_batch){.tokens = t->tokens,
                                  .ntokens = TOKENS,
                                  .cu = t->cu,
                                  .nseq = SEQS,
                                  .labels = t->labels,
                                  .nrows = LABELS,
                                  .label_cu = t->label_cu};
}

/* Sample i alone. */
static void single(const struct bin *t, uint32_t i, struct bin *out)
{
    uint32_t n = t->cu[i + 1] - t->cu[i], m = t->label_cu[i + 1] - t->label_cu[i];
    memcpy(out->tokens, t->tokens + t->cu[i], n * sizeof *out->tokens);
    memcpy(out->labels, t->labels + t->label_cu[i], m * sizeof *out->labels);
    out->cu[0] = out->label_cu[0] = 0;
    out->cu[1] = n;
    out->label_cu[1] = m;
    out->b = (struct decoder_batch){.tokens = out->tokens,
                                    .ntokens = n,
                                    .cu = out->cu,
                                    .nseq = 1,
                                    .labels = out->labels,
                                    .nrows = m,
                                    .label_cu = out->label_cu};
}

/* The factor's number in PEFT's order. */
static uint64_t number_of(const char *name, const void *gold)
{
    const json_t *names = json_object_get(gold, "lora_names");
    size_t tag = 0;
    while (tag < json_array_size(names) &&
           strcmp(json_string_value(json_array_get(names, tag)), name) != 0)
        tag++;
    if (tag == json_array_size(names)) fail_msg("%s is not PEFT's", name);
    return tag;
}

static void fill_lora(struct model *m, struct lora *l, const json_t *gold)
{
    tiny_lora_fill(m, l, number_of, gold, 0.5F);
}

static const struct lora_opts *all_linear(void)
{
    static const char *const all[] = {"all-linear"};
    static const struct lora_opts o = {
        .method = LORA_LORA, .rank = RANK, .alpha = 6, .targets = {all, 1}};
    return &o;
}

static void rig_open(struct tiny_rig *r, const char *device, const char *name, enum dev_dtype t,
                     const struct lora_opts *o)
{
    const char *dir = tiny_write_golden(name, gold_of(name), value, NULL);
    tiny_rig_model(r, device, dir, t);
    OK(lora_open(r->m, o, 1, &r->l, e));
    if (o->method == LORA_LORA) fill_lora(r->m, r->l, gold_of(name));
    tiny_rig_work(r, 50, 30);
}

static void near(double got, double want, double tol, const char *what)
{
    if (!(fabs(got - want) <= tol * fabs(want))) fail_msg("%s: %.9g, golden %.9g", what, got, want);
}

/* ---- goldens */

/* All distances of several tables; and the row of the specification. */
static void test_buckets(void **state)
{
    static const int32_t row[] = {0, 17, 18, 19, 20, 21, 22, 23, 24, 24, 24, 24};
    const json_t *tables = json_object_get(tiny_t5, "buckets");
    int32_t got[700];
    (void)state;
    for (size_t i = 0; i < json_array_size(tables); i++) {
        const json_t *t = json_array_get(tables, i);
        struct model_spec s = {.buckets = (uint32_t)tiny_number(t, "n"),
                               .reach = (uint32_t)tiny_number(t, "far")};
        for (int both = 0; both < 2; both++) {
            const json_t *want = json_object_get(t, both ? "both" : "causal");
            bias_buckets(&s, both, got);
            for (uint32_t k = 0; k <= 2 * s.reach; k++)
                assert_int_equal(got[k], json_integer_value(json_array_get(want, k)));
            if (both && s.buckets == 32) assert_memory_equal(got + s.reach, row, sizeof row);
        }
    }
}

/* Base model, then adapters: losses, logits, gradients in f32. */
static void check_golden(const char *device, const char *name)
{
    const json_t *gold = gold_of(name), *names = json_object_get(gold, "lora_names");
    struct decoder_work *base = NULL;
    float logits[LABELS * VOCAB];
    struct tiny_rig r;
    struct bin t;
    double loss;
    size_t n;

    make_bin(&t);
    rig_open(&r, device, name, DEV_F32, all_linear());
    OK(decoder_work_open(r.m, NULL, TOKENS, LABELS, false, &base, e));
    OK(decoder_loss(base, &t.b, &loss, NULL, e));
    near(loss, tiny_number(gold, "base_loss"), 1e-5, "base loss");
    OK(decoder_logits(base, &t.b, logits, e));
    tiny_summary(logits, LABELS * VOCAB, 900, json_object_get(gold, "base_logits"), 1e-5, "base");
    decoder_work_close(base);
    OK(decoder_logits(r.w, &t.b, logits, e));
    tiny_summary(logits, LABELS * VOCAB, 901, json_object_get(gold, "logits"), 1e-5, "logits");
    near(tiny_rig_grad(&r, &t.b), tiny_number(gold, "loss"), 1e-5, "loss");
    const struct lora_tensor *l = lora_tensors(r.l, &n);
    assert_int_equal(n, json_array_size(names));
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (strcmp(json_string_value(json_array_get(names, k)), l[i].name) != 0)
            k++;
        tiny_summary(r.host + l[i].offset, (size_t)l[i].rows * l[i].cols, k,
                     json_array_get(json_object_get(gold, "lora"), k), 1e-4, l[i].name);
    }
    tiny_rig_close(&r);
}

static void test_golden(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++)
        check_golden(test_device(), cases[i]);
    check_golden("strict", "flan");
}

/* All weights: embeddings of both sides, tables of positions, norms, heads. */
static void test_full(void **state)
{
    static const struct lora_opts full = {.method = LORA_FULL};
    (void)state;
    for (int c = 0; c < CASES; c++) {
        const json_t *gold = gold_of(cases[c]), *tensors = json_object_get(gold, "tensors");
        struct tiny_rig r;
        struct bin t;
        size_t n;
        make_bin(&t);
        rig_open(&r, test_device(), cases[c], DEV_F32, &full);
        near(tiny_rig_grad(&r, &t.b), tiny_number(gold, "base_loss"), 1e-5, "loss");
        const struct lora_tensor *l = lora_tensors(r.l, &n);
        assert_int_equal(n, json_array_size(tensors));
        for (size_t i = 0; i < n; i++) {
            size_t tag = 0;
            while (strcmp(json_string_value(json_array_get(json_array_get(tensors, tag), 0)),
                          l[i].name) != 0)
                tag++;
            tiny_summary(r.host + l[i].offset, (size_t)l[i].rows * l[i].cols, tag,
                         json_object_get(json_object_get(gold, "full"), l[i].name), 1e-4,
                         l[i].name);
        }
        tiny_rig_close(&r);
    }
}

/* bf16 within twice what it costs the reference. */
static void test_bf16(void **state)
{
    (void)state;
    for (int c = 0; c < CASES; c++) {
        const json_t *gap = json_object_get(gold_of(cases[c]), "bf16_gap");
        float lf[LABELS * VOCAB], lh[LABELS * VOCAB];
        struct tiny_rig f, h;
        struct bin t;
        make_bin(&t);
        rig_open(&f, test_device(), cases[c], DEV_F32, all_linear());
        rig_open(&h, test_device(), cases[c], DEV_BF16, all_linear());
        OK(decoder_logits(f.w, &t.b, lf, e));
        OK(decoder_logits(h.w, &t.b, lh, e));
        tiny_rig_grad(&f, &t.b);
        tiny_rig_grad(&h, &t.b);
        double dl = rel_rms(lh, lf, LABELS * VOCAB), dg = rel_rms(h.host, f.host, lora_count(f.l));
        print_message("%s bf16: logits %.4f (reference %.4f), gradient %.4f (%.4f)\n", cases[c], dl,
                      tiny_number(gap, "logits"), dg, tiny_number(gap, "grad"));
        assert_true(dl < 2 * tiny_number(gap, "logits") && dg < 2 * tiny_number(gap, "grad"));
        tiny_rig_close(&f);
        tiny_rig_close(&h);
    }
}

/* A bin is the sum of its samples, and a sample's loss does not see its neighbours. */
static void test_packed(void **state)
{
    (void)state;
    float rows[LABELS], *sum;
    double loss, one, total = 0;
    struct tiny_rig r;
    struct bin t, s;

    make_bin(&t);
    rig_open(&r, test_device(), "flan", DEV_F32, all_linear());
    sum = calloc(lora_count(r.l), sizeof *sum);
    OK(decoder_loss(r.w, &t.b, &loss, rows, e));
    for (uint32_t i = 0; i < SEQS; i++) {
        float alone[LABELS];
        single(&t, i, &s);
        OK(decoder_loss(r.w, &s.b, &one, alone, e));
        assert_memory_equal(alone, rows + t.label_cu[i], s.b.nrows * sizeof *alone);
        total += tiny_rig_grad(&r, &s.b);
        for (uint64_t k = 0; k < lora_count(r.l); k++)
            sum[k] += r.host[k];
    }
    near(total, loss, 1e-9, "sum of losses");
    tiny_rig_grad(&r, &t.b);
    assert_true(rel_rms(sum, r.host, lora_count(r.l)) < 1e-6);
    free(sum);
    tiny_rig_close(&r);
}

/* ---- differences along the gradient */

/* Gradient g of what is adapted: loss(p + h g) - loss(p - h g) = 2 h |g|^2. */
static void check_direction(const struct lora_opts *o, const char *what)
{
    struct tiny_rig r;
    struct bin t;
    double norm = 0, side[2], h;
    make_bin(&t);
    rig_open(&r, test_device(), "t5", DEV_F32, o);
    size_t n = lora_count(r.l);
    float *p = malloc(n * sizeof *p), *moved = malloc(n * sizeof *p), *g = malloc(n * sizeof *p);
    tiny_rig_grad(&r, &t.b);
    memcpy(g, r.host, n * sizeof *g);
    OK(dev_download(r.d, lora_params(r.l), 0, p, n * sizeof *p, e));
    for (size_t i = 0; i < n; i++)
        norm += (double)g[i] * g[i];
    assert_true(norm > 0);
    h = 0.003 / sqrt(norm);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < n; i++)
            moved[i] = p[i] + (float)((k ? h : -h) * g[i]);
        OK(dev_upload(r.d, lora_params(r.l), 0, moved, n * sizeof *moved, e));
        OK(lora_refresh(r.l, e));
        side[k] = tiny_rig_grad(&r, &t.b); /* with the same dropout */
    }
    if (fabs((side[1] - side[0]) / (2 * h * norm) - 1) > 0.01)
        fail_msg("%s: slope %g, gradient %g", what, (side[1] - side[0]) / (2 * h), norm);
    free(p);
    free(moved);
    free(g);
    tiny_rig_close(&r);
}

/* Adapters in one part only: gradients stop where nobody wants them, and nowhere else. */
static void test_partial(void **state)
{
    static const char *const all[] = {"all-linear"}, *const q[] = {"q"}, *const wo[] = {"wo"};
    static const char *const cross[] = {"EncDecAttention.v"}, *const xq[] = {"EncDecAttention.q"};
    static const char *const first[] = {"0"}, *const second[] = {"1"}, *const last[] = {"3"};
    static const struct {
        const char *what;
        struct opt_strs targets, layers;
        double dropout;
    } parts[] = {{"encoder", {all, 1}, {first, 1}, 0},
                 {"first block of the decoder", {all, 1}, {second, 1}, 0},
                 {"last block", {all, 1}, {last, 1}, 0},
                 {"down projection of the last", {wo, 1}, {last, 1}, 0},
                 {"cross values", {cross, 1}, {NULL, 0}, 0},
                 {"cross queries of the first", {xq, 1}, {second, 1}, 0},
                 {"queries", {q, 1}, {NULL, 0}, 0},
                 {"dropout", {all, 1}, {NULL, 0}, 0.3}};
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct lora_opts o = *all_linear();
        o.targets = parts[i].targets;
        o.layers = parts[i].layers;
        o.dropout = parts[i].dropout;
        check_direction(&o, parts[i].what);
    }
}

/* ---- decoding */

struct answer {
    uint32_t ids[MOST_NEW], n, pos, next;
    bool ended;
};

/* All four prompts at once in slots of their own, as far as the reference went. */
static void answer_all(struct tiny_rig *r, struct lora *l, const struct bin *t, struct answer *a)
{
    struct decoder_cache *c = NULL;
    const uint32_t *rows;
    uint32_t n;
    memset(a, 0, SEQS * sizeof *a);
    OK(tiny_cache_open(r->m, l, SEQS + 1, 70, 8, &c, e));
    for (uint32_t i = 0; i < SEQS; i++) {
        OK(decoder_begin(c, SEQS - i, t->tokens + t->cu[i], t->cu[i + 1] - t->cu[i], &rows, &n, e));
        assert_int_equal(n, 1);
        a[i].next = *rows;
    }
    for (uint32_t k = 0; k < MOST_NEW; k++) {
        uint32_t token[SEQS], slot[SEQS], pos[SEQS], want[SEQS], who[SEQS], next[SEQS], m = 0;
        for (uint32_t i = 0; i < SEQS; i++) {
            if (a[i].ended) continue;
            token[m] = a[i].next;
            slot[m] = SEQS - i;
            pos[m] = a[i].pos++;
            want[m] = m;
            who[m++] = i;
        }
        if (m == 0) break;
        OK(tiny_step(c, &(struct decoder_rows){token, slot, pos, m}, want, m, next, NULL, e));
        for (uint32_t j = 0; j < m; j++) {
            struct answer *x = &a[who[j]];
            x->ids[x->n++] = x->next = next[j];
            x->ended = next[j] == 1;
        }
    }
    decoder_cache_close(c);
}

static void check_answers(const struct answer *a, const json_t *want, const char *what)
{
    for (uint32_t i = 0; i < SEQS; i++) {
        const json_t *ids = json_array_get(want, i);
        assert_int_equal(a[i].n, json_array_size(ids));
        for (uint32_t k = 0; k < a[i].n; k++) {
            if (a[i].ids[k] != (uint32_t)json_integer_value(json_array_get(ids, k)))
                fail_msg("%s: prompt %u, token %u is %u", what, i, k, a[i].ids[k]);
        }
    }
}

static void test_greedy(void **state)
{
    static const char *const devices[] = {"cpu", "strict"};
    (void)state;
    for (int c = 0; c < 2 * CASES; c++) {
        const char *name = cases[c % CASES];
        struct answer a[SEQS];
        struct tiny_rig r;
        struct bin t;
        make_bin(&t);
        rig_open(&r, devices[c / CASES], name, DEV_F32, all_linear());
        answer_all(&r, NULL, &t, a);
        check_answers(a, json_object_get(gold_of(name), "answers"), "base");
        answer_all(&r, r.l, &t, a);
        check_answers(a, json_object_get(gold_of(name), "lora_answers"), "adapter");
        tiny_rig_close(&r);
    }
}

/* Steps with the cache give the logits of the whole pass. */
static void test_cache_is_training(void **state)
{
    static float whole[LABELS * VOCAB], step[VOCAB];
    struct decoder_cache *c = NULL;
    const uint32_t *rows;
    uint32_t n, zero = 0, next;
    struct tiny_rig r;
    struct bin t;
    (void)state;

    make_bin(&t);
    rig_open(&r, test_device(), "flan", DEV_F32, all_linear());
    OK(decoder_logits(r.w, &t.b, whole, e));
    OK(tiny_cache_open(r.m, r.l, 1, 40, 4, &c, e));
    for (uint32_t i = 0; i < SEQS; i++) {
        OK(decoder_begin(c, 0, t.tokens + t.cu[i], t.cu[i + 1] - t.cu[i], &rows, &n, e));
        for (uint32_t k = t.label_cu[i], pos = 0; k < t.label_cu[i + 1]; k++, pos++) {
            const uint32_t *token = pos ? &t.labels[k - 1] : rows;
            OK(tiny_step(c, &(struct decoder_rows){token, &zero, &pos, 1}, &zero, 1, &next, step,
                         e));
            assert_true(rel_rms(step, whole + (size_t)k * VOCAB, VOCAB) < 1e-6);
        }
    }
    decoder_cache_close(c);
    tiny_rig_close(&r);
}

/* ---- memory, files, faults */

static void test_bytes(void **state)
{
    struct lora_opts o = *all_linear();
    struct decoder_work *w = NULL;
    struct decoder_cache *c = NULL;
    struct tiny_rig r;
    (void)state;
    o.dropout = 0.1;
    for (int k = 0; k < CASES; k++) {
        for (int i = 0; i < 4; i++) {
            enum dev_dtype t = i & 1 ? DEV_BF16 : DEV_F32;
            rig_open(&r, test_device(), cases[k], t, &o);
            size_t before = dev_bytes_live(r.d);
            OK(decoder_work_open(r.m, r.l, 37, 53, i & 2, &w, e));
            uint64_t want;
            OK(decoder_work_bytes(model_get_spec(r.m), t, &o, 37, 53, i & 2, &want, e));
            assert_int_equal(dev_bytes_live(r.d) - before, want);
            decoder_work_close(w);
            OK(tiny_cache_open(r.m, NULL, 3, 21, 40, &c, e));
            assert_int_equal(dev_bytes_live(r.d) - before, tiny_cache_bytes(r.m, 3, 21, 40));
            decoder_cache_close(c);
            tiny_rig_close(&r);
        }
    }
}

/* A fresh model; all weights saved and loaded again: the same numbers. */
static void test_save_and_load(void **state)
{
    static const struct lora_opts full = {.method = LORA_FULL};
    char dir[600];
    struct tiny_rig r;
    struct bin t;
    struct model *again = NULL;
    struct decoder_work *w = NULL;
    double a, b;
    (void)state;
    make_bin(&t);
    for (int c = 0; c < CASES; c++) {
        rig_open(&r, test_device(), cases[c], DEV_F32, &full);
        OK(decoder_loss(r.w, &t.b, &a, NULL, e));
        snprintf(dir, sizeof dir, "%s", testdir_path("saved"));
        OK(lora_save(r.l, dir, NULL, e));
        OK(model_open(r.d, dir, DEV_F32, &again, e));
        assert_memory_equal(model_get_spec(r.m), model_get_spec(again), sizeof(struct model_spec));
        OK(decoder_work_open(again, NULL, TOKENS, LABELS, false, &w, e));
        OK(decoder_loss(w, &t.b, &b, NULL, e));
        assert_true(a == b);
        decoder_work_close(w);
        model_close(again);
        OK(fs_remove_tree(dir, e));
        OK(model_init_random(model_get_spec(r.m), 3, dir, e));
        OK(model_open(r.d, dir, DEV_F32, &again, e));
        assert_memory_equal(model_get_spec(r.m), model_get_spec(again), sizeof(struct model_spec));
        model_close(again);
        OK(fs_remove_tree(dir, e));
        tiny_rig_close(&r);
    }
}

static void fails(const char *key, json_t *v, const char *part)
{
    json_t *c = json_deep_copy(gold_of("flan"));
    struct dev *d = NULL;
    struct model *m = NULL;
    json_object_set_new(json_object_get(c, "config"), key, v);
    OK(dev_open(test_device(), 1, &d, e));
    FAILS(model_open(d, tiny_write_golden("bad", c, value, NULL), DEV_F32, &m, e), ERR_FORMAT,
          part);
    dev_close(d);
    json_decref(c);
}

static void test_errors(void **state)
{
    (void)state;
    fails("num_layers", json_integer(0), "num_layers is missing or 0");
    fails("num_layers", json_integer(3), "encoder.block.2.layer.0.SelfAttention.q.weight");
    fails("num_decoder_layers", json_integer(0), "num_decoder_layers is 0");
    fails("d_ff", json_integer(79), "encoder.block.0.layer.1.DenseReluDense.wi_0.weight");
    fails("is_gated_act", json_false(), "DenseReluDense.wi.weight");
    fails("dense_act_fn", json_string("mish"), "dense_act_fn mish is not supported");
    fails("feed_forward_proj", json_string("gated-mish"), "mish is not supported");
    fails("relative_attention_num_buckets", json_integer(6), "make no positions");
    fails("relative_attention_max_distance", json_integer(3), "make no positions");
    fails("decoder_start_token_id", json_integer(96), "decoder_start_token_id");
    fails("eos_token_id", json_integer(96), "eos_token_id");
}

static void test_faults(void **state)
{
    const char *dir = tiny_write_golden("faults", gold_of("flan"), value, NULL);
    struct bin t;
    bool ok = false;
    (void)state;
    make_bin(&t);
    for (unsigned k = 1; !ok; k++) {
        struct dev *d = NULL;
        struct model *m = NULL;
        struct decoder_work *w = NULL;
        struct decoder_cache *c = NULL;
        const uint32_t *rows;
        uint32_t n;
        double loss;
        struct err e = {0};
        size_t before = mem_live_blocks();
        fault_arm(FAULT_MEM, k, false);
        ok = dev_open("strict", 1, &d, &e) && model_open(d, dir, DEV_BF16, &m, &e) &&
             decoder_work_open(m, NULL, TOKENS, LABELS, false, &w, &e) &&
             decoder_loss(w, &t.b, &loss, NULL, &e) && tiny_cache_open(m, NULL, 2, 30, 4, &c, &e) &&
             decoder_begin(c, 1, t.tokens, 9, &rows, &n, &e);
        fault_arm(FAULT_MEM, 0, false);
        assert_true(ok || e.code == ERR_NOMEM);
        decoder_cache_close(c);
        decoder_work_close(w);
        model_close(m);
        dev_close(d);
        assert_int_equal(mem_live_blocks(), before);
        assert_true(k < 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets), cmocka_unit_test(test_golden),
        cmocka_unit_test(test_full),    cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_packed),  cmocka_unit_test(test_partial),
        cmocka_unit_test(test_greedy),  cmocka_unit_test(test_cache_is_training),
        cmocka_unit_test(test_bytes),   cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_faults),
    };
    tiny_spare_jansson();
    log_setup(LOG_WARN, 0);
    return cmocka_run_group_tests(tests, tiny_t5_setup, tiny_t5_teardown);
}
