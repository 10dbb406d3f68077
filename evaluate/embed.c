#include "evaluate/embed.h"

#include <math.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/text_numbers.h"
#include "text/clean.h"
#include "text/utf8.h"

/* A batch: enough tokens for full speed; a text's rows are handed over and forgotten. */
enum { BATCH_TOKENS = 4096, BATCH_TEXTS = 512, TEXT_MAX = 64 << 20 };

struct embed {
    struct dev *dev;
    struct encoder *encoder;
    struct tokenizer *tokenizer;
    struct tok_cache *cache;
    uint32_t cls, sep;
    int lower;
    bool byte_bpe;
    uint64_t cut;
    struct sbuf text;
    char digest[13];
};

bool embed_check(const char *dir, const char *key, struct err *e)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "vocab.txt", "vocab.json"};
    struct arena a;
    const char *path[4];
    bool ok = true;

    if (!fs_exists(dir))
        return err_set(e, ERR_CONFIG,
                       "evaluate.encoders.%s: %s is not there; expected a folder with config.json, "
                       "*.safetensors and the tokenizer (docs/MODELS.md)",
                       key, dir);
    arena_init(&a, 1 << 16);
    for (int i = 0; ok && i < 4; i++)
        ok = fs_join(&a, dir, names[i], &path[i], e);
    if (ok && !fs_exists(path[0]))
        ok = err_set(e, ERR_CONFIG, "evaluate.encoders.%s: %s has no config.json", key, dir);
    if (ok && !fs_exists(path[1]) && !fs_exists(path[2]) && !fs_exists(path[3]))
        ok = err_set(e, ERR_CONFIG,
                     "evaluate.encoders.%s: %s has no tokenizer.json, vocab.txt or vocab.json", key,
                     dir);
    arena_free(&a);
    return ok;
}

static bool find_specials(struct embed *m, const char *dir, struct err *e)
{
    bool angled = tokenizer_id(m->tokenizer, STR("[CLS]")) < 0;
    int32_t cls = tokenizer_id(m->tokenizer, angled ? STR("<s>") : STR("[CLS]"));
    int32_t sep = tokenizer_id(m->tokenizer, angled ? STR("</s>") : STR("[SEP]"));
    struct tok_info t = tokenizer_info(m->tokenizer);
    struct encoder_info n = encoder_info(m->encoder);

    if (cls < 0 || sep < 0)
        return err_set(e, ERR_FORMAT,
                       "%s: its tokenizer has neither [CLS], [SEP] nor <s>, </s>: no encoder's",
                       dir);
    if (t.vocab_size > n.vocab)
        return err_set(e, ERR_FORMAT,
                       "%s: the tokenizer has %u tokens, the weights are for %u: two models?", dir,
                       t.vocab_size, n.vocab);
    m->cls = (uint32_t)cls;
    m->sep = (uint32_t)sep;
    m->byte_bpe = strcmp(t.kind, "byte-bpe") == 0;
    return true;
}

static bool open_parts(struct embed *m, const struct embed_opts *o, struct err *e)
{
    uint8_t digest[32];

    if (!dev_open(o->device, (int)o->threads, &m->dev, e) ||
        !encoder_open(m->dev, o->dir, DEV_F32, &m->encoder, e) ||
        !tokenizer_open(o->dir, &m->tokenizer, e))
        return false;
    if (o->lower != EMBED_CASE_AUTO)
        tokenizer_set_lower(m->tokenizer, o->lower == EMBED_CASE_LOWER);
    encoder_digest(m->encoder, digest);
    hash_hex(digest, 6, m->digest);
    return find_specials(m, o->dir, e) && tok_cache_open(m->tokenizer, &m->cache, e);
}

bool embed_open(const struct embed_opts *o, struct embed **out, struct err *e)
{
    struct embed *m = mem_calloc(1, sizeof *m, e);

    if (!m) return false;
    m->lower = o->lower;
    sbuf_init(&m->text, TEXT_MAX);
    if (open_parts(m, o, e)) {
        *out = m;
        return true;
    }
    embed_close(m);
    return false;
}

void embed_close(struct embed *m)
{
    if (!m) return;
    sbuf_free(&m->text);
    tok_cache_close(m->cache);
    tokenizer_close(m->tokenizer);
    encoder_close(m->encoder);
    dev_close(m->dev);
    mem_free(m);
}

