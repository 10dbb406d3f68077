/*
 * text/utf8 - UTF-8 as Unicode defines it: check, decode, encode, repair.
 *
 * Ill-formed input is never passed on: repair puts one U+FFFD for each maximal subpart (Unicode 15,
 * 3.9, "U+FFFD substitution of maximal subparts"), which is what Python's errors="replace" gives.
 * NUL is an ordinary character. Other encodings are not decoded here.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define UTF8_REPLACEMENT 0xFFFDu

bool utf8_valid(struct str s);
/* Are all bytes below 0x80? */
bool utf8_ascii(struct str s);
/* Bytes of the longest well-formed prefix; s.n when all of it is. */
size_t utf8_valid_prefix(struct str s);
/* First code point of well-formed s (n > 0); *len is its 1 to 4 bytes. */
uint32_t utf8_decode(struct str s, size_t *len);
/* As utf8_decode for any bytes: an ill-formed start gives U+FFFD, *len the maximal subpart, and
 * false. */
bool utf8_next(struct str s, uint32_t *code_point, size_t *len);
/* Last code point of well-formed s (n > 0). */
uint32_t utf8_decode_last(struct str s, size_t *len);
/* Writes 1 to 4 bytes; code_point must be a scalar value. */
size_t utf8_encode(uint32_t code_point, char out[4]);
MUST_CHECK bool utf8_put(struct sbuf *b, uint32_t code_point, struct err *e);
/* Appends s with each maximal ill-formed subpart as U+FFFD; *bad_count grows by how many. */
MUST_CHECK bool utf8_repair(struct str s, struct sbuf *out, uint64_t *bad_count, struct err *e);
/* Appends s in lower case as Python's str.lower has it: full mappings, final sigma. The Unicode
 * version is utf8proc's. Ill-formed bytes stay as they are. */
MUST_CHECK bool utf8_put_lower(struct str s, struct sbuf *b, struct err *e);
/* Simple lower case of one code point, by utf8proc's Unicode data. */
uint32_t utf8_lower(uint32_t code_point);
