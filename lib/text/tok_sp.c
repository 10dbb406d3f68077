/*
 * tokenizer.model, spiece.model: SentencePiece's protobuf (sentencepiece_model.proto), and
 * pieces with scores, which GGUF holds too.
 *
 *     1 repeated piece {1 text, 2 float score, 3 type}
 *     2 trainer {3 model type, 24 suffix, 40 unk, 41 bos, 42 eos, 43 pad}
 *     3 normalizer {2 charsmap, 3 dummy prefix, 4 remove blanks, 5 escape}
 *
 * BPE merges any two neighbours whose text together is a piece, the best score first, the
 * leftmost of equals (src/bpe_model.cc). That is a list of merges whose rank is the score's
 * place; so each way to cut a piece in two pieces becomes one merge, and pieces of the same
 * score have the same rank.
 *
 * A Unigram file is read as transformers converts it (blanks and charsmap as in tokenizer.json),
 * not as SentencePiece's float sums would have it. Decoding, too, is tokenizers'. Refused:
 * models of words or characters, unused pieces, blanks behind words, BPE with a charsmap or with
 * blanks removed.
 */
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
    uint64_t number, wire, value; /* value: varint, or the bits of a 32-bit number */
    struct str bytes;
};

static bool varint(struct str *s, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < 10 && i < s->n; i++) {
        *out |= (uint64_t)(s->p[i] & 0x7F) << 7 * i;
        if (s->p[i] & 0x80) continue;
        *s = str_sub(*s, i + 1, s->n);
        return true;
    }
    return false;
}

/* Next field; false at the end or, with e set, where the message is cut short. */
static bool next_field(struct str *s, struct field *f, struct err *e)
{
    uint64_t key, n;

    if (s->n == 0) return false;
    if (!varint(s, &key)) goto bad;
    *f = (struct field){.number = key >> 3, .wire = key & 7};
    switch (f->wire) {
    case WIRE_VARINT:
        if (!varint(s, &f->value)) goto bad;
        return true;
    case WIRE_BYTES:
        if (!varint(s, &n) || n > s->n) goto bad;
        f->bytes = str_sub(*s, 0, (size_t)n);
        break;
    case WIRE_64:
    case WIRE_32:
        n = f->wire == WIRE_64 ? 8 : 4;
        if (n > s->n) goto bad;
        for (unsigned i = 0; i < 4; i++)
            f->value |= (uint64_t)(uint8_t)s->p[i] << 8 * i;
        break;
    default:
        goto bad;
    }
    *s = str_sub(*s, (size_t)n, s->n);
    return true;
bad:
    err_set(e, ERR_FORMAT, "not a SentencePiece model: a field is cut short or of no known kind");
    return false;
}

struct model {
    uint64_t type;
    int64_t bos, eos, unk, pad;
    bool suffix, dummy, remove, escape;
    struct str charsmap;
    uint64_t pieces;
};

static bool read_trainer(struct str s, struct model *m, struct err *e)
{
    struct field f;

    while (next_field(&s, &f, e)) {
        if (f.wire != WIRE_VARINT) continue;
        int64_t id = (int32_t)f.value;
        if (f.number == 3) m->type = f.value;
        if (f.number == 24) m->suffix = f.value != 0;
        if (f.number == 40) m->unk = id;
        if (f.number == 41) m->bos = id;
        if (f.number == 42) m->eos = id;
        if (f.number == 43) m->pad = id;
    }
    return e->code == ERR_NONE;
}

static bool read_normalizer(struct str s, struct model *m, struct err *e)
{
    struct field f;

    while (next_field(&s, &f, e)) {
        if (f.number == 2 && f.wire == WIRE_BYTES) m->charsmap = f.bytes;
        if (f.wire != WIRE_VARINT) continue;
        if (f.number == 3) m->dummy = f.value != 0;
        if (f.number == 4) m->remove = f.value != 0;
        if (f.number == 5) m->escape = f.value != 0;
    }
    return e->code == ERR_NONE;
}

/* All but the pieces. */
static bool read_model(struct str s, struct model *m, struct err *e)
{
    struct field f;

    *m = (struct model){.type = MODEL_UNIGRAM,
                        .unk = 0,
                        .bos = 1,
                        .eos = 2,
                        .pad = -1,
                        .dummy = true,
                        .remove = true,
                        .escape = true};
    while (next_field(&s, &f, e)) {
        if (f.wire != WIRE_BYTES) continue;
        if (f.number == 1) m->pieces++;
        if (f.number == 2 && !read_trainer(f.bytes, m, e)) return false;
        if (f.number == 3 && !read_normalizer(f.bytes, m, e)) return false;
    }
    return e->code == ERR_NONE;
}

