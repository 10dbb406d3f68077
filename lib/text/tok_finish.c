/*
 * What is made of a file once it is read: tables, checks, the digest.
 */
#include "base/hash.h"
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

static void put_pair(struct tokenizer *t, const struct tok_merge *m)
{
    uint64_t key = tok_pair_key(m->left, m->right), line = tok_pair_line(t, key);

    for (;; line = (line + 1) & t->pair_mask) {
        struct tok_pairs *l = &t->pairs[line];
        uint32_t i = 0;
        while (i < l->n && l->entry[i] >> TOK_RANK_BITS != key)
            i++;
        if (i == TOK_PAIRS) continue;
        l->entry[i] = key << TOK_RANK_BITS | m->rank; /* the last of equals counts */
        l->product[i] = m->product;
        l->n += i == l->n;
        return;
    }
}

static bool build_pairs(struct tokenizer *t, struct err *e)
{
    uint64_t lines = 16;

    while (lines < t->nmerges / 3 + 1)
        lines *= 2;
    t->pairs = tok_table(t, lines * sizeof(*t->pairs), e);
    if (!t->pairs) return false;
    t->pair_mask = lines - 1;
    for (uint64_t i = 0; i < lines; i++)
        memset(t->pairs[i].entry, 0xFF, sizeof(t->pairs[i].entry));
    for (uint32_t r = 0; r < t->nmerges; r++)
        put_pair(t, &t->merge[r]);
    return true;
}

static bool build_ascii_pairs(struct tokenizer *t, struct err *e)
{
    if (t->engine != TOK_BYTE_BPE && t->engine != TOK_SP_BPE) return true;
    t->ascii_pair = tok_table(t, 128 * 128 * sizeof(*t->ascii_pair), e);
    if (!t->ascii_pair) return false;
    for (uint32_t i = 0; i < 128 * 128; i++) {
        uint32_t a = t->byte_id[i / 128], b = t->byte_id[i % 128];
        bool none = a == TOK_NO_ID || b == TOK_NO_ID;
        t->ascii_pair[i] = none ? UINT64_MAX : tok_find_pair(t, a, b);
    }
    return true;
}

/* Heap sort of indexes by what they match: no recursion, no worst case. */
static void sift(const struct tokenizer *t, uint32_t *v, size_t i, size_t n)
{
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && str_cmp(t->added[v[c]].match, t->added[v[c + 1]].match) < 0) c++;
        if (str_cmp(t->added[v[i]].match, t->added[v[c]].match) >= 0) return;
        uint32_t x = v[i];
        v[i] = v[c];
        v[c] = x;
    }
}

/* The reference knows such a token by its normalised form only: it decodes to that, and is not
 * special any more when special tokens are skipped. */
static void rename_piece(struct tok_piece *p, struct str shown)
{
    p->shown = shown;
    p->flags |= TOK_P_RENAMED;
}

/* What an added token looks for: a normalised one is looked for in normalised text. */
static bool set_match(struct tokenizer *t, struct tok_added *a, struct err *e)
{
    struct sbuf b;
    bool ok;

    a->match = a->content;
    if (!a->normalized || t->norm == TOK_NORM_NONE) return true;
    if (t->norm == TOK_NORM_CHARSMAP)
        return err_set(e, ERR_FORMAT,
                       "added token %u is normalized, which is not supported with a Precompiled "
                       "normalizer",
                       a->id);
    sbuf_init(&b, 8 * TOK_MAX_PIECE);
    ok =
        (a->frozen ? tok_norm_blanks(a->content, &b, e) : tok_norm_stretch(t, a->content, &b, e)) &&
        arena_str(&t->arena, sbuf_str(&b), &a->match, e);
    sbuf_free(&b);
    if (ok && a->match.n == 0)
        return err_set(e, ERR_FORMAT, "added token %u is normalised to nothing", a->id);
    if (ok && !a->frozen && !str_eq(a->match, a->content)) rename_piece(&t->piece[a->id], a->match);
    return ok;
}

static void put_pairs(struct tok_set *s, struct str match)
{
    uint8_t a = (uint8_t)match.p[0], b = match.n > 1 ? (uint8_t)match.p[1] : 0;

    s->first[a] = s->among[a] = true;
    s->among[b] |= match.n > 1;
    if (match.n == 1)
        memset(s->pair + a * 32, 0xFF, 32);
    else
        s->pair[a * 32 + b / 8] |= (uint8_t)(1 << b % 8);
}

/* The pairs as a list, if they are few. */
static void list_pairs(struct tok_set *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < 65536; i++) {
        if (!(s->pair[i / 8] >> i % 8 & 1)) continue;
        if (n == TOK_BEGINS) return;
        s->begin[n][0] = (uint8_t)(i >> 8);
        s->begin[n++][1] = (uint8_t)i;
    }
    s->nbegin = n;
}

