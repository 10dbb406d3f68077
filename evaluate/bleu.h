/*
 * evaluate/bleu - BLEU as sacrebleu 2.6.0 computes it (13a tokens), for a sentence and for a
 * corpus, and the BLEU of NLTK (white-space tokens, smoothing methods 1 to 4) that the field also
 * quotes.
 *
 * Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; Post
 * 2018, "A call for clarity in reporting BLEU scores" (arXiv 1804.08771); Chen and Cherry 2014 for
 * smoothing. The four numbers that go by the name differ by 20 points on one system, so each has
 * its own signature.
 *
 * One reference. No other tokenizer, no NLTK methods 5 to 7. Not thread-safe:
 * one `struct bleu` a thread.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { BLEU_ORDER = 4, BLEU_MAX_TOKENS = 1 << 20 };
/* Sufficient statistics: a corpus is the sum of its sentences. */
struct bleu_stats {
    uint64_t match[BLEU_ORDER],
        total[BLEU_ORDER]; /* clipped n-gram matches, n-grams of the answer */
    uint64_t hyp, ref;     /* tokens */
};
enum bleu_smooth {
    BLEU_NONE,
    BLEU_EXP,   /* the k-th order without a match counts 1/2^k matches */
    BLEU_FLOOR, /* ... 0.1 */
    BLEU_ADD_K, /* one more match and n-gram in every order above 1 */
};

struct bleu;
MUST_CHECK bool bleu_open(struct bleu **out, struct err *e);
void bleu_close(struct bleu *b);
enum bleu_tokens {
    BLEU_13A,
    BLEU_13A_LOWER, /* of the text in lower case (sacrebleu's lowercase, Python's str.lower) */
    BLEU_BLANKS,    /* Python's str.split */
};
/* A side of more than BLEU_MAX_TOKENS tokens is ERR_LIMIT. */
MUST_CHECK bool bleu_pair(struct bleu *b, enum bleu_tokens t, struct str prediction,
                          struct str reference, struct bleu_stats *out, struct err *e);
/* 0 to 100. effective: stop at the longest n-gram the answer has (sentences). */
double bleu_score(const struct bleu_stats *s, enum bleu_smooth smooth, bool effective);
/* NLTK's BLEU with smoothing method 0 to 4 from BLEU_BLANKS statistics, 0 to 1. NLTK counts one
 * n-gram of an order the answer is too short for: bleu_nltk_totals does that to a sentence, before
 * it is scored or summed into a corpus. */
void bleu_nltk_totals(struct bleu_stats *s);
double bleu_nltk(const struct bleu_stats *s, int method);

extern const char
    *const bleu_sentence_signature; /* "bleu|nrefs:1|case:mixed|eff:yes|tok:13a|..." */
extern const char *const bleu_corpus_signature;
extern const char *const bleu_nltk_signature;
