/*
 * Added tokens in text (huggingface/tokenizers src/tokenizer/added_vocabulary.rs): the leftmost,
 * then the longest match; matches do not overlap; one that is refused (single_word, or a special
 * token in plain mode) is stepped over as a whole all the same.
 */
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Index of the longest content that text begins with, or nadded: the sorted list is narrowed byte
 * by byte. */
static uint32_t longest(const struct tokenizer *t, const struct tok_set *s, struct str text)
{
    size_t lo = 0, hi = s->n;
    uint32_t best = t->nadded;

    for (size_t d = 0; lo < hi; d++) {
        if (t->added[s->order[lo]].match.n == d) best = s->order[lo++];
        if (d == text.n) break;
        size_t from = lo, to = hi;
        while (from < to) { /* first whose byte d is not below */
            size_t mid = from + (to - from) / 2;
            if ((uint8_t)t->added[s->order[mid]].match.p[d] < (uint8_t)text.p[d])
                from = mid + 1;
            else
                to = mid;
        }
        for (lo = from, to = hi; from < to;) { /* first whose byte d is above */
            size_t mid = from + (to - from) / 2;
            if ((uint8_t)t->added[s->order[mid]].match.p[d] <= (uint8_t)text.p[d])
                from = mid + 1;
            else
                to = mid;
        }
        hi = from;
    }
    return best;
}

static bool word_touches(struct str text, size_t from, size_t to)
{
    size_t len;

    return (from > 0 && (uniclass(utf8_decode_last(str_sub(text, 0, from), &len)) & UNI_WORD)) ||
           (to < text.n && (uniclass(utf8_decode(str_sub(text, to, text.n), &len)) & UNI_WORD));
}

/* Take in white space to the left (not below floor) and to the right. */
static void strip(const struct tok_added *a, struct str text, size_t floor, struct tok_hit *hit)
{
    size_t len;

    while (a->lstrip && hit->from > floor &&
           (uniclass(utf8_decode_last(str_sub(text, 0, hit->from), &len)) & UNI_SPACE))
        hit->from -= len;
    while (a->rstrip && hit->to < text.n &&
           (uniclass(utf8_decode(str_sub(text, hit->to, text.n), &len)) & UNI_SPACE))
        hit->to += len;
}

#if defined(__SSE2__)
/* Sixteen places at once, while there are so many; the rest is left to the caller. */
static size_t skip_blocks(const struct tok_set *s, struct str text, size_t i)
{
    for (; s->nbegin > 0 && text.n - i > 16; i += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(text.p + i));
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(text.p + i + 1));
        __m128i hit = _mm_setzero_si128();
        for (uint32_t k = 0; k < s->nbegin; k++)
            hit = _mm_or_si128(
                hit, _mm_and_si128(_mm_cmpeq_epi8(a, _mm_set1_epi8((char)s->begin[k][0])),
                                   _mm_cmpeq_epi8(b, _mm_set1_epi8((char)s->begin[k][1]))));
        uint32_t bits = (uint32_t)_mm_movemask_epi8(hit);
        if (bits) return i + (size_t)__builtin_ctz(bits);
    }
    return i;
}
#else
static size_t skip_blocks(const struct tok_set *s, struct str text, size_t i)
{
    (void)s;
    (void)text;
    return i;
}
#endif

/* The next place whose two bytes may begin a token. */
static size_t maybe(const struct tok_set *s, struct str text, size_t i)
{
    const uint8_t *p = (const uint8_t *)text.p;

    i = skip_blocks(s, text, i);

    while (i + 1 < text.n) {
        if (!s->among[p[i + 1]]) { /* neither the second byte of one here, nor the first of one */
            if (s->pair[p[i] * 32 + p[i + 1] / 8] >> p[i + 1] % 8 & 1) return i;
            i += 2;
            continue;
        }
        if (s->pair[p[i] * 32 + p[i + 1] / 8] >> p[i + 1] % 8 & 1) return i;
        i++;
    }
    return i < text.n && s->first[p[i]] ? i : text.n;
}

bool tok_added_next(const struct tokenizer *t, int pass, struct str text, bool plain, size_t floor,
                    size_t *at, struct tok_hit *hit)
{
    const struct tok_set *s = &t->set[pass];

    if (s->n == 0 || (plain && !s->any_plain)) return false;
    while ((*at = maybe(s, text, *at)) < text.n) {
        size_t from = *at;
        uint32_t i = longest(t, s, str_sub(text, from, text.n));
        if (i == t->nadded) {
            ++*at;
            continue;
        }
        const struct tok_added *a = &t->added[i];
        *at = from + a->match.n;
        if (plain && a->special) continue;
        if (a->single_word && word_touches(text, from, *at)) continue;
        *hit = (struct tok_hit){from, *at, a->id};
        strip(a, text, floor, hit);
        return true;
    }
    return false;
}
