/*
 * ingest/json_stream - the JSON objects of a file, one after the other.
 *
 * One a line as in NDJSON, over several lines, run together, in one array, with blank lines: what
 * stands between objects is passed over. The main idea, as in ingest/csv_read, is to stay whole
 * after a broken one: it is given back as bad with its line, and reading goes on at the next line.
 * A raw line break in a string, or an object where none may begin, tells that one was cut off
 * before the rest of the file is swallowed. An array that never ends is a last, broken item. Bytes
 * that are not UTF-8 are Windows-1252.
 */
#pragma once
#include "base/json.h"
#include "ingest/charset.h"

struct json_item {
    const json_t *root; /* an object, borrowed until the next call; NULL: it is broken */
    uint64_t line;      /* where it begins, from 1 */
    uint64_t offset;    /* in the decoded text */
    bool too_long;
    bool cut; /* the file ends within the array around its objects: some may be missing */
};
struct json_stream;
/* in is borrowed until close; max_bytes: of one object. */
MUST_CHECK bool json_stream_open(struct bytes in, enum charset_as encoding, size_t max_bytes,
                                 struct json_stream **out, struct err *e);
MUST_CHECK bool json_stream_next(struct json_stream *s, struct json_item *out, bool *more,
                                 struct err *e);
void json_stream_close(struct json_stream *s);

/* A string, number or truth value as text; a number is written as exactly as it came in, up to 64
 * bits, into buf. Anything else, and NULL: empty. */
struct str json_stream_text(const json_t *v, char *buf, size_t cap);
