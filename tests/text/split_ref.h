/*
 * tests/text/split_ref - the two regular expressions of lib/text/tok_split.c, matched the plain way:
 * at each place the alternatives in the order in which they are written, greedy, with backtracking.
 * Slow on purpose, and shares nothing with the product but the character classes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text/uniclass.h"
#include "text/utf8.h"

struct ref_text {
    uint32_t cp[4096];
    uint32_t at[4097]; /* byte of each code point */
    size_t n;
};

static inline void ref_decode(struct str s, struct ref_text *t)
{
    size_t i = 0, len;

    for (t->n = 0; i < s.n && t->n < 4096; i += len) {
        t->at[t->n] = (uint32_t)i;
        t->cp[t->n++] = utf8_decode(str_sub(s, i, s.n), &len);
    }
    t->at[t->n] = (uint32_t)i;
}

static inline bool ref_is(const struct ref_text *t, size_t i, size_t end, uint32_t bits)
{
    return i < end && (uniclass(t->cp[i]) & bits);
}

static inline bool ref_other(const struct ref_text *t, size_t i, size_t end)
{
    return i < end && !(uniclass(t->cp[i]) & (UNI_LETTER | UNI_NUMBER | UNI_SPACE));
}

static inline bool ref_line_end(const struct ref_text *t, size_t i, size_t end)
{
    return i < end && (t->cp[i] == '\r' || t->cp[i] == '\n');
}

/* 's|'t|'re|'ve|'m|'ll|'d at i */
static inline size_t ref_contraction(const struct ref_text *t, size_t i, size_t end, bool fold)
{
    static const char *const all[] = {"s", "t", "re", "ve", "m", "ll", "d"};

    if (i >= end || t->cp[i] != '\'') return 0;
    for (size_t k = 0; k < 7; k++) {
        size_t n = strlen(all[k]), m = 0;
        for (; m < n && i + 1 + m < end; m++) {
            uint32_t c = t->cp[i + 1 + m], want = (uint8_t)all[k][m];
            bool same =
                c == want || (fold && c == want - 32) || (fold && want == 's' && c == 0x17F);
            if (!same) break;
        }
        if (m == n) return n + 1;
    }
    return 0;
}

/* \s+(?!\S)|\s+ */
static inline size_t ref_spaces(const struct ref_text *t, size_t i, size_t end)
{
    size_t j = i;

    while (ref_is(t, j, end, UNI_SPACE))
        j++;
    for (size_t k = j; k > i; k--)
        if (k == end || ref_is(t, k, end, UNI_SPACE)) return k;
    return j;
}

static inline size_t ref_gpt2(const struct ref_text *t, size_t i, size_t end)
{
    size_t k = ref_contraction(t, i, end, false), j = i + (t->cp[i] == ' ');

    if (k) return i + k;
    if (ref_is(t, j, end, UNI_LETTER)) {
        while (ref_is(t, j, end, UNI_LETTER))
            j++;
        return j;
    }
    if (ref_is(t, j, end, UNI_NUMBER)) {
        while (ref_is(t, j, end, UNI_NUMBER))
            j++;
        return j;
    }
    if (ref_other(t, j, end)) {
        while (ref_other(t, j, end))
            j++;
        return j;
    }
    return ref_spaces(t, i, end);
}

static inline size_t ref_llama3(const struct ref_text *t, size_t i, size_t end)
{
    size_t k = ref_contraction(t, i, end, true), j = i;

    if (k) return i + k;
    if (!ref_line_end(t, i, end) && !ref_is(t, i, end, UNI_LETTER | UNI_NUMBER) &&
        ref_is(t, i + 1, end, UNI_LETTER))
        j = i + 1;
    if (ref_is(t, j, end, UNI_LETTER)) {
        while (ref_is(t, j, end, UNI_LETTER))
            j++;
        return j;
    }
    if (ref_is(t, i, end, UNI_NUMBER)) {
        for (j = i; j < i + 3 && ref_is(t, j, end, UNI_NUMBER);)
            j++;
        return j;
    }
    j = i + (t->cp[i] == ' ');
    if (ref_other(t, j, end)) {
        while (ref_other(t, j, end))
            j++;
        while (ref_line_end(t, j, end))
            j++;
        return j;
    }
    for (j = i; ref_is(t, j, end, UNI_SPACE);)
        j++;
    for (k = j; k > i; k--)
        if (ref_line_end(t, k - 1, end)) return k;
    return ref_spaces(t, i, end);
}

/* Byte ends of all words; ends has room for one a code point. digits: each a stretch of its own. */
static inline size_t ref_split(const struct ref_text *t, bool llama3, bool digits, uint32_t *ends)
{
    size_t n = 0, i = 0;

    while (i < t->n) {
        size_t end = i;
        if (!digits)
            end = t->n;
        else if (uniclass(t->cp[i]) & UNI_DIGIT)
            end = i + 1;
        else
            while (end < t->n && !(uniclass(t->cp[end]) & UNI_DIGIT))
                end++;
        while (i < end) {
            i = llama3 ? ref_llama3(t, i, end) : ref_gpt2(t, i, end);
            ends[n++] = t->at[i];
        }
    }
    return n;
}
