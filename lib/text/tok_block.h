/*
 * text/tok_block - word starts of sixty-four ASCII bytes at once, by bit algebra. Private to
 * lib/text.
 *
 * A block begins where a word begins. Each byte's class is a bit in one mask a class; a word starts
 * where a class begins, with the exceptions of the two regular expressions (tok_split.c) written as
 * shifts. What does not fit (bytes from 0x80 on, apostrophes, for Llama-3 also line ends and more
 * than three digits) ends the part of the block that counts; the caller goes on by single words.
 *
 * Compiled where SSE2 is (every x86-64); elsewhere words are found one by one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#define TOK_HAVE_BLOCKS 1
#define TOK_BLOCK       64u

struct tok_masks {
    uint64_t letter, number, space, blank, line_end, odd; /* blank: U+0020; odd: not to be judged */
};

/* Bytes from lo on, `count` of them, as ones; others as zeros. Signed compares want a shifted
 * range. */
static inline __m128i tok_in_range(__m128i x, char lo, int count)
{
    __m128i shifted = _mm_add_epi8(x, _mm_set1_epi8((char)(-128 - lo)));

    return _mm_cmplt_epi8(shifted, _mm_set1_epi8((char)(-128 + count)));
}

static inline uint64_t tok_bits(__m128i x)
{
    return (uint32_t)_mm_movemask_epi8(x);
}

static inline struct tok_masks tok_classify(const uint8_t p[64])
{
    struct tok_masks m = {0};

    for (int i = 0; i < 64; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i blank = _mm_cmpeq_epi8(x, _mm_set1_epi8(' '));
        __m128i line = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                    _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        __m128i odd = _mm_or_si128(x, _mm_cmpeq_epi8(x, _mm_set1_epi8('\'')));
        m.letter |= tok_bits(tok_in_range(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 26)) << i;
        m.number |= tok_bits(tok_in_range(x, '0', 10)) << i;
        m.space |= tok_bits(_mm_or_si128(blank, tok_in_range(x, '\t', 5))) << i;
        m.blank |= tok_bits(blank) << i;
        m.line_end |= tok_bits(line) << i;
        m.odd |= tok_bits(odd) << i; /* a byte's top bit is set from 0x80 on */
    }
    return m;
}

/* Word starts; a bit is right if its neighbours are judged. Digits split off: each alone. */
static inline uint64_t tok_gpt2_starts(const struct tok_masks *m, bool digits)
{
    uint64_t words = ~m->space, other = words & ~m->letter & ~m->number;
    uint64_t takes = digits ? words & ~m->number : words; /* what a blank in front joins */
    uint64_t joined = m->blank & takes >> 1;
    uint64_t begin = (m->letter & ~(m->letter << 1)) | (other & ~(other << 1)) |
                     (digits ? m->number : m->number & ~(m->number << 1));

    /* a run of white space gives up its last character to, or before, what follows */
    return (begin & ~(joined << 1)) | (m->space & ~(m->space << 1)) | (m->space & takes >> 1);
}

static inline uint64_t tok_llama3_starts(const struct tok_masks *m)
{
    uint64_t words = ~m->space, other = words & ~m->letter & ~m->number;
    uint64_t blank_other = m->blank & other >> 1;
    uint64_t other_begin = other & ~(other << 1) & ~(blank_other << 1);
    uint64_t letter_taker = m->space | (other_begin & m->letter >> 1);

    return (m->letter & ~(m->letter << 1) & ~(letter_taker << 1)) |
           (m->number & ~(m->number << 1)) | other_begin | (m->space & ~(m->space << 1)) |
           (m->space & words >> 1);
}

/* For Llama-3 not to be judged: line ends, and digits beyond a third. */
static inline uint64_t tok_llama3_odd(const struct tok_masks *m)
{
    return m->odd | m->line_end | (m->number & m->number << 1 & m->number << 2 & m->number << 3);
}
#endif
