#include "train/loader.h"

#include "base/mem.h"

bool loader_init(struct loader *l, struct shard_set *set, bool all, uint32_t max_tokens,
                 struct err *e)
{
    *l = (struct loader){.set = set, .all = all, .max_tokens = max_tokens};
    l->tokens = mem_calloc(max_tokens, sizeof *l->tokens, e);
    if (!l->tokens) goto out;
    l->cu = mem_calloc((size_t)max_tokens + 1, sizeof *l->cu, e);
    if (!l->cu) goto out;
    l->both = shard_set_info(set)->layout == SHARD_ENCODER_DECODER;
    CHECK(!all || !l->both);
    l->label_cu = mem_calloc((size_t)max_tokens + 1, sizeof *l->label_cu, e);
    if (!l->label_cu) goto out;
    l->rows = mem_calloc(max_tokens, sizeof *l->rows, e);
    if (!l->rows) goto out;
    l->labels = mem_calloc(max_tokens, sizeof *l->labels, e);
    if (!l->labels) goto out;
    return true;
out:
    loader_free(l);
    return err_wrap(e, "buffers for bins of %u tokens", max_tokens);
}

void loader_free(struct loader *l)
{
    mem_free(l->labels);
    mem_free(l->rows);
    mem_free(l->label_cu);
    mem_free(l->cu);
    mem_free(l->tokens);
    *l = (struct loader){0};
}

void loader_plan(struct loader *l, const struct plan *p)
{
    l->plan = p;
}

/* Index of the first token that is predicted: the token at 0 has nothing before it. */
static uint32_t first_label(const struct loader *l, uint32_t target)
{
    return l->all || target == 0 ? 1 : target;
}

static bool get_decoder(struct loader *l, const struct plan_bin *b, struct decoder_batch *out,
                        struct err *e)
{
    uint32_t at = 0, nrows = 0;

    for (uint32_t i = 0; i < b->samples; i++) {
        struct sample s;
        if (!shard_set_get(l->set, l->plan->order[b->first + i], &s, e)) return false;
        CHECK(s.length <= l->max_tokens - at);
        l->cu[i] = at;
        memcpy(l->tokens + at, s.tokens, s.length * sizeof *s.tokens);
        for (uint32_t t = first_label(l, s.target); t < s.length; t++) {
            l->rows[nrows] = at + t - 1;
            l->labels[nrows++] = s.tokens[t];
        }
        at += s.length;
    }
    l->cu[b->samples] = at;
    *out = (struct decoder_batch){.tokens = l->tokens,
                                  .ntokens = at,
                                  .cu = l->cu,
                                  .nseq = b->samples,
                                  .rows = l->rows,
                                  .labels = l->labels,
                                  .nrows = nrows};
    return true;
}

static bool get_both(struct loader *l, const struct plan_bin *b, struct decoder_batch *out,
                     struct err *e)
{
    uint32_t at = 0, nrows = 0;

    for (uint32_t i = 0; i < b->samples; i++) {
        struct sample s;
        if (!shard_set_get(l->set, l->plan->order[b->first + i], &s, e)) return false;
        uint32_t n = s.length - s.target;
        CHECK(s.target <= l->max_tokens - at && n <= l->max_tokens - nrows);
        l->cu[i] = at;
        l->label_cu[i] = nrows;
        memcpy(l->tokens + at, s.tokens, s.target * sizeof *s.tokens);
        memcpy(l->labels + nrows, s.tokens + s.target, n * sizeof *s.tokens);
        at += s.target;
        nrows += n;
    }
    l->cu[b->samples] = at;
    l->label_cu[b->samples] = nrows;
    *out = (struct decoder_batch){.tokens = l->tokens,
                                  .ntokens = at,
                                  .cu = l->cu,
                                  .nseq = b->samples,
                                  .labels = l->labels,
                                  .nrows = nrows,
                                  .label_cu = l->label_cu};
    return true;
}

bool loader_get(struct loader *l, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    const struct plan_bin *b = &l->plan->bins[bin];
    CHECK(bin < l->plan->nbins && b->samples <= l->max_tokens);
    return l->both ? get_both(l, b, out, e) : get_decoder(l, b, out, e);
}

uint64_t loader_rows(const struct loader *l, uint64_t begin, uint64_t end)
{
    const uint32_t *length = shard_set_lengths(l->set), *target = shard_set_targets(l->set);
    uint64_t rows = 0;

    for (uint64_t bin = begin; bin < end; bin++) {
        const struct plan_bin *b = &l->plan->bins[bin];
        for (uint32_t i = 0; i < b->samples; i++) {
            uint32_t s = l->plan->order[b->first + i], first = first_label(l, target[s]);
            if (length[s] > first) rows += length[s] - first;
        }
    }
    return rows;
}
