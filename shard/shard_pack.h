/*
 * shard/shard_pack - samples in any order -> the columns of one shard, each split one slice.
 *
 * Who makes samples (shard/builder of records, judge/judge_shards of labels) puts them here; the
 * counts of samples, tokens and targets are kept on the way.
 */
#pragma once
#include "shard/shard_writer.h"

struct shard_pack {
    struct shard_data data[SHARD_SPLITS];
    struct shard_fact fact; /* what else it counts is the caller's */
    uint32_t token_bytes;   /* 2 or 4 */
};
void shard_pack_init(struct shard_pack *p, uint32_t token_bytes);
void shard_pack_free(struct shard_pack *p);
/* Forget all samples and counts. */
void shard_pack_reset(struct shard_pack *p);
MUST_CHECK bool shard_pack_put(struct shard_pack *p, enum shard_split split, const struct sample *s,
                               struct err *e);
/* All samples put since the last reset, joined; owned by the pack until the next reset, which must
 * come before the next put. *out is NULL when there were none. Fills the counts of head. */
MUST_CHECK bool shard_pack_join(struct shard_pack *p, const struct shard_data **out,
                                struct shard_head *head, struct err *e);
