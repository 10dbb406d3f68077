/*
 * base/str - borrowed text views, and a builder with a maximum.
 *
 * `struct str` owns nothing and may hold NUL bytes; it never outlives what it points into. `struct
 * sbuf` owns its bytes and refuses to grow past its maximum (ERR_LIMIT). The parse functions are
 * the only number parsers of the project: whole string or error, no locale, no leading blanks.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct str {
    const char *p;
    size_t n;
};
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For static initialisers. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_of(const char *z); /* NULL gives an empty view */
bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *z);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* memcmp order, shorter first on a tie. */
int str_cmp(struct str a, struct str b);
/* First position of needle at or after from, or SIZE_MAX. */
size_t str_find(struct str s, struct str needle, size_t from);
/* s without ASCII blanks (space, \t \n \v \f \r) at both ends. */
struct str str_trim(struct str s);
/* [from, to) clipped to s. */
struct str str_sub(struct str s, size_t from, size_t to);
/* Length of the UTF-8 sequence at `at` < s.n and its code point; 0 when there is none (cut short,
 * overlong, a surrogate, beyond U+10FFFF). */
size_t str_utf8_at(struct str s, size_t at, uint32_t *out);
bool str_is_utf8(struct str s);
/* Cut the next piece up to `sep` off *rest; false when *rest is exhausted. */
bool str_split(struct str *rest, char sep, struct str *piece);

MUST_CHECK bool parse_u64(struct str s, uint64_t *out, struct err *e);
MUST_CHECK bool parse_i64(struct str s, int64_t *out, struct err *e);
MUST_CHECK bool parse_f64(struct str s, double *out, struct err *e);

struct sbuf {
    char *p; /* always NUL-terminated once something was put; NULL before */
    size_t n;
    size_t cap;
    size_t max_bytes;
};
void sbuf_init(struct sbuf *b, size_t max_bytes);
void sbuf_free(struct sbuf *b);
void sbuf_clear(struct sbuf *b);
MUST_CHECK bool sbuf_put(struct sbuf *b, struct str s, struct err *e);
/* n more bytes at the end, not yet written, for the caller to fill until the next put; NULL on
 * failure. */
MUST_CHECK char *sbuf_space(struct sbuf *b, size_t n, struct err *e);
/* Keep the first n bytes. */
void sbuf_cut(struct sbuf *b, size_t n);
MUST_CHECK bool sbuf_putc(struct sbuf *b, char c, struct err *e);
MUST_CHECK bool sbuf_printf(struct sbuf *b, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The shortest decimal that parse_f64 reads back as v, which must be finite. */
MUST_CHECK bool sbuf_put_f64(struct sbuf *b, double v, struct err *e);
struct str sbuf_str(const struct sbuf *b);

/* Edit distance, for "did you mean". Inputs up to 64 bytes; longer count as 64. */
size_t str_distance(struct str a, struct str b);
