#include "model/gguf_vocab.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#define MAX_JSON_BYTES ((size_t)64 << 20)
#define MAX_CHAT_BYTES (1u << 20)

/* llama.cpp's numbers of kinds of tokens. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 };

struct vocab {
    json_t *root, *config; /* config may be NULL */
    const json_t *model;
    struct str *text; /* by id; unset where the tokenizer has none */
    uint8_t *kind;
    float *score;
    uint32_t n;
    bool sentencepiece;
    struct arena arena;
};

/* ---- reading */

static const char *text_at(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static bool set_token(struct vocab *v, const char *text, const json_t *id, int kind, struct err *e)
{
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (!text || i < 0 || i >= (json_int_t)v->n)
        return err_set(e, ERR_FORMAT,
                       "tokenizer.json: a token has no id below the model's vocabulary of %u",
                       v->n);
    v->text[i] = str_of(text);
    v->kind[i] = (uint8_t)kind;
    return true;
}

static bool is_byte(const char *text)
{
    return strlen(text) == 6 && strncmp(text, "<0x", 3) == 0 && text[5] == '>';
}

static bool read_tokens(struct vocab *v, struct err *e)
{
    json_t *vocab = json_object_get(v->model, "vocab");
    const json_t *added = json_object_get(v->root, "added_tokens"), *item;
    const char *unk = text_at(v->model, "unk_token"), *text;
    json_t *id;
    size_t i;
    if (!json_is_object(vocab)) return err_set(e, ERR_FORMAT, "tokenizer.json: no model.vocab");
    json_object_foreach(vocab, text, id)
    {
        int kind = v->sentencepiece && is_byte(text) ? BYTE : NORMAL;
        if (!set_token(v, text, id, kind, e)) return false;
    }
    json_array_foreach((json_t *)(uintptr_t)added, i, item)
    {
        int kind = json_is_true(json_object_get(item, "special")) ? CONTROL : USER;
        text = text_at(item, "content");
        if (text && unk && v->sentencepiece && strcmp(text, unk) == 0) kind = UNKNOWN;
        if (!set_token(v, text, json_object_get(item, "id"), kind, e)) return false;
    }
    return true;
}

/* A merge is "a b", or ["a", "b"]. */
static bool merge_parts(const json_t *m, struct str *a, struct str *b, struct err *e)
{
    struct str all = str_of(json_string_value(m));
    if (json_is_array(m) && json_array_size(m) == 2) {
        *a = str_of(json_string_value(json_array_get(m, 0)));
        *b = str_of(json_string_value(json_array_get(m, 1)));
        if (a->n && b->n) return true;
    } else if (all.n) {
        size_t at = str_find(all, STR(" "), 1);
        if (at != SIZE_MAX && at + 1 < all.n) {
            *a = str_sub(all, 0, at);
            *b = str_sub(all, at + 1, all.n);
            return true;
        }
    }
    return err_set(e, ERR_FORMAT, "tokenizer.json: a merge is no pair of tokens");
}

/* llama.cpp merges the pair whose result has the best score: the first merge that makes a token
 * gives its rank. Tokens that no merge makes are never a result. */
static bool score_merges(struct vocab *v, struct err *e)
{
    const json_t *merges = json_object_get(v->model, "merges"), *m;
    json_t *vocab = json_object_get(v->model, "vocab");
    struct sbuf both;
    struct str a, b;
    bool ok = false;
    size_t i;
    sbuf_init(&both, 1 << 16);
    for (uint32_t k = 0; k < v->n; k++)
        v->score[k] = v->kind[k] == NORMAL ? -1e6F : 0;
    json_array_foreach((json_t *)(uintptr_t)merges, i, m)
    {
        sbuf_clear(&both);
        if (!merge_parts(m, &a, &b, e) || !sbuf_put(&both, a, e) || !sbuf_put(&both, b, e))
            goto out;
        const json_t *id = json_object_get(vocab, both.p);
        if (!id) continue;
        json_int_t k = json_integer_value(id);
        if (v->score[k] == -1e6F) v->score[k] = -(float)i;
    }
    ok = true;
out:
    sbuf_free(&both);
    return ok;
}

/* ---- which pre-tokenizer */

static const char llama3_regex[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* NULL: none that llama.cpp would cut alike. */
static const char *pre_of(const json_t *pre)
{
    const char *type = text_at(pre, "type");
    const json_t *list, *first, *last;
    if (!type) return NULL;
    if (strcmp(type, "ByteLevel") == 0) return "gpt-2";
    list = json_object_get(pre, "pretokenizers");
    if (strcmp(type, "Sequence") != 0 || json_array_size(list) != 2) return NULL;
    first = json_array_get(list, 0);
    last = json_array_get(list, 1);
    type = text_at(first, "type");
    if (!type || !text_at(last, "type") || strcmp(text_at(last, "type"), "ByteLevel") != 0)
        return NULL;
    if (strcmp(type, "Digits") == 0)
        return json_is_true(json_object_get(first, "individual_digits")) ? "smollm" : NULL;
    if (strcmp(type, "Split") != 0) return NULL;
    type = text_at(json_object_get(first, "pattern"), "Regex");
    return type && strcmp(type, llama3_regex) == 0 ? "llama-bpe" : NULL;
}

/* Does the file's template begin with a special token? -1: it does not say. */
static int begins_with_bos(const json_t *post)
{
    const json_t *list = json_object_get(post, "processors"), *item;
    const char *type = text_at(post, "type");
    size_t i;
    if (type && strcmp(type, "TemplateProcessing") == 0)
        return json_object_get(json_array_get(json_object_get(post, "single"), 0),
                               "SpecialToken") != NULL;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        int r = begins_with_bos(item);
        if (r >= 0) return r;
    }
    return -1;
}

/* ---- writing */

static bool put_lists(const struct vocab *v, struct gguf_writer *w, struct err *e)
{
    char name[32];
    if (!gguf_put_array(w, "tokenizer.ggml.tokens", GGUF_STRING, v->n, e)) return false;
    for (uint32_t i = 0; i < v->n; i++) {
        struct str s = v->text[i];
        if (!s.p) {
            int n = snprintf(name, sizeof name, "[PAD%u]", i);
            s = (struct str){name, (size_t)n};
        }
        if (!gguf_item_str(w, s, e)) return false;
    }
    if (!gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, v->n, e)) return false;
    for (uint32_t i = 0; i < v->n; i++) {
        if (!gguf_item_i32(w, v->text[i].p ? v->kind[i] : UNUSED, e)) return false;
    }
    if (!v->sentencepiece) return true;
    if (!gguf_put_array(w, "tokenizer.ggml.scores", GGUF_F32, v->n, e)) return false;
    for (uint32_t i = 0; i < v->n; i++) {
        if (!gguf_item_f32(w, v->score[i], e)) return false;
    }
    return true;
}

