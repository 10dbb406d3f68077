/*
 * tokenizer.json, the schema of huggingface/tokenizers: each component is either understood or
 * refused by its type's name.
 */
#include "base/json.h"
#include "base/mem.h"
#include "text/tok_impl.h"

bool tok_json_none(const json_t *j)
{
    return !j || json_is_null(j);
}

/* none: null, missing or "". */
static bool is_blank(const json_t *j)
{
    return tok_json_none(j) || (json_is_string(j) && json_string_length(j) == 0);
}

bool tok_json_flag(const json_t *obj, const char *key, bool missing, bool *out, struct err *e)
{
    const json_t *j = json_object_get(obj, key);

    *out = missing;
    if (tok_json_none(j)) return true;
    if (!json_is_boolean(j)) return err_set(e, ERR_FORMAT, "%s is not true or false", key);
    *out = json_is_true(j);
    return true;
}

bool tok_json_id(const json_t *j, uint32_t *out, struct err *e)
{
    if (!json_is_integer(j) || json_integer_value(j) < 0 ||
        json_integer_value(j) >= (json_int_t)TOK_MAX_IDS)
        return err_set(e, ERR_FORMAT, "a token id is not a whole number below %u", TOK_MAX_IDS);
    *out = (uint32_t)json_integer_value(j);
    return true;
}

/* A type's name for a message: ours to print only when it looks like one. */
static const char *type_name(const json_t *obj)
{
    const char *s = json_string_value(json_object_get(obj, "type"));

    if (!s || !*s || strlen(s) > 40) return "(no type)";
    for (const char *p = s; *p; p++)
        if ((*p | 32) < 'a' || (*p | 32) > 'z') return "(odd type)";
    return s;
}

bool tok_json_is(const json_t *obj, const char *name)
{
    return strcmp(type_name(obj), name) == 0;
}

bool tok_json_refuse(const char *what, const json_t *obj, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s \"%s\" is not supported", what, type_name(obj));
}

/* ---- model */
static bool read_vocab(struct tokenizer *t, const json_t *vocab, struct err *e)
{
    const char *key;
    json_t *v;
    uint32_t id;

    json_object_foreach((json_t *)vocab, key, v)
    {
        if (!tok_json_id(v, &id, e)) return false;
        if (!tok_def_piece(t, id, str_of(key), e)) return false;
    }
    return true;
}

static bool read_merges(struct tokenizer *t, const json_t *merges, struct err *e)
{
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *m = json_array_get(merges, i);
        struct str line = {json_string_value(m), json_string_length(m)};
        const json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
        if (line.p && str_starts(line, STR("#version"))) continue;
        if (line.p ? !tok_def_merge_line(t, line, e)
                   : !tok_def_merge(t, (struct str){json_string_value(a), json_string_length(a)},
                                    (struct str){json_string_value(b), json_string_length(b)}, e))
            return false;
    }
    return true;
}

/* BPE: byte-level where the pre-tokenizer is (ByteLevel last), else SentencePiece's. */
static bool has_byte_level(const json_t *pre)
{
    const json_t *list = json_object_get(pre, "pretokenizers");

    return tok_json_is(pre, "ByteLevel") ||
           tok_json_is(json_array_get(list, json_array_size(list) - 1), "ByteLevel");
}

/* Files older than the "type" key tell themselves apart by what else is there. */
static bool find_engine(const json_t *root, enum tok_engine *out, struct err *e)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *vocab = json_object_get(model, "vocab");
    bool typed = json_object_get(model, "type") != NULL;
    bool merges = json_object_get(model, "merges") != NULL;

    if (typed ? tok_json_is(model, "BPE") : merges)
        *out = has_byte_level(json_object_get(root, "pre_tokenizer")) ? TOK_BYTE_BPE : TOK_SP_BPE;
    else if (typed ? tok_json_is(model, "Unigram") : json_is_array(vocab))
        *out = TOK_UNIGRAM;
    else if (typed ? tok_json_is(model, "WordPiece")
                   : json_object_get(model, "continuing_subword_prefix") != NULL)
        *out = TOK_WORDPIECE;
    else
        return tok_json_refuse("the model", model, e);
    return true;
}

