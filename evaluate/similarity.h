/*
 * evaluate/similarity - one cosine for a pair of texts, by a sentence's vector: the capstone's
 * ClinicalBERT and RadBERT similarity.
 *
 * mean: the last block's vectors averaged over all tokens, the special ones included (the rule of
 * sentence-transformers); cls: the first token's vector alone. Such cosines are saturated: the
 * capstone's models all lie within 0.01. So a rescaled value stands beside it, (x - b) / (1 - b),
 * where b is the mean cosine of SIMILARITY_RANDOM pairs of references of two different reports,
 * drawn with a seed (with repetition; the same for every system compared, since it looks at
 * references alone). BERTScore's idea of a baseline, applied to a sentence.
 *
 * Not thread-safe; one a rank.
 */
#pragma once
#include "evaluate/embed.h"

enum { SIMILARITY_RANDOM = 1000 };
enum similarity_pool { SIMILARITY_MEAN, SIMILARITY_CLS };

/* out[n]: cosine of texts[2 i] and texts[2 i + 1], in double over f32 vectors. */
MUST_CHECK bool similarity_pairs(struct embed *m, enum similarity_pool pool,
                                 const struct str *texts, size_t n, double *out, struct err *e);
/* Mean cosine of random pairs of these texts; 0 with fewer than two. */
MUST_CHECK bool similarity_random(struct embed *m, enum similarity_pool pool,
                                  const struct str *texts, size_t n, uint64_t seed, double *out,
                                  struct err *e);
/* (x - b) / (1 - b), and 0 where b is 1 (all references alike). */
double similarity_rescaled(double x, double b);
