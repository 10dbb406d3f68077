#include "serve/shelf.h"

#include <math.h>
#include <pthread.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "generate/decode.h"
#include "model/encoder.h"
#include "text/clean.h"

enum { ARENA_BYTES = 64 << 20, FIELD_BYTES = 64 << 20 };

struct shelf {
    struct arena arena;
    struct dev *dev;
    struct model *model;
    struct lora *lora[DECODE_ADAPTERS];
    uint32_t nlora;
    struct shelf_model models[SHELF_MODELS_MAX];
    size_t nmodels;
    struct decode *decode;
    uint32_t max_len;
    bool reads_apart; /* an encoder-decoder: prompt and answer do not share max_len */
    int32_t eos[DECODE_EOS];
    uint32_t neos;

    pthread_mutex_t lock; /* over the text side */
    struct tokenizer *tok;
    struct tok_cache *cache;
    struct prompt *prompt;
    const char *chat; /* NULL: none */
    char prompt_digest[65];

    struct encoder *encoder;
    struct tokenizer *encoder_tok;
    struct tok_cache *encoder_cache;
    const char *encoder_id;
};

/* ---- opening */

/* "models/llama-3.2-1b/" -> "llama-3.2-1b" */
static bool last_part(struct arena *a, const char *path, const char **out, struct err *e)
{
    struct str s = str_of(path), t;

    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '/') {
            s = str_sub(s, i, s.n);
            break;
        }
    if (!arena_str(a, s, &t, e)) return false;
    *out = t.p;
    return true;
}

static bool name_is_free(const struct shelf *s, const char *name, struct err *e)
{
    for (size_t i = 0; i < s->nmodels; i++)
        if (strcmp(s->models[i].id, name) == 0)
            return err_set(e, ERR_CONFIG, "serve.adapters: two models are called %.60s", name);
    return true;
}

static bool add_base(struct shelf *s, const struct model_opts *o, struct err *e)
{
    struct shelf_model *m = &s->models[s->nmodels];
    uint8_t digest[32];

    *m = (struct shelf_model){.id = o->name, .adapter = -1};
    if (!m->id && !last_part(&s->arena, o->base, &m->id, e)) return false;
    model_digest(s->model, digest);
    hash_hex(digest, sizeof digest, m->digest);
    s->nmodels++;
    return true;
}

static bool add_adapter(struct shelf *s, const char *name, const char *path, struct err *e)
{
    struct shelf_model *m = &s->models[s->nmodels];
    const char *weights;
    uint8_t digest[32];

    if (!path) return err_set(e, ERR_CONFIG, "serve.adapters: %s has no path", name);
    if (s->nlora == DECODE_ADAPTERS)
        return err_set(e, ERR_CONFIG, "serve.adapters: more than %d", DECODE_ADAPTERS);
    if (!name_is_free(s, name, e)) return false;
    if (!lora_load(s->model, path, &s->lora[s->nlora], e)) return err_wrap(e, "adapter %s", name);
    *m = (struct shelf_model){.id = name, .adapter = (int)s->nlora++};
    if (!fs_join(&s->arena, path, "adapter_model.safetensors", &weights, e)) return false;
    if (!fs_exists(weights) && !fs_join(&s->arena, path, "model.safetensors", &weights, e))
        return false;
    if (!sha256_file(weights, digest, e)) return false;
    hash_hex(digest, sizeof digest, m->digest);
    s->nmodels++;
    return true;
}

static bool add_adapters(struct shelf *s, const struct serve_job *j, struct err *e)
{
    const struct serve_adapter *v = j->serve->adapters.items;

    if (j->serve->adapters.n == 0)
        return !j->adapter || add_adapter(s, "fine-tuned", j->adapter, e);
    for (size_t i = 0; i < j->serve->adapters.n; i++) {
        const char *name = v[i].name;
        if (!name && v[i].path && !last_part(&s->arena, v[i].path, &name, e)) return false;
        if (!add_adapter(s, name ? name : "?", v[i].path, e)) return false;
    }
    return true;
}

