/*
 * shard/once - of samples with one text, or nearly one, one an epoch: the policy "weight" for
 * duplicates.
 *
 * Reports repeat: a fifth of all chest radiographs read the same, word for word. Trained on as they
 * come, such a text weighs as often as it was dictated. Here n samples of equal findings and
 * impression (text_hash, across sources and modalities of the set) count as one: every epoch sees
 * one of them, another each epoch, so that what differs between them (clinical information, say) is
 * not lost. So do samples whose texts are nearly equal, where the corpus was searched for such
 * (corpus.near_duplicates, shard/shard_groups); where it was not, these are texts of their own.
 *
 * A pure function of the samples' groups and the epoch: the same on any number of ranks, and after
 * a resumption.
 */
#pragma once
#include "base/err.h"
#include "shard/shard_reader.h"

/* The samples of this epoch, in increasing order. *out is mem_alloc'ed. */
MUST_CHECK bool once_pick(const struct shard_set *s, uint32_t epoch, uint32_t **out, size_t *n,
                          struct err *e);
