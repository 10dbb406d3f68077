#include "base/hash.h"
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

/* GPT-2's byte map: printable Latin-1 stands for itself, the other 68 bytes for U+0100 on. */
uint32_t tok_byte_char(uint8_t b)
{
    if (b <= 0x20) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return 0x121u + b - 0x7F;
    return b == 0xAD ? 0x143u : b;
}

int tok_char_byte(uint32_t code_point)
{
    if (code_point <= 0x20 || (code_point >= 0x7F && code_point <= 0xA0)) return -1;
    if (code_point == 0xAD || code_point > 0x143) return -1;
    if (code_point < 0x100) return (int)code_point;
    if (code_point <= 0x120) return (int)code_point - 0x100;
    return code_point == 0x143 ? 0xAD : (int)code_point - 0x121 + 0x7F;
}

bool tok_def_open(uint64_t nids, uint64_t nmerges, uint64_t nadded, struct tokenizer **out,
                  struct err *e)
{
    *out = NULL;
    if (nids == 0) return err_set(e, ERR_FORMAT, "the vocabulary is empty");
    if (nids > TOK_MAX_IDS)
        return err_set(e, ERR_LIMIT, "token ids reach %llu, at most %u are read",
                       (unsigned long long)nids, TOK_MAX_IDS);
    if (nmerges > TOK_MAX_MERGES)
        return err_set(e, ERR_LIMIT, "%llu merges, at most %u are read",
                       (unsigned long long)nmerges, TOK_MAX_MERGES);
    if (nadded > TOK_MAX_ADDED)
        return err_set(e, ERR_LIMIT, "%llu added tokens, at most %u are read",
                       (unsigned long long)nadded, TOK_MAX_ADDED);
    struct tokenizer *t = mem_calloc(1, sizeof(*t), e);
    if (!t) return false;
    arena_init(&t->arena, TOK_MAX_ARENA);
    t->n = (uint32_t)nids;
    t->merge_cap = (uint32_t)nmerges;
    t->added_cap = (uint32_t)nadded;
    t->model_unk = t->bos = t->eos = t->pad = t->unk = -1;
    t->bytes_mask = 1;
    while (t->bytes_mask < 2 * nids)
        t->bytes_mask *= 2;
    t->piece = arena_alloc(&t->arena, t->n * sizeof(*t->piece), e);
    if (t->piece) t->merge = arena_alloc(&t->arena, (nmerges + 1) * sizeof(*t->merge), e);
    if (t->merge) t->added = arena_alloc(&t->arena, (nadded + 1) * sizeof(*t->added), e);
    if (t->added) t->by_bytes = arena_alloc(&t->arena, t->bytes_mask * sizeof(*t->by_bytes), e);
    if (!t->by_bytes) {
        tokenizer_close(t);
        return false;
    }
    t->bytes_mask--;
    *out = t;
    return true;
}

uint32_t tok_find_bytes(const struct tokenizer *t, const char *p, size_t n)
{
    uint64_t i = hash_xxh64(p, n, 0) & t->bytes_mask;

    for (; t->by_bytes[i]; i = (i + 1) & t->bytes_mask) {
        struct str b = t->piece[t->by_bytes[i] - 1].bytes;
        if (b.n == n && memcmp(b.p, p, n) == 0) return t->by_bytes[i] - 1;
    }
    return TOK_NO_ID;
}

/* The text that content stands for, into buf; false when a character is not in the byte map. */
static bool unmap(struct str content, char *buf, size_t *n)
{
    *n = 0;
    while (content.n > 0) {
        size_t len;
        int b = tok_char_byte(utf8_decode(content, &len));
        if (b < 0) return false;
        buf[(*n)++] = (char)b;
        content = str_sub(content, len, content.n);
    }
    return true;
}

size_t tok_blanks(struct str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        bool meta = str_starts(str_sub(s, i, s.n), STR(TOK_METASPACE));
        out[n++] = meta ? ' ' : s.p[i];
        if (meta) i += 2;
    }
    return n;
}

