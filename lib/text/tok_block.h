/*
 * text/tok_block - word starts of sixty-four bytes at once, by bit algebra. Private to lib/text.
 *
 * A block begins where a word begins. Each byte's class is a bit in one mask a class; a word
 * starts where a class begins, with the exceptions of the splits (tok_split.c) written as
 * shifts. What does not fit the two regular expressions (bytes from 0x80 on, apostrophes, for
 * Llama-3 also line ends and more than three digits) is odd: it ends the part of the block that
 * counts, and the caller goes on by single words. The SentencePiece families have nothing odd.
 *
 * Classes are found with SSE2, which every x86-64 has, or with AVX-512 where the processor has it;
 * elsewhere words are found one by one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text/tok_impl.h"

#define TOK_BLOCK  64u
#define TOK_INLINE static inline __attribute__((always_inline))

#if defined(__SSE2__) && defined(__GNUC__)
#include <immintrin.h>
#define TOK_HAVE_BLOCKS 1
#define TOK_AVX512      __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,bmi,bmi2")))

struct tok_masks {
    uint64_t letter, number, blank; /* ASCII; blank: U+0020 */
    uint64_t white, edge;           /* \t to \r and blank; \v and \f */
    uint64_t line_end, quote, high, control;
};

/* Bytes from lo on, `count` of them, as ones. Signed compares want a shifted range. */
static inline __m128i tok_in_range(__m128i x, char lo, int count)
{
    __m128i shifted = _mm_add_epi8(x, _mm_set1_epi8((char)(-128 - lo)));

    return _mm_cmplt_epi8(shifted, _mm_set1_epi8((char)(-128 + count)));
}

static inline uint64_t tok_bits(__m128i x)
{
    return (uint32_t)_mm_movemask_epi8(x);
}

/* The classes of `room` bytes at p, and tabs behind them: at the end of a text white space of any
 * length is one word, as if it went on. Masks that a caller does not look at cost nothing: they are
 * not computed once this is inlined. */
TOK_INLINE struct tok_masks tok_classify_sse2(const uint8_t *p, size_t room)
{
    struct tok_masks m = {0};
    uint8_t tail[TOK_BLOCK];

    if (room < TOK_BLOCK) {
        memset(tail, '\t', sizeof(tail));
        p = memcpy(tail, p, room);
    }
    for (int i = 0; i < 64; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i blank = _mm_cmpeq_epi8(x, _mm_set1_epi8(' '));
        __m128i line = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                    _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
        __m128i low = _mm_or_si128(tok_in_range(x, 0, 32), _mm_cmpeq_epi8(x, _mm_set1_epi8(127)));
        m.letter |= tok_bits(tok_in_range(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 26)) << i;
        m.number |= tok_bits(tok_in_range(x, '0', 10)) << i;
        m.white |= tok_bits(_mm_or_si128(blank, tok_in_range(x, '\t', 5))) << i;
        m.edge |= tok_bits(tok_in_range(x, '\v', 2)) << i;
        m.blank |= tok_bits(blank) << i;
        m.line_end |= tok_bits(line) << i;
        m.quote |= tok_bits(_mm_cmpeq_epi8(x, _mm_set1_epi8('\''))) << i;
        m.high |= tok_bits(x) << i; /* a byte's top bit is set from 0x80 on */
        m.control |= tok_bits(low) << i;
    }
    return m;
}

#define TOK_RANGE_512(x, lo, count)                                                                \
    _mm512_cmplt_epu8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8(lo)), _mm512_set1_epi8(count))

TOK_AVX512 static inline struct tok_masks tok_classify_avx512(const uint8_t *p, size_t room)
{
    uint64_t there = room < TOK_BLOCK ? ((uint64_t)1 << room) - 1 : UINT64_MAX;
    __m512i x = _mm512_mask_loadu_epi8(_mm512_set1_epi8('\t'), there, p);
    uint64_t blank = _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(' '));

    return (struct tok_masks){
        .letter = TOK_RANGE_512(_mm512_or_si512(x, _mm512_set1_epi8(0x20)), 'a', 26),
        .number = TOK_RANGE_512(x, '0', 10),
        .blank = blank,
        .white = blank | TOK_RANGE_512(x, '\t', 5),
        .edge = TOK_RANGE_512(x, '\v', 2),
        .line_end = _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\n')) |
                    _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\r')),
        .quote = _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\'')),
        .high = _mm512_movepi8_mask(x),
        .control = TOK_RANGE_512(x, 0, 32) | _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(127))};
}

/* Places of the bits, plus `at`, to ends (room for 64); returns how many. */
TOK_INLINE size_t tok_places_sse2(uint64_t bits, size_t at, uint32_t *ends)
{
    size_t k = 0;

    for (; bits; bits &= bits - 1)
        ends[k++] = (uint32_t)(at + (size_t)__builtin_ctzll(bits));
    return k;
}

