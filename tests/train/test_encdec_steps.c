/* Twenty optimizer steps of a tiny T5 against torch: the same batches, AdamW, clipping; losses from
 * tests/model/golden/t5.json. LoRA and all weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/tiny.h"
#include "support/testdir.h"
#include "train/kit.h"

enum { SEQS = 4, TOKENS = 42, LABELS = 24, STEPS = 20, AT_ONCE = 3 };

static float value(const char *name, uint32_t ndims, float h)
{
    return ndims == 1 ? 1 + 0.5F * h : strstr(name, "relative") ? 3 * h : 0.4F * h;
}

struct samples {
    uint32_t prompt[SEQS][TOKENS], label[SEQS][LABELS], n[SEQS], m[SEQS];
    /* of a batch */
    uint32_t tokens[TOKENS], labels[LABELS], cu[AT_ONCE + 1], label_cu[AT_ONCE + 1];
};

static void read_samples(struct samples *s)
{
    float f[TOKENS + LABELS];
    uint32_t at = 0;
    tiny_hash(1000, TOKENS + LABELS, f);
    for (size_t i = 0; i < SEQS; i++) {
        s->n[i] =
            (uint32_t)json_integer_value(json_array_get(json_object_get(tiny_t5, "prompts"), i));
        s->m[i] =
            (uint32_t)json_integer_value(json_array_get(json_object_get(tiny_t5, "labels"), i));
        for (uint32_t k = 0; k < s->n[i]; k++)
            s->prompt[i][k] = (uint32_t)((f[at++] + 0.5F) * 94) + 2;
        for (uint32_t k = 0; k < s->m[i]; k++)
            s->label[i][k] = (uint32_t)((f[at++] + 0.5F) * 94) + 2;
    }
}

/* Bin k holds samples k, k + 1 and k + 2 of four. */
static bool get(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    struct samples *s = ctx;
    (void)e;
    for (uint32_t j = 0; j < AT_ONCE; j++) {
        size_t i = (bin + j) % SEQS;
        memcpy(s->tokens + s->cu[j], s->prompt[i], s->n[i] * sizeof *s->tokens);
        memcpy(s->labels + s->label_cu[j], s->label[i], s->m[i] * sizeof *s->labels);
        s->cu[j + 1] = s->cu[j] + s->n[i];
        s->label_cu[j + 1] = s->label_cu[j] + s->m[i];
    }
    *out = (struct decoder_batch){.tokens = s->tokens,
                                  .ntokens = s->cu[AT_ONCE],
                                  .cu = s->cu,
                                  .nseq = AT_ONCE,
                                  .labels = s->labels,
                                  .nrows = s->label_cu[AT_ONCE],
                                  .label_cu = s->label_cu};
    return true;
}

static void fill_lora(struct model *m, struct lora *l, const json_t *names)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * t[i].cols, tag = 0;
        float *f = malloc(count * sizeof *f);
        while (strcmp(json_string_value(json_array_get(names, tag)), t[i].name) != 0)
            tag++;
        tiny_hash(2000 + tag, count, f);
        for (size_t k = 0; k < count; k++)
            f[k] *= 0.5F;
        OK(dev_upload(model_dev(m), lora_params(l), t[i].offset * 4, f, count * 4, e));
        free(f);
    }
    OK(lora_refresh(l, e));
}

static void check_curve(const char *name, bool full)
{
    static const char *const all[] = {"all-linear"};
    const json_t *gold = json_object_get(json_object_get(tiny_t5, "cases"), name);
    const json_t *curve = json_object_get(gold, full ? "curve_full" : "curve_lora");
    struct lora_opts lo = {
        .method = full ? LORA_FULL : LORA_LORA, .rank = 4, .alpha = 6, .targets = {all, 1}};
    struct step_opts so = {.beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .clip = 1,
                           .bins_per_step = 1,
                           .decay_vectors = true};
    struct samples *s = calloc(1, sizeof *s);
    struct step_source src = {s, get};
    struct comm *c = NULL;
    struct kit k = {0};
    struct step step;
    double worst = 0;

    read_samples(s);
    OK(comm_open_self(&c, e));
    OK(dev_open(test_device(), 1, &k.d, e));
    OK(model_open(k.d, tiny_write_golden(name, gold, value, NULL), DEV_F32, &k.m, e));
    OK(lora_open(k.m, &lo, 1, &k.l, e));
    if (!full) fill_lora(k.m, k.l, json_object_get(gold, "lora_names"));
    OK(decoder_work_open(k.m, k.l, TOKENS, LABELS, true, &k.w, e));
    OK(step_init(&step, &so, k.m, k.l, k.w, c, e));
    for (uint64_t i = 0; i < STEPS; i++) {
        struct decoder_batch b;
        struct step_flags flags = {0};
        struct step_result res;
        double want = json_number_value(json_array_get(curve, i));
        OK(get(s, i, &b, e));
        struct step_job job = {
            .number = i + 1, .first = i, .begin = i, .end = i + 1, .rows = b.nrows, .lr = 5e-3};
        OK(step_run(&step, &src, &job, &flags, &res, e));
        worst = fmax(worst, fabs(res.loss - want) / want);
    }
    print_message("%s %s: losses of %d steps within %.1e\n", name, full ? "full" : "lora", STEPS,
                  worst);
    assert_true(worst < 5e-4); /* measured: 1e-4 where the loss has fallen to 0.08 */
    step_free(&step);
    kit_close(&k);
    comm_close(c);
    free(s);
}

static void test_curves(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        check_curve(i & 1 ? "t5" : "flan", i & 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_curves)};
    log_setup(LOG_WARN, 0);
    return cmocka_run_group_tests(tests, tiny_t5_setup, tiny_t5_teardown);
}
