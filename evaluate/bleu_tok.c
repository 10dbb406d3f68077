#include "evaluate/bleu_tok.h"

#include "text/clean.h"
#include "text/utf8.h"

#define TEXT_MAX ((size_t)64 << 20) /* 13a at most triples a text; pairs are far smaller */

void bleu_tok_init(struct bleu_tok *t)
{
    sbuf_init(&t->a, TEXT_MAX);
    sbuf_init(&t->b, TEXT_MAX);
}

void bleu_tok_free(struct bleu_tok *t)
{
    sbuf_free(&t->a);
    sbuf_free(&t->b);
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

static struct str strip_right(struct str s)
{
    size_t end = 0, len;
    uint32_t c;
    for (size_t i = 0; i < s.n; i += len) {
        (void)utf8_next(str_sub(s, i, s.n), &c, &len);
        if (!clean_is_space(c)) end = i + len;
    }
    return str_sub(s, 0, end);
}

/* Replace every `from` by `with`, left to right. */
static bool replace(struct str s, struct str from, struct str with, struct sbuf *out, struct err *e)
{
    sbuf_clear(out);
    for (size_t at = 0;;) {
        size_t hit = str_find(s, from, at);
        size_t end = hit == SIZE_MAX ? s.n : hit;
        if (!sbuf_put(out, str_sub(s, at, end), e)) return false;
        if (hit == SIZE_MAX) return true;
        if (!sbuf_put(out, with, e)) return false;
        at = hit + from.n;
    }
}

/* The replacements in front of the passes; the text ends up in t->a. */
static bool prepare(struct bleu_tok *t, struct str text, struct err *e)
{
    static const struct {
        struct str from, with;
        bool entity;
    } table[] = {
        {STR_INIT("<skipped>"), STR_INIT(""), false}, {STR_INIT("-\n"), STR_INIT(""), false},
        {STR_INIT("\n"), STR_INIT(" "), false},       {STR_INIT("&quot;"), STR_INIT("\""), true},
        {STR_INIT("&amp;"), STR_INIT("&"), true},     {STR_INIT("&lt;"), STR_INIT("<"), true},
        {STR_INIT("&gt;"), STR_INIT(">"), true},
    };
    sbuf_clear(&t->a);
    if (!sbuf_put(&t->a, strip_right(text), e)) return false;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (str_find(sbuf_str(&t->a), table[i].from, 0) == SIZE_MAX) continue;
        if (!replace(sbuf_str(&t->a), table[i].from, table[i].with, &t->b, e)) return false;
        struct sbuf swap = t->a;
        t->a = t->b;
        t->b = swap;
    }
    return true;
}

/* [class] -> " x " */
static bool pass_parts(struct str s, struct sbuf *out, struct err *e)
{
    sbuf_clear(out);
    for (size_t i = 0; i < s.n; i++) {
        char three[3] = {' ', s.p[i], ' '};
        bool p = parts(s.p[i]);
        if (!sbuf_put(out, (struct str){p ? three : three + 1, p ? 3 : 1}, e)) return false;
    }
    return true;
}

enum pass { PASS_NOT_DIGIT_BEFORE, PASS_NOT_DIGIT_AFTER, PASS_DIGIT_DASH };

static bool pass_hits(enum pass p, char x, char y)
{
    switch (p) {
    case PASS_NOT_DIGIT_BEFORE:
        return !is_digit(x) && (y == '.' || y == ',');
    case PASS_NOT_DIGIT_AFTER:
        return (x == '.' || x == ',') && !is_digit(y);
    case PASS_DIGIT_DASH:
        return is_digit(x) && y == '-';
    }
    UNREACHABLE();
}

/* Pairs of neighbours: "xy" -> "x y " or, after a full stop or comma, " x y". */
static bool pass_pairs(enum pass p, struct str s, struct sbuf *out, struct err *e)
{
    sbuf_clear(out);
    for (size_t i = 0; i < s.n;) {
        if (i + 1 == s.n || !pass_hits(p, s.p[i], s.p[i + 1])) {
            if (!sbuf_putc(out, s.p[i++], e)) return false;
            continue;
        }
        char before[4] = {' ', s.p[i], ' ', s.p[i + 1]}, after[4] = {s.p[i], ' ', s.p[i + 1], ' '};
        struct str four = {p == PASS_NOT_DIGIT_AFTER ? before : after, 4};
        if (!sbuf_put(out, four, e)) return false;
        i += 2;
    }
    return true;
}

bool bleu_tok_13a(struct bleu_tok *t, struct str text, struct str *out, struct err *e)
{
    if (!prepare(t, text, e)) return false;
    sbuf_clear(&t->b);
    if (!sbuf_putc(&t->b, ' ', e) || !sbuf_put(&t->b, sbuf_str(&t->a), e) ||
        !sbuf_putc(&t->b, ' ', e))
        return false;
    if (!pass_parts(sbuf_str(&t->b), &t->a, e)) return false;
    if (!pass_pairs(PASS_NOT_DIGIT_BEFORE, sbuf_str(&t->a), &t->b, e)) return false;
    if (!pass_pairs(PASS_NOT_DIGIT_AFTER, sbuf_str(&t->b), &t->a, e)) return false;
    if (!pass_pairs(PASS_DIGIT_DASH, sbuf_str(&t->a), &t->b, e)) return false;
    *out = sbuf_str(&t->b);
    return true;
}

/* Bytes of the white space at p, or 0. */
static size_t space_at(struct str s, size_t i)
{
    uint32_t c = (unsigned char)s.p[i];
    size_t len = 1;
    if (c >= 0x80) (void)utf8_next(str_sub(s, i, s.n), &c, &len);
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