static void add_eos(struct shelf *s, int64_t id)
{
    for (uint32_t i = 0; i < s->neos; i++)
        if (s->eos[i] == id) return;
    if (id >= 0 && s->neos < DECODE_EOS) s->eos[s->neos++] = (int32_t)id;
}

/* All tokens that end an answer: the prompt's, the tokenizer's, the configuration's, and what ends
 * a turn. The prompt's is the last token of a sample with a target. */
static bool find_eos(struct shelf *s, struct err *e)
{
    const struct model_spec *spec = model_get_spec(s->model);
    struct str fields[PROMPT_FIELDS] = {0};
    struct prompt_sample sample;

    for (int i = 0; i < PROMPT_FIELDS; i++)
        fields[i] = STR("x");
    if (!prompt_build(s->prompt, s->cache, fields, STR("x"), 0, &sample, e)) return false;
    add_eos(s, sample.ids[sample.n - 1]);
    add_eos(s, tokenizer_info(s->tok).eos);
    for (uint32_t i = 0; i < spec->neos; i++)
        add_eos(s, spec->eos[i]);
    add_eos(s, tokenizer_id(s->tok, STR("<|im_end|>")));
    add_eos(s, tokenizer_id(s->tok, STR("<|eot_id|>")));
    return true;
}

static bool open_text(struct shelf *s, const struct serve_job *j, struct err *e)
{
    enum prompt_field inputs[PROMPT_FIELDS];
    uint8_t digest[32];

    if (!tokenizer_open(j->model->base, &s->tok, e) || !tok_cache_open(s->tok, &s->cache, e))
        return false;
    for (size_t i = 0; i < j->input.n; i++) {
        int f = prompt_field_of(str_of(j->input.v[i]));
        if (f < 0 || i == PROMPT_FIELDS)
            return err_set(e, ERR_CONFIG, "shards.input: %.40s is no field", j->input.v[i]);
        inputs[i] = (enum prompt_field)f;
    }
    if (!prompt_open(j->template, inputs, j->input.n, s->tok, &s->prompt, e)) return false;
    if (j->encoder_decoder && !prompt_for_encoder(s->prompt, e)) return false;
    prompt_digest(s->prompt, digest);
    hash_hex(digest, sizeof digest, s->prompt_digest);
    s->chat = j->serve->chat;
    if (strcmp(s->chat, "auto") == 0) s->chat = chat_format_of(s->tok);
    return find_eos(s, e);
}

static bool open_encoder(struct shelf *s, const char *dir, struct err *e)
{
    if (!dir) return true;
    return last_part(&s->arena, dir, &s->encoder_id, e) &&
           encoder_open(s->dev, dir, DEV_F32, &s->encoder, e) &&
           tokenizer_open(dir, &s->encoder_tok, e) &&
           tok_cache_open(s->encoder_tok, &s->encoder_cache, e);
}

static bool open_decode(struct shelf *s, const struct serve_opts *o, struct err *e)
{
    struct decode_opts d = {
        .slots = o->slots,
        .max_len = o->max_len,
        .max_new_tokens = o->max_len,
        .prefill_rows = o->prefill_rows,
    };
    const struct model_spec *spec = model_get_spec(s->model);
    uint32_t most = model_spec_longest(spec);

    if (spec->enc_layers == 0 && most && d.max_len > most) d.max_len = d.max_new_tokens = most;
    s->max_len = d.max_len;
    s->reads_apart = spec->enc_layers > 0;
    return decode_open(s->model, s->lora, s->nlora, &d, &s->decode, e);
}

bool shelf_open(const struct serve_job *j, struct shelf **out, struct err *e)
{
    struct shelf *s = mem_calloc(1, sizeof *s, e);

    *out = NULL;
    if (!s) return false;
    arena_init(&s->arena, ARENA_BYTES);
    pthread_mutex_init(&s->lock, NULL);
    bool ok = model_slot_open(NULL, j->model, &s->dev, &s->model, e) && add_base(s, j->model, e) &&
              add_adapters(s, j, e) && open_text(s, j, e) &&
              open_encoder(s, j->serve->encoder, e) && open_decode(s, j->serve, e);
    if (!ok) {
        shelf_close(s);
        return false;
    }
    *out = s;
    return true;
}