static bool put_merges(const struct vocab *v, struct gguf_writer *w, struct err *e)
{
    const json_t *merges = json_object_get(v->model, "merges"), *m;
    struct sbuf both;
    struct str a, b;
    bool ok = gguf_put_array(w, "tokenizer.ggml.merges", GGUF_STRING, json_array_size(merges), e);
    size_t i;
    sbuf_init(&both, 1 << 16);
    json_array_foreach((json_t *)(uintptr_t)merges, i, m)
    {
        sbuf_clear(&both);
        ok = ok && merge_parts(m, &a, &b, e) && sbuf_put(&both, a, e) && sbuf_putc(&both, ' ', e) &&
             sbuf_put(&both, b, e) && gguf_item_str(w, sbuf_str(&both), e);
        if (!ok) break;
    }
    sbuf_free(&both);
    return ok;
}

static bool put_ids(const struct vocab *v, const struct model_spec *s, struct gguf_writer *w,
                    struct err *e)
{
    const json_t *unk =
        json_object_get(json_object_get(v->model, "vocab"),
                        text_at(v->model, "unk_token") ? text_at(v->model, "unk_token") : "");
    int bos = begins_with_bos(json_object_get(v->root, "post_processor"));
    const json_t *says = json_object_get(v->config, "add_bos_token");
    if (json_is_boolean(says)) bos = json_is_true(says);
    if (bos < 0) bos = v->sentencepiece;
    if (s->bos >= 0 && !gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)s->bos, e))
        return false;
    if (s->neos && !gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)s->eos[0], e))
        return false;
    if (s->pad >= 0 && !gguf_put_u32(w, "tokenizer.ggml.padding_token_id", (uint32_t)s->pad, e))
        return false;
    if (json_is_integer(unk) &&
        !gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", (uint32_t)json_integer_value(unk), e))
        return false;
    return gguf_put_bool(w, "tokenizer.ggml.add_bos_token", bos && s->bos >= 0, e) &&
           gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false, e);
}

