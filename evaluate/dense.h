/*
 * evaluate/dense - keys to the numbers 0, 1, 2, ... in the order they are met; emptied at no cost.
 *
 * For one pair of texts after another: words (by their hash) or characters become small integers.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct dense_slot {
    uint64_t key;
    uint32_t stamp, value;
};
struct dense { /* zeroed at first */
    struct dense_slot *slot;
    size_t cap;
    uint32_t now, n; /* n: numbers given out since dense_begin */
};
/* Empty the table and make room for n keys. */
MUST_CHECK bool dense_begin(struct dense *t, size_t n, struct err *e);
uint32_t dense_of(struct dense *t, uint64_t key);
/* The same with as many keys as come: grows. */
MUST_CHECK bool dense_add(struct dense *t, uint64_t key, uint32_t *value, struct err *e);
/* The number of a key that was met, else UINT32_MAX. */
uint32_t dense_find(const struct dense *t, uint64_t key);
void dense_free(struct dense *t);
