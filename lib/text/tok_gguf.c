/*
 * The tokenizer inside a GGUF file: only the key-value part at the front is read.
 *
 *     "GGUF" u32 version (2, 3), u64 tensors, u64 pairs, then pairs of
 *     string key (u64 length, bytes), u32 type, value; arrays are u32 type, u64 count, items.
 *
 * Source of the layout: ggml docs/gguf.md. tokenizer.ggml.pre names the pre-tokenizer; what each
 * name means is llama.cpp's list (src/llama-vocab.cpp), of which those are kept that agree with
 * Hugging Face's own tokenizer of that family.
 */
#include <stdio.h>

#include "base/fs.h"
#include "text/tok_impl.h"

#define MAX_PAIRS (1u << 16)
#define MAX_KEY   65535u
#define MAX_CHAT  (1u << 20)

enum { T_U8, T_I8, T_U16, T_I16, T_U32, T_I32, T_F32, T_BOOL, T_STR, T_ARR, T_U64, T_I64, T_F64 };
static const uint8_t type_size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
struct cursor {
    const uint8_t *p;
    size_t n, at;
};
/* An array: where its items begin. */
struct items {
    uint64_t count;
    size_t at;
};
struct gguf_keys {
    struct str model, pre, chat;
    struct items tokens, types, merges, scores, charsmap;
    int64_t bos, eos, unk, pad;
    int add_bos, add_eos, prefix; /* -1: not given */
    int remove;
};

/* The next n bytes, or NULL. */
static const uint8_t *take(struct cursor *c, size_t n, struct err *e)
{
    const uint8_t *p = c->p + c->at;

    if (n > c->n - c->at) {
        err_set(e, ERR_FORMAT, "ends at byte %zu, in the middle of a value", c->n);
        return NULL;
    }
    c->at += n;
    return p;
}

static bool take_uint(struct cursor *c, size_t n, uint64_t *out, struct err *e)
{
    const uint8_t *p = take(c, n, e);

    *out = 0;
    if (!p) return false;
    for (size_t i = n; i-- > 0;)
        *out = *out << 8 | p[i];
    return true;
}

static bool take_str(struct cursor *c, size_t max, struct str *out, struct err *e)
{
    const uint8_t *p;
    uint64_t n;

    if (!take_uint(c, 8, &n, e)) return false;
    if (n > max)
        return err_set(e, ERR_LIMIT, "a string of %llu bytes at byte %zu, at most %zu are read",
                       (unsigned long long)n, c->at, max);
    p = take(c, (size_t)n, e);
    if (!p) return false;
    *out = (struct str){(const char *)p, (size_t)n};
    return true;
}

static bool skip_items(struct cursor *c, uint32_t type, uint64_t count, struct err *e)
{
    uint64_t n;

    if (type != T_STR) {
        if (type > T_F64 || type_size[type] == 0)
            return err_set(e, ERR_FORMAT, "value type %u at byte %zu is not known", type, c->at);
        if (count > c->n) count = c->n; /* more than there is: take says so */
        return take(c, (size_t)(count * type_size[type]), e) != NULL;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!take_uint(c, 8, &n, e)) return false;
        if (n > c->n) n = c->n;
        if (!take(c, (size_t)n, e)) return false;
    }
    return true;
}

/* Steps over an array of `want` items and remembers where they are. */
static bool take_array(struct cursor *c, uint32_t type, uint32_t want, struct items *out,
                       struct err *e)
{
    uint64_t item, count;

    if (type != T_ARR) return err_set(e, ERR_FORMAT, "it is not a list");
    if (!take_uint(c, 4, &item, e) || !take_uint(c, 8, &count, e)) return false;
    if (item != want)
        return err_set(e, ERR_FORMAT, "its items are of type %u, not %u", (unsigned)item, want);
    *out = (struct items){count, c->at};
    return skip_items(c, want, count, e);
}

static bool skip_value(struct cursor *c, uint32_t type, struct err *e)
{
    uint64_t item, count;

    if (type != T_ARR) return skip_items(c, type, 1, e);
    if (!take_uint(c, 4, &item, e) || !take_uint(c, 8, &count, e)) return false;
    return skip_items(c, (uint32_t)item, count, e); /* no lists of lists: nobody writes them */
}

static bool take_id(struct cursor *c, uint32_t type, int64_t *out, struct err *e)
{
    uint64_t v;

    if (type != T_U32 && type != T_I32)
        return err_set(e, ERR_FORMAT, "it is not a 32-bit whole number");
    if (!take_uint(c, 4, &v, e)) return false;
    *out = v == UINT32_MAX ? -1 : (int64_t)v; /* -1 is written for "none" */
    return true;
}

