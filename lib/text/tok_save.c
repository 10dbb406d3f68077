/*
 * A tokenizer as the three files that transformers and tokenizers load: tokenizer.json complete,
 * and beside it which tokens begin, end and pad a text.
 */
#include "base/fs.h"
#include "base/json.h"
#include "text/tok_impl.h"

static bool put(struct sbuf *b, const char *text, struct err *e)
{
    return sbuf_put(b, str_of(text), e);
}

static const char *yes_no(bool v)
{
    return v ? "true" : "false";
}

static bool put_added(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    if (!put(b, "\"added_tokens\":[", e)) return false;
    for (uint32_t i = 0; i < t->nadded; i++) {
        const struct tok_added *a = &t->added[i];
        bool ok = sbuf_printf(b, e, "%s{\"id\":%u,\"content\":", i ? ",\n" : "\n", a->id) &&
                  json_put_str(b, a->content, false, e) &&
                  sbuf_printf(b, e,
                              ",\"single_word\":%s,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,"
                              "\"special\":%s}",
                              yes_no(a->single_word), yes_no(a->lstrip), yes_no(a->rstrip),
                              yes_no(a->normalized), yes_no(a->special));
        if (!ok) return false;
    }
    return put(b, "],\n", e);
}

static bool put_byte_level(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    return sbuf_printf(b, e,
                       "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,"
                       "\"use_regex\":%s}",
                       yes_no(t->prefix_space), yes_no(t->split == TOK_SPLIT_GPT2));
}

static bool put_byte_pre(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    bool sequence = t->digits || t->split == TOK_SPLIT_LLAMA3;

    if (sequence && !put(b, "{\"type\":\"Sequence\",\"pretokenizers\":[", e)) return false;
    if (t->digits && !put(b, "{\"type\":\"Digits\",\"individual_digits\":true},", e)) return false;
    if (t->split == TOK_SPLIT_LLAMA3) {
        bool ok = put(b, "{\"type\":\"Split\",\"pattern\":{\"Regex\":", e) &&
                  json_put_str(b, str_of(tok_llama3_regex), false, e) &&
                  put(b, "},\"behavior\":\"Isolated\",\"invert\":false},", e);
        if (!ok) return false;
    }
    return put_byte_level(t, b, e) && put(b, sequence ? "]}" : "", e);
}

#define METASPACE                                                                                  \
    "{\"type\":\"Metaspace\",\"replacement\":\"" TOK_METASPACE                                     \
    "\",\"prepend_scheme\":\"%s\",\"split\":%s}"

static bool put_pre_tokenizer(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    const char *scheme = !t->prefix_space ? "never" : t->prefix_first ? "first" : "always";
    bool ok = put(b, "\"pre_tokenizer\":", e);

    switch (t->engine) {
    case TOK_BYTE_BPE:
        ok = ok && put_byte_pre(t, b, e);
        break;
    case TOK_SP_BPE:
        ok = ok && (t->norm == TOK_NORM_PREPEND
                        ? put(b, "null", e)
                        : sbuf_printf(b, e, METASPACE, scheme, yes_no(t->split_blanks)));
        break;
    case TOK_UNIGRAM:
        ok = ok &&
             put(b, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},",
                 e) &&
             sbuf_printf(b, e, METASPACE, "always", "true") && put(b, "]}", e);
        break;
    case TOK_WORDPIECE:
        ok = ok && put(b, "{\"type\":\"BertPreTokenizer\"}", e);
        break;
    }
    return ok && put(b, ",\n", e);
}

static bool put_base64(struct str s, struct sbuf *b, struct err *e)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        char four[4];
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < s.n ? (uint8_t)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            four[k] = i + k <= s.n ? digit[v >> (18 - 6 * k) & 63] : '=';
        if (!sbuf_put(b, (struct str){four, 4}, e)) return false;
    }
    return true;
}

static bool put_normalizer(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    bool ok = put(b, "\"normalizer\":", e);

    switch (t->norm) {
    case TOK_NORM_NONE:
        ok = ok && put(b, "null", e);
        break;
    case TOK_NORM_PREPEND:
        ok =
            ok && put(b,
                      "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
                      "\"" TOK_METASPACE "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                      "\"content\":\"" TOK_METASPACE "\"}]}",
                      e);
        break;
    case TOK_NORM_NFC:
        ok = ok && put(b, "{\"type\":\"NFC\"}", e);
        break;
    case TOK_NORM_BERT:
        ok = ok && sbuf_printf(b, e,
                               "{\"type\":\"BertNormalizer\",\"clean_text\":%s,"
                               "\"handle_chinese_chars\":%s,\"strip_accents\":%s,\"lowercase\":%s}",
                               yes_no(t->bert_clean), yes_no(t->bert_cjk), yes_no(t->bert_strip),
                               yes_no(t->bert_lower));
        break;
    case TOK_NORM_CHARSMAP:
        ok = ok && put(b, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"", e) &&
             put_base64(t->charsmap, b, e) && put(b, "\"}", e);
        break;
    }
    return ok && put(b, ",\n", e);
}

