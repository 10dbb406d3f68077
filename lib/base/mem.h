/*
 * base/mem - the only door to the heap.
 *
 * Every allocation can fail (fault point "mem") and is counted, so that tests see leaks and the
 * memory plan can be compared with what was taken. Not for per-record scratch: see base/arena.h.
 * Thread-safe.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* n bytes, uninitialised, aligned for any type; NULL and ERR_NOMEM on failure. n == 0 gives one. */
MUST_CHECK void *mem_alloc(size_t n, struct err *e);
/* count * size bytes of zeros; overflow is ERR_LIMIT. */
MUST_CHECK void *mem_calloc(size_t count, size_t size, struct err *e);
/* Grow or shrink; on failure p stays valid and NULL is returned. */
MUST_CHECK void *mem_realloc(void *p, size_t n, struct err *e);
/* n bytes aligned to align (a power of two >= sizeof(void *)). Released with mem_free. */
MUST_CHECK void *mem_aligned(size_t align, size_t n, struct err *e);
/* Copy of s, NUL-terminated. */
MUST_CHECK char *mem_strdup(const char *s, struct err *e);
void mem_free(void *p);
/* For libraries that do not survive a failed allocation (jansson 2.14 corrupts its heap): never
 * NULL, no fault point; memory that is really gone ends the process with a CHECK. */
void *mem_alloc_or_abort(size_t n);

/* Grow *items (elements of `size` bytes, capacity *cap) so that it holds at least `need`; grows by
 * half. *items and *cap stay as they are on failure. */
MUST_CHECK bool mem_grow(void **items, size_t *cap, size_t need, size_t size, struct err *e);

/* Blocks taken and not yet released (leak tests), and the process's peak resident set in bytes. */
size_t mem_live_blocks(void);
uint64_t mem_peak_rss_bytes(void);