/* In tokenizer_config.json, or a file of its own. */
static bool put_chat(struct vocab *v, const char *dir, struct gguf_writer *w, struct err *e)
{
    const char *chat = text_at(v->config, "chat_template"), *path;
    struct str text = str_of(chat);
    if (!chat) {
        if (!fs_join(&v->arena, dir, "chat_template.jinja", &path, e)) return false;
        if (!fs_exists(path)) return true;
        if (!fs_read_file(path, MAX_CHAT_BYTES, &v->arena, &text, e)) return false;
    }
    return gguf_put_str(w, "tokenizer.chat_template", text, e);
}

/* A space in front of the first word: Llama 2's normalizer prepends it, or Metaspace does. */
static bool adds_space(const struct vocab *v)
{
    const json_t *norm = json_object_get(v->root, "normalizer"), *item;
    const char *scheme = text_at(json_object_get(v->root, "pre_tokenizer"), "prepend_scheme");
    size_t i;
    if (scheme) return strcmp(scheme, "never") != 0;
    json_array_foreach(json_object_get(norm, "normalizers"), i, item)
    {
        const char *type = text_at(item, "type");
        if (type && strcmp(type, "Prepend") == 0) return true;
    }
    return false;
}

static bool put_all(struct vocab *v, const char *dir, const struct model_spec *s,
                    struct gguf_writer *w, struct err *e)
{
    const char *pre = pre_of(json_object_get(v->root, "pre_tokenizer"));
    if (!v->sentencepiece && !pre)
        return err_set(e, ERR_FORMAT,
                       "tokenizer.json: GGUF has no name for this pre-tokenizer that llama.cpp "
                       "would cut alike; known are those of GPT-2, SmolLM2 and Llama 3");
    if (!gguf_put_str(w, "tokenizer.ggml.model", v->sentencepiece ? STR("llama") : STR("gpt2"), e))
        return false;
    if (!gguf_put_str(w, "tokenizer.ggml.pre", str_of(v->sentencepiece ? "default" : pre), e))
        return false;
    if (v->sentencepiece &&
        (!score_merges(v, e) ||
         !gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", adds_space(v), e)))
        return false;
    return put_lists(v, w, e) && (v->sentencepiece || put_merges(v, w, e)) && put_ids(v, s, w, e) &&
           put_chat(v, dir, w, e);
}

/* ---- all of it */

static bool open_vocab(struct vocab *v, const char *dir, const struct model_spec *s, struct err *e)
{
    const char *path, *type;
    if (!fs_join(&v->arena, dir, "tokenizer.json", &path, e) ||
        !json_read_file(path, MAX_JSON_BYTES, &v->root, e) ||
        !fs_join(&v->arena, dir, "tokenizer_config.json", &path, e))
        return false;
    if (fs_exists(path) && !json_read_file(path, MAX_JSON_BYTES, &v->config, e)) return false;
    v->model = json_object_get(v->root, "model");
    type = text_at(v->model, "type");
    if (!json_is_array(json_object_get(v->model, "merges")) || (type && strcmp(type, "BPE") != 0))
        return err_set(e, ERR_FORMAT, "tokenizer.json: GGUF export knows BPE, this is %.40s",
                       type ? type : "another kind");
    v->sentencepiece = json_is_true(json_object_get(v->model, "byte_fallback"));
    v->n = s->vocab;
    v->text = mem_calloc(v->n, sizeof *v->text, e);
    if (!v->text) return false;
    v->kind = mem_calloc(v->n, sizeof *v->kind, e);
    if (!v->kind) return false;
    v->score = mem_calloc(v->n, sizeof *v->score, e);
    return v->score && read_tokens(v, e);
}

bool gguf_put_vocab(struct gguf_writer *w, const char *dir, const struct model_spec *s,
                    struct err *e)
{
    struct vocab v = {0};
    bool ok;
    arena_init(&v.arena, 4 << 20);
    ok = open_vocab(&v, dir, s, e) && put_all(&v, dir, s, w, e);
    mem_free(v.score);
    mem_free(v.kind);
    mem_free(v.text);
    json_decref(v.config);
    json_decref(v.root);
    arena_free(&v.arena);
    return ok || err_wrap(e, "tokenizer of %s", dir);
}