/* <0xHH> in upper case, as byte fallback names its pieces; -1 for others. */
static int byte_name(struct str s)
{
    static const char digits[] = "0123456789ABCDEF";

    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>') return -1;
    const char *hi = memchr(digits, s.p[3], 16), *lo = memchr(digits, s.p[4], 16);
    return hi && lo ? (int)((hi - digits) * 16 + (lo - digits)) : -1;
}

/* The text that a SentencePiece piece stands for: metaspaces as blanks. A piece that holds a real
 * blank is never met in a text, which holds none when it is looked up. */
static bool fill_sp_piece(struct tokenizer *t, struct tok_piece *p, struct err *e)
{
    char buf[TOK_MAX_PIECE];
    struct str s = p->content;
    int byte = t->byte_fallback ? byte_name(s) : -1;

    if (byte >= 0) {
        p->flags |= TOK_P_BYTE;
        buf[0] = (char)byte;
        return arena_str(&t->arena, (struct str){buf, 1}, &p->bytes, e);
    }
    if (!memchr(s.p, ' ', s.n)) p->flags |= TOK_P_MAPPED;
    return arena_str(&t->arena, (struct str){buf, tok_blanks(s, buf)}, &p->bytes, e);
}

/* content and bytes of an id; shared by vocabulary and added tokens. */
static bool fill_piece(struct tokenizer *t, uint32_t id, struct str content, struct err *e)
{
    char buf[TOK_MAX_PIECE];
    struct tok_piece *p = &t->piece[id];
    size_t n;

    if (content.n > TOK_MAX_PIECE)
        return err_set(e, ERR_LIMIT, "token %u is %zu bytes long, at most %u are read", id,
                       content.n, TOK_MAX_PIECE);
    if (!utf8_valid(content)) return err_set(e, ERR_FORMAT, "token %u is not UTF-8", id);
    if (!arena_str(&t->arena, content, &p->content, e)) return false;
    p->shown = p->content;
    if (t->engine == TOK_SP_BPE || t->engine == TOK_UNIGRAM) return fill_sp_piece(t, p, e);
    p->bytes = p->content;
    if (t->engine == TOK_WORDPIECE) p->flags |= TOK_P_MAPPED;
    if (t->engine != TOK_BYTE_BPE || !unmap(content, buf, &n)) return true;
    p->flags |= TOK_P_MAPPED;
    return arena_str(&t->arena, (struct str){buf, n}, &p->bytes, e);
}

bool tok_def_piece(struct tokenizer *t, uint64_t id, struct str content, struct err *e)
{
    if (id >= t->n)
        return err_set(e, ERR_FORMAT, "token id %llu is out of range", (unsigned long long)id);
    struct tok_piece *p = &t->piece[id];
    if (p->content.p)
        return err_set(e, ERR_FORMAT, "token id %llu is given twice", (unsigned long long)id);
    if (content.n == 0)
        return err_set(e, ERR_FORMAT, "token %llu is empty", (unsigned long long)id);
    if (!fill_piece(t, (uint32_t)id, content, e)) return false;
    p->flags |= TOK_P_VOCAB;
    if (!(p->flags & TOK_P_MAPPED)) return true;
    if (tok_find_bytes(t, p->bytes.p, p->bytes.n) != TOK_NO_ID)
        return err_set(e, ERR_FORMAT, "token %llu is in the vocabulary twice",
                       (unsigned long long)id);
    uint64_t i = hash_xxh64(p->bytes.p, p->bytes.n, 0) & t->bytes_mask;
    while (t->by_bytes[i])
        i = (i + 1) & t->bytes_mask;
    t->by_bytes[i] = (uint32_t)id + 1;
    return true;
}

/* A half of a merge as text, into buf. */
static bool merge_text(const struct tokenizer *t, struct str half, char *buf, size_t *n)
{
    *n = 0;
    if (half.n == 0 || !utf8_valid(half)) return false;
    if (t->engine == TOK_BYTE_BPE) return unmap(half, buf, n);
    if (memchr(half.p, ' ', half.n)) return false;
    *n = tok_blanks(half, buf);
    return true;
}

