/*
 * generate/gen_seen - does a reference's text occur among the training targets? Scores are shown
 * with and without such pairs.
 */
#pragma once
#include "base/hash.h"
#include "shard/shard_reader.h"

struct gen_seen {
    struct hash128 *slot; /* open addressing; {0, 0}: free */
    size_t cap;
    bool known; /* a train split was there */
};
/* Read the target hashes of dir's train split; without one nothing is known. */
MUST_CHECK bool gen_seen_init(struct gen_seen *s, const char *dir, const char *const *modalities,
                              size_t nmodalities, struct err *e);
void gen_seen_free(struct gen_seen *s);
/* 1, 0, or -1 when unknown: as struct pair has it. */
int gen_seen_has(const struct gen_seen *s, struct hash128 target);
