#include "generate/decode_pick.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"

static const double HOPELESS = 30;

bool pick_scratch_init(struct pick_scratch *s, uint32_t vocab, struct err *e)
{
    *s = (struct pick_scratch){.c = mem_calloc(vocab, sizeof *s->c, e), .vocab = vocab};
    return s->c != NULL;
}

void pick_scratch_free(struct pick_scratch *s)
{
    mem_free(s->c);
    *s = (struct pick_scratch){0};
}

static uint32_t first_choice(const float *logits, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static double log_sum(const float *logits, uint32_t vocab, float most)
{
    double sum = 0;
    float least = most - (float)HOPELESS;
    for (uint32_t i = 0; i < vocab; i++)
        if (logits[i] > least) sum += exp((double)logits[i] - (double)most);
    return (double)most + log(sum);
}

double pick_log_sum(const float *logits, uint32_t vocab)
{
    return log_sum(logits, vocab, logits[first_choice(logits, vocab)]);
}

uint32_t pick_best(const float *logits, uint32_t vocab, uint32_t n, struct decode_alternative *out)
{
    uint32_t have = 0;
    for (uint32_t i = 0; n > 0 && i < vocab; i++) {
        if (have == n && !(logits[i] > out[n - 1].logprob)) continue;
        uint32_t at = have < n ? have++ : n - 1;
        for (; at > 0 && logits[i] > out[at - 1].logprob; at--)
            out[at] = out[at - 1];
        out[at] = (struct decode_alternative){i, logits[i]};
    }
    return have;
}

struct dev_draw pick_draw(const struct decode_sampling *o, uint32_t index)
{
    return (struct dev_draw){.temperature = o->temperature,
                             .top_p = o->top_p,
                             .top_k = o->top_k,
                             .u = rng_unit(rng_key(o->seed, RNG_DECODE, 0), index)};
}

void pick_token(const struct decode_request *r, uint32_t index, const float *logits,
                struct pick_scratch *s, struct decode_choice *out)
{
    struct dev_draw how = pick_draw(&r->sampling, index);

    *out = (struct decode_choice){.id = dev_draw_host(&how, logits, s->vocab, s->c)};
    if (!r->logprobs) return;
    double all = pick_log_sum(logits, s->vocab);
    out->logprob = (float)((double)logits[out->id] - all);
    out->ntop = pick_best(logits, s->vocab, r->top, out->top);
    for (uint32_t i = 0; i < out->ntop; i++)
        out->top[i].logprob = (float)((double)out->top[i].logprob - all);
}
