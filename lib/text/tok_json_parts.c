/*
 * The parts of a tokenizer.json around its model, each understood or refused by its type's name:
 * normalizer, pre-tokenizer, post-processor, decoder. Which parts may come together depends on the
 * engine; what is accepted is what the families' own files hold.
 */
#include "base/json.h"
#include "text/tok_impl.h"

/* Llama 3, 3.1, 3.2, 3.3; recognised by this exact string, done by hand in tok_split.c. */
const char tok_llama3_regex[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* ---- pre-tokenizer */
static bool read_byte_level(struct tokenizer *t, const json_t *j, bool *use_regex, struct err *e)
{
    return tok_json_flag(j, "add_prefix_space", true, &t->prefix_space, e) &&
           tok_json_flag(j, "use_regex", true, use_regex, e);
}

static bool read_split(struct tokenizer *t, const json_t *j, struct err *e)
{
    const json_t *pattern = json_object_get(j, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *behavior = json_string_value(json_object_get(j, "behavior"));
    bool invert;

    if (!tok_json_flag(j, "invert", false, &invert, e)) return false;
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
    if (!tok_json_flag(j, "individual_digits", false, &t->digits, e)) return false;
    return t->digits || err_set(e, ERR_FORMAT,
                                "the pre-tokenizer's Digits without individual_digits is not "
                                "supported");
}

/* ByteLevel, Digits + ByteLevel, or Split + ByteLevel: it has to come last. */
static bool read_byte_pre(struct tokenizer *t, const json_t *j, struct err *e)
{
    const json_t *list = tok_json_is(j, "Sequence") ? json_object_get(j, "pretokenizers") : NULL;
    size_t n = list ? json_array_size(list) : 1;
    bool use_regex = false, split = false;

    for (size_t i = 0; i < n; i++) {
        const json_t *p = list ? json_array_get(list, i) : j;
        bool last = i + 1 == n;
        if (last && tok_json_is(p, "ByteLevel")) {
            if (!read_byte_level(t, p, &use_regex, e)) return false;
        } else if (!last && i == 0 && tok_json_is(p, "Digits")) {
            if (!read_digits(t, p, e)) return false;
        } else if (!last && i == 0 && tok_json_is(p, "Split")) {
            if (!read_split(t, p, e)) return false;
            split = true;
        } else {
            return tok_json_refuse("here the pre-tokenizer", p, e);
        }
    }
    if (n == 0) return tok_json_refuse("an empty pre-tokenizer", j, e);
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
            if (!tok_json_id(json_array_get(list, k), &ids[n++], e)) return false;
        }
    }
    if (!behind) return err_set(e, ERR_FORMAT, "the template's \"single\" holds no text");
    return tok_def_suffix(t, ids, n, e);
}

/* RobertaProcessing, BertProcessing: cls A sep. */
static bool read_cls_sep(struct tokenizer *t, const json_t *j, struct err *e)
{
    uint32_t cls, sep;

    return tok_json_id(json_array_get(json_object_get(j, "cls"), 1), &cls, e) &&
           tok_json_id(json_array_get(json_object_get(j, "sep"), 1), &sep, e) &&
           tok_def_prefix(t, &cls, 1, e) && tok_def_suffix(t, &sep, 1, e);
}

static bool read_post_processor(struct tokenizer *t, const json_t *j, bool nested, struct err *e)
{
    if (tok_json_none(j) || tok_json_is(j, "ByteLevel"))
        return true; /* ByteLevel only trims offsets */
    if (tok_json_is(j, "TemplateProcessing")) return read_template(t, j, e);
    if (tok_json_is(j, "RobertaProcessing") || tok_json_is(j, "BertProcessing"))
        return read_cls_sep(t, j, e);
    if (nested || !tok_json_is(j, "Sequence")) return tok_json_refuse("the post-processor", j, e);
    const json_t *list = json_object_get(j, "processors");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_post_processor(t, json_array_get(list, i), true, e)) return false;
    return true;
}

/* ---- SentencePiece: metaspaces */
static bool is_metaspace(const json_t *j)
{
    const char *s = json_string_value(j);

    return s && strcmp(s, TOK_METASPACE) == 0;
}

/* Old files: add_prefix_space; new ones: prepend_scheme. The two must not contradict. */
static bool read_metaspace(const json_t *j, bool *prefix, bool *first, bool *split, struct err *e)
{
    const char *scheme = json_string_value(json_object_get(j, "prepend_scheme"));
    bool old;

    if (!is_metaspace(json_object_get(j, "replacement")))
        return err_set(e, ERR_FORMAT, "Metaspace.replacement is not U+2581");
    if (!tok_json_flag(j, "add_prefix_space", true, &old, e)) return false;
    if (!tok_json_flag(j, "split", true, split, e)) return false;
    *prefix = scheme ? strcmp(scheme, "never") != 0 : old;
    *first = scheme && strcmp(scheme, "first") == 0;
    if (scheme && *prefix && !*first && strcmp(scheme, "always") != 0)
        return err_set(e, ERR_FORMAT, "Metaspace.prepend_scheme is not always, first or never");
    if (scheme && *prefix && !old)
        return err_set(e, ERR_FORMAT, "Metaspace.prepend_scheme and add_prefix_space contradict");
    return true;
}

