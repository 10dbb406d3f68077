#include "generate/gen_score.h"

#include "base/mem.h"

/* The longest sample: tokens that are read at once, and rows that bear loss. */
static void longest(const struct gen_inputs *in, uint32_t *tokens, uint32_t *rows)
{
    const uint32_t *length = shard_set_lengths(in->set), *target = shard_set_targets(in->set);
    bool both = model_get_spec(in->model)->enc_layers > 0;
    *tokens = *rows = 1;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t n = both ? target[i] : length[i];
        if (n > *tokens) *tokens = n;
        if (length[i] - target[i] > *rows) *rows = length[i] - target[i];
    }
}

uint64_t gen_score_bytes(const struct gen_inputs *in)
{
    struct err e = {0};
    uint32_t tokens, rows;
    uint64_t bytes;
    longest(in, &tokens, &rows);
    /* cannot fail without an adapter */
    CHECK(decoder_work_bytes(model_get_spec(in->model), model_dtype(in->model), NULL, tokens, rows,
                             false, &bytes, &e));
    return bytes;
}

bool gen_score_init(struct gen_score *s, const struct gen_inputs *in, struct err *e)
{
    uint32_t tokens, rows;

    *s = (struct gen_score){.both = shard_set_info(in->set)->layout == SHARD_ENCODER_DECODER};
    longest(in, &tokens, &rows);
    s->rows = mem_calloc(tokens, sizeof *s->rows, e);
    if (!s->rows) return false;
    for (uint32_t t = 0; t < tokens; t++)
        s->rows[t] = t;
    return decoder_work_open(in->model, in->lora, tokens, rows, false, &s->work, e);
}

void gen_score_free(struct gen_score *s)
{
    decoder_work_close(s->work);
    mem_free(s->rows);
    *s = (struct gen_score){0};
}

bool gen_score_sample(struct gen_score *s, const struct sample *x, double *nll, struct err *e)
{
    uint32_t n = x->length - x->target, cu[2] = {0, s->both ? x->target : x->length};
    uint32_t label_cu[2] = {0, n};

    CHECK(x->target > 0 && x->target < x->length);
    struct decoder_batch b = {
        .tokens = x->tokens,
        .ntokens = cu[1],
        .cu = cu,
        .nseq = 1,
        .rows = s->both ? NULL : s->rows + x->target - 1,
        .labels = x->tokens + x->target,
        .nrows = n,
        .label_cu = label_cu,
    };
    return decoder_loss(s->work, &b, nll, NULL, e);
}
