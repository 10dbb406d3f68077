#include "generate/decode_pick.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"

static const double HOPELESS = 30;

struct pick_candidate {
    float logit;
    uint32_t id;
    double weight; /* e^((logit - top) / temperature) */
};

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

/* ---- drawing: a heap gives the candidates, most probable first, as far as they are needed */

static bool before(const struct pick_candidate *a, const struct pick_candidate *b)
{
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

static void sift(struct pick_candidate *c, uint32_t n, uint32_t i)
{
    struct pick_candidate x = c[i];
    for (uint32_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && before(&c[k + 1], &c[k])) k++;
        if (!before(&c[k], &x)) break;
        c[i] = c[k];
    }
    c[i] = x;
}

static uint32_t collect(const float *logits, uint32_t vocab, double temperature, float most,
                        struct pick_candidate *c)
{
    uint32_t n = 0;
    float least = (float)((double)most - HOPELESS * temperature);
    for (uint32_t i = 0; i < vocab; i++) {
        if (logits[i] < least) continue;
        double x = ((double)logits[i] - (double)most) / temperature;
        c[n++] = (struct pick_candidate){logits[i], i, exp(x)};
    }
    return n;
}

/* Move the best candidates to the end of c, the very best last, until k of them are there or their
 * weights reach `enough`. Returns how many; *sum is their weight. */
static uint32_t take_best(struct pick_candidate *c, uint32_t n, uint32_t k, double enough,
                          double *sum)
{
    uint32_t taken = 0;
    *sum = 0;
    for (uint32_t i = n / 2; i-- > 0;)
        sift(c, n, i);
    while (taken < k && (taken == 0 || *sum < enough)) {
        struct pick_candidate best = c[0];
        c[0] = c[n - 1 - taken];
        c[n - 1 - taken] = best;
        taken++;
        sift(c, n - taken, 0);
        *sum += best.weight;
    }
    return taken;
}

static double weigh(const struct pick_candidate *c, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += c[i].weight;
    return sum;
}

static uint32_t draw(const struct decode_sampling *o, uint32_t index, const float *logits,
                     float most, struct pick_scratch *s)
{
    struct pick_candidate *c = s->c;
    uint32_t n = collect(logits, s->vocab, o->temperature, most, c);
    bool cut_k = o->top_k > 0 && o->top_k<n, cut_p = o->top_p> 0 && o->top_p < 1;
    double sum;

    if (cut_k) {
        uint32_t kept = take_best(c, n, o->top_k, INFINITY, &sum);
        c += n - kept;
        n = kept;
    } else {
        sum = weigh(c, n);
    }
    if (cut_p) {
        uint32_t kept = take_best(c, n, n, o->top_p * sum, &sum);
        c += n - kept;
        n = kept;
    }
    double u = rng_unit(rng_key(o->seed, RNG_DECODE, 0), index) * sum;
    for (uint32_t i = n; i-- > 1;) {
        if (u < c[i].weight) return c[i].id;
        u -= c[i].weight;
    }
    return c[0].id;
}

void pick_token(const struct decode_request *r, uint32_t index, const float *logits,
                struct pick_scratch *s, struct decode_choice *out)
{
    uint32_t best = first_choice(logits, s->vocab);
    float most = logits[best];

    *out = (struct decode_choice){.id = best};
    if (r->sampling.temperature > 0) out->id = draw(&r->sampling, index, logits, most, s);
    if (!r->logprobs) return;
    double all = log_sum(logits, s->vocab, most);
    out->logprob = (float)((double)logits[out->id] - all);
    out->ntop = pick_best(logits, s->vocab, r->top, out->top);
    for (uint32_t i = 0; i < out->ntop; i++)
        out->top[i].logprob = (float)((double)out->top[i].logprob - all);
}
