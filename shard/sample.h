/*
 * shard/sample - one training example as token ids.
 *
 *     decoder            tokens[0, target)       prompt: BOS where the tokenizer has one, text
 *                        tokens[target, length)  answer, then EOS; what bears loss
 *
 *     encoder-decoder    tokens[0, target)       the encoder's input, ended as the tokenizer ends
 *                                                a text (T5: </s>); never empty
 *                        tokens[target, length)  the decoder's labels, then EOS. The decoder's own
 *                                                input is these shifted right by one, behind the
 *                                                model's start token (T5: pad): the reader's work
 *
 * All samples of a shards folder have one layout: struct shard_info says which.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct sample {
    const uint32_t *tokens;
    uint32_t length;             /* all tokens, both parts */
    uint32_t target;             /* index of the first target token */
    uint32_t source, block, row; /* provenance: record_corpus source index, block, row */
    uint64_t entry;              /* ordinal in the archive */
    struct hash128 text_hash;    /* record.hash_norm */
    struct hash128 target_hash;  /* of the lower-cased, blank-folded target text */
    uint64_t patient_key; /* hash of the patient id with the corpus salt: grouping, not identity */
};
