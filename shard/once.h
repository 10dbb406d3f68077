/*
 * shard/once - of samples with one text, one an epoch: the policy "weight" for duplicates.
 *
 * Reports repeat: a fifth of all chest radiographs read the same, word for word. Trained on as they
 * come, such a text weighs as often as it was dictated. Here n samples of equal findings and
 * impression (text_hash, across sources and modalities of the set) count as one: every epoch sees
 * one of them, another each epoch, so that what differs between them (clinical information, say) is
 * not lost. Near-duplicates are texts of their own.
 */
#pragma once
#include "base/err.h"
#include "shard/shard_reader.h"

/* The samples of this epoch, in increasing order. *out is mem_alloc'ed. */
MUST_CHECK bool once_pick(const struct shard_set *s, uint32_t epoch, uint32_t **out, size_t *n,
                          struct err *e);
