#include "evaluate/bleu_tok.h"

#include <string.h>

#include "base/mem.h"
#include "text/clean.h"
#include "text/utf8.h"

void bleu_tok_free(struct bleu_tok *t)
{
    mem_free(t->a.p);
    mem_free(t->b.p);
    *t = (struct bleu_tok){0};
}

static struct str view(const struct bleu_buf *b)
{
    return (struct str){b->p, b->n};
}

/* Empty b and make room for n bytes. */
static bool room(struct bleu_buf *b, size_t n, struct err *e)
{
    b->n = 0;
    return mem_grow((void **)&b->p, &b->cap, n, 1, e);
}

static void swap(struct bleu_tok *t)
{
    struct bleu_buf a = t->a;
    t->a = t->b;
    t->b = a;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The class [\{-\~\[-\` -\&\(-\+\:-\@\/]: punctuation that always parts, and the blank. */
static bool parts(char c)
{
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
           (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

/* Bytes of the last character of s (n > 0) when it is white space, else 0. */
static size_t space_before_end(struct str s)
{
    size_t len = 1, back = 1;
    uint32_t c = (unsigned char)s.p[s.n - 1];
    while (c >= 0x80 && back < 4 && back < s.n && ((unsigned char)s.p[s.n - back] & 0xc0) == 0x80)
        back++;
    if (c >= 0x80) (void)utf8_next(str_sub(s, s.n - back, s.n), &c, &len);
    return clean_is_space(c) && len == back ? back : 0;
}

static struct str strip_right(struct str s)
{
    size_t n;
    while (s.n > 0 && (n = space_before_end(s)) > 0)
        s.n -= n;
    return s;
}

/* Replace every `from` in t->a by `with`, no longer than it, left to right. */
static bool replace(struct bleu_tok *t, struct str from, struct str with, struct err *e)
{
    struct str s = view(&t->a);
    if (str_find(s, from, 0) == SIZE_MAX) return true;
    if (!room(&t->b, s.n, e)) return false;
    for (size_t i = 0; i < s.n;) {
        if (s.n - i < from.n || memcmp(s.p + i, from.p, from.n) != 0) {
            t->b.p[t->b.n++] = s.p[i++];
            continue;
        }
        memcpy(t->b.p + t->b.n, with.p, with.n);
        t->b.n += with.n;
        i += from.n;
    }
    swap(t);
    return true;
}

/* The replacements in front of the passes; the text ends up in t->a, a blank at both ends. */
static bool prepare(struct bleu_tok *t, struct str text, struct err *e)
{
    static const struct {
        struct str from, with;
    } table[] = {
        {STR_INIT("<skipped>"), STR_INIT("")}, {STR_INIT("-\n"), STR_INIT("")},
        {STR_INIT("\n"), STR_INIT(" ")},       {STR_INIT("&quot;"), STR_INIT("\"")},
        {STR_INIT("&amp;"), STR_INIT("&")},    {STR_INIT("&lt;"), STR_INIT("<")},
        {STR_INIT("&gt;"), STR_INIT(">")},
    };
    text = strip_right(text);
    if (text.n > BLEU_TEXT_MAX) return err_set(e, ERR_LIMIT, "a text of %zu bytes", text.n);
    if (!room(&t->a, text.n + 2, e)) return false;
    t->a.p[t->a.n++] = ' ';
    if (text.n > 0) memcpy(t->a.p + 1, text.p, text.n);
    t->a.n += text.n;
    enum { ENTITIES = 3, ALL = sizeof table / sizeof table[0] };
    size_t n = memchr(t->a.p, '&', t->a.n) ? ALL : ENTITIES;
    for (size_t i = 0; i < n; i++)
        if (!replace(t, table[i].from, table[i].with, e)) return false;
    if (!mem_grow((void **)&t->a.p, &t->a.cap, t->a.n + 1, 1, e)) return false;
    t->a.p[t->a.n++] = ' ';
    return true;
}

/* [class] -> " x " */
static bool pass_parts(struct bleu_tok *t, struct err *e)
{
    if (!room(&t->b, 3 * t->a.n, e)) return false;
    char *out = t->b.p;
    for (size_t i = 0; i < t->a.n; i++) {
        char c = t->a.p[i];
        bool p = parts(c);
        if (p) *out++ = ' ';
        *out++ = c;
        if (p) *out++ = ' ';
    }
    t->b.n = (size_t)(out - t->b.p);
    swap(t);
    return true;
}

enum pass { PASS_NOT_DIGIT_BEFORE, PASS_NOT_DIGIT_AFTER, PASS_DIGIT_DASH };

static bool pass_hits(enum pass p, char x, char y)
{
    switch (p) {
    case PASS_NOT_DIGIT_BEFORE:
        return (y == '.' || y == ',') && !is_digit(x);
    case PASS_NOT_DIGIT_AFTER:
        return (x == '.' || x == ',') && !is_digit(y);
    case PASS_DIGIT_DASH:
        return y == '-' && is_digit(x);
    }
    UNREACHABLE();
}

/* Pairs of neighbours: "xy" -> "x y " or, after a full stop or comma, " x y". */
static bool pass_pairs(enum pass p, struct bleu_tok *t, struct err *e)
{
    struct str s = view(&t->a);
    if (p == PASS_DIGIT_DASH && !memchr(s.p, '-', s.n)) return true; /* most texts have none */
    if (!room(&t->b, 2 * s.n, e)) return false;
    char *out = t->b.p;
    for (size_t i = 0; i < s.n;) {
        if (i + 1 == s.n || !pass_hits(p, s.p[i], s.p[i + 1])) {
            *out++ = s.p[i++];
            continue;
        }
        if (p == PASS_NOT_DIGIT_AFTER) *out++ = ' ';
        *out++ = s.p[i];
        *out++ = ' ';
        *out++ = s.p[i + 1];
        if (p != PASS_NOT_DIGIT_AFTER) *out++ = ' ';
        i += 2;
    }
    t->b.n = (size_t)(out - t->b.p);
    swap(t);
    return true;
}

bool bleu_tok_13a(struct bleu_tok *t, struct str text, struct str *out, struct err *e)
{
    if (!prepare(t, text, e) || !pass_parts(t, e)) return false;
    if (!pass_pairs(PASS_NOT_DIGIT_BEFORE, t, e) || !pass_pairs(PASS_NOT_DIGIT_AFTER, t, e) ||
        !pass_pairs(PASS_DIGIT_DASH, t, e))
        return false;
    *out = view(&t->a);
    return true;
}

/* Bytes of the white space at s[i], or 0. */
static inline size_t space_at(struct str s, size_t i)
{
    unsigned char b = (unsigned char)s.p[i];
    if (b > ' ' && b < 0x80) return 0; /* nearly all there is */
    uint32_t c = b;
    size_t len = 1;
    if (b >= 0x80) (void)utf8_next(str_sub(s, i, s.n), &c, &len);
    return clean_is_space(c) ? len : 0;
}

bool bleu_tok_next(struct str *rest, struct str *token)
{
    size_t i = 0, n;
    while (i < rest->n && (n = space_at(*rest, i)) > 0)
        i += n;
    size_t from = i;
    while (i < rest->n && space_at(*rest, i) == 0)
        i++;
    *token = str_sub(*rest, from, i);
    *rest = str_sub(*rest, i, rest->n);
    return i > from;
}

/* ---- plain text */

enum kind { WORD, DIGIT, WHITE, PART, POINT, DASH, ODD };

static enum kind kind_of(char c)
{
    static const unsigned char table[128] = {
        [0x09] = WHITE, [0x0a] = WHITE, [0x0b] = WHITE, [0x0c] = WHITE, [0x0d] = WHITE,
        [0x1c] = WHITE, [0x1d] = WHITE, [0x1e] = WHITE, [0x1f] = WHITE, [' '] = WHITE,
        ['!'] = PART,   ['"'] = PART,   ['#'] = PART,   ['$'] = PART,   ['%'] = PART,
        ['&'] = ODD,    ['('] = PART,   [')'] = PART,   ['*'] = PART,   ['+'] = PART,
        [','] = POINT,  ['-'] = DASH,   ['.'] = POINT,  ['/'] = PART,   ['0'] = DIGIT,
        ['1'] = DIGIT,  ['2'] = DIGIT,  ['3'] = DIGIT,  ['4'] = DIGIT,  ['5'] = DIGIT,
        ['6'] = DIGIT,  ['7'] = DIGIT,  ['8'] = DIGIT,  ['9'] = DIGIT,  [':'] = PART,
        [';'] = PART,   ['<'] = ODD,    ['='] = PART,   ['>'] = PART,   ['?'] = PART,
        ['@'] = PART,   ['['] = PART,   ['\\'] = PART,  [']'] = PART,   ['^'] = PART,
        ['_'] = PART,   ['`'] = PART,   ['{'] = PART,   ['|'] = PART,   ['}'] = PART,
        ['~'] = PART,
    };
    unsigned char b = (unsigned char)c;
    return b < 0x80 ? (enum kind)table[b] : ODD;
}

bool bleu_tok_is_plain(struct str text)
{
    enum kind before = WHITE;
    for (size_t i = 0; i < text.n; i++) {
        enum kind k = kind_of(text.p[i]);
        if (k == ODD || (k == POINT && before == POINT)) return false;
        if (before == DASH && text.p[i] == '\n') return false;
        before = k;
    }
    return true;
}

/* Does the word go on at i > 0? A point does inside a number alone, a dash but behind a digit. */
static bool goes_on(struct str text, size_t i)
{
    switch (kind_of(text.p[i])) {
    case WORD:
    case DIGIT:
        return true;
    case POINT:
        return is_digit(text.p[i - 1]) && i + 1 < text.n && is_digit(text.p[i + 1]);
    case DASH:
        return !is_digit(text.p[i - 1]);
    default:
        return false;
    }
}

bool bleu_tok_plain_next(struct str text, size_t *at, struct str *token)
{
    size_t from = *at, to;
    while (from < text.n && kind_of(text.p[from]) == WHITE)
        from++;
    if (from == text.n) return false;
    enum kind k = kind_of(text.p[from]);
    to = from + 1;
    bool alone = k == PART || k == POINT || (k == DASH && from > 0 && is_digit(text.p[from - 1]));
    while (!alone && to < text.n && goes_on(text, to))
        to++;
    *token = str_sub(text, from, to);
    *at = to;
    return true;
}
