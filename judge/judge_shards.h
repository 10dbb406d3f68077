/*
 * judge/judge_shards - judgements -> a shards folder, as train reads it.
 *
 * The same writer as shard's, so that a judge is trained by the same engine as everything else:
 * manifest, digests of tokenizer and template, splits, loss on the answer. One file, modality
 * "judge". The same samples give the same bytes.
 */
#pragma once
#include "judge/judge_prompt.h"
#include "shard/shard_reader.h"

struct judge_sample {
    struct judge_fields fields;
    struct str list;
    int grade;
    uint32_t group; /* patient */
    enum shard_split split;
};
struct judge_shards_fact {
    uint64_t samples[SHARD_SPLITS], cut; /* cut: a text was shortened to fit */
};
#define JUDGE_MODALITY "judge"

/* Replaces what is in dir. Samples that do not fit even without any text are ERR_LIMIT. */
MUST_CHECK bool judge_shards_write(struct judge_prompt *p, const char *template,
                                   uint32_t max_tokens, const struct judge_sample *v, size_t n,
                                   const char *dir, struct judge_shards_fact *fact, struct err *e);