static bool check_bpe(const json_t *model, struct err *e)
{
    if (!json_is_object(json_object_get(model, "vocab")))
        return err_set(e, ERR_FORMAT, "model.vocab is not an object");
    if (!json_is_array(json_object_get(model, "merges")))
        return err_set(e, ERR_FORMAT, "model.merges is not a list");
    if (!tok_json_none(json_object_get(model, "dropout")) &&
        json_number_value(json_object_get(model, "dropout")) != 0.0)
        return err_set(e, ERR_FORMAT, "model.dropout is not supported: ids would be random");
    if (!is_blank(json_object_get(model, "continuing_subword_prefix")))
        return err_set(e, ERR_FORMAT, "model.continuing_subword_prefix is not supported with BPE");
    if (!is_blank(json_object_get(model, "end_of_word_suffix")))
        return err_set(e, ERR_FORMAT, "model.end_of_word_suffix is not supported with BPE");
    return true;
}

static bool set_unk(struct tokenizer *t, const json_t *unk, struct err *e)
{
    struct str s = {json_string_value(unk), json_string_length(unk)};

    if (is_blank(unk)) return true;
    t->model_unk = t->unk = tokenizer_id(t, s);
    return t->unk >= 0 || err_set(e, ERR_FORMAT, "model.unk_token is not in the vocabulary");
}

static bool read_bpe(struct tokenizer *t, const json_t *model, struct err *e)
{
    if (!tok_json_flag(model, "byte_fallback", false, &t->byte_fallback, e)) return false;
    if (t->byte_fallback && t->engine == TOK_BYTE_BPE)
        return err_set(e, ERR_FORMAT, "model.byte_fallback with byte-level BPE is not supported");
    return read_vocab(t, json_object_get(model, "vocab"), e) &&
           read_merges(t, json_object_get(model, "merges"), e) &&
           tok_json_flag(model, "ignore_merges", false, &t->ignore_merges, e) &&
           tok_json_flag(model, "fuse_unk", false, &t->fuse_unk, e) &&
           set_unk(t, json_object_get(model, "unk_token"), e);
}

/* A score as the reference reads it: its JSON reader divides the digits, a whole number, by a power
 * of ten, which is not always the nearest double; on equal sums of scores the last bit decides. The
 * digits are taken to be the shortest that name the number, which is how such files are written. */
static bool read_score(double v, double *out, struct err *e)
{
    double scale = 1;
    uint64_t digits = 0;
    int places = 0;
    bool point = false, whole = true;
    struct sbuf b;

    *out = v;
    sbuf_init(&b, 64);
    bool ok = sbuf_put_f64(&b, v < 0 ? -v : v, e);
    for (size_t i = 0; ok && i < b.n; i++) {
        bool digit = b.p[i] >= '0' && b.p[i] <= '9';
        point |= b.p[i] == '.';
        whole &= digit || b.p[i] == '.'; /* with an exponent: as it is */
        if (!digit) continue;
        digits = digits * 10 + (uint64_t)(b.p[i] - '0');
        places += point;
    }
    sbuf_free(&b);
    for (int i = 0; i < places && i < 22; i++)
        scale *= 10; /* exact up to 10^22 */
    if (ok && whole && places <= 22) *out = (v < 0 ? -1 : 1) * ((double)digits / scale);
    return ok;
}

static bool read_unigram(struct tokenizer *t, const json_t *model, struct err *e)
{
    const json_t *vocab = json_object_get(model, "vocab");
    uint32_t unk;

    if (!tok_json_flag(model, "byte_fallback", false, &t->byte_fallback, e)) return false;
    t->score = arena_alloc(&t->arena, t->n * sizeof(*t->score), e);
    if (!t->score) return false;
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        const json_t *row = json_array_get(vocab, i), *s = json_array_get(row, 0);
        const json_t *score = json_array_get(row, 1);
        if (!json_is_string(s) || !json_is_number(score))
            return err_set(e, ERR_FORMAT, "model.vocab[%zu] is not a piece and its score", i);
        if (!tok_def_piece(t, i, (struct str){json_string_value(s), json_string_length(s)}, e))
            return false;
        if (!read_score(json_number_value(score), &t->score[i], e)) return false;
    }
    if (!tok_json_id(json_object_get(model, "unk_id"), &unk, e)) return err_wrap(e, "model.unk_id");
    if (unk >= json_array_size(vocab))
        return err_set(e, ERR_FORMAT, "model.unk_id %u is not in the vocabulary", unk);
    t->model_unk = t->unk = (int32_t)unk;
    return true;
}