/* Prepend U+2581, Replace " " by U+2581, or both in this order. */
static bool read_sp_normalizer(struct tokenizer *t, const json_t *j, bool *replaced, struct err *e)
{
    const json_t *list = tok_json_is(j, "Sequence") ? json_object_get(j, "normalizers") : NULL;
    size_t n = list ? json_array_size(list) : 1;
    bool prepend = false;

    if (tok_json_none(j)) return true;
    for (size_t i = 0; i < n; i++) {
        const json_t *p = list ? json_array_get(list, i) : j;
        const char *from =
            json_string_value(json_object_get(json_object_get(p, "pattern"), "String"));
        if (tok_json_is(p, "Prepend") && !prepend && !*replaced) {
            prepend = is_metaspace(json_object_get(p, "prepend"));
            if (!prepend)
                return err_set(e, ERR_FORMAT, "the normalizer prepends other than U+2581");
        } else if (tok_json_is(p, "Replace") && !*replaced) {
            *replaced =
                from && strcmp(from, " ") == 0 && is_metaspace(json_object_get(p, "content"));
            if (!*replaced)
                return err_set(e, ERR_FORMAT,
                               "the normalizer replaces other than blanks by U+2581");
        } else {
            return tok_json_refuse("here the normalizer", p, e);
        }
    }
    if (prepend && !*replaced)
        return err_set(e, ERR_FORMAT, "the normalizer prepends U+2581 but does not replace blanks");
    if (prepend) t->norm = TOK_NORM_PREPEND;
    return true;
}

static bool read_sp(struct tokenizer *t, const json_t *norm, const json_t *pre, struct err *e)
{
    bool replaced = false;

    t->split = TOK_SPLIT_CUTS;
    t->decoder = TOK_DECODE_SP;
    if (!read_sp_normalizer(t, norm, &replaced, e)) return false;
    if (tok_json_none(pre))
        return replaced || err_set(e, ERR_FORMAT,
                                   "no pre_tokenizer and no normalizer: neither byte-level nor "
                                   "SentencePiece BPE");
    if (!tok_json_is(pre, "Metaspace"))
        return tok_json_refuse("with this BPE the pre-tokenizer", pre, e);
    if (replaced)
        return err_set(e, ERR_FORMAT, "a normalizer together with Metaspace is not supported");
    return read_metaspace(pre, &t->prefix_space, &t->prefix_first, &t->split_blanks, e);
}

