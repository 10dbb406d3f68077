/*
 * Unigram (T5): the pieces of a word with the largest sum of scores (huggingface/tokenizers
 * src/models/unigram/model.rs, encode_optimized): sums in double, from left to right; of equal
 * paths to a place the first found stays, that is the one with the earlier start; a character
 * without a piece of its own costs the worst score less 10; unknown neighbours are one id.
 *
 * A word here is what lies between two blanks of the raw text, with the blanks in front of it;
 * it is normalised, split at white space, and each part gets a metaspace in front. Cutting the
 * raw text at a blank is safe between ASCII bytes, because a grapheme cluster, which the
 * charsmap looks at, never spans two of them but CR LF, and tok_charsmap_check refuses maps that
 * make text of a blank.
 */
#include <math.h>

#include "base/mem.h"
#include "text/tok_block.h"
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

/* A place in the word: behind its last byte so far. */
struct tok_node {
    double score;  /* best sum of a path to here; -INFINITY: no path yet */
    uint32_t from; /* where the path's last piece begins */
    uint32_t id;
    uint32_t next; /* where the piece that begins here ends, once the best path is known */
};

/* A path to byte `to` by the piece id; the better one stays, of equals the first. */
static inline void offer(struct tok_node *node, uint32_t from, uint32_t to, uint32_t id,
                         double score)
{
    if (score > node[to].score) node[to] = (struct tok_node){score, from, id, 0};
}

static void find_path(const struct tokenizer *t, struct tok_node *node, struct str s, bool plain)
{
    const struct tok_unit *unit = t->trie.unit;
    uint32_t hidden = plain ? TOK_TRIE_SPECIAL : 0;
    size_t len;

    for (size_t i = 1; i <= s.n; i++)
        node[i].score = -INFINITY;
    node[0] = (struct tok_node){0};
    for (size_t at = 0; at < s.n; at += len) {
        bool single = false;
        uint32_t to = 0;
        double till = node[at].score;
        len = 1;
        if ((uint8_t)s.p[at] >= 0x80) utf8_decode(str_sub(s, at, s.n), &len);
        for (size_t i = at; i < s.n; i++) {
            uint8_t code = t->trie.code[(uint8_t)s.p[i]];
            to = unit[to].link >> TOK_TRIE_BASE ^ code;
            if ((unit[to].link & TOK_TRIE_LABEL) != (TOK_TRIE_USED | code)) break;
            if (t->trie.id[to] == 0 || (t->trie.id[to] & hidden)) continue;
            uint32_t id = (t->trie.id[to] & ~TOK_TRIE_SPECIAL) - 1;
            offer(node, (uint32_t)at, (uint32_t)i + 1, id, t->score[id] + till);
            if (i + 1 - at == len) single = true;
        }
        if (!single)
            offer(node, (uint32_t)at, (uint32_t)(at + len), (uint32_t)t->model_unk,
                  t->unk_score + till);
    }
}

/* ---- words of reports: short, of ASCII, in plain mode */
#define FEW   32  /* bytes of one, at most one less: its place for a step more is another's */
#define GROUP 8   /* shorter ones that are looked up together */
#define HALF  16  /* bytes of each of these */
#define ROOM  128 /* places of all */

/* What the tree holds of short words has nothing to do with the sums, so it is looked up first,
 * from all places of all words at once: no step waits for another place's way to memory. */
struct short_words {
    size_t stride; /* places of a word; each has as many steps */
    uint8_t code[ROOM + 1];
    uint8_t depth[ROOM];       /* how many steps lead on from a place */
    double piece[ROOM * HALF]; /* [place * stride + steps - 1]: the score of what ends there, or
                                    -INFINITY */
    uint32_t unit[ROOM * HALF];
    size_t n; /* places from which the search goes on */
    uint8_t place[ROOM], room[ROOM];
    uint32_t link[ROOM];
};
_Static_assert(GROUP *HALF <= ROOM && FEW * FEW <= ROOM * HALF && TOK_SHORT < HALF,
               "words have room");

