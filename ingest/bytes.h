/*
 * ingest/bytes - a stream of bytes to be pulled: what containers give and formats take.
 *
 * A `struct bytes` is a function and what it works on, nothing else; both are borrowed. Sources:
 * memory, or what a container unpacks. bytes_peek looks at the beginning without losing it.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct bytes {
    /* Up to cap bytes (cap > 0); *got 0 at the end, and from then on. */
    bool (*read)(void *ctx, char *buf, size_t cap, size_t *got, struct err *e);
    void *ctx;
};

/* Bytes in memory; *rest moves on as they are read. */
struct bytes bytes_of(struct str *rest);

enum { BYTES_HEAD = 4096 };
struct bytes_peek {
    struct bytes in;
    size_t n, at;
    char head[BYTES_HEAD];
};
/* Reads up to BYTES_HEAD bytes of `in`: head[0, n). */
MUST_CHECK bool bytes_peek_init(struct bytes_peek *p, struct bytes in, struct err *e);
/* Everything from the first byte on. p is borrowed and stays where it is. */
struct bytes bytes_peeked(struct bytes_peek *p);

/* Append all that is left, at most max bytes of it; *over: there was more. */
MUST_CHECK bool bytes_all(struct bytes in, size_t max, struct sbuf *out, bool *over, struct err *e);

/* A sliding view of a stream, for formats that look for the end of something. */
struct bytes_window {
    struct bytes in;
    char *p; /* what is here: [at, end) */
    size_t cap, at, end;
    uint64_t offset; /* of p[at] */
    uint64_t ended;  /* lines before it, but for a CR just before it */
    bool cr, eof;
};
void bytes_window_init(struct bytes_window *w, struct bytes in);
void bytes_window_free(struct bytes_window *w);
/* More behind end; p and at move, what stands before `at` is dropped. */
MUST_CHECK bool bytes_window_fill(struct bytes_window *w, struct err *e);
/* n bytes are done with. */
void bytes_window_advance(struct bytes_window *w, size_t n);
/* Of p[at], from 1. */
uint64_t bytes_window_line(const struct bytes_window *w);