TOK_AVX512 static inline size_t tok_places_avx512(uint64_t bits, size_t at, uint32_t *ends)
{
    static const uint8_t iota[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i places = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(iota));
    __m512i base = _mm512_set1_epi32((int)at);
    size_t n = (size_t)__builtin_popcountll(bits);

    _mm512_storeu_si512(
        ends, _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(places))));
    if (n > 16) { /* the last ones may lie beyond n: the room is there */
        _mm512_storeu_si512(
            ends + 16,
            _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 1))));
        _mm512_storeu_si512(
            ends + 32,
            _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 2))));
        _mm512_storeu_si512(
            ends + 48,
            _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 3))));
    }
    return n;
}

/* Word starts; a bit is right if its neighbours are judged. Digits split off: each alone. */
TOK_INLINE uint64_t tok_gpt2_starts(const struct tok_masks *m, bool digits)
{
    uint64_t words = ~m->white, other = words & ~m->letter & ~m->number;
    uint64_t takes = digits ? words & ~m->number : words; /* what a blank in front joins */
    uint64_t joined = m->blank & takes >> 1;
    uint64_t begin = (m->letter & ~(m->letter << 1)) | (other & ~(other << 1)) |
                     (digits ? m->number : m->number & ~(m->number << 1));

    /* a run of white space gives up its last character to, or before, what follows */
    return (begin & ~(joined << 1)) | (m->white & ~(m->white << 1)) | (m->white & takes >> 1);
}

TOK_INLINE uint64_t tok_llama3_starts(const struct tok_masks *m)
{
    uint64_t words = ~m->white, other = words & ~m->letter & ~m->number;
    uint64_t blank_other = m->blank & other >> 1;
    uint64_t other_begin = other & ~(other << 1) & ~(blank_other << 1);
    uint64_t letter_taker = m->white | (other_begin & m->letter >> 1);

    return (m->letter & ~(m->letter << 1) & ~(letter_taker << 1)) |
           (m->number & ~(m->number << 1)) | other_begin | (m->white & ~(m->white << 1)) |
           (m->white & words >> 1);
}

/* Wherever two classes meet that no piece spans. */
TOK_INLINE uint64_t tok_cuts_starts(const struct tokenizer *t, const struct tok_masks *m)
{
    const uint64_t class[TOK_CUTS] = {
        [TOK_CUT_BLANK] = m->blank,
        [TOK_CUT_CTRL] = m->control,
        [TOK_CUT_LETTER] = m->letter,
        [TOK_CUT_DIGIT] = m->number,
        [TOK_CUT_HIGH] = m->high,
        [TOK_CUT_OTHER] = ~(m->blank | m->control | m->letter | m->number | m->high)};
    uint64_t starts = 0;

    for (int b = 0; b < TOK_CUTS; b++) {
        uint64_t before = 0;
        for (int a = 0; a < TOK_CUTS; a++)
            before |= class[a] & t->cut[b][a];
        starts |= class[b] & before << 1;
    }
    return starts;
}

TOK_INLINE uint64_t tok_blanks_starts(const struct tok_masks *m)
{
    uint64_t gap = m->white & ~m->edge;

    return gap & ~(gap << 1) & ~(m->high << 1) & ~(m->high >> 1);
}

TOK_INLINE uint64_t tok_bert_starts(const struct tok_masks *m)
{
    uint64_t gap = m->white & ~m->edge;
    uint64_t punct = ~(m->blank | m->control | m->letter | m->number | m->high);

    return (gap & ~(gap << 1)) | (punct & ~(gap << 1)) | (~gap & punct << 1);
}

/* *odd: bits that the split does not judge. */
TOK_INLINE uint64_t tok_starts(const struct tokenizer *t, enum tok_split split,
                               const struct tok_masks *m, uint64_t *odd)
{
    *odd = 0;
    switch (split) {
    case TOK_SPLIT_GPT2:
        *odd = m->high | m->quote;
        return tok_gpt2_starts(m, t->digits);
    case TOK_SPLIT_LLAMA3:
        *odd = m->high | m->quote | m->line_end |
               (m->number & m->number << 1 & m->number << 2 & m->number << 3);
        return tok_llama3_starts(m);
    case TOK_SPLIT_CUTS:
        return tok_cuts_starts(t, m);
    case TOK_SPLIT_BLANKS:
        return tok_blanks_starts(m);
    case TOK_SPLIT_BERT:
        return tok_bert_starts(m);
    case TOK_SPLIT_NONE:
        return 0;
    }
    UNREACHABLE();
}
#endif
