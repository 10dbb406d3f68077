/*
 * Byte-pair merging of many short words at once. A merge needs the pairs with both neighbours,
 * which lie anywhere in a table of megabytes: one word alone waits for memory most of its time. So
 * sixteen words take turns, a merge a turn, and what a word looks up is on its way while the others
 * work. Each word is merged as tok_bpe.c does it: the pair of lowest rank, the leftmost of equals.
 *
 * A turn has hardly a branch that cannot be foreseen: what there is nothing of is done to place 15,
 * where no word has a symbol.
 */
#include "text/tok_block.h"
#include "text/tok_impl.h"

#define LANES   16u
#define NONE    UINT32_MAX
#define NO_KEY  UINT64_MAX
#define NOWHERE 15u

/* A word: its symbols stay where their first byte is. */
struct lane {
    uint32_t order[16]; /* of the pair that begins at a place: rank << 4 | place; or NONE */
    uint32_t product[16];
    uint32_t id[16];
    uint64_t key[2]; /* two pairs that are being looked up */
    uint32_t line[2];
    uint32_t at[2];
    uint32_t live; /* a bit a symbol */
    struct tok_new_word *word;
} __attribute__((aligned(64)));

_Static_assert(TOK_SHORT == NOWHERE && (uint64_t)TOK_MAX_MERGES << 4 <= NONE,
               "rank and place in 32 bits");

/* False: a byte that is not ASCII or has no piece. */
static bool begin(const struct tokenizer *t, struct lane *l, struct tok_new_word *w)
{
    const uint8_t *p = (const uint8_t *)w->p;

    for (uint32_t i = 0; i < w->n; i++) {
        l->id[i] = t->byte_id[p[i]];
        if (p[i] >= 128 || l->id[i] == TOK_NO_ID) return false;
    }
    for (uint32_t i = 0; i < 16; i++)
        l->order[i] = NONE;
    for (uint32_t i = 0; i + 1 < w->n; i++) {
        uint64_t pair = t->ascii_pair[p[i] * 128 + p[i + 1]];
        l->product[i] = (uint32_t)pair;
        l->order[i] = pair == UINT64_MAX ? NONE : (uint32_t)(pair >> 32) << 4 | i;
    }
    l->word = w;
    l->live = (1u << w->n) - 1;
    l->id[NOWHERE] = 0;
    for (int k = 0; k < 2; k++) {
        l->key[k] = NO_KEY;
        l->line[k] = 0;
        l->at[k] = NOWHERE;
    }
    return true;
}

static void end(struct lane *l)
{
    uint32_t n = 0;

    for (uint32_t live = l->live; live; live &= live - 1)
        l->word->ids[n++] = l->id[__builtin_ctz(live)];
    l->word->nids = n;
}

/* Begin to look up the pair of the symbols at two places, the first of which may be NOWHERE. */
TOK_INLINE void ask(const struct tokenizer *t, struct lane *l, int k, uint32_t at, uint32_t right,
                    bool there)
{
    uint64_t key = tok_pair_key(l->id[at], l->id[right]);

    l->line[k] = tok_pair_line(t, key);
    __builtin_prefetch(&t->pairs[l->line[k]]);
    l->key[k] = there ? key : NO_KEY;
    l->at[k] = there ? at : NOWHERE;
}

/* Merge the symbol at `at` and its neighbour; where that one was. */
TOK_INLINE uint32_t merge(const struct tokenizer *t, struct lane *l, uint32_t at)
{
    uint32_t right = at + 1 + (uint32_t)__builtin_ctz(l->live >> (at + 1));
    uint32_t live = l->live & ~(1u << right);
    uint32_t before = live & ((1u << at) - 1), behind = live >> right;

    l->live = live;
    l->id[at] = l->product[at];
    ask(t, l, 0, before ? 31 - (uint32_t)__builtin_clz(before) : NOWHERE, at, before != 0);
    ask(t, l, 1, at, right + (behind ? (uint32_t)__builtin_ctz(behind) : 0), behind != 0);
    return right;
}

static inline uint32_t least_of(const uint32_t *v)
{
    uint32_t a[4] = {v[0], v[1], v[2], v[3]};

    for (int i = 4; i < 16; i += 4)
        for (int k = 0; k < 4; k++)
            a[k] = v[i + k] < a[k] ? v[i + k] : a[k];
    a[0] = a[1] < a[0] ? a[1] : a[0];
    a[2] = a[3] < a[2] ? a[3] : a[2];
    return a[2] < a[0] ? a[2] : a[0];
}