static bool check_model(const struct model *m, struct err *e)
{
    if (m->type != MODEL_UNIGRAM && m->type != MODEL_BPE)
        return err_set(e, ERR_FORMAT,
                       "SentencePiece model type %llu is not supported (1 is "
                       "Unigram, 2 is BPE)",
                       (unsigned long long)m->type);
    if (m->suffix) return err_set(e, ERR_FORMAT, "treat_whitespace_as_suffix is not supported");
    if (!m->escape) return err_set(e, ERR_FORMAT, "escape_whitespaces off is not supported");
    if (m->type == MODEL_BPE && (m->charsmap.n > 0 || m->remove))
        return err_set(e, ERR_FORMAT,
                       "BPE with a normalizer other than \"identity\", or with "
                       "remove_extra_whitespaces, is not supported");
    if (m->type == MODEL_UNIGRAM && (!m->dummy || !m->remove))
        return err_set(e, ERR_FORMAT,
                       "Unigram without add_dummy_prefix or remove_extra_whitespaces is not "
                       "supported");
    return true;
}

bool tok_sp_piece(struct tokenizer *t, uint64_t id, struct str s, float score, uint64_t type,
                  struct err *e)
{
    struct tok_added a = {.content = s, .id = (uint32_t)id, .special = type != TOK_SP_USER};

    a.frozen = a.normalized = type == TOK_SP_USER && t->engine == TOK_SP_BPE;
    if (type == TOK_SP_UNUSED)
        return err_set(e, ERR_FORMAT, "piece %llu is marked unused, which is not supported",
                       (unsigned long long)id);
    if (type < TOK_SP_NORMAL || type > TOK_SP_BYTE)
        return err_set(e, ERR_FORMAT, "piece %llu is of type %llu, which is not known",
                       (unsigned long long)id, (unsigned long long)type);
    if (!tok_def_piece(t, id, s, e)) return false;
    if (!(score > -1e30f && score < 1e30f))
        return err_set(e, ERR_FORMAT, "piece %llu has no score", (unsigned long long)id);
    t->score[id] = (double)score;
    if (type == TOK_SP_BYTE && !(t->piece[id].flags & TOK_P_BYTE))
        return err_set(e, ERR_FORMAT, "piece %llu is a byte but not named <0xHH>",
                       (unsigned long long)id);
    if (type == TOK_SP_NORMAL || type == TOK_SP_BYTE) return true;
    return tok_def_added(t, &a, e);
}

static bool read_piece(struct tokenizer *t, uint64_t id, struct str s, struct err *e)
{
    struct str text = {"", 0};
    uint64_t type = TOK_SP_NORMAL;
    uint32_t bits = 0;
    struct field f;
    float score;

    while (next_field(&s, &f, e)) {
        if (f.number == 1 && f.wire == WIRE_BYTES) text = f.bytes;
        if (f.number == 2 && f.wire == WIRE_32) bits = (uint32_t)f.value;
        if (f.number == 3 && f.wire == WIRE_VARINT) type = f.value;
    }
    if (e->code != ERR_NONE) return false;
    memcpy(&score, &bits, sizeof(score));
    return tok_sp_piece(t, id, text, score, type, e);
}

/* ---- scores to merges */

/* Is this a piece that merging makes or needs? */
static bool merges(const struct tok_piece *p)
{
    return (p->flags & TOK_P_VOCAB) && (p->flags & TOK_P_MAPPED) && !(p->flags & TOK_P_ADDED);
}

/* Each cut of piece id into two pieces; add: as a merge. Returns how many. */
static uint64_t cut_piece(struct tokenizer *t, uint32_t id, bool add)
{
    struct str s = t->piece[id].bytes;
    uint64_t n = 0;
    size_t len;

    for (size_t at = 0; merges(&t->piece[id]) && at < s.n; at += len) {
        utf8_decode(str_sub(s, at, s.n), &len);
        if (at == 0) continue;
        uint32_t left = tok_find_bytes(t, s.p, at), right = tok_find_bytes(t, s.p + at, s.n - at);
        if (left == TOK_NO_ID || right == TOK_NO_ID) continue;
        if (!merges(&t->piece[left]) || !merges(&t->piece[right])) continue;
        if (add) t->merge[t->nmerges++] = (struct tok_merge){left, right, id, 0};
        n++;
    }
    return n;
}

static bool before(const struct tokenizer *t, const struct tok_merge *a, const struct tok_merge *b)
{
    double x = t->score[a->product], y = t->score[b->product];

    if (x != y) return x > y;
    if (a->product != b->product) return a->product < b->product;
    return a->left < b->left;
}

/* Heap sort: no recursion, no worst case. */
static void sift(struct tokenizer *t, size_t i, size_t n)
{
    struct tok_merge *m = t->merge, x;

    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && before(t, &m[c], &m[c + 1])) c++;
        if (!before(t, &m[i], &m[c])) return;
        x = m[i];
        m[i] = m[c];
        m[c] = x;
    }
}

