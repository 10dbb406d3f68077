#include "sweep/tpe.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

enum { GOOD_PERCENT = 15, BELOW_MAX = 25, FLAT = 25, TRIES = 64 };
#define SQRT_HALF   0.70710678118654752440
#define LOG_ROOT2PI 0.91893853320467274178

/* A mixture: kernel i < n is around point[i], kernel n is the prior. */
struct parzen {
    const struct space *s;
    const struct space_point **point; /* borrowed observations */
    size_t n;
    double *weight;     /* [n + 1], sums to 1 */
    double *log_weight; /* [n + 1] */
    double *mu, *sigma; /* [(n + 1) * s->n], in the kernel's own coordinates */
};

/* ---- coordinates: logarithms where they are; discrete values cover half a step more */

static double to_axis(const struct space_param *p, double v)
{
    return p->log ? log(v) : v;
}

static void axis_range(const struct space_param *p, double *lo, double *hi)
{
    double half = p->step / 2;
    *lo = to_axis(p, p->lo - half);
    *hi = to_axis(p, p->hi + half);
}

/* P(a < Z < b) of a standard normal, without losing the digits of a far tail. */
static double normal_between(double a, double b)
{
    if (a > 0) return 0.5 * (erfc(a * SQRT_HALF) - erfc(b * SQRT_HALF));
    if (b < 0) return 0.5 * (erfc(-b * SQRT_HALF) - erfc(-a * SQRT_HALF));
    return 0.5 * (erf(b * SQRT_HALF) - erf(a * SQRT_HALF));
}

/* ---- fitting */

/* The good come best first and weigh by rank. The others come oldest first: a ramp from 1/n to 1,
 * then FLAT ones. At the end the prior. */
static void set_weights(struct parzen *z, bool ranked)
{
    double sum = 0;

    for (size_t i = 0; i <= z->n; i++) {
        bool old = i < z->n && z->n > FLAT && i < z->n - FLAT;
        double ramp = z->n > FLAT + 1 ? (double)i / (double)(z->n - FLAT - 1) : 0;
        z->weight[i] = old ? 1.0 / (double)z->n + ramp * (1 - 1.0 / (double)z->n) : 1;
        if (ranked && i < z->n) z->weight[i] = 2.0 * (double)(z->n - i) / (double)(z->n + 1);
        sum += z->weight[i];
    }
    for (size_t i = 0; i <= z->n; i++) {
        z->weight[i] /= sum;
        z->log_weight[i] = log(z->weight[i]);
    }
}

struct place {
    double x;
    size_t i;
};
static int by_place(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return p->i < q->i ? -1 : p->i > q->i;
}

/* Kernel widths of one numeric parameter. at: scratch of n. */
static void fit_axis(struct parzen *z, size_t d, struct place *at)
{
    const struct space_param *p = &z->s->p[d];
    double lo, hi;
    size_t m = 0;

    axis_range(p, &lo, &hi);
    for (size_t i = 0; i < z->n; i++)
        if (z->point[i]->on >> d & 1) at[m++] = (struct place){to_axis(p, z->point[i]->v[d]), i};
    qsort(at, m, sizeof *at, by_place);
    double kernels = (double)m + 1;
    double narrow = (hi - lo) / fmin(100, 2 * (1 + kernels));
    for (size_t k = 0; k < m; k++) {
        double left = at[k].x - (k > 0 ? at[k - 1].x : lo);
        double right = (k + 1 < m ? at[k + 1].x : hi) - at[k].x;
        double w = fmax(left, right);
        if (m >= 2 && k == 0) w = right;
        if (m >= 2 && k == m - 1) w = left;
        z->mu[at[k].i * z->s->n + d] = at[k].x;
        z->sigma[at[k].i * z->s->n + d] = fmin(fmax(w, narrow), hi - lo);
    }
}

static bool is_prior(const struct parzen *z, size_t i, size_t d)
{
    return i == z->n || !(z->point[i]->on >> d & 1);
}

