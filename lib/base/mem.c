#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fault.h"

static atomic_size_t live;

static void *taken(void *p, size_t n, struct err *e)
{
    if (p) {
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
        return p;
    }
    err_set(e, ERR_NOMEM, "out of memory for %zu bytes", n);
    return NULL;
}

void *mem_alloc(size_t n, struct err *e)
{
    return taken(fault_hit(FAULT_MEM) ? NULL : malloc(n ? n : 1), n, e);
}

void *mem_alloc_or_abort(size_t n)
{
    void *p = malloc(n ? n : 1);
    CHECK(p != NULL);
    atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_calloc(size_t count, size_t size, struct err *e)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) {
        err_set(e, ERR_LIMIT, "%zu elements of %zu bytes are too many", count, size);
        return NULL;
    }
    return taken(fault_hit(FAULT_MEM) ? NULL : calloc(1, n ? n : 1), n, e);
}

void *mem_realloc(void *p, size_t n, struct err *e)
{
    if (!p) return mem_alloc(n, e);
    void *q = fault_hit(FAULT_MEM) ? NULL : realloc(p, n ? n : 1);
    if (!q) err_set(e, ERR_NOMEM, "out of memory for %zu bytes", n);
    return q;
}

void *mem_aligned(size_t align, size_t n, struct err *e)
{
    CHECK(align >= sizeof(void *) && (align & (align - 1)) == 0);
    void *p = NULL;
    if (fault_hit(FAULT_MEM) || posix_memalign(&p, align, n ? n : 1) != 0) p = NULL;
    return taken(p, n, e);
}

char *mem_strdup(const char *s, struct err *e)
{
    size_t n = strlen(s) + 1;
    char *p = mem_alloc(n, e);
    if (p) memcpy(p, s, n);
    return p;
}

void mem_free(void *p)
{
    if (!p) return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

bool mem_grow(void **items, size_t *cap, size_t need, size_t size, struct err *e)
{
    if (need <= *cap) return true;
    size_t want = *cap + *cap / 2, n;
    if (want < need) want = need;
    if (want < 8) want = 8;
    if (__builtin_mul_overflow(want, size, &n))
        return err_set(e, ERR_LIMIT, "%zu elements of %zu bytes are too many", want, size);
    void *p = mem_realloc(*items, n, e);
    if (!p) return false;
    *items = p;
    *cap = want;
    return true;
}

size_t mem_live_blocks(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

uint64_t mem_peak_rss_bytes(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) return 0;
    return (uint64_t)u.ru_maxrss * 1024;
}
