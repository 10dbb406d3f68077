/*
 * tokenizer.json, the schema of huggingface/tokenizers: each component is either understood or
 * refused by its type's name.
 */
#include "base/json.h"
#include "base/mem.h"
#include "text/tok_impl.h"

/* Llama 3, 3.1, 3.2, 3.3; recognised by this exact string, done by hand in tok_split.c. */
const char tok_llama3_regex[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static bool is_none(const json_t *j)
{
    return !j || json_is_null(j);
}

/* none: null, missing or "". */
static bool is_blank(const json_t *j)
{
    return is_none(j) || (json_is_string(j) && json_string_length(j) == 0);
}

static bool get_flag(const json_t *obj, const char *key, bool missing, bool *out, struct err *e)
{
    const json_t *j = json_object_get(obj, key);

    *out = missing;
    if (is_none(j)) return true;
    if (!json_is_boolean(j)) return err_set(e, ERR_FORMAT, "%s is not true or false", key);
    *out = json_is_true(j);
    return true;
}

static bool get_id(const json_t *j, uint32_t *out, struct err *e)
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

static bool is_type(const json_t *obj, const char *name)
{
    return strcmp(type_name(obj), name) == 0;
}

static bool refuse(const char *what, const json_t *obj, struct err *e)
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
        if (!get_id(v, &id, e)) return false;
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

static bool check_model(const json_t *model, struct err *e)
{
    const json_t *merges = json_object_get(model, "merges");
    const json_t *vocab = json_object_get(model, "vocab");
    bool fallback;

    if (json_object_get(model, "type") ? !is_type(model, "BPE") : !merges)
        return refuse("the model", model, e);
    if (!json_is_object(vocab)) return err_set(e, ERR_FORMAT, "model.vocab is not an object");
    if (!json_is_array(merges)) return err_set(e, ERR_FORMAT, "model.merges is not a list");
    if (!is_none(json_object_get(model, "dropout")) &&
        json_number_value(json_object_get(model, "dropout")) != 0.0)
        return err_set(e, ERR_FORMAT, "model.dropout is not supported: ids would be random");
    if (!is_blank(json_object_get(model, "continuing_subword_prefix")))
        return err_set(e, ERR_FORMAT, "model.continuing_subword_prefix is not supported with BPE");
    if (!is_blank(json_object_get(model, "end_of_word_suffix")))
        return err_set(e, ERR_FORMAT, "model.end_of_word_suffix is not supported with BPE");
    if (!get_flag(model, "byte_fallback", false, &fallback, e)) return false;
    if (fallback)
        return err_set(e, ERR_FORMAT,
                       "model.byte_fallback (SentencePiece-style BPE) is not "
                       "supported, only byte-level BPE is");
    return true;
}

static bool read_model(struct tokenizer *t, const json_t *model, struct err *e)
{
    const json_t *unk = json_object_get(model, "unk_token");

    if (!read_vocab(t, json_object_get(model, "vocab"), e)) return false;
    if (!read_merges(t, json_object_get(model, "merges"), e)) return false;
    if (!get_flag(model, "ignore_merges", false, &t->ignore_merges, e)) return false;
    if (!get_flag(model, "fuse_unk", false, &t->fuse_unk, e)) return false;
    if (is_blank(unk)) return true;
    struct str s = {json_string_value(unk), json_string_length(unk)};
    t->model_unk = t->unk = tokenizer_id(t, s);
    return t->unk >= 0 || err_set(e, ERR_FORMAT, "model.unk_token is not in the vocabulary");
}

/* ---- added tokens */
static bool read_added(struct tokenizer *t, const json_t *list, struct err *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *j = json_array_get(list, i);
        struct tok_added a = {0};
        bool ok = get_id(json_object_get(j, "id"), &a.id, e) &&
                  json_get_str(j, "content", &a.content, e) &&
                  get_flag(j, "special", false, &a.special, e) &&
                  get_flag(j, "single_word", false, &a.single_word, e) &&
                  get_flag(j, "lstrip", false, &a.lstrip, e) &&
                  get_flag(j, "rstrip", false, &a.rstrip, e) &&
                  get_flag(j, "normalized", !a.special, &a.normalized, e) &&
                  tok_def_added(t, &a, e);
        if (!ok) return err_wrap(e, "added_tokens[%zu]", i);
    }
    return true;
}

