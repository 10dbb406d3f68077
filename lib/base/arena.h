/*
 * base/arena - bump allocation for one lifetime (process, run, batch, record), with a cap.
 *
 * Whoever passes the arena owns the result. A loop marks its scratch arena and resets it each turn.
 * Passing the cap is ERR_LIMIT, running out of memory ERR_NOMEM. Blocks never move. Not
 * thread-safe.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct arena_block;
struct arena {
    struct arena_block *head;
    struct arena_block *spare; /* kept by arena_reset for the next turn */
    size_t cap_bytes;          /* most this arena may hand out at once */
    size_t used_bytes;         /* handed out now */
};
struct arena_mark {
    struct arena_block *head;
    size_t block_used;
    size_t used_bytes;
};

void arena_init(struct arena *a, size_t cap_bytes);
void arena_free(struct arena *a);
/* n zeroed bytes aligned to 16. */
MUST_CHECK void *arena_alloc(struct arena *a, size_t n, struct err *e);
/* Copy of s in the arena; `*out` is NUL-terminated behind its n bytes. */
MUST_CHECK bool arena_str(struct arena *a, struct str s, struct str *out, struct err *e);
struct arena_mark arena_mark(const struct arena *a);
/* Drop everything handed out since the mark. */
void arena_reset(struct arena *a, struct arena_mark m);