static inline double score_of(struct tok_unit u)
{
    double d = (double)u.score;
    int64_t bits;

    memcpy(&bits, &d, sizeof(bits));
    bits += (int64_t)(u.link >> TOK_TRIE_ULP & 3) - 1;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

static inline void begin_short(struct short_words *w, size_t stride)
{
    w->stride = stride;
    w->n = 0;
    memset(w->code, 0, sizeof(w->code)); /* a step looks at the byte behind its own */
}

static inline void put_short(const struct tokenizer *t, struct short_words *w, size_t at,
                             struct str s)
{
    for (size_t i = 0; i < s.n; i++, at++) {
        w->code[at] = t->trie.code[(uint8_t)s.p[i]];
        w->place[w->n] = (uint8_t)at;
        w->room[w->n] = (uint8_t)(s.n - i);
        w->link[w->n++] = t->trie.unit[0].link;
    }
}

static inline void find_pieces(const struct tok_unit *unit, struct short_words *w)
{
    for (uint32_t step = 0; w->n > 0; step++) {
        size_t left = 0;
        for (size_t k = 0; k < w->n; k++) {
            uint8_t at = w->place[k], room = w->room[k], code = w->code[at + step];
            uint32_t to = w->link[k] >> TOK_TRIE_BASE ^ code;
            struct tok_unit u = unit[to];
            bool on = ((u.link & TOK_TRIE_LABEL) == (TOK_TRIE_USED | code)) & (step < room);
            __builtin_prefetch(&unit[u.link >> TOK_TRIE_BASE ^ w->code[at + step + 1]]);
            w->piece[at * w->stride + step] = score_of(u);
            w->unit[at * w->stride + step] = to;
            w->depth[at] = (uint8_t)(step + on);
            w->place[left] = at;
            w->room[left] = room;
            w->link[left] = u.link;
            left += on;
        }
        w->n = left;
    }
}

/* As find_path: the units of the best pieces of the n bytes from place `from`, the last one first;
 * unit 0: unknown. Returns how many. */
static size_t best_units(const struct tokenizer *t, const struct short_words *w, size_t from,
                         size_t n, uint32_t *units)
{
    double score[FEW + 1];  /* of the best path to a place */
    uint32_t last[FEW + 1]; /* its last unit << 8 | where its piece begins */
    size_t count = 0;

    for (size_t i = 1; i <= FEW; i++) {
        score[i] = -INFINITY;
        last[i] = 0;
    }
    score[0] = 0;
    for (size_t at = 0; at < n; at++) {
        const double *piece = &w->piece[(from + at) * w->stride];
        const uint32_t *unit = &w->unit[(from + at) * w->stride];
        double till = score[at];
        size_t depth = w->depth[from + at];
        for (size_t i = 0; i < depth; i++) { /* without a branch: no one can foresee it */
            double sum = piece[i] + till, old = score[at + i + 1];
            uint32_t better = 0 - (uint32_t)(sum > old);
            last[at + i + 1] ^= (last[at + i + 1] ^ (unit[i] << 8 | (uint32_t)at)) & better;
            score[at + i + 1] = sum > old ? sum : old;
        }
        bool single = depth > 0 && piece[0] > -INFINITY;
        if (__builtin_expect(!single, 0) && t->unk_score + till > score[at + 1]) {
            score[at + 1] = t->unk_score + till;
            last[at + 1] = (uint32_t)at;
        }
    }
    for (size_t at = n; at > 0; at = last[at] & 0xFF) {
        units[count++] = last[at] >> 8;
        __builtin_prefetch(&t->trie.id[last[at] >> 8]);
    }
    return count;
}

/* The ids of such units, in order; 0: there is something unknown among them. */
static size_t ids_of_units(const struct tokenizer *t, const uint32_t *units, size_t n,
                           uint32_t *ids)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t unit = units[n - 1 - i];
        ids[i] = t->trie.id[unit] - 1;
        if (unit == 0 || (int32_t)ids[i] == t->model_unk) return 0;
    }
    return n;
}

/* 0: as above. */
static size_t short_ids(const struct tokenizer *t, struct str s, uint32_t *ids)
{
    struct short_words w;
    uint32_t units[FEW];

    begin_short(&w, FEW);
    put_short(t, &w, 0, s);
    find_pieces(t->trie.unit, &w);
    return ids_of_units(t, units, best_units(t, &w, 0, s.n, units), ids);
}

/* Unknown text: its bytes, or one id. */
static bool put_unknown(const struct tokenizer *t, struct str s, struct tok_ids *out, struct err *e)
{
    if (!t->byte_fallback) return tok_ids_put(out, (uint32_t)t->model_unk, e);
    for (size_t i = 0; i < s.n; i++) {
        const char *p = s.p[i] == ' ' ? TOK_METASPACE : NULL;
        if (!p && !tok_ids_put(out, t->fallback[(uint8_t)s.p[i]], e)) return false;
        for (; p && *p; p++)
            if (!tok_ids_put(out, t->fallback[(uint8_t)*p], e)) return false;
    }
    return true;
}

