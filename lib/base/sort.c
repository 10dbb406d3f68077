#include "base/sort.h"

#include <string.h>

#include "base/mem.h"

enum { BITS = 11, DIGITS = 1 << BITS, PASSES = (64 + BITS - 1) / BITS };

static bool in_order(const uint64_t *v, size_t n)
{
    size_t i = 1;

    while (i < n && v[i - 1] <= v[i])
        i++;
    return i >= n;
}

static size_t digit(uint64_t v, int pass)
{
    return v >> (pass * BITS) & (DIGITS - 1);
}

/* from -> to by one digit; at: how many there are of each. */
static void deal(const uint64_t *from, uint64_t *to, size_t n, int pass, size_t *at)
{
    size_t sum = 0;

    for (size_t d = 0; d < DIGITS; d++) {
        size_t count = at[d];
        at[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[at[digit(from[i], pass)]++] = from[i];
}

bool sort_u64(uint64_t *v, size_t n, struct err *e)
{
    uint64_t *spare, *from = v;
    size_t *at;

    if (in_order(v, n)) return true;
    spare = mem_alloc(n * sizeof *spare, e);
    if (!spare) return false;
    at = mem_calloc((size_t)PASSES * DIGITS, sizeof *at, e);
    if (!at) {
        mem_free(spare);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        for (int pass = 0; pass < PASSES; pass++)
            at[(size_t)pass * DIGITS + digit(v[i], pass)]++;
    for (int pass = 0; pass < PASSES; pass++) {
        uint64_t *to = from == v ? spare : v;
        size_t *counts = at + (size_t)pass * DIGITS;
        if (counts[digit(v[0], pass)] == n) continue;
        deal(from, to, n, pass, counts);
        from = to;
    }
    if (from != v) memcpy(v, from, n * sizeof *v);
    mem_free(at);
    mem_free(spare);
    return true;
}