/* ---- Unigram */
static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Into the arena: three bytes from four digits. */
static bool unbase64(struct str s, struct arena *a, struct str *out, struct err *e)
{
    uint8_t *p = arena_alloc(a, s.n / 4 * 3 + 3, e);
    size_t n = 0;
    uint32_t bits = 0;

    if (!p) return false;
    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        int d = base64_digit(s.p[i]);
        if (d < 0) return err_set(e, ERR_FORMAT, "precompiled_charsmap is not base64");
        bits = bits << 6 | (uint32_t)d;
        if (i % 4 == 0) continue;
        p[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *out = (struct str){(const char *)p, n};
    return true;
}

static bool read_charsmap(struct tokenizer *t, const json_t *norm, struct err *e)
{
    struct str map;

    if (tok_json_none(norm)) return true;
    if (!tok_json_is(norm, "Precompiled"))
        return tok_json_refuse("with Unigram the normalizer", norm, e);
    if (!json_get_str(norm, "precompiled_charsmap", &map, e)) return false;
    t->norm = TOK_NORM_CHARSMAP;
    return unbase64(map, &t->arena, &t->charsmap, e) && tok_charsmap_check(t->charsmap, e);
}

static bool read_unigram(struct tokenizer *t, const json_t *norm, const json_t *pre, struct err *e)
{
    const json_t *list = json_object_get(pre, "pretokenizers");
    bool prefix, first, split;

    t->split = TOK_SPLIT_BLANKS;
    t->decoder = TOK_DECODE_METASPACE;
    if (!read_charsmap(t, norm, e)) return false;
    if (!tok_json_is(pre, "Sequence") || json_array_size(list) != 2 ||
        !tok_json_is(json_array_get(list, 0), "WhitespaceSplit") ||
        !tok_json_is(json_array_get(list, 1), "Metaspace"))
        return err_set(e, ERR_FORMAT,
                       "with Unigram the pre-tokenizer is not WhitespaceSplit and Metaspace "
                       "(T5's), which alone is supported");
    if (!read_metaspace(json_array_get(list, 1), &prefix, &first, &split, e)) return false;
    return (prefix && !first && split) ||
           err_set(e, ERR_FORMAT, "with Unigram only Metaspace \"always\" with split is supported");
}

/* ---- BERT */
static bool read_bert(struct tokenizer *t, const json_t *norm, const json_t *pre, struct err *e)
{
    t->split = TOK_SPLIT_BERT;
    t->decoder = TOK_DECODE_WORDPIECE;
    t->norm = TOK_NORM_BERT;
    if (!tok_json_is(norm, "BertNormalizer"))
        return tok_json_refuse("with WordPiece the normalizer", norm, e);
    if (!tok_json_is(pre, "BertPreTokenizer"))
        return tok_json_refuse("with WordPiece the pre-tokenizer", pre, e);
    if (!tok_json_flag(norm, "clean_text", true, &t->bert_clean, e) ||
        !tok_json_flag(norm, "handle_chinese_chars", true, &t->bert_cjk, e) ||
        !tok_json_flag(norm, "lowercase", true, &t->bert_lower, e) ||
        !tok_json_flag(norm, "strip_accents", t->bert_lower, &t->bert_strip, e))
        return false;
    return !t->bert_strip || t->bert_lower ||
           err_set(e, ERR_FORMAT,
                   "BertNormalizer.strip_accents without lowercase is not supported");
}

static bool read_byte(struct tokenizer *t, const json_t *norm, const json_t *pre, struct err *e)
{
    t->decoder = TOK_DECODE_BYTES;
    if (tok_json_is(norm, "NFC"))
        t->norm = TOK_NORM_NFC;
    else if (!tok_json_none(norm))
        return tok_json_refuse("the normalizer", norm, e);
    if (!read_byte_pre(t, pre, e)) return false;
    return t->norm == TOK_NORM_NONE || !t->prefix_space ||
           err_set(e, ERR_FORMAT, "ByteLevel.add_prefix_space behind NFC is not supported");
}

/* ---- decoder: what the engine's files hold, and nothing else */
static bool check_sp_decoder(const json_t *j, struct err *e)
{
    static const char *const want[] = {"Replace", "ByteFallback", "Fuse", "Strip"};
    const json_t *list = json_object_get(j, "decoders");
    uint64_t start = 0, stop = 0;
    struct str s;

    if (!tok_json_is(j, "Sequence")) return tok_json_refuse("the decoder", j, e);
    for (size_t i = 0; i < 4 || i < json_array_size(list); i++)
        if (i >= 4 || !tok_json_is(json_array_get(list, i), want[i]))
            return tok_json_refuse("here the decoder", json_array_get(list, i), e);
    const json_t *replace = json_array_get(list, 0), *strip = json_array_get(list, 3);
    const char *from =
        json_string_value(json_object_get(json_object_get(replace, "pattern"), "String"));
    const char *to = json_string_value(json_object_get(replace, "content"));
    if (!from || strcmp(from, TOK_METASPACE) != 0 || !to || strcmp(to, " ") != 0)
        return err_set(e, ERR_FORMAT, "the decoder replaces other than U+2581 by a blank");
    return json_get_str(strip, "content", &s, e) && json_get_u64(strip, "start", &start, e) &&
           json_get_u64(strip, "stop", &stop, e) &&
           ((str_eqz(s, " ") && start == 1 && stop == 0) ||
            err_set(e, ERR_FORMAT, "the decoder strips other than one blank at the start"));
}

static bool read_decoder(struct tokenizer *t, const json_t *j, struct err *e)
{
    bool prefix, first, split;
    struct str prefix_text;

    switch (t->engine) {
    case TOK_BYTE_BPE:
        return tok_json_is(j, "ByteLevel") || tok_json_refuse("the decoder", j, e);
    case TOK_SP_BPE:
        return check_sp_decoder(j, e);
    case TOK_UNIGRAM:
        if (!tok_json_is(j, "Metaspace")) return tok_json_refuse("the decoder", j, e);
        return read_metaspace(j, &prefix, &first, &split, e) &&
               (prefix || err_set(e, ERR_FORMAT, "the decoder keeps the first metaspace"));
    case TOK_WORDPIECE:
        if (!tok_json_is(j, "WordPiece")) return tok_json_refuse("the decoder", j, e);
        return json_get_str(j, "prefix", &prefix_text, e) &&
               tok_json_flag(j, "cleanup", true, &t->cleanup, e) &&
               (str_eq(prefix_text, t->subword) ||
                err_set(e, ERR_FORMAT, "decoder.prefix is not the model's prefix"));
    }
    UNREACHABLE();
}

bool tok_json_parts(struct tokenizer *t, const json_t *root, struct err *e)
{
    const json_t *norm = json_object_get(root, "normalizer");
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    bool ok = t->engine == TOK_BYTE_BPE  ? read_byte(t, norm, pre, e)
              : t->engine == TOK_SP_BPE  ? read_sp(t, norm, pre, e)
              : t->engine == TOK_UNIGRAM ? read_unigram(t, norm, pre, e)
                                         : read_bert(t, norm, pre, e);

    return ok && read_decoder(t, json_object_get(root, "decoder"), e) &&
           read_post_processor(t, json_object_get(root, "post_processor"), false, e);
}
