#include "cli/convert_drift.h"

#include <unistd.h>

#include "base/fs.h"
#include "model/logit_drift.h"
#include "text/tokenizer.h"

/* Made up; any text that looks like a report's does. */
static const char *const prompts[] = {
    "Findings: The heart is normal in size. The lungs are clear. No pleural effusion or "
    "pneumothorax.\nImpression: No acute cardiopulmonary process.",
    "FINDINGS: Interval increase in the right basilar opacity, 3.2 x 1.4 cm, with small effusion.\n"
    "IMPRESSION: Worsening right lower lobe pneumonia.",
    "There is a 7 mm non-obstructing calculus in the lower pole of the left kidney. "
    "Impression: 1. Nephrolithiasis. 2. No hydronephrosis.",
    "Multilevel degenerative changes, most severe at L4-L5. Impression: Moderate central canal "
    "stenosis at L4-L5.",
};
enum { PROMPTS = sizeof prompts / sizeof prompts[0], LABEL_TOKENS = 12, MAX_TOKENS = 4096 };

/* The prompts' ids, one sample each; every place but a sample's last predicts the next one. An
 * encoder reads all of a prompt, and its answer is the prompt's end. */
struct batch {
    struct tok_ids ids, rows, labels;
    uint32_t cu[PROMPTS + 1], label_cu[PROMPTS + 1];
};

static bool add_prompt(struct batch *t, uint32_t i, bool encoder, struct err *e)
{
    size_t from = t->cu[i], to = t->ids.n, first = from + 1;

    if (encoder && to - from > LABEL_TOKENS) first = to - LABEL_TOKENS;
    for (size_t k = first; k < to; k++) {
        if (!tok_ids_put(&t->labels, t->ids.ids[k], e)) return false;
        if (!encoder && !tok_ids_put(&t->rows, (uint32_t)k - 1, e)) return false;
    }
    t->cu[i + 1] = (uint32_t)to;
    t->label_cu[i + 1] = (uint32_t)t->labels.n;
    return true;
}

static bool make_batch(const struct tokenizer *tok, bool encoder, struct batch *t, struct err *e)
{
    struct tok_cache *c = NULL;
    bool ok = false;

    if (!tok_cache_open(tok, &c, e)) goto out;
    for (uint32_t i = 0; i < PROMPTS; i++) {
        if (!tokenizer_encode(c, str_of(prompts[i]), TOK_FULL, &t->ids, e) ||
            !add_prompt(t, i, encoder, e))
            goto out;
    }
    ok = t->ids.n <= MAX_TOKENS && t->labels.n > 0;
    if (!ok) err_set(e, ERR_FORMAT, "the prompts have %zu tokens", t->ids.n);
out:
    tok_cache_close(c);
    return ok;
}

static void free_batch(struct batch *t)
{
    tok_ids_free(&t->ids);
    tok_ids_free(&t->rows);
    tok_ids_free(&t->labels);
}

static uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static void print(struct cmd_call *call, const struct logit_drift *d)
{
    cmd_print(
        call,
        "  logits of %d prompts, f32: merged less base and adapter is %.3g (rms), at most %.3g, of "
        "%.3g (rms); the likeliest next token is the same at %llu of %llu places\n",
        PROMPTS, d->rms, d->max, d->size_rms, (unsigned long long)d->same,
        (unsigned long long)d->rows);
}

bool convert_drift_print(struct cmd_call *call, const struct tokenizer *tok,
                         const struct convert_drift *x)
{
    struct err *e = &call->err;
    struct batch t = {0};
    struct logit_drift d;
    struct model_spec s;
    const char *config;
    uint64_t need;
    bool ok = false;

    if (!fs_is_dir(x->base)) {
        cmd_print(call, "  logits are not compared: %s is no model folder\n", x->base);
        return true;
    }
    if (!fs_join(&call->arena, x->base, "config.json", &config, e) ||
        !model_spec_read(config, &s, e) || !make_batch(tok, s.enc_layers > 0, &t, e))
        goto out;
    struct decoder_batch b = {.tokens = t.ids.ids,
                              .ntokens = (uint32_t)t.ids.n,
                              .cu = t.cu,
                              .nseq = PROMPTS,
                              .rows = s.enc_layers ? NULL : t.rows.ids,
                              .labels = t.labels.ids,
                              .nrows = (uint32_t)t.labels.n,
                              .label_cu = s.enc_layers ? t.label_cu : NULL};
    if (!logit_drift_bytes(x->base, &b, &need, e)) goto out;
    ok = true;
    if (need > memory_bytes() / 4 * 3) {
        cmd_print(call, "  logits are not compared: that takes %.1f GiB of memory\n",
                  (double)need / 1073741824.0);
        goto out;
    }
    ok = logit_drift(x->base, x->adapter, x->merged, &b, &d, e);
    if (ok) print(call, &d);
out:
    free_batch(&t);
    return ok || err_wrap(e, "compare the logits");
}