void shelf_close(struct shelf *s)
{
    if (!s) return;
    decode_close(s->decode);
    tok_cache_close(s->encoder_cache);
    tokenizer_close(s->encoder_tok);
    encoder_close(s->encoder);
    prompt_close(s->prompt);
    tok_cache_close(s->cache);
    tokenizer_close(s->tok);
    for (uint32_t i = 0; i < s->nlora; i++)
        lora_close(s->lora[i]);
    model_close(s->model);
    dev_close(s->dev);
    pthread_mutex_destroy(&s->lock);
    arena_free(&s->arena);
    mem_free(s);
}

/* ---- what there is */

const struct shelf_model *shelf_models(const struct shelf *s, size_t *n)
{
    *n = s->nmodels;
    return s->models;
}

const struct shelf_model *shelf_find(const struct shelf *s, struct str id)
{
    if (id.n == 0) return &s->models[s->nmodels > 1];
    for (size_t i = 0; i < s->nmodels; i++)
        if (str_eqz(id, s->models[i].id)) return &s->models[i];
    return NULL;
}

const char *shelf_encoder(const struct shelf *s)
{
    return s->encoder_id;
}

const char *shelf_prompt_digest(const struct shelf *s)
{
    return s->prompt_digest;
}

const struct tokenizer *shelf_tokenizer(const struct shelf *s)
{
    return s->tok;
}

uint32_t shelf_room(const struct shelf *s, size_t n, uint64_t want)
{
    uint64_t room = n > s->max_len ? 0 : s->reads_apart ? s->max_len : s->max_len - n;

    return (uint32_t)(want < room ? want : room);
}

/* ---- text */

