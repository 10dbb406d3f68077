#include "train/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/fs.h"

const struct kit_shape kit_small = {2, 32, 48, 4, 2, 64, 7};

void kit_die(const char *what, const struct err *e)
{
    fprintf(stderr, "kit: %s: %s\n", what, e->text);
    abort();
}

void kit_model(const char *dir, const struct kit_shape *s)
{
    struct err e = {0};
    struct model_spec spec = {.arch = "llama",
                              .layers = s->layers,
                              .d = s->d,
                              .ff = s->ff,
                              .heads = s->heads,
                              .kv_heads = s->kv_heads,
                              .head_dim = s->d / s->heads,
                              .vocab = s->vocab,
                              .max_positions = 256,
                              .rms_eps = 1e-5F,
                              .rope_theta = 1e4,
                              .tied = true,
                              .bos = 1,
                              .eos = {2},
                              .pad = -1,
                              .neos = 1};
    char config[1024];

    snprintf(config, sizeof config, "%s/config.json", dir);
    if (fs_exists(config)) return;
    if (!model_init_random(&spec, s->seed, dir, &e)) kit_die("model", &e);
}

void kit_open(struct kit *k, const char *dir, const char *device, const struct kit_shape *shape,
              const struct lora_opts *o, uint32_t max_tokens)
{
    struct err e = {0};

    kit_model(dir, shape);
    *k = (struct kit){0};
    if (!dev_open(device, 1, &k->d, &e)) kit_die("device", &e);
    if (!model_open(k->d, dir, DEV_F32, &k->m, &e)) kit_die("model", &e);
    if (!lora_open(k->m, o, 3, &k->l, &e)) kit_die("adapter", &e);
    if (!decoder_work_open(k->m, k->l, max_tokens, max_tokens, true, &k->w, &e))
        kit_die("workspace", &e);
}

void kit_close(struct kit *k)
{
    decoder_work_close(k->w);
    lora_close(k->l);
    model_close(k->m);
    dev_close(k->d);
}

struct lora_opts kit_lora(void)
{
    static const char *const all[] = {"all-linear"};
    return (struct lora_opts){
        .method = LORA_LORA, .rank = 4, .alpha = 8, .dropout = 0, .targets = {all, 1}};
}

void kit_sample(uint32_t i, uint32_t vocab, uint32_t *tokens, uint32_t *length, uint32_t *target)
{
    uint32_t half = 2 + (i * 3) % 7;

    *target = half + 1;
    *length = 2 * half + 2;
    tokens[0] = 1;
    for (uint32_t t = 0; t < half; t++) {
        tokens[1 + t] = 3 + (i * 11 + t * 5) % (vocab - 3);
        tokens[1 + half + t] = tokens[1 + t];
    }
    tokens[2 * half + 1] = 2;
}

uint64_t kit_rows(uint32_t first_sample, uint32_t end_sample)
{
    uint32_t tokens[KIT_SAMPLE_TOKENS], length, target;
    uint64_t rows = 0;

    for (uint32_t i = first_sample; i < end_sample; i++) {
        kit_sample(i, 64, tokens, &length, &target);
        rows += length - target;
    }
    return rows;
}

bool kit_get(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    struct kit_bins *b = ctx;
    uint32_t at = 0, nrows = 0, nseq = 0, length, target;

    (void)e;
    for (uint32_t i = b->cuts[bin]; i < b->cuts[bin + 1]; i++) {
        kit_sample(i, 64, b->tokens + at, &length, &target);
        b->cu[nseq++] = at;
        for (uint32_t t = target; t < length; t++) {
            b->rows[nrows] = at + t - 1;
            b->labels[nrows++] = b->tokens[at + t];
        }
        at += length;
    }
    b->cu[nseq] = at;
    *out = (struct decoder_batch){.tokens = b->tokens,
                                  .ntokens = at,
                                  .cu = b->cu,
                                  .nseq = nseq,
                                  .rows = b->rows,
                                  .labels = b->labels,
                                  .nrows = nrows};
    return true;
}

struct train_opts kit_train(const char *dir)
{
    struct arena a;
    struct train_opts t;
    struct err e = {0};

    arena_init(&a, 1 << 16);
    if (!opt_defaults(train_table, &a, &t, &e)) kit_die("defaults", &e);
    arena_free(&a); /* no default of the table is text */
    t.dir = dir;
    t.bin_tokens = 64;
    t.tokens_per_step = 256;
    t.lr = 0.01;
    t.max_steps = 6;
    t.eval_every = (struct opt_every){2, OPT_STEPS};
    t.save_every = (struct opt_every){3, OPT_STEPS};
    return t;
}

struct model_opts kit_model_opts(const char *base)
{
    return (struct model_opts){.base = base,
                               .name = "tiny",
                               .device = test_device(),
                               .dtype = MODEL_DTYPE_F32,
                               .threads = 1,
                               .share_gpu = true};
}
