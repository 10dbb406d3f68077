/*
 * Byte-pair merging inside one word, of bytes or (SentencePiece) of characters: always the pair
 * of lowest rank, the leftmost of equals (huggingface/tokenizers src/models/bpe/word.rs). Short
 * words scan their pairs; long ones keep them in a queue (tok_queue.h).
 */
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/tok_queue.h"
#include "text/utf8.h"

#define SHORT_WORD 32

void tok_bpe_init(struct tok_bpe *b)
{
    *b = (struct tok_bpe){0};
    sbuf_init(&b->norm, 32 * (size_t)TOK_MAX_TEXT);
    sbuf_init(&b->word, 32 * (size_t)TOK_MAX_TEXT);
}

void tok_bpe_free(struct tok_bpe *b)
{
    mem_free(b->sym);
    mem_free(b->heap);
    mem_free(b->wait);
    mem_free(b->node);
    sbuf_free(&b->norm);
    sbuf_free(&b->word);
    tok_bpe_init(b);
}

size_t tok_bpe_bytes(const struct tok_bpe *b)
{
    return b->sym_cap * sizeof(*b->sym) + b->wait_cap * sizeof(*b->wait) + b->norm.cap +
           b->word.cap;
}

/* Ids of the single bytes. A byte without a piece is the unknown token, or nothing. */
static size_t byte_symbols(const struct tokenizer *t, const char *p, size_t n, uint32_t *sym)
{
    size_t k = 0;
    bool was_unk = false;

    for (size_t i = 0; i < n; i++) {
        uint32_t id = t->byte_id[(uint8_t)p[i]];
        bool unk = id == TOK_NO_ID;
        if (unk && (t->model_unk < 0 || (was_unk && t->fuse_unk))) continue;
        sym[k++] = unk ? (uint32_t)t->model_unk : id;
        was_unk = unk;
    }
    return k;
}

/* Byte tokens of one character; a blank stands for a metaspace. */
static size_t fallback_symbols(const struct tokenizer *t, const char *p, size_t n, uint32_t *sym)
{
    if (*p == ' ') {
        p = TOK_METASPACE;
        n = 3;
    }
    for (size_t i = 0; i < n; i++)
        sym[i] = t->fallback[(uint8_t)p[i]];
    return n;
}

/* Ids of the characters; one without a piece is its bytes, the unknown token, or nothing. At most
 * three symbols a byte. */
static size_t char_symbols(const struct tokenizer *t, const char *p, size_t n, uint32_t *sym)
{
    size_t k = 0, len;
    bool was_unk = false;

    for (size_t i = 0; i < n; i += len) {
        uint32_t id = t->byte_id[(uint8_t)p[i]];
        len = 1;
        if ((uint8_t)p[i] >= 0x80) {
            utf8_decode((struct str){p + i, n - i}, &len);
            id = tok_find_bytes(t, p + i, len);
        }
        bool unk = id == TOK_NO_ID;
        if (unk && t->byte_fallback) {
            k += fallback_symbols(t, p + i, len, sym + k);
            was_unk = false;
            continue;
        }
        if (unk && (t->model_unk < 0 || (was_unk && t->fuse_unk))) continue;
        sym[k++] = unk ? (uint32_t)t->model_unk : id;
        was_unk = unk;
    }
    return k;
}

/* Pairs of the word's symbols. Those of ASCII bytes, a third of all that are looked for, have a
 * small table. */
static void first_pairs(const struct tokenizer *t, const char *p, size_t nbytes, const uint32_t *id,
                        size_t n, uint64_t *pair)
{
    const uint8_t *b = (const uint8_t *)p;

    for (size_t i = 0; i + 1 < n; i++) {
        bool bytes = n == nbytes && b[i] < 128 && b[i + 1] < 128 && id[i] == t->byte_id[b[i]] &&
                     id[i + 1] == t->byte_id[b[i + 1]];
        pair[i] = bytes ? t->ascii_pair[b[i] * 128 + b[i + 1]] : tok_find_pair(t, id[i], id[i + 1]);
    }
}

/* pair[i]: that of symbols i and i + 1. Equal ranks: the leftmost. */
static size_t merge_short(const struct tokenizer *t, uint32_t *id, uint64_t *pair, size_t n)
{
    while (n > 1) {
        size_t at = 0;
        for (size_t i = 1; i + 1 < n; i++)
            at = pair[i] >> 32 < pair[at] >> 32 ? i : at;
        if (pair[at] >> 32 == UINT32_MAX) break;
        id[at] = (uint32_t)pair[at];
        n--;
        for (size_t i = at + 1; i < n; i++)
            id[i] = id[i + 1];
        for (size_t i = at; i + 1 < n; i++)
            pair[i] = pair[i + 1];
        if (at > 0) pair[at - 1] = tok_find_pair(t, id[at - 1], id[at]);
        if (at + 1 < n) pair[at] = tok_find_pair(t, id[at], id[at + 1]);
    }
    return n;
}

