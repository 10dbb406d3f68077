/*
 * Where words end, by hand-written matchers of two regular expressions:
 *
 * GPT-2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * Llama-3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
 *          | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * They match every text from end to end, so a word begins where the last one ended. With digits,
 * each digit is a stretch of its own, and the look-ahead of \s+(?!\S) sees the end of the stretch.
 */
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

/* Every character is one of four; HIGH marks bytes that need decoding. */
enum { OTHER = 0, LETTER = 1, NUMBER = 2, SPACE = 4, HIGH = 0xFF };

#define X4(v)  v, v, v, v
#define X16(v) X4(v), X4(v), X4(v), X4(v)
#define X26(v) X16(v), X4(v), X4(v), v, v
static const uint8_t ascii_class[256] = {
    X4(OTHER),  X4(OTHER),   OTHER,     SPACE,     SPACE,     SPACE, SPACE,
    SPACE,      OTHER,       OTHER,                                         /* 00-0F */
    X16(OTHER),                                                             /* 10-1F */
    SPACE,      X4(OTHER),   X4(OTHER), X4(OTHER), OTHER,     OTHER, OTHER, /* 20-2F */
    X4(NUMBER), X4(NUMBER),  NUMBER,    NUMBER,    X4(OTHER), OTHER, OTHER, /* 30-3F */
    OTHER,      X26(LETTER), X4(OTHER), OTHER,                              /* 40-5F */
    OTHER,      X26(LETTER), X4(OTHER), OTHER,                              /* 60-7F */
    X16(HIGH),  X16(HIGH),   X16(HIGH), X16(HIGH),                          /* 80-BF */
    X16(HIGH),  X16(HIGH),   X16(HIGH), X16(HIGH),                          /* C0-FF */
};

struct scan {
    const uint8_t *p;
    size_t n;
    bool digits; /* everything the Digits pre-tokenizer splits off counts as NUMBER */
};

static __attribute__((noinline)) uint32_t high_class(const struct scan *s, size_t i, size_t *len)
{
    uint32_t bits = uniclass(utf8_decode((struct str){(const char *)s->p + i, s->n - i}, len));

    if (bits & UNI_LETTER) return LETTER;
    if (bits & (UNI_NUMBER | (s->digits ? (uint32_t)UNI_DIGIT : 0))) return NUMBER;
    return bits & UNI_SPACE ? SPACE : OTHER;
}

static inline uint32_t class_at(const struct scan *s, size_t i, size_t *len)
{
    uint32_t c = ascii_class[s->p[i]];

    if (__builtin_expect(c == HIGH, 0)) return high_class(s, i, len);
    *len = 1;
    return c;
}

/* End of the run of one class that goes on at i. */
static inline size_t run_end(const struct scan *s, size_t i, uint32_t class)
{
    size_t len;

    for (;;) {
        while (i < s->n && ascii_class[s->p[i]] == class)
            i++;
        if (i >= s->n || s->p[i] < 0x80 || high_class(s, i, &len) != class) return i;
        i += len;
    }
}

/* A white-space run from i that no " ?" took: all of it at the end of the stretch, else all but the
 * last character, which stands alone when it is the only one. */
static size_t space_end(const struct scan *s, size_t i)
{
    size_t end = run_end(s, i, SPACE), last = end, len;

    if (end == s->n) return end;
    if (s->digits && class_at(s, end, &len) == NUMBER) return end;
    do
        last--;
    while ((s->p[last] & 0xC0) == 0x80);
    return last > i ? last : end;
}

/* Length of a contraction at the apostrophe at i, or 0. */
static size_t contraction(const struct scan *s, size_t i, bool any_case)
{
    uint8_t lift = any_case ? 0x20 : 0;

    if (s->n - i < 2) return 0;
    uint8_t a = s->p[i + 1] | lift;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (s->n - i < 3) return 0;
    uint8_t b = s->p[i + 2] | lift;
    if (((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l')) return 3;
    /* U+017F, long s, is an s in any case */
    return any_case && s->p[i + 1] == 0xC5 && s->p[i + 2] == 0xBF ? 3 : 0;
}

static inline size_t gpt2_end(const struct scan *s, size_t i)
{
    size_t len, k;
    uint32_t c = class_at(s, i, &len);

    if (s->p[i] == '\'' && (k = contraction(s, i, false)) > 0) return i + k;
    if (s->p[i] == ' ' && i + 1 < s->n) {
        size_t next_len;
        uint32_t next = class_at(s, i + 1, &next_len);
        if (next != SPACE && !(s->digits && next == NUMBER)) {
            c = next;
            len = 1 + next_len;
        }
    }
    if (c == SPACE) return space_end(s, i);
    if (s->digits && c == NUMBER) return i + len;
    return run_end(s, i + len, c);
}

static size_t llama3_number_end(const struct scan *s, size_t i)
{
    size_t len;

    for (int k = 0; k < 3 && i < s->n && class_at(s, i, &len) == NUMBER; k++)
        i += len;
    return i;
}

static size_t llama3_space_end(const struct scan *s, size_t i)
{
    size_t end = run_end(s, i, SPACE);

    for (size_t k = end; k > i; k--)
        if (s->p[k - 1] == '\n' || s->p[k - 1] == '\r') return k;
    return space_end(s, i);
}

static inline size_t llama3_end(const struct scan *s, size_t i)
{
    size_t len, next_len, k;
    uint32_t c = class_at(s, i, &len), next = SPACE;

    if (s->p[i] == '\'' && (k = contraction(s, i, true)) > 0) return i + k;
    if (c == LETTER) return run_end(s, i + len, LETTER);
    if (c == NUMBER) return llama3_number_end(s, i);
    if (i + len < s->n && s->p[i] != '\r' && s->p[i] != '\n') {
        next = class_at(s, i + len, &next_len);
        if (next == LETTER) return run_end(s, i + len + next_len, LETTER);
    }
    if (c == OTHER || (s->p[i] == ' ' && i + 1 < s->n && next == OTHER)) {
        i = run_end(s, i + len, OTHER);
        while (i < s->n && (s->p[i] == '\r' || s->p[i] == '\n'))
            i++;
        return i;
    }
    return llama3_space_end(s, i);
}

size_t tok_split_words(const struct tokenizer *t, const char *text, size_t n, size_t from,
                       uint32_t *ends, size_t max)
{
    struct scan s = {(const uint8_t *)text, n, t->digits};
    size_t k = 0, i = from;

    CHECK(n < UINT32_MAX);
    switch (t->split) {
    case TOK_SPLIT_NONE:
        if (i < n && max > 0) ends[k++] = (uint32_t)n;
        break;
    case TOK_SPLIT_GPT2:
        while (i < n && k < max)
            ends[k++] = (uint32_t)(i = gpt2_end(&s, i));
        break;
    case TOK_SPLIT_LLAMA3:
        while (i < n && k < max)
            ends[k++] = (uint32_t)(i = llama3_end(&s, i));
        break;
    }
    return k;
}
