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
#include "text/tok_block.h"
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

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* ASCII letters at the front of eight bytes: 0 to 8. With bit 5 set, letters are 61 to 7A; adding
 * 1F and 5 carries into a byte's top bit from 61 and from 7B on. */
static inline size_t letters_in(uint64_t w)
{
    const uint64_t tops = 0x8080808080808080u;
    uint64_t low = (w | 0x2020202020202020u) & ~tops;
    uint64_t from_a = low + 0x1F1F1F1F1F1F1F1Fu, past_z = low + 0x0505050505050505u;
    uint64_t others = ~(from_a & ~past_z & ~w) & tops;

    return others ? (size_t)__builtin_ctzll(others) / 8 : 8;
}

/* Where the ASCII letters from i end, or earlier: the last bytes are left to the caller. */
static inline size_t skip_letters(const struct scan *s, size_t i)
{
    while (s->n - i >= 8) {
        uint64_t w;
        memcpy(&w, s->p + i, 8);
        size_t k = letters_in(w);
        i += k;
        if (k < 8) break;
    }
    return i;
}
#else
static inline size_t skip_letters(const struct scan *s, size_t i)
{
    (void)s;
    return i;
}
#endif

/* End of the run of one class that goes on at i. */
static inline size_t run_end(const struct scan *s, size_t i, uint32_t class)
{
    size_t len;

    for (;;) {
        if (class == LETTER) i = skip_letters(s, i);
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

    /* by far the most common word */
    if (s->p[i] == ' ' && i + 1 < s->n && ascii_class[s->p[i + 1]] == LETTER)
        return run_end(s, i + 1, LETTER);
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

/* ---- SentencePiece families: where a cut cannot change the ids */

static size_t cuts_end(const struct tokenizer *t, const struct scan *s, size_t i)
{
    uint8_t last = t->cut_class[s->p[i]];

    while (++i < s->n) {
        uint8_t now = t->cut_class[s->p[i]];
        if (t->cut[now][last]) return i;
        last = now;
    }
    return i;
}

static inline bool is_blank(uint8_t b)
{
    return b == ' ' || b == '\t' || b == '\n' || b == '\r';
}

/* The next run of blanks begins a word, if both its neighbours are ASCII. */
static size_t blanks_end(const struct scan *s, size_t i)
{
    while (++i < s->n)
        if (is_blank(s->p[i]) && !is_blank(s->p[i - 1]) && s->p[i - 1] < 0x80 &&
            (i + 1 == s->n || s->p[i + 1] < 0x80))
            return i;
    return i;
}

static inline bool is_punct(uint8_t b)
{
    return b > ' ' && b < 0x7F &&
           (b < '0' || (b > '9' && b < 'A') || (b > 'Z' && b < 'a') || b > 'z');
}

/* Words begin at a run of blanks, at each punctuation character without one, and behind it. */
static size_t bert_end(const struct scan *s, size_t i)
{
    while (++i < s->n) {
        uint8_t a = s->p[i - 1], b = s->p[i];
        if (is_blank(b) ? !is_blank(a) : is_punct(a) || (is_punct(b) && !is_blank(a))) return i;
    }
    return i;
}

static size_t word_end(const struct tokenizer *t, const struct scan *s, size_t i)
{
    switch (t->split) {
    case TOK_SPLIT_NONE:
        return s->n;
    case TOK_SPLIT_GPT2:
        return gpt2_end(s, i);
    case TOK_SPLIT_LLAMA3:
        return llama3_end(s, i);
    case TOK_SPLIT_CUTS:
        return cuts_end(t, s, i);
    case TOK_SPLIT_BLANKS:
        return blanks_end(s, i);
    case TOK_SPLIT_BERT:
        return bert_end(s, i);
    }
    UNREACHABLE();
}

/* One by one, past `stop`, where a block's judgement ended. */
static size_t single_words(const struct tokenizer *t, const struct scan *s, size_t *i, size_t stop,
                           uint32_t *ends, size_t max)
{
    size_t k = 0;

    while (k < max && *i < s->n && *i <= stop)
        ends[k++] = (uint32_t)(*i = word_end(t, s, *i));
    return k;
}

#ifdef TOK_HAVE_BLOCKS
typedef struct tok_masks classify_fn(const uint8_t *p, size_t room);
typedef size_t places_fn(uint64_t bits, size_t at, uint32_t *ends);

/* Ends of words inside the bytes from *i on, which begin a word; *i moves to the last of them,
 * *stop is where the block's judgement ends. ends has room for 64. *i < s->n. */
TOK_INLINE size_t block_words(const struct tokenizer *t, enum tok_split split, const struct scan *s,
                              size_t *i, size_t *stop, uint32_t *ends, classify_fn *classify,
                              places_fn *places)
{
    size_t at = *i, left = s->n - at, room = left < TOK_BLOCK ? left : TOK_BLOCK, k;
    uint64_t odd;
    struct tok_masks m = classify(s->p + at, room);
    uint64_t starts = tok_starts(t, split, &m, &odd);

    if (left < TOK_BLOCK && (odd & (((uint64_t)1 << left) - 1)) == 0) { /* all of what is left */
        k = places(starts & (((uint64_t)1 << left) - 2), at, ends);
        ends[k++] = (uint32_t)(*i = *stop = s->n);
        return k;
    }
    if (odd && (size_t)__builtin_ctzll(odd) < room) room = (size_t)__builtin_ctzll(odd);
    *stop = at + room;
    if (room < 2) return 0;
    /* not bit 0, where we are; nor the last one judged, which depends on the byte behind it */
    starts &= ((uint64_t)1 << (room - 1)) - 2;
    if (starts == 0) return 0;
    k = places(starts, at, ends);
    *i = at + 63 - (size_t)__builtin_clzll(starts);
    return k;
}

/* Compiled once a split and instruction set. */
TOK_INLINE size_t split_blocks(const struct tokenizer *t, enum tok_split split,
                               const struct scan *s, size_t from, uint32_t *ends, size_t max,
                               classify_fn *classify, places_fn *places)
{
    size_t k = 0, i = from;

    while (i < s->n && (max - k >= TOK_BLOCK || (k == 0 && max > 0))) {
        size_t begin = i, stop = i, got = 0;
        if (max - k >= TOK_BLOCK)
            got = block_words(t, split, s, &i, &stop, ends + k, classify, places);
        k += got;
        if (got > 0 && stop == begin + TOK_BLOCK) continue; /* neither odd nor the end */
        k += single_words(t, s, &i, stop, ends + k, max - k);
    }
    return k;
}

TOK_INLINE size_t split_with(const struct tokenizer *t, const struct scan *s, size_t from,
                             uint32_t *ends, size_t max, classify_fn *classify, places_fn *places)
{
    switch (t->split) {
    case TOK_SPLIT_GPT2:
        return split_blocks(t, TOK_SPLIT_GPT2, s, from, ends, max, classify, places);
    case TOK_SPLIT_LLAMA3:
        return split_blocks(t, TOK_SPLIT_LLAMA3, s, from, ends, max, classify, places);
    case TOK_SPLIT_CUTS:
        return split_blocks(t, TOK_SPLIT_CUTS, s, from, ends, max, classify, places);
    case TOK_SPLIT_BLANKS:
        return split_blocks(t, TOK_SPLIT_BLANKS, s, from, ends, max, classify, places);
    case TOK_SPLIT_BERT:
        return split_blocks(t, TOK_SPLIT_BERT, s, from, ends, max, classify, places);
    case TOK_SPLIT_NONE:
        return single_words(t, s, &from, SIZE_MAX, ends, max);
    }
    UNREACHABLE();
}

static size_t split_sse2(const struct tokenizer *t, const struct scan *s, size_t from,
                         uint32_t *ends, size_t max)
{
    return split_with(t, s, from, ends, max, tok_classify_sse2, tok_places_sse2);
}

TOK_AVX512 static size_t split_avx512(const struct tokenizer *t, const struct scan *s, size_t from,
                                      uint32_t *ends, size_t max)
{
    return split_with(t, s, from, ends, max, tok_classify_avx512, tok_places_avx512);
}

static bool plain_blocks; /* tests: without AVX-512 */

void tok_split_plain(bool on)
{
    plain_blocks = on;
}

bool tok_has_avx512(void)
{
    return !plain_blocks && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi2");
}
#else
void tok_split_plain(bool on)
{
    (void)on;
}

bool tok_has_avx512(void)
{
    return false;
}
#endif

size_t tok_split_words(const struct tokenizer *t, const char *text, size_t n, size_t from,
                       uint32_t *ends, size_t max)
{
    struct scan s = {(const uint8_t *)text, n, t->digits};

    CHECK(n < UINT32_MAX);
#ifdef TOK_HAVE_BLOCKS
    if (tok_has_avx512()) return split_avx512(t, &s, from, ends, max);
    return split_sse2(t, &s, from, ends, max);
#else
    return single_words(t, &s, &from, SIZE_MAX, ends, max);
#endif
}