struct encoder_info embed_info(const struct embed *m)
{
    return encoder_info(m->encoder);
}

uint64_t embed_cut(const struct embed *m)
{
    return m->cut;
}

const char *embed_case_name(const struct embed *m)
{
    return m->lower == EMBED_CASE_AUTO ? "auto" : m->lower == EMBED_CASE_LOWER ? "1" : "0";
}

const char *embed_digest(const struct embed *m)
{
    return m->digest;
}

/* ---- ids */

/* Byte-level tokenizers know no case: letters are folded here. */
static bool put_text(struct embed *m, struct str s, struct err *e)
{
    sbuf_clear(&m->text);
    if (!sbuf_putc(&m->text, ' ', e)) return false;
    if (m->lower != EMBED_CASE_LOWER) return sbuf_put(&m->text, s, e);
    while (s.n > 0) {
        uint32_t c;
        size_t len;
        (void)utf8_next(s, &c, &len);
        if (!utf8_put(&m->text, utf8_lower(c), e)) return false;
        s = str_sub(s, len, s.n);
    }
    return true;
}

bool embed_ids(struct embed *m, struct str text, struct tok_ids *out, struct err *e)
{
    size_t most = embed_info(m).max_tokens, before = out->n;

    text = str_is_utf8(text) ? clean_strip(text) : str_trim(text);
    if (!tok_ids_put(out, m->cls, e)) return false;
    if (text.n > 0 && m->byte_bpe) {
        if (!put_text(m, text, e)) return false;
        text = sbuf_str(&m->text);
    }
    if (text.n > 0 && !tokenizer_encode(m->cache, text, TOK_PLAIN, out, e)) return false;
    if (out->n - before + 1 > most) {
        out->n = before + most - 1;
        m->cut++;
    }
    return tok_ids_put(out, m->sep, e);
}

/* ---- states */

struct batch {
    struct tok_ids ids;
    uint32_t cu[BATCH_TEXTS + 1];
    size_t text[BATCH_TEXTS];
    uint32_t n;
    float *rows;
    size_t cap;
};

static bool batch_run(struct embed *m, struct batch *b, uint32_t layer, embed_fn fn, void *ctx,
                      struct err *e)
{
    uint32_t d = embed_info(m).d;

    if (b->n == 0) return true;
    if (!mem_grow((void **)&b->rows, &b->cap, b->ids.n * d, sizeof *b->rows, e) ||
        !encoder_hidden(m->encoder, b->ids.ids, b->cu, b->n, layer, b->rows, e))
        return false;
    for (uint32_t i = 0; i < b->n; i++) {
        struct embed_text t = {.ids = b->ids.ids + b->cu[i],
                               .rows = b->rows + (size_t)b->cu[i] * d,
                               .n = b->cu[i + 1] - b->cu[i],
                               .d = d};
        if (!fn(ctx, b->text[i], &t, e)) return false;
    }
    b->n = 0;
    b->ids.n = 0;
    return true;
}

static bool batch_put(struct embed *m, struct batch *b, struct str text, size_t at, struct err *e)
{
    b->cu[0] = 0;
    if (!embed_ids(m, text, &b->ids, e)) return false;
    b->text[b->n++] = at;
    b->cu[b->n] = (uint32_t)b->ids.n;
    return true;
}

bool embed_each(struct embed *m, const struct str *texts, size_t n, uint32_t layer, uint32_t *first,
                embed_fn fn, void *ctx, struct err *e)
{
    struct text_numbers seen = {0};
    struct batch *b = mem_calloc(1, sizeof *b, e);
    bool ok = b && text_numbers_init(&seen, n, e);

    for (size_t i = 0; ok && i < n; i++) {
        uint32_t *number = text_numbers_at(&seen, texts[i]);
        bool known = *number != 0;
        if (!known) *number = (uint32_t)i + 1;
        if (first) first[i] = *number - 1;
        if (known) continue;
        ok = batch_put(m, b, texts[i], i, e);
        if (ok && (b->ids.n >= BATCH_TOKENS || b->n == BATCH_TEXTS))
            ok = batch_run(m, b, layer, fn, ctx, e);
    }
    if (ok) ok = batch_run(m, b, layer, fn, ctx, e);
    if (b) {
        tok_ids_free(&b->ids);
        mem_free(b->rows);
    }
    mem_free(b);
    text_numbers_free(&seen);
    return ok;
}
