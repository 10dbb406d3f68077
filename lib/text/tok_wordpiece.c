/*
 * WordPiece (BERT) and the tree of pieces that it shares with Unigram: from each place in a word
 * the longest piece, "##" in front of all but the first; where none fits, or the word has more
 * than max_word characters, the whole word is the unknown token (huggingface/tokenizers
 * src/models/wordpiece/mod.rs).
 *
 * A word here is a run of raw text between ASCII blanks and punctuation; BertNormalizer works on
 * single characters, so it may be applied to the pieces of a text one by one. What it makes may be
 * several words (ideographs stand alone, other alphabets have punctuation too).
 */
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

static bool trie_add(struct tok_trie *r, struct str s, uint32_t id)
{
    uint32_t node = 0;

    for (size_t k = 0; k < s.n; k++) {
        uint32_t key = node << 8 | (uint8_t)s.p[k];
        uint32_t i = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32) & r->mask;
        while (r->edge[i].key != key && r->edge[i].key != UINT32_MAX)
            i = (i + 1) & r->mask;
        if (r->edge[i].key == UINT32_MAX) {
            if (r->nodes == 1u << 24) return false; /* a node's number has 24 bits in a key */
            r->edge[i] = (struct tok_edge){key, r->nodes++};
        }
        node = r->edge[i].to;
    }
    r->id[node] = id + 1;
    return true;
}

bool tok_trie_build(struct tokenizer *t, struct err *e)
{
    struct tok_trie *r = &t->trie;
    uint64_t bytes = 1, size = 16;

    for (uint32_t i = 0; i < t->n; i++)
        if (t->piece[i].flags & TOK_P_VOCAB) bytes += t->piece[i].bytes.n;
    while (size < 2 * bytes)
        size *= 2;
    if (size > 1u << 28)
        return err_set(e, ERR_LIMIT, "the vocabulary's pieces have %llu bytes, too many",
                       (unsigned long long)bytes);
    r->edge = arena_alloc(&t->arena, size * sizeof(*r->edge), e);
    if (r->edge) r->id = arena_alloc(&t->arena, bytes * sizeof(*r->id), e);
    if (!r->edge || !r->id) return false;
    memset(r->edge, 0xFF, size * sizeof(*r->edge));
    r->mask = (uint32_t)(size - 1);
    r->nodes = 1;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct tok_piece *p = &t->piece[i];
        if (!(p->flags & TOK_P_VOCAB) || !(p->flags & TOK_P_MAPPED)) continue;
        if (!trie_add(r, p->bytes, i))
            return err_set(e, ERR_LIMIT, "the vocabulary's pieces have too many beginnings");
    }
    return true;
}

/* The longest piece at `from`; where it ends, or 0. */
static size_t longest(const struct tokenizer *t, struct str s, size_t from, uint32_t *id)
{
    uint32_t node = from == 0 ? 0 : t->subword_node;
    size_t end = 0;

    for (size_t i = from; i < s.n && node != TOK_NO_ID; i++) {
        node = tok_trie_step(&t->trie, node, (uint8_t)s.p[i]);
        if (node == TOK_NO_ID || t->trie.id[node] == 0) continue;
        *id = t->trie.id[node] - 1;
        end = i + 1;
    }
    return end;
}

static bool put_word(const struct tokenizer *t, struct str s, struct tok_ids *out, struct err *e)
{
    size_t first = out->n, chars = 0;
    uint32_t id = 0;

    for (size_t i = 0; i < s.n; i++)
        chars += ((uint8_t)s.p[i] & 0xC0) != 0x80;
    for (size_t at = 0; chars <= t->max_word && at < s.n;) {
        at = longest(t, s, at, &id);
        if (at == 0) break;
        if (!tok_ids_put(out, id, e)) return false;
        if (at == s.n) return true;
    }
    out->n = first;
    return tok_ids_put(out, (uint32_t)t->model_unk, e);
}

bool tok_wordpiece_word(const struct tokenizer *t, struct tok_bpe *b, struct str word,
                        struct tok_ids *out, struct err *e)
{
    size_t len, from = 0;
    struct str s;

    sbuf_clear(&b->norm);
    if (!tok_norm_bert(t, word, &b->norm, e)) return false;
    s = sbuf_str(&b->norm);
    for (size_t i = 0; i <= s.n; i += len) {
        uint32_t class = UNI_SPACE;
        len = 1;
        if (i < s.n) class = uniclass(utf8_decode(str_sub(s, i, s.n), &len));
        if (!(class & (UNI_SPACE | UNI_PUNCT))) continue;
        if (i > from && !put_word(t, str_sub(s, from, i), out, e)) return false;
        if ((class & UNI_PUNCT) && !put_word(t, str_sub(s, i, i + len), out, e)) return false;
        from = i + len;
    }
    return true;
}
