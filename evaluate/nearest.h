/*
 * evaluate/nearest - which of many texts is most like this one: cosine of TF-IDF vectors.
 *
 * Weights as scikit-learn's TfidfVectorizer has them by default: raw counts times ln((1 + n) / (1 +
 * df)) + 1, vectors of length 1. Words are maximal runs of a-z and 0-9 in lower case, one-letter
 * words too (Salton and Buckley 1988, "Term-weighting approaches in automatic text retrieval").
 *
 * Every text keeps a number and 8 bytes for each of its different words. A search costs as many
 * additions as the query's words occur in all texts. A sum's terms stand in the order of the words'
 * numbers, so a score has the same bits whoever computes it; of equal scores the lowest number
 * wins.
 *
 * After nearest_seal it never changes: several threads may search, each with its own scratch.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct nearest;
MUST_CHECK bool nearest_open(struct nearest **out, struct err *e);
void nearest_close(struct nearest *n);
/* Texts get the numbers 0, 1, ... */
MUST_CHECK bool nearest_add(struct nearest *n, struct str text, struct err *e);
/* No more texts; searches may begin. */
MUST_CHECK bool nearest_seal(struct nearest *n, struct err *e);
size_t nearest_count(const struct nearest *n);

struct nearest_scratch;
MUST_CHECK bool nearest_scratch_open(const struct nearest *n, struct nearest_scratch **out,
                                     struct err *e);
void nearest_scratch_close(struct nearest_scratch *s);
/* *index: the most similar text, SIZE_MAX when none shares a word; *score: the cosine. */
MUST_CHECK bool nearest_find(const struct nearest *n, struct nearest_scratch *s, struct str text,
                             size_t *index, double *score, struct err *e);