static bool parzen_fit(struct parzen *z, const struct space *s, const struct space_point **point,
                       size_t n, bool ranked, struct err *e)
{
    size_t cells = (n + 1) * s->n;
    struct place *at;

    *z = (struct parzen){.s = s, .point = point, .n = n};
    z->weight = mem_calloc(2 * (n + 1) + 2 * cells, sizeof *z->weight, e);
    if (!z->weight) return false;
    at = mem_calloc(n + 1, sizeof *at, e);
    if (!at) return false; /* the caller frees weight */
    z->log_weight = z->weight + n + 1;
    z->mu = z->log_weight + n + 1;
    z->sigma = z->mu + cells;
    set_weights(z, ranked);
    for (size_t d = 0; d < s->n; d++) {
        if (s->p[d].kind == SPACE_CHOICE) continue;
        double lo, hi;
        axis_range(&s->p[d], &lo, &hi);
        for (size_t i = 0; i <= n; i++) {
            z->mu[i * s->n + d] = lo + (hi - lo) / 2;
            z->sigma[i * s->n + d] = hi - lo;
        }
        fit_axis(z, d, at);
    }
    mem_free(at);
    return true;
}

/* ---- density */

static double choice_weight(const struct parzen *z, size_t i, size_t d, double v)
{
    const struct space_param *p = &z->s->p[d];
    double each = 1.0 / (double)(z->n + 1);

    if (is_prior(z, i, d)) return 1.0 / (double)p->n;
    return (each + (z->point[i]->v[d] == v)) / (1 + each * (double)p->n);
}

static double log_kernel(const struct parzen *z, size_t i, size_t d, double v)
{
    const struct space_param *p = &z->s->p[d];
    double lo, hi, mu = z->mu[i * z->s->n + d], sigma = z->sigma[i * z->s->n + d];

    if (p->kind == SPACE_CHOICE) return log(choice_weight(z, i, d, v));
    axis_range(p, &lo, &hi);
    double whole = log(normal_between((lo - mu) / sigma, (hi - mu) / sigma));
    if (p->step > 0) {
        double a = to_axis(p, v - p->step / 2), b = to_axis(p, v + p->step / 2);
        return log(normal_between((a - mu) / sigma, (b - mu) / sigma)) - whole;
    }
    double t = (to_axis(p, v) - mu) / sigma;
    return -t * t / 2 - log(sigma) - LOG_ROOT2PI - whole;
}

/* scratch: n + 1 numbers. */
static double log_density(const struct parzen *z, const struct space_point *p, double *scratch)
{
    double top = -INFINITY, sum = 0;

    for (size_t i = 0; i <= z->n; i++) {
        double l = z->log_weight[i];
        for (size_t d = 0; d < z->s->n; d++)
            if (p->on >> d & 1) l += log_kernel(z, i, d, p->v[d]);
        scratch[i] = l;
        if (l > top) top = l;
    }
    for (size_t i = 0; i <= z->n; i++)
        sum += exp(scratch[i] - top);
    return top + log(sum);
}

/* ---- drawing */

struct dice {
    struct rng_key key;
    uint64_t at;
};

static double throw_unit(struct dice *g)
{
    return rng_unit(g->key, g->at++);
}

static double draw_choice(const struct parzen *z, size_t i, size_t d, struct dice *g)
{
    double u = throw_unit(g);
    size_t n = z->s->p[d].n;

    for (size_t c = 0; c + 1 < n; c++) {
        u -= choice_weight(z, i, d, (double)c);
        if (u < 0) return (double)c;
    }
    return (double)(n - 1);
}

/* By rejection: the mean lies inside, so a third of all throws at least are in range. */
static double draw_axis(const struct parzen *z, size_t i, size_t d, struct dice *g)
{
    const struct space_param *p = &z->s->p[d];
    double lo, hi, mu = z->mu[i * z->s->n + d], sigma = z->sigma[i * z->s->n + d], x = mu;

    axis_range(p, &lo, &hi);
    for (int k = 0; k < TRIES; k++) {
        double y = mu + sigma * rng_normal(g->key, g->at++);
        if (y < lo || y > hi) continue;
        x = y;
        break;
    }
    return space_round(p, p->log ? exp(x) : x);
}

