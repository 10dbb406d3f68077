/*
 * Vocabularies as plain files, from before tokenizer.json: vocab.json with merges.txt (GPT-2,
 * RoBERTa) and vocab.txt (BERT). They say nothing about what surrounds the model;
 * tokenizer_config.json beside them does, and where it is silent what transformers' own classes
 * assume: RoBERTa if the vocabulary holds <s>, </s> and <mask>, else GPT-2; BERT in lower case.
 */
#include "base/json.h"
#include "text/tok_impl.h"

static bool config_flag(const struct tok_extra *x, const char *key, bool missing, bool *out,
                        struct err *e)
{
    return tok_json_flag(x->config, key, missing, out, e);
}

/* A special token if the vocabulary has it; *id stays when it has not. */
static bool add_special(struct tokenizer *t, const char *content, bool lstrip, int32_t *id,
                        struct err *e)
{
    struct tok_added a = {.content = str_of(content), .special = true, .lstrip = lstrip};
    int32_t found = tokenizer_id(t, a.content);

    if (found < 0) return true;
    a.id = (uint32_t)found;
    if (id) *id = found;
    return (t->piece[a.id].flags & TOK_P_ADDED) || tok_def_added(t, &a, e);
}

static bool read_vocab(struct tokenizer *t, const json_t *vocab, struct err *e)
{
    const char *key;
    json_t *v;
    uint32_t id;

    json_object_foreach((json_t *)vocab, key,
                        v) if (!tok_json_id(v, &id, e) ||
                               !tok_def_piece(t, id, str_of(key), e)) return false;
    return true;
}

static bool read_merges(struct tokenizer *t, struct str merges, struct err *e)
{
    struct str line;

    while (str_split(&merges, '\n', &line)) {
        if (str_ends(line, STR("\r"))) line.n--;
        if (line.n == 0 || str_starts(line, STR("#version"))) continue;
        if (!tok_def_merge_line(t, line, e)) return false;
    }
    return true;
}

static bool is_roberta(const struct tokenizer *t)
{
    return tokenizer_id(t, STR("<s>")) >= 0 && tokenizer_id(t, STR("</s>")) >= 0 &&
           tokenizer_id(t, STR("<mask>")) >= 0;
}

static bool finish_byte_level(struct tokenizer *t, const struct tok_extra *x, struct err *e)
{
    bool roberta = is_roberta(t);

    t->split = TOK_SPLIT_GPT2;
    if (!config_flag(x, "add_prefix_space", false, &t->prefix_space, e)) return false;
    if (roberta &&
        (!add_special(t, "<s>", false, &t->bos, e) || !add_special(t, "</s>", false, &t->eos, e) ||
         !add_special(t, "<pad>", false, &t->pad, e) ||
         !add_special(t, "<unk>", false, &t->unk, e) || !add_special(t, "<mask>", true, NULL, e)))
        return false;
    if (!roberta && (!add_special(t, "<|endoftext|>", false, &t->eos, e) ||
                     !add_special(t, "<|endoftext|>", false, &t->bos, e)))
        return false;
    return tok_extra_add(t, x, e) && tok_extra_template(t, x, roberta, roberta, e);
}

/* Lines are at least as many as merges. */
static uint64_t count_lines(struct str s)
{
    uint64_t n = 1;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static uint64_t max_id(const json_t *vocab, uint64_t least)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)vocab, key, v)
    {
        uint64_t id = json_is_integer(v) ? (uint64_t)json_integer_value(v) : 0;
        if (id >= least && id < TOK_MAX_IDS) least = id + 1;
    }
    return least;
}

bool tok_merges_read(struct str vocab, struct str merges, const char *dir, struct tokenizer **out,
                     struct err *e)
{
    struct tok_extra x;
    json_t *root = NULL;
    bool ok = false;

    *out = NULL;
    if (!tok_extra_open(dir, &x, e) || !json_parse(vocab, "vocab.json", &root, e)) goto out;
    if (!json_is_object(root)) {
        err_set(e, ERR_FORMAT, "vocab.json is not an object");
        goto out;
    }
    if (!tok_def_open(max_id(root, x.ids), count_lines(merges), 6 + x.count, out, e)) goto out;
    ok = read_vocab(*out, root, e) && read_merges(*out, merges, e) &&
         finish_byte_level(*out, &x, e) && (!dir || tok_config_read(*out, dir, e)) &&
         tok_def_finish(*out, e);
out:
    json_decref(root);
    tok_extra_close(&x);
    if (!ok) {
        tokenizer_close(*out);
        *out = NULL;
    }
    return ok;
}

static bool finish_bert(struct tokenizer *t, const struct tok_extra *x, struct err *e)
{
    int32_t cls = -1, sep = -1;

    t->split = TOK_SPLIT_BERT;
    t->norm = TOK_NORM_BERT;
    t->decoder = TOK_DECODE_WORDPIECE;
    t->bert_clean = t->cleanup = true;
    t->max_word = 100;
    if (!config_flag(x, "do_lower_case", true, &t->bert_lower, e) ||
        !config_flag(x, "tokenize_chinese_chars", true, &t->bert_cjk, e) ||
        !config_flag(x, "strip_accents", t->bert_lower, &t->bert_strip, e))
        return false;
    if (t->bert_strip && !t->bert_lower)
        return err_set(e, ERR_FORMAT, "strip_accents without do_lower_case is not supported");
    if (!add_special(t, "[PAD]", false, &t->pad, e) ||
        !add_special(t, "[UNK]", false, &t->unk, e) || !add_special(t, "[CLS]", false, &cls, e) ||
        !add_special(t, "[SEP]", false, &sep, e) || !add_special(t, "[MASK]", false, NULL, e))
        return false;
    if (cls < 0 || sep < 0 || t->unk < 0)
        return err_set(e, ERR_FORMAT, "vocab.txt lacks [CLS], [SEP] or [UNK]: not BERT's");
    t->model_unk = t->unk;
    return tok_extra_add(t, x, e) && tok_def_prefix(t, &(uint32_t){(uint32_t)cls}, 1, e) &&
           tok_def_suffix(t, &(uint32_t){(uint32_t)sep}, 1, e);
}

bool tok_vocab_read(struct str vocab, const char *dir, struct tokenizer **out, struct err *e)
{
    struct tok_extra x;
    struct str line;
    uint64_t id = 0, n = count_lines(vocab);
    bool ok = false;

    *out = NULL;
    if (vocab.n == 0 || vocab.p[vocab.n - 1] == '\n') n--; /* no line behind the last */
    if (!tok_extra_open(dir, &x, e)) goto out;
    if (!tok_def_open(n > x.ids ? n : x.ids, 0, 6 + x.count, out, e)) goto out;
    (*out)->engine = TOK_WORDPIECE;
    if (!arena_str(&(*out)->arena, STR("##"), &(*out)->subword, e)) goto out;
    while (id < n && str_split(&vocab, '\n', &line)) {
        if (str_ends(line, STR("\r"))) line.n--;
        if (!tok_def_piece(*out, id++, line, e)) goto out;
    }
    ok = finish_bert(*out, &x, e) && (!dir || tok_config_read(*out, dir, e)) &&
         tok_def_finish(*out, e);
out:
    tok_extra_close(&x);
    if (!ok) {
        tokenizer_close(*out);
        *out = NULL;
    }
    return ok;
}