static bool take_bool(struct cursor *c, uint32_t type, int *out, struct err *e)
{
    uint64_t v;

    if (type != T_BOOL) return err_set(e, ERR_FORMAT, "it is not true or false");
    if (!take_uint(c, 1, &v, e)) return false;
    *out = v != 0;
    return true;
}

static bool read_text(struct cursor *c, uint32_t type, size_t max, struct str *out, struct err *e)
{
    if (type != T_STR) return err_set(e, ERR_FORMAT, "it is not a string");
    return take_str(c, max, out, e);
}

/* Bytes, which writers give as signed or unsigned. */
static bool take_charsmap(struct cursor *c, uint32_t type, struct items *out, struct err *e)
{
    struct cursor at = *c;
    uint64_t item = T_U8;

    if (type == T_ARR && !take_uint(&at, 4, &item, e)) return false;
    return take_array(c, type, item == T_I8 ? T_I8 : T_U8, out, e);
}

/* key without "tokenizer." in front. */
static bool read_pair(struct cursor *c, struct str key, uint32_t type, struct gguf_keys *k,
                      struct err *e)
{
    if (str_eqz(key, "chat_template")) return read_text(c, type, MAX_CHAT, &k->chat, e);
    if (str_eqz(key, "ggml.model")) return read_text(c, type, 64, &k->model, e);
    if (str_eqz(key, "ggml.pre")) return read_text(c, type, 64, &k->pre, e);
    if (str_eqz(key, "ggml.tokens")) return take_array(c, type, T_STR, &k->tokens, e);
    if (str_eqz(key, "ggml.merges")) return take_array(c, type, T_STR, &k->merges, e);
    if (str_eqz(key, "ggml.token_type")) return take_array(c, type, T_I32, &k->types, e);
    if (str_eqz(key, "ggml.bos_token_id")) return take_id(c, type, &k->bos, e);
    if (str_eqz(key, "ggml.eos_token_id")) return take_id(c, type, &k->eos, e);
    if (str_eqz(key, "ggml.unknown_token_id")) return take_id(c, type, &k->unk, e);
    if (str_eqz(key, "ggml.padding_token_id")) return take_id(c, type, &k->pad, e);
    if (str_eqz(key, "ggml.add_bos_token")) return take_bool(c, type, &k->add_bos, e);
    if (str_eqz(key, "ggml.add_eos_token")) return take_bool(c, type, &k->add_eos, e);
    if (str_eqz(key, "ggml.add_space_prefix")) return take_bool(c, type, &k->prefix, e);
    if (str_eqz(key, "ggml.remove_extra_whitespaces")) return take_bool(c, type, &k->remove, e);
    if (str_eqz(key, "ggml.scores")) return take_array(c, type, T_F32, &k->scores, e);
    if (str_eqz(key, "ggml.precompiled_charsmap")) return take_charsmap(c, type, &k->charsmap, e);
    return skip_value(c, type, e);
}

static bool read_keys(struct cursor *c, struct gguf_keys *k, struct err *e)
{
    const uint8_t *magic;
    uint64_t version, tensors, pairs, type;
    struct str key;

    magic = take(c, 4, e);
    if (!magic) return false;
    if (memcmp(magic, "GGUF", 4) != 0) return err_set(e, ERR_FORMAT, "not a GGUF file");
    if (!take_uint(c, 4, &version, e)) return false;
    if (version != 2 && version != 3)
        return err_set(e, ERR_FORMAT, "GGUF version %u, 2 and 3 are read (little-endian)",
                       (unsigned)version);
    if (!take_uint(c, 8, &tensors, e) || !take_uint(c, 8, &pairs, e)) return false;
    if (pairs > MAX_PAIRS)
        return err_set(e, ERR_LIMIT, "%llu metadata keys, at most %u are read",
                       (unsigned long long)pairs, MAX_PAIRS);
    for (uint64_t i = 0; i < pairs; i++) {
        if (!take_str(c, MAX_KEY, &key, e) || !take_uint(c, 4, &type, e)) return false;
        bool ours = str_starts(key, STR("tokenizer."));
        if (ours) key = str_sub(key, 10, key.n);
        if (ours ? !read_pair(c, key, (uint32_t)type, k, e) : !skip_value(c, (uint32_t)type, e))
            return err_wrap(e, "metadata key %llu%s", (unsigned long long)i + 1,
                            ours ? " (of the tokenizer)" : "");
    }
    return true;
}