bool tok_def_merge(struct tokenizer *t, struct str left, struct str right, struct err *e)
{
    char buf[TOK_MAX_PIECE];
    struct tok_merge m = {.rank = t->nmerges};
    size_t a, b;

    CHECK(t->nmerges < t->merge_cap);
    if (left.n + right.n > TOK_MAX_PIECE || !merge_text(t, left, buf, &a) ||
        !merge_text(t, right, buf + a, &b))
        return err_set(e, ERR_FORMAT, "merge %u: not two pieces%s, parted by one blank",
                       t->nmerges + 1,
                       t->engine == TOK_BYTE_BPE ? " in the byte-level alphabet" : "");
    m.left = tok_find_bytes(t, buf, a);
    m.right = tok_find_bytes(t, buf + a, b);
    m.product = tok_find_bytes(t, buf, a + b);
    if (m.left == TOK_NO_ID || m.right == TOK_NO_ID || m.product == TOK_NO_ID)
        return err_set(e, ERR_FORMAT, "merge %u: %s is not in the vocabulary", t->nmerges + 1,
                       m.left == TOK_NO_ID    ? "the left piece"
                       : m.right == TOK_NO_ID ? "the right piece"
                                              : "the merged piece");
    t->merge[t->nmerges++] = m;
    return true;
}

bool tok_def_merge_line(struct tokenizer *t, struct str line, struct err *e)
{
    size_t at = str_find(line, STR(" "), 0);

    if (at == SIZE_MAX) at = 0;
    return tok_def_merge(t, str_sub(line, 0, at), str_sub(line, at + 1, line.n), e);
}

bool tok_def_added(struct tokenizer *t, const struct tok_added *a, struct err *e)
{
    if (t->nadded == t->added_cap)
        return err_set(e, ERR_LIMIT, "more than %u added tokens", t->added_cap);
    if (a->id >= t->n) return err_set(e, ERR_FORMAT, "added token id %u is out of range", a->id);
    struct tok_piece *p = &t->piece[a->id];
    if (a->content.n == 0) return err_set(e, ERR_FORMAT, "added token %u is empty", a->id);
    if (!p->content.p && !fill_piece(t, a->id, a->content, e)) return false;
    if (!str_eq(p->content, a->content))
        return err_set(e, ERR_FORMAT,
                       "added token %u differs from the vocabulary's token of that id", a->id);
    if (p->flags & TOK_P_ADDED)
        return err_set(e, ERR_FORMAT, "added token %u is given twice", a->id);
    if (!(p->flags & TOK_P_VOCAB) && (p->flags & TOK_P_MAPPED) &&
        tok_find_bytes(t, p->bytes.p, p->bytes.n) != TOK_NO_ID)
        return err_set(e, ERR_FORMAT, "added token %u has another id in the vocabulary", a->id);
    p->flags |= TOK_P_ADDED | (a->special ? (uint32_t)TOK_P_SPECIAL : 0);
    t->added[t->nadded] = *a;
    t->added[t->nadded++].content = p->content;
    return true;
}

bool tok_def_prefix(struct tokenizer *t, const uint32_t *ids, size_t n, struct err *e)
{
    if (t->nprefix + n > TOK_MAX_AFFIX)
        return err_set(e, ERR_LIMIT, "the template puts over %u tokens in front", TOK_MAX_AFFIX);
    memmove(t->prefix + n, t->prefix, t->nprefix * sizeof(*ids));
    if (n) memcpy(t->prefix, ids, n * sizeof(*ids));
    t->nprefix += (uint32_t)n;
    return true;
}

bool tok_def_suffix(struct tokenizer *t, const uint32_t *ids, size_t n, struct err *e)
{
    if (t->nsuffix + n > TOK_MAX_AFFIX)
        return err_set(e, ERR_LIMIT, "the template puts over %u tokens behind", TOK_MAX_AFFIX);
    if (n) memcpy(t->suffix + t->nsuffix, ids, n * sizeof(*ids));
    t->nsuffix += (uint32_t)n;
    return true;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->ntables; i++)
        mem_free(t->table[i]);
    arena_free(&t->arena);
    mem_free(t);
}
