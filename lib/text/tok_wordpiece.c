/*
 * WordPiece (BERT): from each place in a word the longest piece, "##" in front of all but the
 * first; where none fits, or the word has more than max_word characters, the whole word is the
 * unknown token (huggingface/tokenizers src/models/wordpiece/mod.rs).
 *
 * A word here is a run of raw text between ASCII blanks and punctuation; BertNormalizer works on
 * single characters, so it may be applied to the pieces of a text one by one. What it makes may be
 * several words (ideographs stand alone, other alphabets have punctuation too).
 */
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

/* The longest piece at `from`; where it ends, or 0. */
static size_t longest(const struct tokenizer *t, struct str s, size_t from, uint32_t *id)
{
    uint32_t node = from == 0 ? 0 : t->subword_node;
    size_t end = 0;

    for (size_t i = from; i < s.n && node != TOK_NO_ID; i++) {
        node = tok_trie_step(&t->trie, node, (uint8_t)s.p[i]);
        if (node == TOK_NO_ID || t->trie.unit[node].id == 0) continue;
        *id = (t->trie.unit[node].id & ~TOK_TRIE_SPECIAL) - 1;
        end = i + 1;
    }
    return end;
}

static bool put_word(const struct tokenizer *t, struct str s, struct tok_ids *out, struct err *e)
{
    size_t first = out->n, chars = 0;
    uint32_t id = 0;

    for (size_t i = 0; s.n > t->max_word && i < s.n; i++)
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

#define PRINTABLE 64 /* bytes of a word that need no buffer */

/* A word of printable ASCII, in lower case if need be: all that BertNormalizer does to it. */
static bool fold_printable(const struct tokenizer *t, struct str word, char *to)
{
    uint8_t bit = t->bert_lower ? 0x20 : 0;

    if (word.n > PRINTABLE) return false;
    for (size_t i = 0; i < word.n; i++) {
        uint8_t c = (uint8_t)word.p[i];
        if (c < ' ' || c >= 0x7F) return false;
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c | bit : c);
    }
    return true;
}

static uint32_t class_at(struct str s, size_t i, size_t *len)
{
    uint8_t c = (uint8_t)s.p[i];

    *len = 1;
    if (c >= 0x7F || c < ' ') return uniclass(utf8_decode(str_sub(s, i, s.n), len));
    if (c == ' ') return UNI_SPACE;
    bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    return word ? 0 : UNI_PUNCT;
}

bool tok_wordpiece_word(const struct tokenizer *t, struct tok_bpe *b, struct str word,
                        struct tok_ids *out, struct err *e)
{
    size_t len, from = 0;
    char low[PRINTABLE];
    struct str s = {low, word.n};

    if (!fold_printable(t, word, low)) {
        sbuf_clear(&b->norm);
        if (!tok_norm_bert(t, word, &b->norm, e)) return false;
        s = sbuf_str(&b->norm);
    }
    for (size_t i = 0; i <= s.n; i += len) {
        uint32_t class = UNI_SPACE;
        len = 1;
        if (i < s.n) class = class_at(s, i, &len);
        if (!(class & (UNI_SPACE | UNI_PUNCT))) continue;
        if (i > from && !put_word(t, str_sub(s, from, i), out, e)) return false;
        if ((class & UNI_PUNCT) && !put_word(t, str_sub(s, i, i + len), out, e)) return false;
        from = i + len;
    }
    return true;
}