static bool put_decoder(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    bool ok = put(b, "\"decoder\":", e);

    switch (t->decoder) {
    case TOK_DECODE_BYTES:
        ok = ok && put(b,
                       "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                       "\"use_regex\":true}",
                       e);
        break;
    case TOK_DECODE_SP:
        ok = ok &&
             put(b,
                 "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
                 "\"String\":"
                 "\"" TOK_METASPACE "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":"
                 "\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
                 e);
        break;
    case TOK_DECODE_METASPACE:
        ok = ok && sbuf_printf(b, e, METASPACE, "always", "true");
        break;
    case TOK_DECODE_WORDPIECE:
        ok = ok && put(b, "{\"type\":\"WordPiece\",\"prefix\":", e) &&
             json_put_str(b, t->subword, false, e) &&
             sbuf_printf(b, e, ",\"cleanup\":%s}", yes_no(t->cleanup));
        break;
    }
    return ok && put(b, ",\n", e);
}

static bool put_specials(const struct tokenizer *t, const uint32_t *ids, uint32_t n, int type,
                         struct sbuf *b, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        bool ok = put(b, "{\"SpecialToken\":{\"id\":", e) &&
                  json_put_str(b, t->piece[ids[i]].content, false, e) &&
                  sbuf_printf(b, e, ",\"type_id\":%d}},", type);
        if (!ok) return false;
    }
    return true;
}

/* Every list ends in a comma: the last one is taken back. */
static bool put_template(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    bool ok = put(b, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[", e) &&
              put_specials(t, t->prefix, t->nprefix, 0, b, e) &&
              put(b, "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},", e) &&
              put_specials(t, t->suffix, t->nsuffix, 0, b, e);

    if (!ok) return false;
    b->n--;
    ok = put(b, "],\"pair\":[", e) && put_specials(t, t->prefix, t->nprefix, 0, b, e) &&
         put(b, "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},", e) &&
         put_specials(t, t->suffix, t->nsuffix, 0, b, e) &&
         put(b, "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}},", e) &&
         put_specials(t, t->suffix, t->nsuffix, 1, b, e);
    if (!ok) return false;
    b->n--;
    if (!put(b, "],\"special_tokens\":{", e)) return false;
    for (uint32_t i = 0; i < t->nprefix + t->nsuffix; i++) {
        uint32_t id = i < t->nprefix ? t->prefix[i] : t->suffix[i - t->nprefix];
        struct str s = t->piece[id].content;
        bool seen = false;
        for (uint32_t k = 0; k < i; k++)
            seen |= (k < t->nprefix ? t->prefix[k] : t->suffix[k - t->nprefix]) == id;
        if (seen) continue;
        ok = json_put_str(b, s, false, e) && put(b, ":{\"id\":", e) &&
             json_put_str(b, s, false, e) && sbuf_printf(b, e, ",\"ids\":[%u],\"tokens\":[", id) &&
             json_put_str(b, s, false, e) && put(b, "]},", e);
        if (!ok) return false;
    }
    b->n--;
    return put(b, "}},\n", e);
}

static bool put_post_processor(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    if (t->nprefix + t->nsuffix > 0) return put_template(t, b, e);
    if (t->engine != TOK_BYTE_BPE) return put(b, "\"post_processor\":null,\n", e);
    return put(b,
               "\"post_processor\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
               "\"trim_offsets\":false,\"use_regex\":true},\n",
               e);
}

static bool put_vocab(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    const char *comma = "\n";

    if (!put(b, "\"vocab\":{", e)) return false;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!(t->piece[i].flags & TOK_P_VOCAB)) continue;
        if (!put(b, comma, e) || !json_put_str(b, t->piece[i].content, false, e) ||
            !sbuf_printf(b, e, ":%u", i))
            return false;
        comma = ",\n";
    }
    return put(b, "}", e);
}

static bool put_unk(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    if (!put(b, "\"unk_token\":", e)) return false;
    return t->model_unk < 0 ? put(b, "null", e)
                            : json_put_str(b, t->piece[t->model_unk].content, false, e);
}