static bool read_wordpiece(struct tokenizer *t, const json_t *model, struct err *e)
{
    uint64_t max = 100;
    struct str prefix = STR("##");

    if (!json_is_object(json_object_get(model, "vocab")))
        return err_set(e, ERR_FORMAT, "model.vocab is not an object");
    if (json_object_get(model, "continuing_subword_prefix") &&
        !json_get_str(model, "continuing_subword_prefix", &prefix, e))
        return false;
    if (json_object_get(model, "max_input_chars_per_word") &&
        !json_get_u64(model, "max_input_chars_per_word", &max, e))
        return false;
    t->max_word = max < TOK_MAX_TEXT ? (uint32_t)max : TOK_MAX_TEXT;
    return arena_str(&t->arena, prefix, &t->subword, e) &&
           read_vocab(t, json_object_get(model, "vocab"), e) &&
           set_unk(t, json_object_get(model, "unk_token"), e);
}

/* ---- added tokens */
static bool read_added(struct tokenizer *t, const json_t *list, struct err *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *j = json_array_get(list, i);
        struct tok_added a = {0};
        bool ok = tok_json_id(json_object_get(j, "id"), &a.id, e) &&
                  json_get_str(j, "content", &a.content, e) &&
                  tok_json_flag(j, "special", false, &a.special, e) &&
                  tok_json_flag(j, "single_word", false, &a.single_word, e) &&
                  tok_json_flag(j, "lstrip", false, &a.lstrip, e) &&
                  tok_json_flag(j, "rstrip", false, &a.rstrip, e) &&
                  tok_json_flag(j, "normalized", !a.special, &a.normalized, e) &&
                  tok_def_added(t, &a, e);
        if (!ok) return err_wrap(e, "added_tokens[%zu]", i);
    }
    return true;
}

/* ---- the whole */
static bool max_id(const json_t *vocab, const json_t *added, uint64_t *out, struct err *e)
{
    const char *key;
    json_t *v;
    uint32_t id;

    *out = json_array_size(vocab);
    json_object_foreach((json_t *)vocab, key, v)
    {
        if (!tok_json_id(v, &id, e)) return false;
        if (id >= *out) *out = (uint64_t)id + 1;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        if (!tok_json_id(json_object_get(json_array_get(added, i), "id"), &id, e)) return false;
        if (id >= *out) *out = (uint64_t)id + 1;
    }
    return true;
}

static bool read_all(const json_t *root, struct tokenizer **out, struct err *e)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *added = json_object_get(root, "added_tokens");
    const json_t *merges = json_object_get(model, "merges");
    enum tok_engine engine = TOK_BYTE_BPE;
    uint64_t n;
    bool ok;

    if (!json_is_object(root) || !json_is_object(model))
        return err_set(e, ERR_FORMAT, "not a tokenizer.json: there is no \"model\"");
    if (!find_engine(root, &engine, e)) return false;
    bool bpe = engine == TOK_BYTE_BPE || engine == TOK_SP_BPE;
    if (bpe && !check_bpe(model, e)) return false;
    if (!max_id(json_object_get(model, "vocab"), added, &n, e)) return false;
    if (!tok_def_open(n, bpe ? json_array_size(merges) : 0, json_array_size(added), out, e))
        return false;
    (*out)->engine = engine;
    ok = bpe                     ? read_bpe(*out, model, e)
         : engine == TOK_UNIGRAM ? read_unigram(*out, model, e)
                                 : read_wordpiece(*out, model, e);
    return ok && read_added(*out, added, e) && tok_json_parts(*out, root, e);
}

bool tok_json_read(struct str text, const char *dir, struct tokenizer **out, struct err *e)
{
    json_t *root = NULL;
    bool ok;

    *out = NULL;
    if (!json_parse(text, "tokenizer.json", &root, e)) return false;
    ok = read_all(root, out, e) && (!dir || tok_config_read(*out, dir, e)) &&
         tok_def_finish(*out, e);
    json_decref(root);
    if (!ok) {
        tokenizer_close(*out);
        *out = NULL;
    }
    return ok;
}

bool tok_json_parse(struct str text, struct tokenizer **out, struct err *e)
{
    return tok_json_read(text, NULL, out, e);
}
