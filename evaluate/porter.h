/*
 * evaluate/porter - the Porter stemmer with NLTK's extensions, as rouge-score uses it.
 *
 * M.F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the changes of NLTK's
 * default mode: a small table of irregular words, -ies/-ied of four-letter words, -alli first,
 * -bli, -fulli, -logi, and a vowel+consonant pair counting as a short syllable. Exact for a-z0-9
 * words.
 */
#pragma once
#include <stddef.h>

/* Stem the n lower-case bytes at w in place; the new length. A stem is never longer than its word.
 */
size_t porter_stem(char *w, size_t n);
