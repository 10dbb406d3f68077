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
    p->bytes = p->content;
    if (!unmap(content, buf, &n)) return true;
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

bool tok_def_merge(struct tokenizer *t, struct str left, struct str right, struct err *e)
{
    char buf[TOK_MAX_PIECE];
    struct tok_merge m;
    size_t a, b;

    CHECK(t->nmerges < t->merge_cap);
    if (left.n == 0 || right.n == 0 || left.n + right.n > TOK_MAX_PIECE || !utf8_valid(left) ||
        !utf8_valid(right) || !unmap(left, buf, &a) || !unmap(right, buf + a, &b))
        return err_set(e, ERR_FORMAT,
                       "merge %u: not two pieces in the byte-level alphabet, parted by one blank",
                       t->nmerges + 1);
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

static bool build_pairs(struct tokenizer *t, struct err *e)
{
    uint64_t size = 16;

    while (size < 2 * (uint64_t)t->nmerges)
        size *= 2;
    t->pairs = arena_alloc(&t->arena, size * sizeof(*t->pairs), e);
    if (!t->pairs) return false;
    memset(t->pairs, 0xFF, size * sizeof(*t->pairs));
    t->pair_mask = size - 1;
    for (uint32_t r = 0; r < t->nmerges; r++) {
        uint64_t key = (uint64_t)t->merge[r].left << 32 | t->merge[r].right;
        uint64_t i = tok_pair_hash(key) & t->pair_mask;
        while (t->pairs[i].key != key && t->pairs[i].key != UINT64_MAX)
            i = (i + 1) & t->pair_mask;
        t->pairs[i] =
            (struct tok_pair){key, r, t->merge[r].product}; /* the last of equals counts */
    }
    return true;
}

/* Heap sort of indexes by content: no recursion, no worst case. */
static void sift(const struct tokenizer *t, uint32_t *v, size_t i, size_t n)
{
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && str_cmp(t->added[v[c]].content, t->added[v[c + 1]].content) < 0) c++;
        if (str_cmp(t->added[v[i]].content, t->added[v[c]].content) >= 0) return;
        uint32_t x = v[i];
        v[i] = v[c];
        v[c] = x;
    }
}

static bool build_set(struct tokenizer *t, int pass, struct err *e)
{
    struct tok_set *s = &t->set[pass];

    s->order = arena_alloc(&t->arena, (t->nadded + 1) * sizeof(*s->order), e);
    if (!s->order) return false;
    for (uint32_t i = 0; i < t->nadded; i++) {
        if (t->added[i].normalized != (pass == 1)) continue;
        s->order[s->n++] = i;
        s->first[(uint8_t)t->added[i].content.p[0]] = true;
        s->any_plain |= !t->added[i].special;
    }
    for (size_t i = s->n / 2; i-- > 0;)
        sift(t, s->order, i, s->n);
    for (size_t n = s->n; n-- > 1;) {
        uint32_t x = s->order[0];
        s->order[0] = s->order[n];
        s->order[n] = x;
        sift(t, s->order, 0, n);
    }
    for (size_t i = 1; i < s->n; i++)
        if (str_eq(t->added[s->order[i]].content, t->added[s->order[i - 1]].content))
            return err_set(e, ERR_FORMAT, "added tokens %u and %u are the same text",
                           t->added[s->order[i - 1]].id, t->added[s->order[i]].id);
    return true;
}

static void put_u32(struct sha256 *h, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

    sha256_put(h, b, 4);
}

/* Everything that decides which ids a text gets; not where it was read from. */
static void make_digest(struct tokenizer *t)
{
    struct sha256 h;

    sha256_init(&h);
    sha256_put(&h, "radmill byte-bpe 1", 18);
    put_u32(&h, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        put_u32(&h, t->piece[i].flags);
        put_u32(&h, (uint32_t)t->piece[i].content.n);
        sha256_put(&h, t->piece[i].content.p, t->piece[i].content.n);
    }
    put_u32(&h, t->nmerges);
    for (uint32_t i = 0; i < t->nmerges; i++) {
        put_u32(&h, t->merge[i].left);
        put_u32(&h, t->merge[i].right);
    }
    put_u32(&h, t->nadded);
    for (uint32_t i = 0; i < t->nadded; i++) {
        const struct tok_added *a = &t->added[i];
        put_u32(&h, a->id);
        put_u32(&h, (uint32_t)(a->special | a->single_word << 1 | a->lstrip << 2 | a->rstrip << 3 |
                               a->normalized << 4));
    }
    put_u32(&h, (uint32_t)t->split);
    put_u32(&h, (uint32_t)(t->digits | t->prefix_space << 1 | t->ignore_merges << 2 |
                           t->fuse_unk << 3));
    put_u32(&h, (uint32_t)t->model_unk);
    put_u32(&h, t->nprefix);
    for (uint32_t i = 0; i < t->nprefix; i++)
        put_u32(&h, t->prefix[i]);
    put_u32(&h, t->nsuffix);
    for (uint32_t i = 0; i < t->nsuffix; i++)
        put_u32(&h, t->suffix[i]);
    put_u32(&h, (uint32_t)t->bos);
    put_u32(&h, (uint32_t)t->eos);
    put_u32(&h, (uint32_t)t->pad);
    put_u32(&h, (uint32_t)t->unk);
    sha256_end(&h, t->digest);
}

static bool check_ids(const struct tokenizer *t, struct err *e)
{
    const struct {
        const char *name;
        int64_t id;
    } one[] = {{"bos", t->bos}, {"eos", t->eos}, {"pad", t->pad}, {"unk", t->unk}};

    for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++)
        if (one[i].id < -1 || one[i].id >= (int64_t)t->n ||
            (one[i].id >= 0 && !t->piece[one[i].id].content.p))
            return err_set(e, ERR_FORMAT, "the %s token's id %lld is not in the vocabulary",
                           one[i].name, (long long)one[i].id);
    for (uint32_t i = 0; i < t->nprefix + t->nsuffix; i++) {
        uint32_t id = i < t->nprefix ? t->prefix[i] : t->suffix[i - t->nprefix];
        if (id >= t->n || !t->piece[id].content.p)
            return err_set(e, ERR_FORMAT, "the template's token id %u is not in the vocabulary",
                           id);
    }
    return true;
}

/* Report text must not be able to spell a special token: neither as a byte nor by merging. (The
 * token for unknown bytes is what a file says it is.) */
static bool check_specials(const struct tokenizer *t, struct err *e)
{
    for (uint32_t i = 0; i < t->n + t->nmerges; i++) {
        uint32_t id = i < t->n ? i : t->merge[i - t->n].product;
        const struct tok_piece *p = &t->piece[id];
        if (!(p->flags & TOK_P_SPECIAL) || (int32_t)id == t->model_unk) continue;
        bool byte = (p->flags & TOK_P_VOCAB) && (p->flags & TOK_P_MAPPED) && p->bytes.n == 1;
        if (byte || i >= t->n)
            return err_set(e, ERR_FORMAT,
                           "token %u is marked special, but ordinary text makes it too: mark it "
                           "as not special",
                           id);
    }
    return true;
}

bool tok_def_finish(struct tokenizer *t, struct err *e)
{
    if (!check_ids(t, e) || !check_specials(t, e) || !build_pairs(t, e)) return false;
    if (!build_set(t, 0, e) || !build_set(t, 1, e)) return false;
    for (uint32_t b = 0; b < 256; b++) {
        char c = (char)b;
        t->byte_id[b] = tok_find_bytes(t, &c, 1);
    }
    make_digest(t);
    return true;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    arena_free(&t->arena);
    mem_free(t);
}
