#include "judge/judge_read.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/stop.h"
#include "generate/decode.h"
#include "model/decoder.h"

enum { WAVE = 64, SLOTS = 16, LIST_TOKENS = 48, PREFILL_ROWS = 512, ANSWER_BYTES = 1 << 14 };

struct judge_read {
    struct judge_prompt *prompt; /* borrowed */
    struct model_slot *slot;     /* borrowed; owns the next two unless NULL */
    struct dev *dev;
    struct model *model;
    struct lora *lora;
    struct decoder_work *work;
    uint32_t max_tokens;
    float *logits; /* [vocab] */
    char base[65], adapter[65];
};

bool judge_read_digest(const char *adapter, char out[65], struct err *e)
{
    uint8_t digest[32] = {0};

    if (adapter && !sha256_folder(adapter, digest, e)) return false;
    hash_hex(digest, sizeof digest, out);
    return true;
}

static bool note_digests(struct judge_read *r, const char *adapter, struct err *e)
{
    uint8_t digest[32];

    model_digest(r->model, digest);
    hash_hex(digest, sizeof digest, r->base);
    return judge_read_digest(adapter, r->adapter, e);
}

static bool open_all(struct judge_read *r, const struct model_opts *m, const char *adapter,
                     struct err *e)
{
    const struct model_spec *spec;

    if (!model_slot_open(r->slot, m, &r->dev, &r->model, e)) return false;
    spec = model_get_spec(r->model);
    if (spec->enc_layers)
        return err_set(e, ERR_CONFIG, "%s is an encoder-decoder: a judge is a decoder", m->base);
    if (tokenizer_info(judge_prompt_tokenizer(r->prompt)).vocab_size > spec->vocab)
        return err_set(e, ERR_CONFIG, "%s: its tokenizer has more ids than the model", m->base);
    if (!model_spec_check_length(spec, r->max_tokens + LIST_TOKENS, e)) return false;
    if (r->max_tokens + LIST_TOKENS > model_spec_longest(spec))
        return err_set(e, ERR_CONFIG,
                       "%s takes %u tokens, judge.max_tokens %u leaves no room for an answer",
                       m->base, model_spec_longest(spec), r->max_tokens);
    r->logits = mem_calloc(spec->vocab, sizeof *r->logits, e);
    return r->logits && (!adapter || lora_load(r->model, adapter, &r->lora, e)) &&
           decoder_work_open(r->model, r->lora, r->max_tokens, 1, false, &r->work, e) &&
           note_digests(r, adapter, e);
}

bool judge_read_open(struct judge_prompt *p, const struct model_opts *m, struct model_slot *slot,
                     const char *adapter, uint32_t max_tokens, struct judge_read **out,
                     struct err *e)
{
    struct judge_read *r = mem_calloc(1, sizeof *r, e);

    *out = NULL;
    if (!r) return false;
    r->prompt = p;
    r->slot = slot;
    r->max_tokens = max_tokens;
    if (!open_all(r, m, adapter, e)) {
        judge_read_close(r);
        return false;
    }
    *out = r;
    return true;
}

void judge_read_close(struct judge_read *r)
{
    if (!r) return;
    mem_free(r->logits);
    decoder_work_close(r->work);
    lora_close(r->lora);
    if (!r->slot) {
        model_close(r->model);
        dev_close(r->dev);
    }
    mem_free(r);
}

void judge_read_digests(const struct judge_read *r, char base[65], char adapter[65])
{
    memcpy(base, r->base, sizeof r->base);
    memcpy(adapter, r->adapter, sizeof r->adapter);
}

/* ---- lists of errors, a wave at a time */
struct wave {
    struct judge_read *r;
    struct decode_prompt prompt[WAVE];
    size_t first[WAVE]; /* of each prompt in ids */
    struct tok_ids ids;
    struct judge_reading *out;
    struct sbuf text;
};

static bool take_list(void *ctx, size_t i, const struct decode_answer *a, struct err *e)
{
    struct wave *w = ctx;
    struct str list;

    sbuf_clear(&w->text);
    if (!tokenizer_decode(judge_prompt_tokenizer(w->r->prompt), a->ids, a->n, true, &w->text, e))
        return false;
    list = judge_prompt_list(sbuf_str(&w->text));
    if (list.n >= JUDGE_LIST_BYTES) list.n = JUDGE_LIST_BYTES - 1;
    while (list.n > 0 && !str_is_utf8(list))
        list.n--; /* cut at a whole character */
    memcpy(w->out[i].list, list.p, list.n);
    w->out[i].list[list.n] = 0;
    if (stop_requested()) return err_set(e, ERR_STOPPED, "stopped");
    return true;
}