static bool put_path(const struct tokenizer *t, struct tok_node *node, struct str s,
                     struct tok_ids *out, struct err *e)
{
    for (uint32_t at = (uint32_t)s.n; at > 0; at = node[at].from)
        node[node[at].from].next = at;
    for (uint32_t at = 0, to; at < s.n; at = to) {
        to = node[at].next;
        uint32_t id = node[to].id;
        if ((int32_t)id != t->model_unk) {
            if (!tok_ids_put(out, id, e)) return false;
            continue;
        }
        while (to < s.n && (int32_t)node[node[to].next].id == t->model_unk)
            to = node[to].next;
        if (!put_unknown(t, str_sub(s, at, to), out, e)) return false;
    }
    return true;
}

/* s begins with a blank, which stands for its metaspace, and holds no other. */
static bool put_part(const struct tokenizer *t, struct tok_bpe *b, struct str s, bool plain,
                     struct tok_ids *out, struct err *e)
{
    if (plain && t->trie.near && s.n < FEW && utf8_ascii(s)) {
        if (!tok_ids_reserve(out, FEW, e)) return false;
        size_t n = short_ids(t, s, out->ids + out->n);
        out->n += n;
        if (n > 0) return true;
    }
    if (!mem_grow((void **)&b->node, &b->node_cap, s.n + 1, sizeof(*b->node), e)) return false;
    find_path(t, b->node, s, plain);
    return put_path(t, b->node, s, out, e);
}

/* Text without white space, literal metaspaces as blanks. */
static bool put_dark(const struct tokenizer *t, struct tok_bpe *b, struct str s, bool plain,
                     struct tok_ids *out, struct err *e)
{
    sbuf_clear(&b->word);
    if (s.p[0] != ' ' && !str_starts(s, STR(TOK_METASPACE)) && !sbuf_putc(&b->word, ' ', e))
        return false;
    if (!tok_norm_blanks(s, &b->word, e)) return false;
    s = sbuf_str(&b->word);
    for (size_t from = 0, to; from < s.n; from = to) {
        to = str_find(s, STR(" "), from + 1);
        if (to == SIZE_MAX) to = s.n;
        if (!put_part(t, b, str_sub(s, from, to), plain, out, e)) return false;
    }
    return true;
}

/* Blanks, then ASCII that the charsmap leaves alone: nearly every word of a report. Returns where
 * the blanks end; SIZE_MAX: another kind of word. */
static size_t plain_from(const struct tokenizer *t, struct str word)
{
    size_t from = 0;

    while (from < word.n && word.p[from] == ' ')
        from++;
    for (size_t i = from; i < word.n; i++)
        if (word.p[i] == ' ' || !t->same[(uint8_t)word.p[i]]) return SIZE_MAX;
    return t->same[' '] ? from : SIZE_MAX;
}

