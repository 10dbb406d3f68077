/*
 * ingest/charset - a dump's bytes as UTF-8 text, whatever wrote them.
 *
 * auto: a byte order mark is dropped and obeyed; UTF-16 without one is known by the zero bytes of
 * its first two characters; anything else passes as it is, and what is not UTF-8 in it is taken as
 * Windows-1252 cell by cell (ingest/cell.h), since exports mix both. An encoding that the
 * configuration names is obeyed for the whole file. Half a surrogate pair becomes U+FFFD.
 *
 * Windows-1252 is WHATWG's: it is a superset of Latin-1's printable part, and never fails.
 */
#pragma once
#include <stdint.h>

#include "ingest/bytes.h"

enum charset_as { CHARSET_AUTO, CHARSET_UTF8, CHARSET_WINDOWS, CHARSET_UTF16LE, CHARSET_UTF16BE };

struct charset {
    struct bytes in;
    enum charset_as as;
    bool started, eof;
    size_t n, at; /* bytes of raw not yet used: [at, n) */
    char raw[8 << 10];
};
void charset_init(struct charset *d, struct bytes in, enum charset_as as);
/* d is borrowed and stays where it is. */
struct bytes charset_bytes(struct charset *d);
/* Decode head, the beginning of a file, into out (cap bytes); for guessing at a format. */
struct str charset_head(struct str head, enum charset_as as, char *out, size_t cap);
/* Code point of one byte of Windows-1252. */
uint32_t charset_windows(uint8_t c);