static bool load_prompts(struct wave *w, const struct judge_fields *items, size_t n, struct err *e)
{
    struct prompt_sample s;

    w->ids.n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!judge_prompt_ask(w->r->prompt, &items[i], &s, e)) return false;
        w->first[i] = w->ids.n;
        w->prompt[i] = (struct decode_prompt){.n = (uint32_t)s.n};
        for (size_t k = 0; k < s.n; k++)
            if (!tok_ids_put(&w->ids, s.ids[k], e)) return false;
    }
    for (size_t i = 0; i < n; i++)
        w->prompt[i].ids = w->ids.ids + w->first[i];
    return true;
}

static bool write_lists(struct judge_read *r, const struct judge_fields *items, size_t n,
                        struct judge_reading *out, struct err *e)
{
    const struct decode_opts o = {.slots = SLOTS,
                                  .max_len = r->max_tokens + LIST_TOKENS,
                                  .max_new_tokens = LIST_TOKENS,
                                  .prefill_rows = PREFILL_ROWS,
                                  .eos = {(int32_t)judge_prompt_eos(r->prompt)},
                                  .neos = 1};
    struct wave *w = mem_calloc(1, sizeof *w, e);
    struct decode_stats stats = {0};
    bool ok = w != NULL;

    if (!ok) return false;
    w->r = r;
    sbuf_init(&w->text, ANSWER_BYTES);
    for (size_t at = 0; ok && at < n; at += WAVE) {
        size_t now = n - at < WAVE ? n - at : WAVE;
        w->out = out + at;
        ok = load_prompts(w, items + at, now, e) &&
             decode_run(r->model, r->lora, &o, w->prompt, now, take_list, w, &stats, e);
    }
    sbuf_free(&w->text);
    tok_ids_free(&w->ids);
    mem_free(w);
    return ok;
}

/* ---- the grade */
/* Mean and standard deviation of the softmax over five logits. */
static void expectation(const float *logits, const uint32_t grade[FACTLABEL_GRADES],
                        struct judge_reading *out)
{
    double p[FACTLABEL_GRADES], top = (double)logits[grade[0]], sum = 0, mean = 0, square = 0;

    for (int k = 1; k < FACTLABEL_GRADES; k++)
        top = fmax(top, (double)logits[grade[k]]);
    for (int k = 0; k < FACTLABEL_GRADES; k++)
        sum += p[k] = exp((double)logits[grade[k]] - top);
    for (int k = 0; k < FACTLABEL_GRADES; k++) {
        mean += p[k] / sum * (k + 1);
        square += p[k] / sum * (k + 1) * (k + 1);
    }
    out->value = mean;
    out->spread = sqrt(fmax(0, square - mean * mean));
}

static bool read_one(struct judge_read *r, const struct judge_fields *f, struct tok_ids *v,
                     struct judge_reading *out, struct err *e)
{
    uint32_t grade[FACTLABEL_GRADES], cu[2] = {0}, row, label = 0;

    if (!judge_prompt_grades(r->prompt, f, str_of(out->list), v, grade, e)) return false;
    cu[1] = (uint32_t)v->n;
    row = cu[1] - 1;
    struct decoder_batch b = {.tokens = v->ids,
                              .ntokens = cu[1],
                              .cu = cu,
                              .nseq = 1,
                              .rows = &row,
                              .labels = &label,
                              .nrows = 1};
    if (!decoder_logits(r->work, &b, r->logits, e)) return false;
    expectation(r->logits, grade, out);
    return isfinite(out->value) || err_set(e, ERR_LIB, "the model's logits are not finite");
}

bool judge_read_run(struct judge_read *r, const struct judge_fields *items, size_t n,
                    struct judge_reading *out, void (*done)(void *ctx, size_t i), void *ctx,
                    struct err *e)
{
    struct tok_ids v = {0};
    bool ok = true;

    for (size_t i = 0; i < n; i++)
        out[i] = (struct judge_reading){0};
    if (judge_prompt_lists(r->prompt)) ok = write_lists(r, items, n, out, e);
    for (size_t i = 0; ok && i < n; i++) {
        ok = stop_requested()
                 ? err_set(e, ERR_STOPPED, "stopped")
                 : read_one(r, &items[i], &v, &out[i], e) || err_wrap(e, "judgement %zu", i);
        if (ok && done) done(ctx, i);
    }
    tok_ids_free(&v);
    return ok;
}
