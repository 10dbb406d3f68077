#include "text/utf8.h"

#include <utf8proc.h>

/* Length of the ASCII run at the front; eight bytes a step. */
static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        uint64_t w[4];
        memcpy(w, p + i, sizeof(w));
        if ((w[0] | w[1] | w[2] | w[3]) & 0x8080808080808080u) break;
    }
    for (; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        if (w & 0x8080808080808080u) break;
    }
    while (i < n && !(p[i] & 0x80))
        i++;
    return i;
}

/* What the lead byte promises: bytes in all, and the range of the second (Unicode table 3-7). */
struct lead {
    uint8_t len, lo, hi;
};

static struct lead lead_of(uint8_t b)
{
    if (b < 0x80) return (struct lead){1, 0, 0};
    if (b < 0xC2) return (struct lead){0, 0, 0};
    if (b < 0xE0) return (struct lead){2, 0x80, 0xBF};
    if (b == 0xE0) return (struct lead){3, 0xA0, 0xBF};
    if (b == 0xED) return (struct lead){3, 0x80, 0x9F};
    if (b < 0xF0) return (struct lead){3, 0x80, 0xBF};
    if (b == 0xF0) return (struct lead){4, 0x90, 0xBF};
    if (b < 0xF4) return (struct lead){4, 0x80, 0xBF};
    if (b == 0xF4) return (struct lead){4, 0x80, 0x8F};
    return (struct lead){0, 0, 0};
}

bool utf8_next(struct str s, uint32_t *code_point, size_t *len)
{
    CHECK(s.n > 0);
    const uint8_t *p = (const uint8_t *)s.p;
    struct lead l = lead_of(p[0]);

    *len = 1;
    *code_point = p[0];
    if (l.len == 1) return true;
    *code_point = UTF8_REPLACEMENT;
    if (l.len == 0 || s.n < 2 || p[1] < l.lo || p[1] > l.hi) return false;
    uint32_t cp = (uint32_t)(p[0] & (0xFF >> (l.len + 1))) << 6 | (p[1] & 0x3F);
    for (*len = 2; *len < l.len; ++*len) {
        if (*len == s.n || (p[*len] & 0xC0) != 0x80) return false;
        cp = cp << 6 | (p[*len] & 0x3F);
    }
    *code_point = cp;
    return true;
}

size_t utf8_valid_prefix(struct str s)
{
    uint32_t cp;
    size_t i = 0, len;

    if (s.n == 0) return 0;
    while ((i += ascii_run(s.p + i, s.n - i)) < s.n) {
        if (!utf8_next(str_sub(s, i, s.n), &cp, &len)) return i;
        i += len;
    }
    return s.n;
}

bool utf8_ascii(struct str s)
{
    return s.n == 0 || ascii_run(s.p, s.n) == s.n;
}

bool utf8_valid(struct str s)
{
    return utf8_valid_prefix(s) == s.n;
}

uint32_t utf8_decode(struct str s, size_t *len)
{
    uint32_t cp;

    CHECK(utf8_next(s, &cp, len));
    return cp;
}

uint32_t utf8_decode_last(struct str s, size_t *len)
{
    size_t i = s.n;

    CHECK(i > 0);
    do
        i--;
    while (i > 0 && ((uint8_t)s.p[i] & 0xC0) == 0x80);
    uint32_t cp = utf8_decode(str_sub(s, i, s.n), len);
    CHECK(i + *len == s.n);
    return cp;
}

size_t utf8_encode(uint32_t code_point, char out[4])
{
    CHECK(code_point < 0x110000 && (code_point < 0xD800 || code_point > 0xDFFF));
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

bool utf8_put(struct sbuf *b, uint32_t code_point, struct err *e)
{
    char buf[4];

    return sbuf_put(b, (struct str){buf, utf8_encode(code_point, buf)}, e);
}

bool utf8_repair(struct str s, struct sbuf *out, uint64_t *bad_count, struct err *e)
{
    uint32_t cp;
    size_t len;

    while (s.n > 0) {
        size_t good = utf8_valid_prefix(s);
        if (!sbuf_put(out, str_sub(s, 0, good), e)) return false;
        s = str_sub(s, good, s.n);
        if (s.n == 0) break;
        CHECK(!utf8_next(s, &cp, &len));
        if (!utf8_put(out, UTF8_REPLACEMENT, e)) return false;
        ++*bad_count;
        s = str_sub(s, len, s.n);
    }
    return true;
}

uint32_t utf8_lower(uint32_t code_point)
{
    if (code_point < 0x80)
        return code_point >= 'A' && code_point <= 'Z' ? code_point + 32 : code_point;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code_point);
}

/* ---- lower case of a text */

/* Cased and Case_Ignorable (Unicode 3.13), as far as final sigma needs them: by category, and the
 * few marks inside words that are ignorable by name. */
static bool is_ignorable(uint32_t cp)
{
    switch (cp) {
    case '\'':
    case '.':
    case ':':
    case 0xB7:
    case 0x2018:
    case 0x2019:
        return true;
    default:
        break;
    }
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

static bool is_cased(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

/* A sigma at s[at] is final: a letter stands before it and none behind. */
static bool is_final_sigma(struct str s, size_t at, bool after_cased)
{
    uint32_t cp;
    size_t len = 2;
    if (!after_cased) return false;
    for (size_t i = at + 2; i < s.n; i += len) {
        (void)utf8_next(str_sub(s, i, s.n), &cp, &len);
        if (!is_ignorable(cp)) return !is_cased(cp);
    }
    return true;
}

bool utf8_put_lower(struct str s, struct sbuf *b, struct err *e)
{
    bool after_cased = false;
    size_t from = b->n, len;
    uint32_t cp;

    if (utf8_ascii(s)) {
        if (!sbuf_put(b, s, e)) return false;
        for (size_t i = from; i < b->n; i++)
            b->p[i] = (char)utf8_lower((unsigned char)b->p[i]);
        return true;
    }
    for (size_t i = 0; i < s.n; i += len) {
        bool whole = utf8_next(str_sub(s, i, s.n), &cp, &len), ok;
        if (!whole)
            ok = sbuf_put(b, str_sub(s, i, i + len), e);
        else if (cp == 0x130) /* capital I with dot: i and a combining dot */
            ok = sbuf_put(b, STR("i\xcc\x87"), e);
        else if (cp == 0x3A3)
            ok = utf8_put(b, is_final_sigma(s, i, after_cased) ? 0x3C2 : 0x3C3, e);
        else
            ok = utf8_put(b, utf8_lower(cp), e);
        if (!ok) return false;
        if (!is_ignorable(cp)) after_cased = is_cased(cp);
    }
    return true;
}
