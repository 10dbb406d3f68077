#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct str str_of(const char *z)
{
    return z ? (struct str){z, strlen(z)} : (struct str){NULL, 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eqz(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c != 0) return c;
    return (a.n > b.n) - (a.n < b.n);
}

size_t str_find(struct str s, struct str needle, size_t from)
{
    if (from > s.n) return SIZE_MAX;
    if (needle.n == 0) return from;
    if (s.n - from < needle.n) return SIZE_MAX;
    const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_sub(struct str s, size_t from, size_t to)
{
    if (to > s.n) to = s.n;
    if (from > to) from = to;
    return (struct str){s.p ? s.p + from : NULL, to - from};
}

size_t str_utf8_at(struct str s, size_t at, uint32_t *out)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > s.n - at || p[0] > 0xf4) return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *out = c;
    return len;
}

bool str_is_utf8(struct str s)
{
    uint32_t c;
    for (size_t i = 0, len; i < s.n; i += len) {
        len = str_utf8_at(s, i, &c);
        if (len == 0) return false;
    }
    return true;
}

bool str_split(struct str *rest, char sep, struct str *piece)
{
    if (!rest->p) return false;
    const char *hit = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (!hit) {
        *piece = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    *piece = (struct str){rest->p, (size_t)(hit - rest->p)};
    rest->n -= piece->n + 1;
    rest->p = hit + 1;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool parse_digits(struct str s, uint64_t max, uint64_t *out, struct err *e)
{
    uint64_t v = 0;
    if (s.n == 0) return err_set(e, ERR_FORMAT, "a whole number was expected");
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i])) return err_set(e, ERR_FORMAT, "a whole number was expected");
        uint64_t d = (uint64_t)(s.p[i] - '0');
        if (v > (max - d) / 10) return err_set(e, ERR_FORMAT, "number out of range");
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool parse_u64(struct str s, uint64_t *out, struct err *e)
{
    return parse_digits(s, UINT64_MAX, out, e);
}

bool parse_i64(struct str s, int64_t *out, struct err *e)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) s = str_sub(s, 1, s.n);
    if (!parse_digits(s, (uint64_t)INT64_MAX + minus, &v, e)) return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static size_t skip_digits(struct str s, size_t i)
{
    while (i < s.n && is_digit(s.p[i]))
        i++;
    return i;
}

/* [+-] digits [. digits] [e [+-] digits], a digit on at least one side of the point. */
static bool is_decimal(struct str s)
{
    size_t i = s.n > 0 && (s.p[0] == '+' || s.p[0] == '-');
    size_t whole = skip_digits(s, i), frac = whole;
    size_t digits = whole - i;
    if (whole < s.n && s.p[whole] == '.') {
        frac = skip_digits(s, whole + 1);
        digits += frac - whole - 1;
    }
    if (digits == 0) return false;
    i = frac;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) i++;
        size_t end = skip_digits(s, i);
        if (end == i) return false;
        i = end;
    }
    return i == s.n;
}

bool parse_f64(struct str s, double *out, struct err *e)
{
    char buf[512]; /* strtod wants a NUL; no sensible number is longer */
    if (s.n >= sizeof buf || !is_decimal(s)) return err_set(e, ERR_FORMAT, "a number was expected");
    memcpy(buf, s.p, s.n);
    buf[s.n] = 0;
    double v = strtod(buf, NULL); /* LC_NUMERIC stays "C": cli sets only LC_CTYPE */
    if (!isfinite(v)) return err_set(e, ERR_FORMAT, "number out of range");
    *out = v;
    return true;
}

void sbuf_init(struct sbuf *b, size_t max_bytes)
{
    *b = (struct sbuf){.max_bytes = max_bytes};
}

void sbuf_free(struct sbuf *b)
{
    mem_free(b->p);
    *b = (struct sbuf){.max_bytes = b->max_bytes};
}

void sbuf_clear(struct sbuf *b)
{
    b->n = 0;
    if (b->p) b->p[0] = 0;
}

/* Room for n more bytes and the NUL. */
static bool sbuf_room(struct sbuf *b, size_t n, struct err *e)
{
    if (b->n > b->max_bytes || n > b->max_bytes - b->n)
        return err_set(e, ERR_LIMIT, "text longer than its limit of %zu bytes", b->max_bytes);
    if (b->n + n < b->cap) return true;
    void *p = b->p;
    if (!mem_grow(&p, &b->cap, b->n + n + 1, 1, e)) return false;
    b->p = p;
    return true;
}

char *sbuf_space(struct sbuf *b, size_t n, struct err *e)
{
    if (!sbuf_room(b, n, e)) return NULL;
    b->n += n;
    b->p[b->n] = 0;
    return b->p + b->n - n;
}

void sbuf_cut(struct sbuf *b, size_t n)
{
    CHECK(n <= b->n);
    b->n = n;
    if (b->p) b->p[n] = 0;
}

bool sbuf_put(struct sbuf *b, struct str s, struct err *e)
{
    if (!sbuf_room(b, s.n, e)) return false;
    if (s.n) memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    b->p[b->n] = 0;
    return true;
}

bool sbuf_putc(struct sbuf *b, char c, struct err *e)
{
    return sbuf_put(b, (struct str){&c, 1}, e);
}

bool sbuf_printf(struct sbuf *b, struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    if (!sbuf_room(b, (size_t)n, e)) return false;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return true;
}

bool sbuf_put_f64(struct sbuf *b, double v, struct err *e)
{
    char text[40];
    CHECK(isfinite(v));
    for (int digits = 15; digits <= 17; digits++) { /* fewer: %g drops the zeros behind */
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    return sbuf_put(b, str_of(text), e);
}

struct str sbuf_str(const struct sbuf *b)
{
    return (struct str){b->p, b->n};
}

#define DIST_MAX 64
size_t str_distance(struct str a, struct str b)
{
    size_t row[DIST_MAX + 1];
    if (a.n > DIST_MAX) a.n = DIST_MAX;
    if (b.n > DIST_MAX) b.n = DIST_MAX;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 0; i < a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.n; j++) {
            size_t best = diagonal + (a.p[i] != b.p[j]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j + 1] + 1 < best) best = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[b.n];
}