/* ---- pre-tokenizer */
static bool read_byte_level(struct tokenizer *t, const json_t *j, bool *use_regex, struct err *e)
{
    return get_flag(j, "add_prefix_space", true, &t->prefix_space, e) &&
           get_flag(j, "use_regex", true, use_regex, e);
}

static bool read_split(struct tokenizer *t, const json_t *j, struct err *e)
{
    const json_t *pattern = json_object_get(j, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *behavior = json_string_value(json_object_get(j, "behavior"));
    bool invert;

    if (!get_flag(j, "invert", false, &invert, e)) return false;
    if (!regex || strcmp(regex, tok_llama3_regex) != 0)
        return err_set(e, ERR_FORMAT,
                       "the pre-tokenizer's Split pattern is not one that is known "
                       "(Llama-3's)");
    if (invert || !behavior || strcmp(behavior, "Isolated") != 0)
        return err_set(e, ERR_FORMAT, "the pre-tokenizer's Split is not \"Isolated\"");
    t->split = TOK_SPLIT_LLAMA3;
    return true;
}

static bool read_digits(struct tokenizer *t, const json_t *j, struct err *e)
{
    if (!get_flag(j, "individual_digits", false, &t->digits, e)) return false;
    return t->digits || err_set(e, ERR_FORMAT,
                                "the pre-tokenizer's Digits without individual_digits is not "
                                "supported");
}

/* ByteLevel, Digits + ByteLevel, or Split + ByteLevel: it has to come last. */
static bool read_pre_tokenizer(struct tokenizer *t, const json_t *j, struct err *e)
{
    const json_t *list = is_type(j, "Sequence") ? json_object_get(j, "pretokenizers") : NULL;
    size_t n = list ? json_array_size(list) : 1;
    bool use_regex = false, split = false;

    if (is_none(j)) return err_set(e, ERR_FORMAT, "no pre_tokenizer: not a byte-level BPE");
    for (size_t i = 0; i < n; i++) {
        const json_t *p = list ? json_array_get(list, i) : j;
        bool last = i + 1 == n;
        if (last && is_type(p, "ByteLevel")) {
            if (!read_byte_level(t, p, &use_regex, e)) return false;
        } else if (!last && i == 0 && is_type(p, "Digits")) {
            if (!read_digits(t, p, e)) return false;
        } else if (!last && i == 0 && is_type(p, "Split")) {
            if (!read_split(t, p, e)) return false;
            split = true;
        } else {
            return refuse("here the pre-tokenizer", p, e);
        }
    }
    if (n == 0) return refuse("an empty pre-tokenizer", j, e);
    if (split && use_regex)
        return err_set(e, ERR_FORMAT,
                       "a Split pattern together with ByteLevel.use_regex is not "
                       "supported");
    if (t->digits && !use_regex)
        return err_set(e, ERR_FORMAT, "Digits without ByteLevel.use_regex is not supported");
    if ((t->digits || split) && t->prefix_space)
        return err_set(e, ERR_FORMAT,
                       "ByteLevel.add_prefix_space behind another pre-tokenizer is "
                       "not supported");
    if (use_regex) t->split = TOK_SPLIT_GPT2;
    return true;
}

/* ---- post-processor */
static bool read_template(struct tokenizer *t, const json_t *j, struct err *e)
{
    const json_t *single = json_object_get(j, "single");
    const json_t *specials = json_object_get(j, "special_tokens");
    bool behind = false;

    if (!json_is_array(single)) return err_set(e, ERR_FORMAT, "the template has no \"single\"");
    /* Before the text: collected first, put in front of what inner processors gave. */
    uint32_t ids[TOK_MAX_AFFIX];
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i);
        const json_t *seq = json_object_get(part, "Sequence");
        const char *id = json_string_value(
            json_object_get(seq ? seq : json_object_get(part, "SpecialToken"), "id"));
        if (seq) {
            if (behind || !id || strcmp(id, "A") != 0)
                return err_set(e, ERR_FORMAT, "the template's \"single\" is not one text A");
            if (!tok_def_prefix(t, ids, n, e)) return false;
            behind = true;
            n = 0;
            continue;
        }
        const json_t *list = json_object_get(id ? json_object_get(specials, id) : NULL, "ids");
        if (!json_is_array(list))
            return err_set(e, ERR_FORMAT, "the template's part %zu has no ids", i);
        for (size_t k = 0; k < json_array_size(list); k++) {
            if (n == TOK_MAX_AFFIX) return err_set(e, ERR_LIMIT, "the template is too long");
            if (!get_id(json_array_get(list, k), &ids[n++], e)) return false;
        }
    }
    if (!behind) return err_set(e, ERR_FORMAT, "the template's \"single\" holds no text");
    return tok_def_suffix(t, ids, n, e);
}

