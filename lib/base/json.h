/*
 * base/json - jansson behind limits (size, nesting 64), with errors that name line and column, and
 * a writer whose bytes are the same everywhere.
 *
 * The tree is jansson's own json_t; this header is the only place that includes it.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* Parse text; the caller owns *out (json_decref). `what` names the input in errors, never its text.
 */
MUST_CHECK bool json_parse(struct str text, const char *what, json_t **out, struct err *e);
/* Parse a file of at most max_bytes. */
MUST_CHECK bool json_read_file(const char *path, size_t max_bytes, json_t **out, struct err *e);
/* Sorted keys, two-space indent, newline at the end, atomically. */
MUST_CHECK bool json_write_file(const char *path, const json_t *j, struct err *e);
/* Put a checksum of all other members into an object ("checksum": SHA-256 of its bytes as
 * json_write_file writes them), or compare it: ERR_FORMAT where it differs. For files of ours in
 * which a changed digit would otherwise pass. */
MUST_CHECK bool json_seal(json_t *obj, struct err *e);
MUST_CHECK bool json_check_seal(json_t *obj, struct err *e);
/* Typed members of an object: missing or of another type is ERR_FORMAT naming the key. Strings are
 * borrowed from the tree. */
MUST_CHECK bool json_get_str(const json_t *obj, const char *key, struct str *out, struct err *e);
MUST_CHECK bool json_get_u64(const json_t *obj, const char *key, uint64_t *out, struct err *e);
MUST_CHECK bool json_get_f64(const json_t *obj, const char *key, double *out, struct err *e);
MUST_CHECK bool json_get_obj(const json_t *obj, const char *key, json_t **out, struct err *e);
MUST_CHECK bool json_get_arr(const json_t *obj, const char *key, json_t **out, struct err *e);
/* Append s as a JSON string with quotes. ascii: \uXXXX (lower-case hex, surrogate pairs) for all
 * above 0x7e (so DEL too), the bytes of Python's json.dumps(ensure_ascii=True); else raw UTF-8.
 * Input that is not UTF-8 is ERR_FORMAT with the byte's position. */
MUST_CHECK bool json_put_str(struct sbuf *b, struct str s, bool ascii, struct err *e);
/* Compact one-line form of j, keys in insertion order, appended to b. */
MUST_CHECK bool json_put(struct sbuf *b, const json_t *j, struct err *e);