bool shelf_encode(struct shelf *s, struct str text, struct tok_ids *out, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    bool ok = tokenizer_encode(s->cache, text, TOK_FULL, out, e);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool shelf_chat(struct shelf *s, const struct chat_message *m, size_t n, struct tok_ids *out,
                struct err *e)
{
    if (!s->chat)
        return err_set(e, ERR_CONFIG,
                       "this model has no chat format that is known: use /v1/completions, or set "
                       "serve.chat");
    pthread_mutex_lock(&s->lock);
    bool ok = chat_ids(s->chat, s->tok, s->cache, m, n, out, e);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static bool put_sample(const struct prompt_sample *sample, struct tok_ids *out, struct err *e)
{
    for (size_t i = 0; i < sample->n; i++)
        if (!tok_ids_put(out, sample->ids[i], e)) return false;
    return true;
}

bool shelf_impression(struct shelf *s, struct str findings, struct str clinical,
                      uint32_t max_new_tokens, struct tok_ids *out, size_t *cut, struct err *e)
{
    uint32_t most = s->reads_apart                 ? s->max_len
                    : max_new_tokens >= s->max_len ? s->max_len / 2
                                                   : s->max_len - max_new_tokens;
    struct str fields[PROMPT_FIELDS] = {0};
    struct prompt_sample sample;
    struct sbuf f, c;
    bool ok = false;

    sbuf_init(&f, FIELD_BYTES);
    sbuf_init(&c, FIELD_BYTES);
    if (!clean_own(findings, &f, e) || !clean_own(clinical, &c, e)) goto out;
    fields[PROMPT_FINDINGS] = sbuf_str(&f);
    fields[PROMPT_CLINICAL] = sbuf_str(&c);
    pthread_mutex_lock(&s->lock);
    ok = prompt_build(s->prompt, s->cache, fields, (struct str){NULL, 0}, most, &sample, e) &&
         put_sample(&sample, out, e);
    pthread_mutex_unlock(&s->lock);
    if (ok) *cut = sample.cut;
out:
    sbuf_free(&c);
    sbuf_free(&f);
    return ok;
}

bool shelf_uses_clinical(const struct shelf *s)
{
    return prompt_uses(s->prompt, PROMPT_CLINICAL);
}

/* ---- embeddings */

uint32_t shelf_embedding_size(const struct shelf *s)
{
    return encoder_info(s->encoder).d;
}

bool shelf_encode_sequence(struct shelf *s, struct str text, struct tok_ids *out, struct err *e)
{
    size_t had = out->n;

    pthread_mutex_lock(&s->lock);
    bool ok = tokenizer_encode(s->encoder_cache, text, TOK_FULL, out, e);
    pthread_mutex_unlock(&s->lock);
    if (!ok) return false;
    if (out->n - had > encoder_info(s->encoder).max_tokens)
        return err_set(e, ERR_LIMIT, "an input has %zu tokens, the encoder reads %u", out->n - had,
                       encoder_info(s->encoder).max_tokens);
    return out->n > had || err_set(e, ERR_LIMIT, "an input is empty");
}

/* The mean of n rows of d, brought to length 1. */
static void pool(const float *rows, uint32_t n, uint32_t d, float *out)
{
    double norm = 0;

    for (uint32_t k = 0; k < d; k++) {
        double sum = 0;
        for (uint32_t i = 0; i < n; i++)
            sum += (double)rows[(size_t)i * d + k];
        out[k] = (float)(sum / n);
        norm += (double)out[k] * (double)out[k];
    }
    for (uint32_t k = 0; k < d && norm > 0; k++)
        out[k] = (float)((double)out[k] / sqrt(norm));
}

bool shelf_embed(struct shelf *s, const uint32_t *ids, const uint32_t *cu, uint32_t n, float *out,
                 struct err *e)
{
    struct encoder_info info = encoder_info(s->encoder);
    float *rows = mem_calloc((size_t)cu[n] * info.d, sizeof *rows, e);
    bool ok = rows && encoder_hidden(s->encoder, ids, cu, n, info.layers, rows, e);

    for (uint32_t i = 0; ok && i < n; i++)
        pool(rows + (size_t)cu[i] * info.d, cu[i + 1] - cu[i], info.d, out + (size_t)i * info.d);
    mem_free(rows);
    return ok;
}

/* ---- the core: generate/decode as the engine's thread sees it */

struct sink {
    engine_event_fn on_event;
    void *to;
};

static bool core_submit(void *ctx, const struct engine_ask *ask, void *tag, uint64_t *handle,
                        struct err *e)
{
    struct shelf *s = ctx;
    struct decode_request r = {
        .ids = ask->ids,
        .n = ask->n,
        .max_new_tokens = ask->max_new_tokens,
        .adapter = ask->adapter,
        .sampling = {ask->temperature, 0, ask->top_p, ask->seed},
        .neos = s->neos,
        .logprobs = ask->logprobs,
        .top = ask->top_logprobs,
        .user = tag,
    };

    memcpy(r.eos, s->eos, sizeof r.eos);
    return decode_submit(s->decode, &r, handle, e);
}

static void core_cancel(void *ctx, uint64_t handle)
{
    (void)decode_cancel(((struct shelf *)ctx)->decode, handle);
}

static bool core_busy(void *ctx)
{
    return decode_busy(((struct shelf *)ctx)->decode) > 0;
}

static bool pass_event(void *ctx, const struct decode_event *ev, struct err *e)
{
    const struct sink *k = ctx;
    struct engine_token t = {.id = ev->id, .logprob = ev->logprob, .ntop = ev->ntop};

    (void)e;
    if (ev->finished) {
        /* a cancelled one has no user any more */
        if (ev->reason != DECODE_CANCELLED)
            k->on_event(k->to, ev->user, ev->reason == DECODE_BY_EOS ? ENGINE_EOS : ENGINE_LENGTH,
                        NULL);
        return true;
    }
    for (uint32_t i = 0; i < ev->ntop; i++)
        t.top[i] = (struct engine_top){ev->top[i].id, ev->top[i].logprob};
    k->on_event(k->to, ev->user, ENGINE_RUNNING, &t);
    return true;
}

static bool core_step(void *ctx, engine_event_fn on_event, void *to, struct err *e)
{
    struct sink k = {on_event, to};

    return decode_step(((struct shelf *)ctx)->decode, pass_event, &k, e);
}

struct engine_core shelf_core(struct shelf *s)
{
    return (struct engine_core){s, core_submit, core_cancel, core_busy, core_step};
}