static bool score_merges(struct tokenizer *t, struct err *e)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < t->n; i++) {
        struct str s = t->piece[i].bytes;
        size_t len;
        for (size_t at = 0; merges(&t->piece[i]) && at < s.n; at += len) {
            utf8_decode(str_sub(s, at, s.n), &len);
            if (tok_find_bytes(t, s.p + at, len) == TOK_NO_ID)
                return err_set(e, ERR_FORMAT,
                               "piece %u holds a character that is no piece, which is not "
                               "supported",
                               i);
        }
        n += cut_piece(t, i, false);
    }
    if (n > TOK_MAX_MERGES)
        return err_set(e, ERR_LIMIT, "%llu merges, at most %u are read", (unsigned long long)n,
                       TOK_MAX_MERGES);
    t->merge = arena_alloc(&t->arena, (n + 1) * sizeof(*t->merge), e);
    if (!t->merge) return false;
    for (uint32_t i = 0; i < t->n; i++)
        cut_piece(t, i, true);
    for (size_t i = n / 2; i-- > 0;)
        sift(t, i, n);
    for (size_t k = n; k-- > 1;) {
        struct tok_merge x = t->merge[0];
        t->merge[0] = t->merge[k];
        t->merge[k] = x;
        sift(t, 0, k);
    }
    for (size_t i = 1; i < n; i++) {
        bool tie = t->score[t->merge[i].product] == t->score[t->merge[i - 1].product];
        t->merge[i].rank = tie ? t->merge[i - 1].rank : (uint32_t)i;
    }
    t->score = NULL; /* the ranks say it all */
    return true;
}

/* What the two engines are made of; t->engine is set. */
bool tok_sp_finish(struct tokenizer *t, bool dummy, struct str charsmap, struct err *e)
{
    if (t->engine == TOK_SP_BPE) {
        t->split = TOK_SPLIT_CUTS;
        t->decoder = TOK_DECODE_SP;
        t->norm = dummy ? TOK_NORM_PREPEND : TOK_NORM_NONE;
        return score_merges(t, e);
    }
    t->split = TOK_SPLIT_BLANKS;
    t->decoder = TOK_DECODE_METASPACE;
    if (charsmap.n == 0) return true;
    t->norm = TOK_NORM_CHARSMAP;
    return arena_str(&t->arena, charsmap, &t->charsmap, e) && tok_charsmap_check(charsmap, e);
}

/* -1: none. */
static bool id_of(int64_t v, uint64_t n, const char *what, int32_t *out, struct err *e)
{
    if (v >= (int64_t)n)
        return err_set(e, ERR_FORMAT, "%s id %lld is out of range", what, (long long)v);
    *out = v < 0 ? -1 : (int32_t)v;
    return true;
}

static bool read_all(struct str file, const struct tok_extra *x, struct tokenizer **out,
                     struct err *e)
{
    struct model m;
    struct field f;
    uint64_t id = 0;

    if (!read_model(file, &m, e) || !check_model(&m, e)) return false;
    uint64_t n = m.pieces > x->ids ? m.pieces : x->ids;
    uint64_t added = m.pieces + x->count < TOK_MAX_ADDED ? m.pieces + x->count : TOK_MAX_ADDED;
    if (!tok_def_open(n, 0, added, out, e)) return false;
    struct tokenizer *t = *out;
    t->engine = m.type == MODEL_BPE ? TOK_SP_BPE : TOK_UNIGRAM;
    t->byte_fallback = true; /* by the pieces' types */
    t->fuse_unk = true;
    t->score = arena_alloc(&t->arena, t->n * sizeof(*t->score), e);
    if (!t->score) return false;
    if (!id_of(m.unk, m.pieces, "unk", &t->unk, e) || !id_of(m.bos, m.pieces, "bos", &t->bos, e) ||
        !id_of(m.eos, m.pieces, "eos", &t->eos, e) || !id_of(m.pad, m.pieces, "pad", &t->pad, e))
        return false;
    t->model_unk = t->unk;
    while (next_field(&file, &f, e))
        if (f.number == 1 && f.wire == WIRE_BYTES && !read_piece(t, id++, f.bytes, e)) return false;
    return e->code == ERR_NONE && tok_extra_add(t, x, e) &&
           tok_sp_finish(t, m.dummy, m.charsmap, e) &&
           tok_extra_template(t, x, t->engine == TOK_SP_BPE, t->engine == TOK_UNIGRAM, e);
}

bool tok_sp_read(struct str file, const char *dir, struct tokenizer **out, struct err *e)
{
    struct tok_extra x;
    bool ok;

    *out = NULL;
    ok = tok_extra_open(dir, &x, e) && read_all(file, &x, out, e) &&
         (!dir || tok_config_read(*out, dir, e)) && tok_def_finish(*out, e);
    tok_extra_close(&x);
    if (!ok) {
        tokenizer_close(*out);
        *out = NULL;
    }
    return ok;
}
