/*
 * evaluate/text_numbers - a table from a text to a number, for evaluate alone.
 *
 * Two texts are taken for equal when their 128-bit hashes are; the table keeps no text.
 */
#pragma once
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct text_numbers {
    struct hash128 *key;
    uint32_t *value; /* 0: free */
    size_t cap;
};
/* Room for n texts. On failure call free all the same. */
MUST_CHECK bool text_numbers_init(struct text_numbers *t, size_t n, struct err *e);
void text_numbers_free(struct text_numbers *t);
/* Where the number of a text stands; 0 until the caller writes one there. */
uint32_t *text_numbers_at(struct text_numbers *t, struct str s);
