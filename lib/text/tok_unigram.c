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
            uint32_t id = (t->trie.id[to] & ~(TOK_TRIE_SPECIAL | TOK_TRIE_WHOLE)) - 1;
            offer(node, (uint32_t)at, (uint32_t)i + 1, id, t->score[id] + till);
            if (i + 1 - at == len) single = true;
        }
        if (!single)
            offer(node, (uint32_t)at, (uint32_t)(at + len), (uint32_t)t->model_unk,
                  t->unk_score + till);
    }
}

/* ---- words of reports: short, of ASCII, in plain mode */
#define FEW 32

/* Places in a short word. A path is known by its last unit: ids are looked up for the best one. */
struct short_path {
    double score[FEW + 1];
    uint32_t last[FEW + 1]; /* unit << 8 | where its piece begins; unit 0: unknown */
    uint8_t code[FEW];
};

static inline double score_of(struct tok_unit u)
{
    double d = (double)u.score;
    int64_t bits;

    memcpy(&bits, &d, sizeof(bits));
    bits += (int64_t)(u.link >> TOK_TRIE_ULP & 3) - 1;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

/* The pieces that begin at `at`. Returns the unit of the last one, if they reach the word's end. */
static inline uint32_t offer_short(const struct tok_unit *unit, struct short_path *w, size_t at,
                                   size_t n, double unk_score)
{
    uint32_t to = 0;
    double till = w->score[at];
    bool single = false;

    for (size_t i = at; i < n; i++) {
        to = unit[to].link >> TOK_TRIE_BASE ^ w->code[i];
        struct tok_unit u = unit[to];
        if ((u.link & TOK_TRIE_LABEL) != (TOK_TRIE_USED | w->code[i])) {
            to = 0;
            break;
        }
        single |= (i == at) & (u.score > -INFINITY);
        double sum = score_of(u) + till;
        if (!(sum > w->score[i + 1])) continue;
        w->score[i + 1] = sum;
        w->last[i + 1] = to << 8 | (uint32_t)at;
    }
    if (!single && unk_score + till > w->score[at + 1]) {
        w->score[at + 1] = unk_score + till;
        w->last[at + 1] = (uint32_t)at;
    }
    return to;
}

/* As find_path and put_path. False with *found false: there is something unknown in the word. */
static bool put_short(const struct tokenizer *t, struct str s, bool *found, struct tok_ids *out,
                      struct err *e)
{
    struct short_path w;
    uint32_t ids[FEW], unit;
    size_t n = 0;

    *found = true;
    for (size_t i = 0; i < s.n; i++) {
        w.code[i] = t->trie.code[(uint8_t)s.p[i]];
        w.score[i + 1] = -INFINITY;
        w.last[i + 1] = 0;
    }
    w.score[0] = 0;
    for (size_t at = 0; at < s.n; at++) {
        unit = offer_short(t->trie.unit, &w, at, s.n, t->unk_score);
        if (at == 0 && (t->trie.id[unit] & TOK_TRIE_WHOLE))
            return tok_ids_put(out, (t->trie.id[unit] & ~TOK_TRIE_WHOLE) - 1, e);
    }
    for (size_t at = s.n; at > 0; at = w.last[at] & 0xFF) {
        unit = w.last[at] >> 8;
        ids[n] = (t->trie.id[unit] & ~TOK_TRIE_WHOLE) - 1;
        *found &= unit > 0 && (int32_t)ids[n] != t->model_unk;
        n++;
    }
    if (!*found) return false;
    if (!tok_ids_reserve(out, n, e)) return false;
    while (n > 0)
        out->ids[out->n++] = ids[--n];
    return true;
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
    bool found = false;

    if (plain && t->trie.near && s.n <= FEW && utf8_ascii(s)) {
        bool ok = put_short(t, s, &found, out, e);
        if (found) return ok;
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
    if (word.n < 2 || plain_from(t, word) == SIZE_MAX) return TOK_NO_ID;
    uint8_t a = (uint8_t)word.p[word.n - 2], b = (uint8_t)word.p[word.n - 1];
    if (!is_word_byte(a) || is_word_byte(b)) return TOK_NO_ID;
    if (t->closed[a * 32 + b / 8] >> b % 8 & 1) return TOK_NO_ID;
    uint32_t node = tok_trie_step(&t->trie, 0, b), id = 0;
    if (node != TOK_NO_ID) id = t->trie.id[node] & ~TOK_TRIE_WHOLE;
    return id == 0 || (id & TOK_TRIE_SPECIAL) || (int32_t)id - 1 == t->model_unk ? TOK_NO_ID
                                                                                 : id - 1;
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

bool tok_unigram_whole(struct tokenizer *t, struct tok_bpe *b, struct err *e)
{
    struct tok_ids ids = {0};
    bool ok = true;

    for (uint32_t i = 0; ok && i < t->n; i++) {
        struct str s = t->piece[i].bytes;
        uint32_t node = 0;
        if (!(t->piece[i].flags & TOK_P_VOCAB) || (t->piece[i].flags & TOK_P_SPECIAL)) continue;
        if (s.n < 2 || s.n > FEW || plain_from(t, s) != 1) continue;
        ids.n = 0;
        ok = put_part(t, b, s, true, &ids, e);
        if (!ok || ids.n != 1 || (int32_t)ids.ids[0] == t->model_unk) continue;
        for (size_t k = 0; k < s.n; k++)
            node = tok_trie_step(&t->trie, node, (uint8_t)s.p[k]);
        CHECK((t->trie.id[node] & ~TOK_TRIE_WHOLE) == ids.ids[0] + 1);
        t->trie.id[node] |= TOK_TRIE_WHOLE;
    }
    tok_ids_free(&ids);
    return ok;
}
