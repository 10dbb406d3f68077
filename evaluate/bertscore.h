/*
 * evaluate/bertscore - BERTScore (Zhang et al. 2020, arXiv 1904.09675) as bert-score 0.3.13
 * computes it, on any encoder of model/encoder.
 *
 * Token vectors of block `layer` (0: the embeddings), unit length; each of the answer's tokens is
 * matched with the reference's nearest (precision), and the other way round (recall); F is their
 * harmonic mean. [CLS] and [SEP] weigh nothing, but may be what a token is matched with. With idf a
 * token weighs ln((N + 1) / (df + 1)) over the N references. An empty text gives zeros, so does a
 * side whose weights are all 0.
 *
 * Canonical value = without padding: bert-score lets a token whose best match has a negative cosine
 * match padding instead (cosine 0), which depends on its batch; here it does not.
 * With rescale, P, R, F become (x - b) / (1 - b) by bert-score's published baselines for English,
 * known here for the models of the table below at their default layer. One reference a pair.
 *
 * Not thread-safe; one a rank.
 */
#pragma once
#include "evaluate/embed.h"

/* "roberta-large", its layer of choice, and what random pairs of English sentences score there;
 * p 0: no baseline known. From bert-score 0.3.13. */
struct bertscore_model {
    const char *name;
    uint32_t layer;
    double p, r, f;
};
/* By the name of a folder or hub ("models/roberta-large"); NULL when it is not in the table. */
const struct bertscore_model *bertscore_model_of(const char *name);

struct bertscore_opts {
    const char *name; /* of the model, for the table and the signature */
    int layer;        /* -1: the table's */
    bool idf, rescale;
};
struct bertscore_prf {
    double p, r, f;
};

struct bertscore;
/* m is borrowed. refs: the references that idf counts; may be NULL without idf. A model that is not
 * in the table needs a layer; rescale needs a baseline (ERR_CONFIG). */
MUST_CHECK bool bertscore_open(struct embed *m, const struct bertscore_opts *o,
                               const struct str *refs, size_t nrefs, struct bertscore **out,
                               struct err *e);
void bertscore_close(struct bertscore *b);
/* out[n]. Answer i is texts[2 i], its reference texts[2 i + 1]. */
MUST_CHECK bool bertscore_pairs(struct bertscore *b, const struct str *texts, size_t n,
                                struct bertscore_prf *out, struct err *e);
/* "bertscore|model:roberta-large|layer:17|idf:no|rescale:no|lower:auto|weights:0123456789ab|v:1" */
MUST_CHECK bool bertscore_signature(const struct bertscore *b, struct sbuf *out, struct err *e);