static void draw_point(const struct parzen *z, struct dice *g, struct space_point *out)
{
    double u = throw_unit(g);
    size_t i = 0;

    while (i < z->n && (u -= z->weight[i]) >= 0)
        i++;
    *out = (struct space_point){.on = 0};
    for (size_t d = 0; d < z->s->n; d++)
        out->v[d] =
            z->s->p[d].kind == SPACE_CHOICE ? draw_choice(z, i, d, g) : draw_axis(z, i, d, g);
    space_settle(z->s, out);
}

/* ---- splitting */

/* Best first: farther rungs before nearer ones, then by value; failures last. */
static int by_merit(const void *a, const void *b)
{
    const struct tpe_seen *x = *(const struct tpe_seen *const *)a;
    const struct tpe_seen *y = *(const struct tpe_seen *const *)b;
    bool fx = x->ended && isfinite(x->value), fy = y->ended && isfinite(y->value);

    if (fx != fy) return fx ? -1 : 1;
    if (fx && x->rung != y->rung) return x->rung > y->rung ? -1 : 1;
    if (fx && x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

static int by_age(const void *a, const void *b)
{
    const struct tpe_seen *x = *(const struct tpe_seen *const *)a;
    const struct tpe_seen *y = *(const struct tpe_seen *const *)b;
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

static bool best_of(struct parzen *good, struct parzen *bad, struct dice *g,
                    struct space_point *out, struct err *e)
{
    size_t most = good->n > bad->n ? good->n : bad->n;
    double *scratch = mem_calloc(most + 1, sizeof *scratch, e), best = -INFINITY;

    if (!scratch) return false;
    for (int k = 0; k < TPE_CANDIDATES; k++) {
        struct space_point p;
        draw_point(good, g, &p);
        double score = log_density(good, &p, scratch) - log_density(bad, &p, scratch);
        if (k > 0 && !(score > best)) continue;
        best = score;
        *out = p;
    }
    mem_free(scratch);
    return true;
}

bool tpe_suggest(const struct space *s, const struct tpe_seen *seen, size_t n, uint64_t seed,
                 uint64_t trial, struct space_point *out, struct err *e)
{
    struct dice g = {rng_key(seed ^ 0x7470650000000000ULL, RNG_SWEEP, trial), 0};
    struct parzen good = {0}, bad = {0};
    const struct tpe_seen **order = NULL;
    const struct space_point **point = NULL;
    size_t ended = 0;
    bool ok = false;

    for (size_t i = 0; i < n; i++)
        ended += seen[i].ended;
    if (ended < TPE_STARTUP) {
        space_spread(s, seed, trial, TPE_STARTUP, out);
        return true;
    }
    size_t below = (ended * GOOD_PERCENT + 99) / 100;
    if (below > BELOW_MAX) below = BELOW_MAX;
    order = mem_calloc(n, sizeof *order, e);
    if (!order) goto out;
    point = mem_calloc(n, sizeof *point, e);
    if (!point) goto out;
    for (size_t i = 0; i < n; i++)
        order[i] = &seen[i];
    qsort(order, n, sizeof *order, by_merit);
    qsort(order + below, n - below, sizeof *order, by_age);
    for (size_t i = 0; i < n; i++)
        point[i] = &order[i]->point;
    if (!parzen_fit(&good, s, point, below, true, e)) goto out;
    if (!parzen_fit(&bad, s, point + below, n - below, false, e)) goto out;
    ok = best_of(&good, &bad, &g, out, e);
out:
    mem_free(good.weight);
    mem_free(bad.weight);
    mem_free(point);
    mem_free(order);
    return ok;
}