/* ---- long words: symbols in a list, pairs in a heap */
struct links {
    uint32_t *id, *prev, *next; /* next == n: the last; id == TOK_NO_ID: merged away */
    uint32_t n;
};

static inline void push_pair(const struct tokenizer *t, const struct links *l, uint32_t at,
                             struct tok_queue *q)
{
    if (l->next[at] == l->n) return;
    uint64_t rank = tok_find_pair(t, l->id[at], l->id[l->next[at]]) >> 32;
    if (rank != UINT32_MAX) tok_queue_push(q, (uint32_t)rank, at);
}

/* Ids of the merged word stay in place; returns how many. */
static size_t merge_long(const struct tokenizer *t, const struct links *l, struct tok_queue *q)
{
    uint64_t top;
    size_t k = 0;

    for (uint32_t i = 0; i < l->n; i++) {
        l->prev[i] = i - 1; /* of the first: never looked at */
        l->next[i] = i + 1;
    }
    for (uint32_t i = 0; i < l->n; i++)
        push_pair(t, l, i, q);
    while (tok_queue_pop(q, &top)) {
        uint32_t at = (uint32_t)top, right;
        if (l->id[at] == TOK_NO_ID || (right = l->next[at]) == l->n) continue;
        /* A neighbour may have merged meanwhile: the pair must still have the rank it had. */
        uint64_t pair = tok_find_pair(t, l->id[at], l->id[right]);
        if (pair >> 32 != top >> 32) continue;
        l->id[at] = (uint32_t)pair;
        l->id[right] = TOK_NO_ID;
        l->next[at] = l->next[right];
        if (l->next[at] != l->n) l->prev[l->next[at]] = at;
        if (at > 0) push_pair(t, l, l->prev[at], q);
        push_pair(t, l, at, q);
    }
    for (uint32_t i = 0; i < l->n; i++)
        if (l->id[i] != TOK_NO_ID) l->id[k++] = l->id[i];
    return k;
}

static size_t merge_many(const struct tokenizer *t, struct tok_bpe *b, size_t max, size_t n)
{
    struct links l = {b->sym, b->sym + max, b->sym + 2 * max, (uint32_t)n};
    struct tok_queue q;

    tok_queue_init(&q, b->heap, b->wait, n >= TOK_QUEUE_LISTS_FROM);
    return merge_long(t, &l, &q);
}

/* Room for n symbols; never more pairs wait than the first ones and one more a merge. */
static bool reserve(struct tok_bpe *b, size_t n, struct err *e)
{
    return mem_grow((void **)&b->sym, &b->sym_cap, 3 * n, sizeof(*b->sym), e) &&
           mem_grow((void **)&b->heap, &b->heap_cap, 2 * n, sizeof(*b->heap), e) &&
           mem_grow((void **)&b->wait, &b->wait_cap, 2 * n, sizeof(*b->wait), e);
}

bool tok_bpe_word(const struct tokenizer *t, struct tok_bpe *b, const char *p, size_t n,
                  struct tok_ids *out, struct err *e)
{
    bool sp = t->engine == TOK_SP_BPE;
    uint32_t few[SHORT_WORD], *id = few;
    uint64_t pair[SHORT_WORD];
    size_t max = sp && t->byte_fallback ? 3 * n : n, k;

    if (t->ignore_merges && (n > TOK_SHORT || !t->whole)) { /* tok_find_whole knows short ones */
        uint32_t whole = tok_find_bytes(t, p, n);
        /* a special token is never made from text */
        if (whole != TOK_NO_ID && !(t->piece[whole].flags & TOK_P_SPECIAL))
            return tok_ids_put(out, whole, e);
    }
    if (max > SHORT_WORD) {
        if (!reserve(b, max, e)) return false;
        id = b->sym;
    }
    k = sp ? char_symbols(t, p, n, id) : byte_symbols(t, p, n, id);
    if (k <= SHORT_WORD) {
        first_pairs(t, p, n, id, k, pair);
        k = merge_short(t, id, pair, k);
    } else {
        k = merge_many(t, b, max, k);
    }
    if (!tok_ids_reserve(out, k, e)) return false;
    if (k > 0) memcpy(out->ids + out->n, id, k * sizeof(*id));
    out->n += k;
    return true;
}

bool tok_word(const struct tokenizer *t, struct tok_bpe *b, struct str word, bool plain,
              struct tok_ids *out, struct err *e)
{
    switch (t->engine) {
    case TOK_BYTE_BPE:
    case TOK_SP_BPE:
        return tok_bpe_word(t, b, word.p, word.n, out, e);
    case TOK_UNIGRAM:
        return tok_unigram_word(t, b, word, plain, out, e);
    case TOK_WORDPIECE:
        return tok_wordpiece_word(t, b, word, out, e);
    }
    UNREACHABLE();
}
