/*
 * synth/canaries - made-up reports to plant in a training corpus, and their like that are not
 * planted: how far has a model memorised what it saw once?
 *
 *     DIR/planted.csv   reports for training: a source of its own, split train
 *     DIR/others.csv    candidates that no training sees
 *     DIR/probe.yaml    a configuration over both: ingest, shard, generate with it, in DIR alone
 *
 * The main idea (Carlini et al., "The secret sharer", 2019): every impression is one sentence with
 * a secret of six words drawn from 64, so that nothing but having seen it makes one likelier than
 * another. After training, evaluate's metric memorization ranks the planted ones among the others:
 * their exposure is 1.44 bits on average for a model that memorised nothing, log2 of the number of
 * candidates + 1 at most. Words, not digits: a scan for identifiers (corpus.phi) must leave them.
 *
 * Report i is a pure function of (seed, i); planted ones come first, so that planting more of a
 * seed keeps those that were there.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

struct canaries_opts {
    const char *dir;
    uint64_t planted, others; /* how many */
    uint64_t seed;
    const char *modality; /* of all of them, as corpus.sources[].modality says it */
    const char *config;   /* the study's configuration, for probe.yaml's include; NULL: left to the
                             reader */
};
MUST_CHECK bool canaries_write(const struct canaries_opts *o, struct err *e);
