/*
 * evaluate/chexbert - CheXbert's 14 labels of a chest report (Smit et al. 2020, arXiv 2004.09167):
 * a BERT encoder, and on its first token's vector 13 linear heads of four classes and one of two.
 *
 * A folder holds the encoder (config.json, vocab.txt, tensors with the prefix "bert.") and in the
 * same tensors linear_heads.0 .. 13 {weight, bias}; docs/MODELS.md says how chexbert.pth becomes
 * one. Classes: 0 not mentioned, 1 positive, 2 negative, 3 uncertain; the last head (no finding)
 * has 0 and 1 alone. For F1 positive and uncertain count as 1. Text beyond the encoder's length is
 * cut (embed). Chest radiographs only.
 */
#pragma once
#include "evaluate/embed.h"

enum { CHEXBERT_LABELS = 14, CHEXBERT_FIVE = 5 };
extern const char *const chexbert_names[CHEXBERT_LABELS];
/* The five of the competition form: cardiomegaly, edema, consolidation, atelectasis, effusion. */
extern const int chexbert_five[CHEXBERT_FIVE];

struct chexbert;
MUST_CHECK bool chexbert_open(const struct embed_opts *o, struct chexbert **out, struct err *e);
void chexbert_close(struct chexbert *c);
struct embed *chexbert_embed(struct chexbert *c);
struct chexbert_text {
    uint8_t label[CHEXBERT_LABELS]; /* classes */
};
/* Labels of n texts, out[n]; cosine[n / 2] (or NULL): of the first tokens' vectors of texts 2 i and
 * 2 i + 1. */
MUST_CHECK bool chexbert_texts(struct chexbert *c, const struct str *texts, size_t n,
                               struct chexbert_text *out, double *cosine, struct err *e);

/* F1 of summed counts [labels][3]: true positives, false positives, false negatives. A label that
 * neither side ever has counts as 0 in the macro mean, as scikit-learn does. */
double chexbert_micro(const double *counts, const int *labels, int n);
double chexbert_macro(const double *counts, const int *labels, int n);
