/*
 * evaluate/word_diff - which words of two texts stand in a longest common subsequence.
 *
 * Words are what stands between white space; they are equal when they agree but for case and
 * punctuation at their ends. Texts of more than WORD_DIFF_MAX words are compared up to there; what
 * follows counts as different.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum { WORD_DIFF_MAX = 2000 };

struct diff_word {
    struct str text;
    bool common;
};
struct diff_side {
    struct diff_word *v;
    size_t n;
};
/* Both sides in the arena. */
MUST_CHECK bool word_diff(struct str a, struct str b, struct arena *arena, struct diff_side *left,
                          struct diff_side *right, struct err *e);