/* Name of the pre-tokenizer -> what it does. */
static bool set_pre(struct tokenizer *t, struct str pre, struct err *e)
{
    static const struct {
        const char *name;
        enum tok_split split;
        bool digits, ignore_merges;
    } known[] = {
        {"gpt-2", TOK_SPLIT_GPT2, false, false},       {"gpt2", TOK_SPLIT_GPT2, false, false},
        {"roberta-bpe", TOK_SPLIT_GPT2, false, false}, {"smollm", TOK_SPLIT_GPT2, true, false},
        {"starcoder", TOK_SPLIT_GPT2, true, false},    {"llama-bpe", TOK_SPLIT_LLAMA3, false, true},
        {"llama3", TOK_SPLIT_LLAMA3, false, true},     {"llama-v3", TOK_SPLIT_LLAMA3, false, true},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (!str_eqz(pre, known[i].name)) continue;
        t->split = known[i].split;
        t->digits = known[i].digits;
        t->ignore_merges = known[i].ignore_merges;
        return true;
    }
    return err_set(e, ERR_FORMAT,
                   "tokenizer.ggml.pre is not one that is known (gpt-2, "
                   "roberta-bpe, smollm, starcoder, llama-bpe)");
}

/* Ids that the model has and the tokenizer has not are filled up by converters, ours, too: they
 * stay without a token, and an answer that holds one says nothing there. */
static bool is_filler(uint32_t id, struct str s, uint64_t type)
{
    char name[24];
    snprintf(name, sizeof(name), "[PAD%u]", id);
    return type == TOK_SP_UNUSED && str_eqz(s, name);
}

static bool read_token(struct tokenizer *t, uint32_t id, struct str s, uint32_t type, struct err *e)
{
    struct tok_added a = {.content = s, .id = id, .special = type == TOK_SP_CONTROL};

    if (!tok_def_piece(t, id, s, e)) return false;
    if (type == TOK_SP_CONTROL || type == TOK_SP_USER) return tok_def_added(t, &a, e);
    if (type == TOK_SP_NORMAL || type == TOK_SP_UNKNOWN || type == TOK_SP_UNUSED) return true;
    return err_set(e, ERR_FORMAT, "token %u is of type %u, which byte-level BPE has not", id, type);
}

static bool read_lists(struct tokenizer *t, struct cursor *c, const struct gguf_keys *k,
                       struct err *e)
{
    struct cursor types = *c;
    struct str s;
    uint64_t type = TOK_SP_NORMAL;

    c->at = k->tokens.at;
    types.at = k->types.at;
    for (uint32_t i = 0; i < k->tokens.count; i++) {
        if (!take_str(c, TOK_MAX_PIECE, &s, e)) return false;
        if (k->types.count && !take_uint(&types, 4, &type, e)) return false;
        if (is_filler(i, s, type)) continue;
        if (!read_token(t, i, s, (uint32_t)type, e)) return false;
    }
    c->at = k->merges.at;
    for (uint32_t i = 0; i < k->merges.count; i++) {
        if (!take_str(c, TOK_MAX_PIECE + 1, &s, e)) return false;
        if (!tok_def_merge_line(t, s, e)) return false;
    }
    return true;
}

/* Pieces with scores: SentencePiece's BPE ("llama") and Unigram ("t5"). */
static bool read_scored(struct tokenizer *t, struct cursor *c, const struct gguf_keys *k,
                        struct err *e)
{
    struct cursor types = *c, scores = *c;
    struct str s, map = {(const char *)c->p + k->charsmap.at, (size_t)k->charsmap.count};
    uint64_t type, bits;
    float score;

    t->byte_fallback = t->fuse_unk = true;
    t->score = arena_alloc(&t->arena, t->n * sizeof(*t->score), e);
    if (!t->score) return false;
    c->at = k->tokens.at;
    types.at = k->types.at;
    scores.at = k->scores.at;
    for (uint32_t i = 0; i < k->tokens.count; i++) {
        if (!take_str(c, TOK_MAX_PIECE, &s, e)) return false;
        if (!take_uint(&types, 4, &type, e) || !take_uint(&scores, 4, &bits, e)) return false;
        uint32_t bits32 = (uint32_t)bits;
        memcpy(&score, &bits32, sizeof(score));
        t->score[i] = 0;
        if (is_filler(i, s, type)) continue;
        if (!tok_sp_piece(t, i, s, score, type, e)) return false;
    }
    t->model_unk = t->unk;
    return tok_sp_finish(t, k->prefix != 0, map, e);
}

static bool check_scored(const struct gguf_keys *k, struct err *e)
{
    if (k->scores.count != k->tokens.count || k->types.count != k->tokens.count)
        return err_set(e, ERR_FORMAT, "%llu tokens but %llu scores and %llu token types",
                       (unsigned long long)k->tokens.count, (unsigned long long)k->scores.count,
                       (unsigned long long)k->types.count);
    if (str_eqz(k->model, "t5") && (k->prefix == 0 || k->remove == 0))
        return err_set(e, ERR_FORMAT,
                       "t5 without add_space_prefix or remove_extra_whitespaces is not supported");
    if (str_eqz(k->model, "llama") && k->remove == 1)
        return err_set(e, ERR_FORMAT, "remove_extra_whitespaces with BPE is not supported");
    return true;
}

