/*
 * serve/jot - JSON text written front to back, with one error at the end.
 *
 * A failed write (memory, the buffer's maximum, text that is not UTF-8) makes all later ones do
 * nothing; ask `ok` once. Commas and braces are the caller's.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct jot {
    struct sbuf *b;
    struct err *e;
    bool ok;
};
struct jot jot_begin(struct sbuf *b, struct err *e);
void jot_put(struct jot *j, const char *text); /* as it is */
void jot_str(struct jot *j, struct str s);     /* a JSON string; ill-formed UTF-8 is repaired */
void jot_u64(struct jot *j, uint64_t v);
void jot_f64(struct jot *j, double v); /* null when it is not finite */
/* ,"key": (without the comma behind an opening brace) */
void jot_key(struct jot *j, const char *key);
void jot_pair(struct jot *j, const char *key, const char *text); /* NULL: null */
void jot_count(struct jot *j, const char *key, uint64_t v);
void jot_real(struct jot *j, const char *key, double v);
