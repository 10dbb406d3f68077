/* Drawing a token on the host. */
#include <math.h>

#include "compute/dev.h"

static const double HOPELESS = 30;

static uint32_t first_choice(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* ---- a heap gives the candidates, most probable first, as far as they are needed */

static bool before(const struct dev_candidate *a, const struct dev_candidate *b)
{
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

static void sift(struct dev_candidate *c, uint32_t n, uint32_t i)
{
    struct dev_candidate x = c[i];
    for (uint32_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && before(&c[k + 1], &c[k])) k++;
        if (!before(&c[k], &x)) break;
        c[i] = c[k];
    }
    c[i] = x;
}

static uint32_t collect(const float *logits, uint32_t vocab, double temperature, float most,
                        struct dev_candidate *c)
{
    uint32_t n = 0;
    float least = (float)((double)most - HOPELESS * temperature);
    for (uint32_t i = 0; i < vocab; i++) {
        if (logits[i] < least) continue;
        double x = ((double)logits[i] - (double)most) / temperature;
        c[n++] = (struct dev_candidate){logits[i], i, exp(x)};
    }
    return n;
}

/* Move the best candidates to the end of c, the very best last, until k of them are there or their
 * weights reach `enough`. Returns how many; *sum is their weight. */
static uint32_t take_best(struct dev_candidate *c, uint32_t n, uint32_t k, double enough,
                          double *sum)
{
    uint32_t taken = 0;
    *sum = 0;
    for (uint32_t i = n / 2; i-- > 0;)
        sift(c, n, i);
    while (taken < k && (taken == 0 || *sum < enough)) {
        struct dev_candidate best = c[0];
        c[0] = c[n - 1 - taken];
        c[n - 1 - taken] = best;
        taken++;
        sift(c, n - taken, 0);
        *sum += best.weight;
    }
    return taken;
}

static double weigh(const struct dev_candidate *c, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += c[i].weight;
    return sum;
}

uint32_t dev_draw_host(const struct dev_draw *o, const float *logits, uint32_t vocab,
                       struct dev_candidate *c)
{
    uint32_t best = first_choice(logits, vocab);
    if (!(o->temperature > 0)) return best;
    uint32_t n = collect(logits, vocab, o->temperature, logits[best], c);
    bool cut_k = o->top_k > 0 && o->top_k < n;
    double sum;

    if (cut_k) {
        uint32_t kept = take_best(c, n, o->top_k, INFINITY, &sum);
        c += n - kept;
        n = kept;
    } else {
        sum = weigh(c, n);
    }
    if (o->top_p > 0 && o->top_p < 1) {
        uint32_t kept = take_best(c, n, n, o->top_p * sum, &sum);
        c += n - kept;
        n = kept;
    }
    double u = o->u * sum;
    for (uint32_t i = n; i-- > 1;) {
        if (u < c[i].weight) return c[i].id;
        u -= c[i].weight;
    }
    return c[0].id;
}