static bool build_set(struct tokenizer *t, int pass, struct err *e)
{
    struct tok_set *s = &t->set[pass];

    s->order = arena_alloc(&t->arena, (t->nadded + 1) * sizeof(*s->order), e);
    if (!s->order) return false;
    for (uint32_t i = 0; i < t->nadded; i++) {
        if (t->added[i].normalized != (pass == 1)) continue;
        if (!set_match(t, &t->added[i], e)) return false;
        s->order[s->n++] = i;
        put_pairs(s, t->added[i].match);
        s->any_plain |= !t->added[i].special;
    }
    list_pairs(s);
    for (size_t i = s->n / 2; i-- > 0;)
        sift(t, s->order, i, s->n);
    for (size_t n = s->n; n-- > 1;) {
        uint32_t x = s->order[0];
        s->order[0] = s->order[n];
        s->order[n] = x;
        sift(t, s->order, 0, n);
    }
    for (size_t i = 1; i < s->n; i++)
        if (str_eq(t->added[s->order[i]].match, t->added[s->order[i - 1]].match))
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
/* What byte-level BPE without a normaliser has not. */
static void digest_more(const struct tokenizer *t, struct sha256 *h)
{
    put_u32(h, (uint32_t)t->engine);
    put_u32(h, (uint32_t)t->norm);
    put_u32(h, (uint32_t)t->decoder);
    put_u32(h, (uint32_t)(t->prefix_first | t->split_blanks << 1 | t->byte_fallback << 2 |
                          t->bert_clean << 3 | t->bert_cjk << 4 | t->bert_lower << 5 |
                          t->bert_strip << 6 | t->cleanup << 7));
    put_u32(h, t->max_word);
    put_u32(h, (uint32_t)t->subword.n);
    sha256_put(h, t->subword.p, t->subword.n);
    put_u32(h, (uint32_t)t->charsmap.n);
    sha256_put(h, t->charsmap.p, t->charsmap.n);
    for (uint32_t i = 0; t->engine == TOK_SP_BPE && i < t->nmerges; i++)
        put_u32(h, t->merge[i].rank);
    for (uint32_t i = 0; t->score && i < t->n; i++) {
        uint64_t bits;
        memcpy(&bits, &t->score[i], sizeof(bits));
        put_u32(h, (uint32_t)bits);
        put_u32(h, (uint32_t)(bits >> 32));
    }
}

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
    if (t->engine != TOK_BYTE_BPE || t->norm != TOK_NORM_NONE) digest_more(t, &h);
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

/* Can ordinary text be this piece without any merge? */
static bool spelled_alone(const struct tokenizer *t, const struct tok_piece *p)
{
    struct str s = p->bytes;
    size_t len;

    if (p->flags & TOK_P_BYTE) return true;
    if (!(p->flags & TOK_P_VOCAB) || !(p->flags & TOK_P_MAPPED)) return false;
    if (t->engine == TOK_BYTE_BPE) return s.n == 1;
    utf8_decode(s, &len);
    if (t->engine == TOK_SP_BPE) return len == s.n;
    for (; s.n > 0; s = str_sub(s, len, s.n)) /* words hold neither blanks nor punctuation */
        if (uniclass(utf8_decode(s, &len)) & (UNI_SPACE | UNI_PUNCT)) return false;
    return true;
}

/* Report text must not be able to spell a special token: neither as a character nor by merging.
 * (The token for what is unknown is what a file says it is; Unigram leaves special pieces out when
 * it looks for the best path.) */
static bool check_specials(const struct tokenizer *t, struct err *e)
{
    if (t->engine == TOK_UNIGRAM) return true;
    for (uint32_t i = 0; i < t->n + t->nmerges; i++) {
        uint32_t id = i < t->n ? i : t->merge[i - t->n].product;
        const struct tok_piece *p = &t->piece[id];
        if (!(p->flags & TOK_P_SPECIAL) || (int32_t)id == t->model_unk) continue;
        if (i >= t->n || spelled_alone(t, p))
            return err_set(e, ERR_FORMAT,
                           "token %u is marked special, but ordinary text makes it too: mark it "
                           "as not special",
                           id);
    }
    return true;
}

/* All 256 byte tokens or none: with some of them the reference's order of ids is an accident. */
static bool find_fallback(struct tokenizer *t, struct err *e)
{
    uint32_t n = 0;

    memset(t->fallback, 0xFF, sizeof(t->fallback));
    for (uint32_t i = 0; i < t->n; i++) {
        const struct tok_piece *p = &t->piece[i];
        if (!(p->flags & TOK_P_BYTE) || !(p->flags & TOK_P_VOCAB)) continue;
        n += t->fallback[(uint8_t)p->bytes.p[0]] == TOK_NO_ID;
        t->fallback[(uint8_t)p->bytes.p[0]] = i;
    }
    t->byte_fallback = n == 256;
    return n == 0 || n == 256 ||
           err_set(e, ERR_FORMAT, "%u of the 256 byte tokens <0x00> to <0xFF> are there", n);
}

static enum tok_cut cut_class(uint8_t b)
{
    if (b >= 0x80) return TOK_CUT_HIGH;
    if (b == ' ') return TOK_CUT_BLANK;
    if (b < ' ' || b == 0x7F) return TOK_CUT_CTRL;
    if (b >= '0' && b <= '9') return TOK_CUT_DIGIT;
    return (b | 0x20) >= 'a' && (b | 0x20) <= 'z' ? TOK_CUT_LETTER : TOK_CUT_OTHER;
}

/* A text may be cut between two classes that no piece holds side by side: nothing is ever merged
 * across, unless unknown neighbours become one. */
static void find_cuts(struct tokenizer *t)
{
    bool fuses = t->fuse_unk && t->model_unk >= 0 && !t->byte_fallback;

    memset(t->cut, fuses ? 0 : 0xFF, sizeof(t->cut));
    for (int b = 0; b < 256; b++)
        t->cut_class[b] = (uint8_t)cut_class((uint8_t)b);
    t->cut[TOK_CUT_HIGH][TOK_CUT_HIGH] = 0; /* never inside a character */
    for (uint32_t r = 0; r < t->nmerges; r++) {
        struct str s = t->piece[t->merge[r].product].bytes;
        for (size_t i = 1; i < s.n; i++)
            t->cut[t->cut_class[(uint8_t)s.p[i]]][t->cut_class[(uint8_t)s.p[i - 1]]] = 0;
    }
    for (int a = 0; t->split_blanks && a < TOK_CUTS; a++)
        t->cut[TOK_CUT_BLANK][a] = UINT64_MAX;
}

static void find_unk_score(struct tokenizer *t)
{
    double least = 0;
    bool any = false;

    for (uint32_t i = 0; i < t->n; i++) {
        if (!(t->piece[i].flags & TOK_P_VOCAB)) continue;
        if (!any || t->score[i] < least) least = t->score[i];
        any = true;
    }
    t->unk_score = least - 10.0;
}

/* Printable ASCII that the charsmap leaves as it is; the ends of pieces. */
static bool find_same(struct tokenizer *t, struct err *e)
{
    struct sbuf to;
    bool ok = true;

    sbuf_init(&to, TOK_MAX_FILE);
    for (int b = ' '; ok && b < 0x7F; b++) {
        char c = (char)b;
        sbuf_clear(&to);
        if (t->charsmap.n) ok = tok_charsmap_apply(t->charsmap, (struct str){&c, 1}, &to, e);
        t->same[b] = t->charsmap.n == 0 || (to.n == 1 && to.p[0] == c);
    }
    sbuf_free(&to);
    for (uint32_t i = 0; i < t->n; i++) {
        struct str s = t->piece[i].bytes;
        if (!t->piece[i].content.p || s.n < 2) continue;
        uint8_t a = (uint8_t)s.p[s.n - 2], b = (uint8_t)s.p[s.n - 1];
        t->closed[a * 32 + b / 8] |= (uint8_t)(1 << b % 8);
    }
    return ok;
}

/* The engine's own tables. */
static bool build_engine(struct tokenizer *t, struct err *e)
{
    t->subword_node = TOK_NO_ID;
    if (t->engine == TOK_SP_BPE) {
        if (t->ignore_merges)
            return err_set(e, ERR_FORMAT, "ignore_merges is not supported with SentencePiece BPE");
        if (!find_fallback(t, e)) return false;
        find_cuts(t);
        return true;
    }
    if (t->engine == TOK_BYTE_BPE) return true;
    if (t->model_unk < 0) return err_set(e, ERR_FORMAT, "the model names no unknown token");
    if (t->engine == TOK_UNIGRAM) {
        find_unk_score(t);
        if (!find_fallback(t, e) || !find_same(t, e)) return false;
    }
    if (!tok_trie_build(t, e)) return false;
    t->subword_node = 0;
    for (size_t i = 0; i < t->subword.n && t->subword_node != TOK_NO_ID; i++)
        t->subword_node = tok_trie_step(&t->trie, t->subword_node, (uint8_t)t->subword.p[i]);
    return true;
}

bool tok_def_finish(struct tokenizer *t, struct err *e)
{
    if (!check_ids(t, e) || !check_specials(t, e) || !build_pairs(t, e)) return false;
    if (!build_engine(t, e)) return false;
    if (!build_set(t, 0, e) || !build_set(t, 1, e)) return false;
    for (uint32_t b = 0; b < 256; b++) {
        char c = (char)b;
        t->byte_id[b] = tok_find_bytes(t, &c, 1);
    }
    if (!build_ascii_pairs(t, e)) return false;
    make_digest(t);
    return tok_whole_build(t, e);
}