static bool put_bpe(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    if (!put(b, "\"model\":{\"type\":\"BPE\",\"dropout\":null,", e) || !put_unk(t, b, e) ||
        !sbuf_printf(b, e,
                     ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
                     "\"fuse_unk\":%s,\"byte_fallback\":%s,\"ignore_merges\":%s,\n",
                     yes_no(t->fuse_unk), yes_no(t->byte_fallback), yes_no(t->ignore_merges)) ||
        !put_vocab(t, b, e) || !put(b, ",\n\"merges\":[", e))
        return false;
    for (uint32_t r = 0; r < t->nmerges; r++) {
        /* pieces that merge hold no blank, so "left right" is unambiguous */
        struct str left = t->piece[t->merge[r].left].content;
        struct str right = t->piece[t->merge[r].right].content;
        if (!put(b, r ? ",\n" : "\n", e) || !json_put_str(b, left, false, e)) return false;
        b->n--;
        size_t at = b->n;
        if (!json_put_str(b, right, false, e)) return false;
        b->p[at] = ' ';
    }
    return put(b, "]}}\n", e);
}

static bool put_unigram(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    if (!sbuf_printf(b, e, "\"model\":{\"type\":\"Unigram\",\"unk_id\":%d,\"byte_fallback\":%s,\n",
                     t->model_unk, yes_no(t->byte_fallback)) ||
        !put(b, "\"vocab\":[", e))
        return false;
    for (uint32_t i = 0; i < t->n && (t->piece[i].flags & TOK_P_VOCAB); i++)
        if (!put(b, i ? ",\n[" : "\n[", e) || !json_put_str(b, t->piece[i].content, false, e) ||
            !sbuf_putc(b, ',', e) || !sbuf_put_f64(b, t->score[i], e) || !sbuf_putc(b, ']', e))
            return false;
    return put(b, "]}}\n", e);
}

static bool put_wordpiece(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    return put(b, "\"model\":{\"type\":\"WordPiece\",", e) && put_unk(t, b, e) &&
           put(b, ",\"continuing_subword_prefix\":", e) && json_put_str(b, t->subword, false, e) &&
           sbuf_printf(b, e, ",\"max_input_chars_per_word\":%u,\n", t->max_word) &&
           put_vocab(t, b, e) && put(b, "}}\n", e);
}

static bool put_model(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    switch (t->engine) {
    case TOK_BYTE_BPE:
    case TOK_SP_BPE:
        return put_bpe(t, b, e);
    case TOK_UNIGRAM:
        return put_unigram(t, b, e);
    case TOK_WORDPIECE:
        return put_wordpiece(t, b, e);
    }
    UNREACHABLE();
}

/* {"bos_token": ..., ...}; the configuration has more keys than the map. */
static bool put_names(const struct tokenizer *t, bool config, struct sbuf *b, struct err *e)
{
    const struct {
        const char *name;
        int32_t id;
    } one[] = {
        {"bos_token", t->bos}, {"eos_token", t->eos}, {"pad_token", t->pad}, {"unk_token", t->unk}};
    const char *comma = "\n";

    if (!put(b, "{", e)) return false;
    for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++) {
        if (one[i].id < 0) continue;
        if (!sbuf_printf(b, e, "%s  \"%s\": ", comma, one[i].name)) return false;
        if (!json_put_str(b, t->piece[one[i].id].content, false, e)) return false;
        comma = ",\n";
    }
    if (config) {
        if (!sbuf_printf(b, e,
                         "%s  \"add_prefix_space\": %s,\n  \"clean_up_tokenization_spaces\": "
                         "false,\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\"",
                         comma, yes_no(t->prefix_space)))
            return false;
        if (t->chat_template.p && (!put(b, ",\n  \"chat_template\": ", e) ||
                                   !json_put_str(b, t->chat_template, false, e)))
            return false;
    }
    return put(b, "\n}\n", e);
}

static bool put_json(const struct tokenizer *t, struct sbuf *b, struct err *e)
{
    return put(b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n", e) &&
           put_added(t, b, e) && put_normalizer(t, b, e) && put_pre_tokenizer(t, b, e) &&
           put_post_processor(t, b, e) && put_decoder(t, b, e) && put_model(t, b, e);
}

static bool write_to(const char *dir, const char *name, const struct sbuf *b, struct err *e)
{
    struct arena a;
    const char *path;

    arena_init(&a, 1 << 16);
    bool ok = fs_join(&a, dir, name, &path, e) && fs_replace(path, sbuf_str(b), e);
    arena_free(&a);
    return ok;
}

bool tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e)
{
    struct sbuf b;
    bool ok = false;

    sbuf_init(&b, TOK_MAX_FILE);
    if (!fs_mkdirs(dir, e)) goto out;
    if (!put_names(t, true, &b, e) || !write_to(dir, "tokenizer_config.json", &b, e)) goto out;
    sbuf_clear(&b);
    if (!put_names(t, false, &b, e) || !write_to(dir, "special_tokens_map.json", &b, e)) goto out;
    sbuf_clear(&b);
    /* last: a folder with tokenizer.json is complete */
    ok = put_json(t, &b, e) && write_to(dir, "tokenizer.json", &b, e);
out:
    sbuf_free(&b);
    if (!ok) err_wrap(e, "save the tokenizer");
    return ok;
}
