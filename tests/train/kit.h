/*
 * tests/train/kit - a tiny random model and hand-made bins, for tests of train/.
 *
 * Every failure aborts with its text: the kit is not what is tested.
 */
#pragma once
#include "comm/comm.h"
#include "model/decoder.h"
#include "shard/shard_reader.h"
#include "support/test_device.h"
#include "train/step.h"
#include "train/train.h"

struct kit_shape {
    uint32_t layers, d, ff, heads, kv_heads, vocab, seed;
};
extern const struct kit_shape kit_small; /* 2 layers, d 32, vocab 64 */

struct kit {
    struct dev *d;
    struct model *m;
    struct lora *l;
    struct decoder_work *w;
};
/* A model of this shape in dir, unless there is one. */
void kit_model(const char *dir, const struct kit_shape *shape);
/* The model (made when missing), an adapter on it, room for max_tokens. */
void kit_open(struct kit *k, const char *dir, const char *device, const struct kit_shape *shape,
              const struct lora_opts *o, uint32_t max_tokens);
void kit_close(struct kit *k);
/* LoRA of rank 4 on all linears. */
struct lora_opts kit_lora(void);
void kit_die(const char *what, const struct err *e) __attribute__((noreturn));

/* The training options of tests: bins of 64 tokens, 4 a step, a dev score every half epoch. */
/* A shards folder of KIT_SAMPLES * 5 training, 30 dev and 10 test samples of kit_sample. */
void kit_shards(const char *dir);
void kit_shards_of(const char *dir, uint32_t ntrain, enum shard_layout layout);
struct train_opts kit_train(const char *dir);
struct model_opts kit_model_opts(const char *base);

/* Samples of 6..17 tokens whose target repeats the prompt, so there is something to learn; sample i is a function
 * of i. Bins are made of runs of samples. */
enum { KIT_SAMPLES = 40, KIT_SAMPLE_TOKENS = 24, KIT_BIN_TOKENS = 512 };
struct kit_bins {
    const uint32_t *cuts; /* [nbins + 1] sample numbers */
    uint64_t nbins;
    uint32_t tokens[KIT_BIN_TOKENS], rows[KIT_BIN_TOKENS], labels[KIT_BIN_TOKENS];
    uint32_t cu[KIT_SAMPLES + 1];
};
void kit_sample(uint32_t i, uint32_t vocab, uint32_t *tokens, uint32_t *length, uint32_t *target);
/* step_source.get for a struct kit_bins (vocab 64). */
bool kit_get(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e);
uint64_t kit_rows(uint32_t first_sample, uint32_t end_sample);
