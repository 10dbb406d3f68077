/*
 * shard/sample - one training example as token ids.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct sample {
    const uint32_t *tokens;      /* prompt, then target, then EOS */
    uint32_t length;             /* all tokens */
    uint32_t target;             /* index of the first target token; loss covers [target, length) */
    uint32_t source, block, row; /* provenance: record_corpus source index, block, row */
    uint64_t entry;              /* ordinal in the archive */
    struct hash128 text_hash;    /* record.hash_norm */
    struct hash128 target_hash;  /* of the lower-cased, blank-folded target text */
    uint64_t patient_key; /* hash of the patient id with the corpus salt: grouping, not identity */
};
