#include "evaluate/rouge_lcs.h"

#include <string.h>

#include "base/mem.h"

enum {
    MASKS_MAX = 1 << 20, /* 64-bit words of masks, then lists of places */
    ROWS_MAX = 1 << 20,  /* 64-bit words of vectors kept at once on the way back */
    PARTS = 64,          /* of a way that is too long for that */
};
#define NOWHERE UINT32_MAX

static bool set_masks(struct rouge_lcs *l, size_t nwords, struct err *e)
{
    if (!mem_grow((void **)&l->mask, &l->mask_cap, nwords * l->nw, sizeof *l->mask, e))
        return false;
    for (size_t i = 0; i < l->n; i++) {
        uint64_t *m = l->mask + l->ref[i] * l->nw;
        if (l->mask_of[l->ref[i]] != l->set) memset(m, 0, l->nw * sizeof *m);
        l->mask_of[l->ref[i]] = l->set;
        m[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return true;
}

static bool set_lists(struct rouge_lcs *l, size_t nwords, struct err *e)
{
    if (!mem_grow((void **)&l->head, &l->head_cap, nwords, sizeof *l->head, e)) return false;
    if (!mem_grow((void **)&l->next, &l->next_cap, l->n, sizeof *l->next, e)) return false;
    for (size_t i = l->n; i-- > 0;) {
        uint32_t id = l->ref[i];
        l->next[i] = l->mask_of[id] == l->set ? l->head[id] : NOWHERE;
        l->mask_of[id] = l->set;
        l->head[id] = (uint32_t)i;
    }
    return true;
}

bool rouge_lcs_set(struct rouge_lcs *l, const uint32_t *ref, size_t n, size_t nwords, struct err *e)
{
    size_t before = l->mask_of_cap;
    l->ref = ref;
    l->n = n;
    l->nw = (n + 63) / 64;
    l->lists = nwords > (l->masks_max ? l->masks_max : MASKS_MAX) / l->nw;
    if (!mem_grow((void **)&l->mask_of, &l->mask_of_cap, nwords, sizeof *l->mask_of, e))
        return false;
    memset(l->mask_of + before, 0, (l->mask_of_cap - before) * sizeof *l->mask_of);
    if (++l->set == 0) {
        memset(l->mask_of, 0, l->mask_of_cap * sizeof *l->mask_of);
        l->set = 1;
    }
    return l->lists ? set_lists(l, nwords, e) : set_masks(l, nwords, e);
}

bool rouge_lcs_meets(const struct rouge_lcs *l, const uint32_t *hyp, size_t hn)
{
    for (size_t j = 0; j < hn; j++)
        if (l->mask_of[hyp[j]] == l->set) return true;
    return false;
}

/* The same as push_mask, in place and only where something changes: at the word's places, and as
 * far behind each as its carry goes. */
static void push_list(const struct rouge_lcs *l, uint32_t id, size_t nw, uint64_t *v)
{
    uint32_t at = l->head[id];
    uint64_t carry = 0;
    for (size_t k = 0; carry || at != NOWHERE; k++) {
        uint64_t m = 0;
        if (!carry) k = at / 64;
        if (k >= nw) return;
        for (; at != NOWHERE && at / 64 == k; at = l->next[at])
            m |= UINT64_C(1) << (at % 64);
        uint64_t u = v[k] & m, sum = v[k] + u, with = sum + carry;
        carry = (sum < u) | (with < sum);
        v[k] = with | (v[k] & ~m);
    }
}

static void push_mask(const uint64_t *m, size_t nw, const uint64_t *in, uint64_t *out)
{
    uint64_t carry = 0;
    for (size_t k = 0; k < nw; k++) {
        uint64_t v = in[k], u = v & m[k];
        uint64_t sum = v + u, with = sum + carry;
        carry = (sum < v) | (with < sum);
        out[k] = with | (v & ~m[k]);
    }
}

/* Push one word of the prediction through: out = f(in), the first nw words of both; out may be in.
 * What stands in them does not depend on the words behind. */
static void push(const struct rouge_lcs *l, uint32_t id, size_t nw, const uint64_t *in,
                 uint64_t *out)
{
    bool known = l->mask_of[id] == l->set;
    if (known && !l->lists) {
        push_mask(l->mask + id * l->nw, nw, in, out);
        return;
    }
    if (out != in) memcpy(out, in, nw * sizeof *out);
    if (known) push_list(l, id, nw, out);
}

bool rouge_lcs_length(struct rouge_lcs *l, const uint32_t *hyp, size_t hn, uint64_t *length,
                      struct err *e)
{
    size_t n = l->n, nw = l->nw;
    *length = 0;
    if (!mem_grow((void **)&l->rows, &l->rows_cap, nw, sizeof *l->rows, e)) return false;
    memset(l->rows, 0xff, nw * sizeof *l->rows);
    for (size_t j = 0; j < hn; j++)
        push(l, hyp[j], nw, l->rows, l->rows);
    for (size_t k = 0; k < nw; k++) {
        uint64_t used = k + 1 < nw || n % 64 == 0 ? ~UINT64_C(0) : (UINT64_C(1) << (n % 64)) - 1;
        *length += (uint64_t)__builtin_popcountll(~l->rows[k] & used);
    }
    return true;
}

/* ---- the way back */

static size_t rows_max(const struct rouge_lcs *l)
{
    return l->rows_max ? l->rows_max : ROWS_MAX;
}

static bool fits(const struct rouge_lcs *l, size_t hn)
{
    return hn < 2 || (hn + 1) * l->nw <= rows_max(l);
}

static size_t part_of(size_t hn)
{
    return (hn + PARTS - 1) / PARTS;
}

/* 64-bit words for the vectors of a way of hn words: of the part at hand, and what is kept on each
 * level above. */
static size_t rows_for(const struct rouge_lcs *l, size_t hn)
{
    size_t kept = 0, last = rows_max(l) > 2 * l->nw ? rows_max(l) : 2 * l->nw;
    if (fits(l, hn)) return (hn + 1) * l->nw;
    for (; !fits(l, hn); hn = part_of(hn))
        kept += PARTS * l->nw;
    return kept + last; /* a way's last part is shorter than the others, and may fit sooner */
}

/* Walk through the words hyp[0] .. hyp[hn - 1] backwards, from place *i on; rows[0 .. nw) is the
 * vector before the first of them, and there is room behind it. No vector is needed beyond *i. */
static void walk(const struct rouge_lcs *l, const uint32_t *hyp, size_t hn, uint64_t *rows,
                 size_t *i, uint64_t *places)
{
    size_t nw = l->nw, width = (*i + 63) / 64, j = hn;
    for (size_t k = 0; k < hn; k++)
        push(l, hyp[k], width, rows + k * nw, rows + (k + 1) * nw);
    while (*i > 0 && j > 0) {
        uint64_t bit = UINT64_C(1) << ((*i - 1) % 64);
        if (l->ref[*i - 1] == hyp[j - 1]) {
            places[(*i - 1) / 64] |= bit;
            --*i;
            j--;
        } else if (!(rows[j * nw + (*i - 1) / 64] & bit)) {
            j--;
        } else {
            --*i; /* also on a tie */
        }
    }
}

/* The same for any hn: first the vectors before each of PARTS parts, then the parts, last first;
 * hn is 64 times smaller on each level, so there are three at most. */
static void walk_parts(const struct rouge_lcs *l, const uint32_t *hyp, size_t hn, uint64_t *rows,
                       size_t *i, uint64_t *places)
{
    size_t nw = l->nw, bytes = (*i + 63) / 64 * sizeof *rows, part = part_of(hn), k = 0;
    if (fits(l, hn)) {
        walk(l, hyp, hn, rows, i, places);
        return;
    }
    uint64_t *below = rows + PARTS * nw;
    memcpy(below, rows, bytes);
    for (; (k + 1) * part < hn; k++) {
        for (size_t j = k * part; j < (k + 1) * part; j++)
            push(l, hyp[j], (*i + 63) / 64, below, below);
        memcpy(rows + (k + 1) * nw, below, bytes);
    }
    for (size_t end = hn; *i > 0; end = k-- * part) {
        memcpy(below, rows + k * nw, (*i + 63) / 64 * sizeof *rows);
        walk_parts(l, hyp + k * part, end - k * part, below, i, places);
        if (k == 0) return;
    }
}

bool rouge_lcs_places(struct rouge_lcs *l, const uint32_t *hyp, size_t hn, uint64_t *places,
                      struct err *e)
{
    size_t nw = l->nw, i = l->n;
    if (!mem_grow((void **)&l->rows, &l->rows_cap, rows_for(l, hn), sizeof *l->rows, e))
        return false;
    memset(l->rows, 0xff, nw * sizeof *l->rows);
    walk_parts(l, hyp, hn, l->rows, &i, places);
    return true;
}

void rouge_lcs_free(struct rouge_lcs *l)
{
    mem_free(l->mask_of);
    mem_free(l->mask);
    mem_free(l->head);
    mem_free(l->next);
    mem_free(l->rows);
    *l = (struct rouge_lcs){0};
}
