/*
 * text/tok_queue - the pairs of a long word, the lowest rank first, of equals the leftmost. Private
 * to lib/text.
 *
 * A word is merged from left to right, so the pairs of one rank nearly always come in order: a
 * rank has a list, in which they wait without being compared, and a heap holds the ranks whose
 * lists are not empty. What comes out of order, or finds its rank's list taken by another one, goes
 * to a second heap; the front is the lesser of the two. So no text costs more than n log n, and a
 * megabyte of one letter costs hardly more than n.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOK_QUEUE_LISTS      1024u
#define TOK_QUEUE_LISTS_FROM 256u /* symbols of a word for which the lists are worth their set-up */

struct tok_waiting {
    uint32_t at, next;
};
struct tok_queue {
    uint64_t *heap;           /* rank << 32 | place */
    struct tok_waiting *node; /* of the lists */
    size_t nheap, nranks;
    uint32_t nnodes, unused; /* nodes taken; those given back, linked; UINT32_MAX: none */
    bool lists;
    uint64_t ranks[TOK_QUEUE_LISTS]; /* a heap: rank << 32 | list */
    struct {
        uint32_t rank, head, tail; /* head == UINT32_MAX: empty */
    } list[TOK_QUEUE_LISTS];
};

/* Four children a node: half the levels of a binary heap, and the four lie in one cache line. */
static inline void tok_heap_push(uint64_t *h, size_t *n, uint64_t v)
{
    size_t i = (*n)++;

    for (; i > 0 && h[(i - 1) / 4] > v; i = (i - 1) / 4)
        h[i] = h[(i - 1) / 4];
    h[i] = v;
}

static inline uint64_t tok_heap_pop(uint64_t *h, size_t *n)
{
    uint64_t top = h[0], v = h[--*n];
    size_t i = 0;

    for (size_t c; (c = 4 * i + 1) < *n;) {
        size_t end = c + 4 < *n ? c + 4 : *n, least = c;
        for (size_t k = c + 1; k < end; k++)
            if (h[k] < h[least]) least = k;
        if (h[least] >= v) break;
        h[i] = h[least];
        i = least;
    }
    h[i] = v;
    return top;
}

/* heap, node: room for as many pairs as can wait at once. */
static inline void tok_queue_init(struct tok_queue *q, uint64_t *heap, struct tok_waiting *node,
                                  bool lists)
{
    q->heap = heap;
    q->node = node;
    q->nheap = q->nranks = 0;
    q->nnodes = 0;
    q->unused = UINT32_MAX;
    q->lists = lists;
    for (size_t i = 0; lists && i < TOK_QUEUE_LISTS; i++)
        q->list[i].head = UINT32_MAX;
}

/* Behind a list's last one, if it belongs there. */
static inline bool tok_queue_append(struct tok_queue *q, uint32_t rank, uint32_t at)
{
    uint32_t k = rank * 0x9E3779B1u >> 22, i = q->unused;
    bool empty = q->list[k].head == UINT32_MAX;

    if (!empty && (q->list[k].rank != rank || q->node[q->list[k].tail].at >= at)) return false;
    if (i == UINT32_MAX)
        i = q->nnodes++;
    else
        q->unused = q->node[i].next;
    q->node[i] = (struct tok_waiting){at, UINT32_MAX};
    if (empty) {
        tok_heap_push(q->ranks, &q->nranks, (uint64_t)rank << 32 | k);
        q->list[k].rank = rank;
        q->list[k].head = i;
    } else {
        q->node[q->list[k].tail].next = i;
    }
    q->list[k].tail = i;
    return true;
}

static inline void tok_queue_push(struct tok_queue *q, uint32_t rank, uint32_t at)
{
    if (q->lists && tok_queue_append(q, rank, at)) return;
    tok_heap_push(q->heap, &q->nheap, (uint64_t)rank << 32 | at);
}

/* rank << 32 | place; false: empty. */
static inline bool tok_queue_pop(struct tok_queue *q, uint64_t *out)
{
    if (q->nranks == 0) {
        if (q->nheap == 0) return false;
        *out = tok_heap_pop(q->heap, &q->nheap);
        return true;
    }
    uint32_t k = (uint32_t)q->ranks[0], i = q->list[k].head;
    uint64_t front = (uint64_t)q->list[k].rank << 32 | q->node[i].at;
    if (q->nheap > 0 && q->heap[0] < front) {
        *out = tok_heap_pop(q->heap, &q->nheap);
        return true;
    }
    *out = front;
    q->list[k].head = q->node[i].next;
    q->node[i].next = q->unused;
    q->unused = i;
    if (q->list[k].head == UINT32_MAX) tok_heap_pop(q->ranks, &q->nranks);
    return true;
}