/* llama.cpp adds a BOS to Llama's families unless told otherwise, T5 ends in an EOS, and the others
 * get nothing. */
static bool set_template(struct tokenizer *t, const struct gguf_keys *k, struct err *e)
{
    bool llama = t->split == TOK_SPLIT_LLAMA3 || t->engine == TOK_SP_BPE;
    bool add_bos = k->add_bos >= 0 ? k->add_bos : llama;
    bool add_eos = k->add_eos >= 0 ? k->add_eos : t->engine == TOK_UNIGRAM;
    uint32_t bos = (uint32_t)t->bos, eos = (uint32_t)t->eos;

    if (add_bos && t->bos < 0)
        return err_set(e, ERR_FORMAT, "a begin-of-text token is to be added but none is named");
    if (add_eos && t->eos < 0)
        return err_set(e, ERR_FORMAT, "an end-of-text token is to be added but none is named");
    return (!add_bos || tok_def_prefix(t, &bos, 1, e)) &&
           (!add_eos || tok_def_suffix(t, &eos, 1, e));
}

static bool id_of(int64_t v, int32_t *out, struct err *e)
{
    if (v >= (int64_t)TOK_MAX_IDS)
        return err_set(e, ERR_FORMAT, "a special token's id %lld is out of range", (long long)v);
    *out = (int32_t)v;
    return true;
}

static bool read_byte_level(struct tokenizer *t, struct cursor *c, const struct gguf_keys *k,
                            struct err *e)
{
    t->prefix_space = k->prefix == 1;
    if (!set_pre(t, k->pre, e) || !read_lists(t, c, k, e)) return false;
    return !t->digits || !t->prefix_space ||
           err_set(e, ERR_FORMAT, "add_space_prefix with split digits is not supported");
}

static bool parse(struct str file, struct tokenizer **out, struct err *e)
{
    struct cursor c = {(const uint8_t *)file.p, file.n, 0};
    struct gguf_keys k = {.bos = -1,
                          .eos = -1,
                          .unk = -1,
                          .pad = -1,
                          .add_bos = -1,
                          .add_eos = -1,
                          .prefix = -1,
                          .remove = -1};

    if (!read_keys(&c, &k, e)) return false;
    if (k.model.n == 0) return err_set(e, ERR_FORMAT, "it holds no tokenizer");
    bool scored = str_eqz(k.model, "llama") || str_eqz(k.model, "t5");
    if (!scored && !str_eqz(k.model, "gpt2"))
        return err_set(e, ERR_FORMAT,
                       "tokenizer.ggml.model is not one that is supported (gpt2, llama, t5)");
    if (scored && !check_scored(&k, e)) return false;
    if (k.types.count && k.types.count != k.tokens.count)
        return err_set(e, ERR_FORMAT, "%llu tokens but %llu token types",
                       (unsigned long long)k.tokens.count, (unsigned long long)k.types.count);
    if (!tok_def_open(k.tokens.count, scored ? 0 : k.merges.count,
                      k.tokens.count < TOK_MAX_ADDED ? k.tokens.count : TOK_MAX_ADDED, out, e))
        return false;
    struct tokenizer *t = *out;
    if (scored) t->engine = str_eqz(k.model, "t5") ? TOK_UNIGRAM : TOK_SP_BPE;
    if (!id_of(k.bos, &t->bos, e) || !id_of(k.eos, &t->eos, e) || !id_of(k.unk, &t->unk, e) ||
        !id_of(k.pad, &t->pad, e))
        return false;
    if (k.chat.p && !arena_str(&t->arena, k.chat, &t->chat_template, e)) return false;
    if (scored ? !read_scored(t, &c, &k, e) : !read_byte_level(t, &c, &k, e)) return false;
    return set_template(t, &k, e) && tok_def_finish(t, e);
}

bool tok_gguf_parse(struct str file, struct tokenizer **out, struct err *e)
{
    *out = NULL;
    if (parse(file, out, e)) return true;
    tokenizer_close(*out);
    *out = NULL;
    return false;
}

bool tok_gguf_open(const char *path, struct tokenizer **out, struct err *e)
{
    struct fs_map m;
    bool ok;

    *out = NULL;
    if (!fs_map_open(path, &m, e)) return false;
    ok = tok_gguf_parse((struct str){(const char *)m.p, m.n}, out, e);
    fs_map_close(&m);
    return ok || err_wrap(e, "%s", path);
}