static bool is_word_byte(uint8_t b)
{
    return (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z');
}

/* No piece spans the last two bytes, so every path goes through the place between them, and there
 * is one piece to go on with: sums and choices before it are those of the shorter word. */
uint32_t tok_unigram_last(const struct tokenizer *t, struct str word)
{
    if (word.n < 2) return TOK_NO_ID;
    uint8_t a = (uint8_t)word.p[word.n - 2], b = (uint8_t)word.p[word.n - 1];
    if (!is_word_byte(a) || is_word_byte(b)) return TOK_NO_ID;
    if (t->closed[a * 32 + b / 8] >> b % 8 & 1) return TOK_NO_ID;
    if (plain_from(t, word) == SIZE_MAX) return TOK_NO_ID;
    uint32_t node = tok_trie_step(&t->trie, 0, b), id = 0;
    if (node != TOK_NO_ID) id = t->trie.id[node];
    return id == 0 || (id & TOK_TRIE_SPECIAL) || (int32_t)id - 1 == t->model_unk ? TOK_NO_ID
                                                                                 : id - 1;
}

#ifdef TOK_HAVE_BLOCKS
/* The same for a word of a group: all steps from a place at once, without a branch. Sixteen places
 * from `at` + 1 on, and what leads there, in registers. */
TOK_AVX512 static size_t best_units_avx512(const struct tokenizer *t, const struct short_words *w,
                                           size_t from, size_t n, uint32_t *units)
{
    const __m512d none = _mm512_set1_pd((double)-INFINITY);
    __m512d low = none, high = none;
    __m512i last = _mm512_setzero_si512();
    uint32_t to[HALF + 1];
    double till = 0;
    size_t count = 0;

    for (size_t at = 0; at < n; at++) {
        const double *piece = &w->piece[(from + at) * HALF];
        __mmask16 there = (__mmask16)((1u << w->depth[from + at]) - 1);
        __m512d sum = _mm512_set1_pd(till), sums[2];
        sums[0] = _mm512_add_pd(_mm512_loadu_pd(piece), sum);
        sums[1] = _mm512_add_pd(_mm512_loadu_pd(piece + 8), sum);
        __mmask8 a = _mm512_mask_cmp_pd_mask((__mmask8)there, sums[0], low, _CMP_GT_OQ);
        __mmask8 b = _mm512_mask_cmp_pd_mask((__mmask8)(there >> 8), sums[1], high, _CMP_GT_OQ);
        low = _mm512_mask_mov_pd(low, a, sums[0]);
        high = _mm512_mask_mov_pd(high, b, sums[1]);
        __m512i unit = _mm512_loadu_si512(&w->unit[(from + at) * HALF]);
        unit = _mm512_or_si512(_mm512_slli_epi32(unit, 8), _mm512_set1_epi32((int)at));
        last = _mm512_mask_mov_epi32(last, (__mmask16)(a | b << 8), unit);
        double score = _mm512_cvtsd_f64(low);
        to[at + 1] = (uint32_t)_mm512_cvtsi512_si32(last);
        bool single = there && piece[0] > (double)-INFINITY;
        if (__builtin_expect(!single, 0) && t->unk_score + till > score) {
            score = t->unk_score + till;
            to[at + 1] = (uint32_t)at;
        }
        till = score;
        low = _mm512_castsi512_pd(
            _mm512_alignr_epi64(_mm512_castpd_si512(high), _mm512_castpd_si512(low), 1));
        high = _mm512_castsi512_pd(
            _mm512_alignr_epi64(_mm512_castpd_si512(none), _mm512_castpd_si512(high), 1));
        last = _mm512_alignr_epi32(_mm512_setzero_si512(), last, 1);
    }
    for (size_t at = n; at > 0; at = to[at] & 0xFF) {
        units[count++] = to[at] >> 8;
        __builtin_prefetch(&t->trie.id[to[at] >> 8]);
    }
    return count;
}
#endif

static size_t best_of(const struct tokenizer *t, const struct short_words *w, size_t from, size_t n,
                      uint32_t *units)
{
#ifdef TOK_HAVE_BLOCKS
    if (tok_has_avx512()) return best_units_avx512(t, w, from, n, units);
#endif
    return best_units(t, w, from, n, units);
}

static void find_group(const struct tokenizer *t, struct tok_new_word *word, size_t n)
{
    struct short_words w;
    size_t len[GROUP];
    uint32_t units[GROUP][HALF];

    begin_short(&w, HALF);
    for (size_t i = 0; i < n; i++) {
        size_t from = plain_from(t, (struct str){word[i].p, word[i].n});
        bool good = from != SIZE_MAX && from > 0 && from < word[i].n;
        len[i] = good ? word[i].n - from + 1 : 0;
        if (good) put_short(t, &w, i * HALF, (struct str){word[i].p + from - 1, len[i]});
    }
    find_pieces(t->trie.unit, &w);
    for (size_t i = 0; i < n; i++)
        len[i] = best_of(t, &w, i * HALF, len[i], units[i]);
    for (size_t i = 0; i < n; i++)
        word[i].nids = (uint32_t)ids_of_units(t, units[i], len[i], word[i].ids);
}

void tok_unigram_many(const struct tokenizer *t, struct tok_new_word *w, size_t n)
{
    for (size_t i = 0; t->trie.near && i < n; i += GROUP)
        find_group(t, w + i, n - i < GROUP ? n - i : GROUP);
}

bool tok_unigram_word(const struct tokenizer *t, struct tok_bpe *b, struct str word, bool plain,
                      struct tok_ids *out, struct err *e)
{
    size_t len, from = plain_from(t, word);
    struct str s;

    if (from != SIZE_MAX) {
        if (from == word.n) return true;
        if (from > 0) return put_part(t, b, str_sub(word, from - 1, word.n), plain, out, e);
        return put_dark(t, b, word, plain, out, e);
    }
    from = 0;
    sbuf_clear(&b->norm);
    if (t->charsmap.n ? !tok_charsmap_apply(t->charsmap, word, &b->norm, e)
                      : !sbuf_put(&b->norm, word, e))
        return false;
    s = sbuf_str(&b->norm);
    for (size_t i = 0; i <= s.n; i += len) {
        bool end = i == s.n;
        len = 1;
        if (!end && !(uniclass(utf8_decode(str_sub(s, i, s.n), &len)) & UNI_SPACE)) continue;
        if (i > from && !put_dark(t, b, str_sub(s, from, i), plain, out, e)) return false;
        from = i + len;
    }
    return true;
}
