/*
 * shard/audit_splits - does a key (a patient, a text) stand in more than one split?
 *
 * The main idea: a key and its split are one 64-bit word (62 bits of hash, 2 of split); words of
 * equal key meet after sorting. The keys are exchanged in rounds by their top bits, so that
 * memory stays bounded whatever the corpus: each round holds about AUDIT_ROUND words on every
 * rank.
 *
 * Two different keys share 62 bits by chance once in 10^4 corpora of 10^7 keys.
 */
#pragma once
#include "comm/comm.h"
#include "shard/shard_reader.h"

enum { AUDIT_ROUND = 4 << 20 };

struct audit_words {
    uint64_t *v;
    size_t n, cap;
};
MUST_CHECK bool audit_put(struct audit_words *w, uint64_t key, enum shard_split split,
                          struct err *e);
void audit_free(struct audit_words *w);

struct audit_result {
    uint64_t keys;               /* distinct */
    uint64_t crossing;           /* keys that stand in several splits */
    uint64_t seen[SHARD_SPLITS]; /* words of dev and test whose key also stands in train */
};
/* Sorts w. The same result on every rank. round_words: AUDIT_ROUND, less in tests. Collective. */
MUST_CHECK bool audit_run(struct comm *c, struct audit_words *w, size_t round_words,
                          struct audit_result *out, struct err *e);
