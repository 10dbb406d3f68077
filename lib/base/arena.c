#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define ALIGN     16u
#define BLOCK_MIN ((size_t)16 << 10)
#define BLOCK_MAX ((size_t)1 << 20)

struct arena_block {
    struct arena_block *prev;
    size_t size;  /* bytes behind this header */
    size_t used;  /* handed out now */
    size_t dirty; /* handed out at any time: what lies behind is still zero */
    _Alignas(ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t cap_bytes)
{
    *a = (struct arena){.cap_bytes = cap_bytes};
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->head, *prev; b; b = prev) {
        prev = b->prev;
        mem_free(b);
    }
    mem_free(a->spare);
    *a = (struct arena){.cap_bytes = a->cap_bytes};
}

/* Make a block with room for n bytes the head: the spare one if it fits, else a new one. */
static bool push_block(struct arena *a, size_t n, struct err *e)
{
    struct arena_block *b = a->spare;
    if (b && b->size >= n) {
        a->spare = NULL;
    } else {
        size_t size = a->head ? a->head->size * 2 : BLOCK_MIN;
        if (size > BLOCK_MAX) size = BLOCK_MAX;
        if (size < n) size = n;
        if (size > SIZE_MAX - sizeof *b) {
            err_set(e, ERR_LIMIT, "%zu bytes are too many for an arena", n);
            return false;
        }
        b = mem_calloc(1, sizeof *b + size, e);
        if (!b) return false;
        b->size = size;
    }
    b->prev = a->head;
    a->head = b;
    return true;
}

void *arena_alloc(struct arena *a, size_t n, struct err *e)
{
    size_t take = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (take < n || a->used_bytes > a->cap_bytes || take > a->cap_bytes - a->used_bytes) {
        err_set(e, ERR_LIMIT, "%zu more bytes pass the arena's limit of %zu", n, a->cap_bytes);
        return NULL;
    }
    struct arena_block *b = a->head;
    if (!b || b->size - b->used < take) {
        if (!push_block(a, take, e)) return NULL;
        b = a->head;
    }
    void *p = b->bytes + b->used;
    if (b->used < b->dirty) {
        size_t stale = b->dirty - b->used;
        memset(p, 0, stale < take ? stale : take);
    }
    b->used += take;
    if (b->used > b->dirty) b->dirty = b->used;
    a->used_bytes += take;
    return p;
}

bool arena_str(struct arena *a, struct str s, struct str *out, struct err *e)
{
    if (s.n == SIZE_MAX) return err_set(e, ERR_LIMIT, "text too long for an arena");
    char *p = arena_alloc(a, s.n + 1, e);
    if (!p) return false;
    if (s.n) memcpy(p, s.p, s.n);
    *out = (struct str){p, s.n};
    return true;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->head, a->head ? a->head->used : 0, a->used_bytes};
}

void arena_reset(struct arena *a, struct arena_mark m)
{
    while (a->head != m.head) {
        struct arena_block *b = a->head;
        CHECK(b != NULL); /* the mark is of another arena, or already dropped */
        a->head = b->prev;
        /* One block is kept, so that a loop of mark and reset does not visit the heap each turn. */
        if (!a->spare || a->spare->size < b->size) {
            mem_free(a->spare);
            b->used = 0;
            a->spare = b;
        } else {
            mem_free(b);
        }
    }
    if (a->head) a->head->used = m.block_used;
    a->used_bytes = m.used_bytes;
}