/* RobertaProcessing, BertProcessing: cls A sep. */
static bool read_cls_sep(struct tokenizer *t, const json_t *j, struct err *e)
{
    uint32_t cls, sep;

    return get_id(json_array_get(json_object_get(j, "cls"), 1), &cls, e) &&
           get_id(json_array_get(json_object_get(j, "sep"), 1), &sep, e) &&
           tok_def_prefix(t, &cls, 1, e) && tok_def_suffix(t, &sep, 1, e);
}

static bool read_post_processor(struct tokenizer *t, const json_t *j, bool nested, struct err *e)
{
    if (is_none(j) || is_type(j, "ByteLevel")) return true; /* ByteLevel only trims offsets */
    if (is_type(j, "TemplateProcessing")) return read_template(t, j, e);
    if (is_type(j, "RobertaProcessing") || is_type(j, "BertProcessing"))
        return read_cls_sep(t, j, e);
    if (nested || !is_type(j, "Sequence")) return refuse("the post-processor", j, e);
    const json_t *list = json_object_get(j, "processors");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_post_processor(t, json_array_get(list, i), true, e)) return false;
    return true;
}

/* ---- the whole */
static bool max_id(const json_t *vocab, const json_t *added, uint64_t *out, struct err *e)
{
    const char *key;
    json_t *v;
    uint32_t id;

    *out = 0;
    json_object_foreach((json_t *)vocab, key, v)
    {
        if (!get_id(v, &id, e)) return false;
        if (id >= *out) *out = (uint64_t)id + 1;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        if (!get_id(json_object_get(json_array_get(added, i), "id"), &id, e)) return false;
        if (id >= *out) *out = (uint64_t)id + 1;
    }
    return true;
}

static bool read_all(const json_t *root, struct tokenizer **out, struct err *e)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *added = json_object_get(root, "added_tokens");
    const json_t *decoder = json_object_get(root, "decoder");
    const json_t *merges = json_object_get(model, "merges");
    uint64_t n;

    if (!json_is_object(root) || !json_is_object(model))
        return err_set(e, ERR_FORMAT, "not a tokenizer.json: there is no \"model\"");
    if (!check_model(model, e)) return false;
    if (!is_none(json_object_get(root, "normalizer")))
        return refuse("the normalizer", json_object_get(root, "normalizer"), e);
    if (!is_type(decoder, "ByteLevel")) return refuse("the decoder", decoder, e);
    if (!max_id(json_object_get(model, "vocab"), added, &n, e)) return false;
    if (!tok_def_open(n, json_array_size(merges), json_array_size(added), out, e)) return false;
    return read_model(*out, model, e) && read_added(*out, added, e) &&
           read_pre_tokenizer(*out, json_object_get(root, "pre_tokenizer"), e) &&
           read_post_processor(*out, json_object_get(root, "post_processor"), false, e);
}

bool tok_json_parse(struct str text, struct tokenizer **out, struct err *e)
{
    json_t *root = NULL;
    bool ok;

    *out = NULL;
    if (!json_parse(text, "tokenizer.json", &root, e)) return false;
    ok = read_all(root, out, e) && tok_def_finish(*out, e);
    json_decref(root);
    if (!ok) {
        tokenizer_close(*out);
        *out = NULL;
    }
    return ok;
}

bool tok_json_open(const char *path, struct tokenizer **out, struct err *e)
{
    const char *slash = strrchr(path, '/');
    size_t ndir = slash ? (size_t)(slash - path) : 1;
    json_t *root = NULL;
    char *dir = NULL;
    bool ok = false;

    *out = NULL;
    if (!json_read_file(path, TOK_MAX_FILE, &root, e)) return false;
    dir = mem_strdup(slash ? path : ".", e);
    if (!dir) goto out;
    dir[ndir == 0 ? 1 : ndir] = '\0'; /* "/tokenizer.json" lies in "/" */
    ok = read_all(root, out, e) && tok_config_read(*out, dir, e) && tok_def_finish(*out, e);
    if (!ok) err_wrap(e, "%s", path);
out:
    mem_free(dir);
    json_decref(root);
    if (!ok) {
        tokenizer_close(*out);
        *out = NULL;
    }
    return ok;
}
