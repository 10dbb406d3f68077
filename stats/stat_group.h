/*
 * stats/stat_group - what needs all reports at once: items of equal key meet, wherever they were
 * read.
 *
 * The main idea: items are exchanged in rounds by the top bits of their key, sorted, and handed
 * over group by group, on every rank alike. Memory: a rank's own items, and in each round about
 * STAT_ROUND items of all. Keys are 64-bit hashes: two of 10^7 different ones meet by chance once
 * in 10^5 corpora.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "comm/comm.h"

enum { STAT_ROUND = 4 << 20 };

struct stat_item {
    uint64_t key, who, where; /* sorted by all three */
};
struct stat_items {
    struct stat_item *v;
    size_t n, cap;
};
MUST_CHECK bool stat_items_put(struct stat_items *s, struct stat_item x, struct err *e);
void stat_items_free(struct stat_items *s);

/* Called with the items of one key, in order. */
typedef void (*stat_group_fn)(void *ctx, const struct stat_item *v, size_t n);
/* Sorts s. round: STAT_ROUND, less in tests. Collective; the same calls on every rank. */
MUST_CHECK bool stat_group(struct comm *c, struct stat_items *s, size_t round, stat_group_fn fn,
                           void *ctx, struct err *e);