/* One merge; false: there is none left. */
TOK_INLINE bool turn_plain(const struct tokenizer *t, struct lane *l)
{
    for (int k = 0; k < 2; k++) {
        uint64_t pair = l->key[k] == NO_KEY ? NO_KEY : tok_pair_in(t, l->line[k], l->key[k]);
        uint32_t at = l->at[k];
        l->product[at] = (uint32_t)pair;
        l->order[at] = pair == UINT64_MAX ? NONE : (uint32_t)(pair >> 32) << 4 | at;
    }
    uint32_t best = least_of(l->order), at = best & 15;
    if (best == NONE) return false;
    uint32_t right = merge(t, l, at);
    l->order[at] = l->order[right] = NONE;
    return true;
}

typedef bool turn_fn(const struct tokenizer *t, struct lane *l);

TOK_INLINE void run(const struct tokenizer *t, struct tok_new_word *w, size_t n, turn_fn *turn)
{
    struct lane lane[LANES];
    size_t next = 0, busy = 0;

    while (busy < LANES && next < n)
        busy += begin(t, &lane[busy], &w[next++]);
    while (busy > 0) {
        for (size_t i = 0; i < busy; i++) {
            if (__builtin_expect(turn(t, &lane[i]), 1)) continue;
            end(&lane[i]);
            while (next < n && !begin(t, &lane[i], &w[next]))
                next++;
            if (next < n)
                next++;
            else if (i < --busy)
                lane[i--] = lane[busy];
        }
    }
}

#ifdef TOK_HAVE_BLOCKS
/* The pair's rank and its place in one number, or NONE. */
TOK_AVX512 static inline uint32_t order_avx512(const struct tokenizer *t, struct lane *l, int k)
{
    const struct tok_pairs *line = &t->pairs[l->line[k]];
    __m512i keys = _mm512_srli_epi64(_mm512_load_si512(line), TOK_RANK_BITS);
    uint32_t at = l->at[k];
    uint32_t hit = _mm512_mask_cmpeq_epi64_mask((1 << TOK_PAIRS) - 1, keys,
                                                _mm512_set1_epi64((long long)l->key[k]));

    if (__builtin_expect((hit == 0) & (line->n == TOK_PAIRS), 0)) { /* it may be in the next one */
        uint64_t pair = l->key[k] == NO_KEY ? NO_KEY : tok_pair_in(t, l->line[k], l->key[k]);
        l->product[at] = (uint32_t)pair;
        return pair == UINT64_MAX ? NONE : (uint32_t)(pair >> 32) << 4 | at;
    }
    uint32_t i = (uint32_t)__builtin_ctz(hit | 1 << (TOK_PAIRS - 1));
    l->product[at] = line->product[i];
    return hit ? (uint32_t)(line->entry[i] & TOK_RANK_MASK) << 4 | at : NONE;
}

TOK_AVX512 static inline __m512i put_order(__m512i v, uint32_t places, uint32_t order)
{
    return _mm512_mask_set1_epi32(v, (__mmask16)places, (int)order);
}

TOK_AVX512 static inline bool turn_avx512(const struct tokenizer *t, struct lane *l)
{
    __m512i v = _mm512_load_si512(l->order);

    v = put_order(v, 1u << l->at[0], order_avx512(t, l, 0));
    v = put_order(v, 1u << l->at[1], order_avx512(t, l, 1));
    uint32_t best = _mm512_reduce_min_epu32(v), at = best & 15;
    if (best == NONE) return false;
    uint32_t right = merge(t, l, at);
    _mm512_store_si512(l->order, put_order(v, 1u << at | 1u << right, NONE));
    return true;
}

TOK_AVX512 static void run_avx512(const struct tokenizer *t, struct tok_new_word *w, size_t n)
{
    run(t, w, n, turn_avx512);
}
#endif

void tok_lanes_bpe(const struct tokenizer *t, struct tok_new_word *w, size_t n)
{
#ifdef TOK_HAVE_BLOCKS
    if (tok_has_avx512()) {
        run_avx512(t, w, n);
        return;
    }
#endif
    run(t, w, n, turn_plain);
}
