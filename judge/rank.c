#include "judge/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/bootstrap.h"

struct xy {
    double x, y;
};

static int by_x(const void *a, const void *b)
{
    const struct xy *p = a, *q = b;

    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->y > q->y) - (p->y < q->y);
}

/* Sum over runs of equals of n (n - 1) / 2. */
static double tied_pairs(const double *v, size_t n)
{
    double pairs = 0;

    for (size_t i = 0, run = 1; i < n; i++, run++) {
        if (i + 1 < n && v[i + 1] == v[i]) continue;
        pairs += (double)run * (double)(run - 1) / 2;
        run = 0;
    }
    return pairs;
}

/* Sort v[n] ascending; how many pairs stood in descending order. */
static double merge_count(double *v, double *spare, size_t n)
{
    size_t half = n / 2, i = 0, j = half, k = 0;
    double swaps;

    if (n < 2) return 0;
    swaps = merge_count(v, spare, half) + merge_count(v + half, spare, n - half);
    while (i < half && j < n) {
        if (v[j] < v[i]) swaps += (double)(half - i);
        spare[k++] = v[j] < v[i] ? v[j++] : v[i++];
    }
    while (i < half)
        spare[k++] = v[i++];
    while (j < n)
        spare[k++] = v[j++];
    memcpy(v, spare, n * sizeof *v);
    return swaps;
}

double rank_tau(const double *x, const double *y, size_t n, double *scratch)
{
    struct xy *p = (struct xy *)(void *)scratch;
    double *v = scratch + 2 * n, all = (double)n * ((double)n - 1) / 2;
    double tied_x, tied_y, tied_both = 0, swaps;

    if (n < 2) return 0;
    for (size_t i = 0; i < n; i++)
        p[i] = (struct xy){x[i], y[i]};
    qsort(p, n, sizeof *p, by_x);
    for (size_t i = 0, run = 1; i < n; i++, run++) {
        if (i + 1 < n && p[i + 1].x == p[i].x && p[i + 1].y == p[i].y) continue;
        tied_both += (double)run * (double)(run - 1) / 2;
        run = 0;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = p[i].x;
    tied_x = tied_pairs(v, n);
    for (size_t i = 0; i < n; i++)
        v[i] = p[i].y;
    swaps = merge_count(v, scratch, n);
    tied_y = tied_pairs(v, n);
    double below = sqrt((all - tied_x) * (all - tied_y));
    return below > 0 ? (all - tied_x - tied_y + tied_both - 2 * swaps) / below : 0;
}

/* ---- resampling */
struct work {
    const struct rank_data *d;
    size_t *first; /* [ngroups + 1] into member */
    size_t *member;
    size_t units;      /* groups, or things */
    double *t, *a, *b; /* one resample; grows, since groups differ in size */
    double *scratch;
    size_t cap;
    double *tau[3]; /* [replicates] of a, of b, of the difference */
};

static bool list_members(struct work *w, struct err *e)
{
    const struct rank_data *d = w->d;
    size_t *at;

    w->units = d->group ? d->ngroups : d->n;
    w->first = mem_calloc(w->units + 2, sizeof *w->first, e);
    w->member = w->first ? mem_calloc(d->n + 1, sizeof *w->member, e) : NULL;
    if (!w->member) return false;
    at = w->first + 1; /* at[g]: where the next member of g goes; ends as first[g + 1] */
    for (size_t i = 0; i < d->n; i++)
        at[1 + (d->group ? d->group[i] : i)]++;
    for (size_t g = 0; g < w->units; g++)
        at[g + 1] += at[g];
    for (size_t i = 0; i < d->n; i++)
        w->member[at[d->group ? d->group[i] : i]++] = i;
    return true;
}

static bool grow(struct work *w, size_t need, struct err *e)
{
    if (need <= w->cap) return true;
    mem_free(w->t);
    w->cap = 0;
    w->t = mem_calloc(6 * 2 * need, sizeof *w->t, e);
    if (!w->t) return false;
    w->cap = 2 * need;
    w->a = w->t + w->cap;
    w->b = w->a + w->cap;
    w->scratch = w->b + w->cap;
    return true;
}

static bool put_group(struct work *w, size_t g, size_t *n, struct err *e)
{
    const struct rank_data *d = w->d;

    if (*n + w->first[g + 1] - w->first[g] > w->cap)
        return err_set(e, ERR_LIMIT, "a resample has more than %zu things", w->cap);
    for (size_t i = w->first[g]; i < w->first[g + 1]; i++, ++*n) {
        w->t[*n] = d->truth[w->member[i]];
        w->a[*n] = d->a[w->member[i]];
        w->b[*n] = d->b ? d->b[w->member[i]] : 0;
    }
    return true;
}

/* The largest a resample can be: its largest group every time. */
static size_t largest(const struct work *w)
{
    size_t most = 0;

    for (size_t g = 0; g < w->units; g++)
        if (w->first[g + 1] - w->first[g] > most) most = w->first[g + 1] - w->first[g];
    return most * w->units;
}

static bool replicate(struct work *w, struct rng_key key, uint32_t r, struct err *e)
{
    size_t n = 0;

    for (size_t u = 0; u < w->units; u++) {
        size_t g = (size_t)rng_below(key, (uint64_t)r * w->units + u, w->units);
        if (!put_group(w, g, &n, e)) return false;
    }
    w->tau[0][r] = rank_tau(w->t, w->a, n, w->scratch);
    w->tau[1][r] = w->d->b ? rank_tau(w->t, w->b, n, w->scratch) : 0;
    w->tau[2][r] = w->d->b ? w->tau[0][r] - w->tau[1][r] : 0;
    return true;
}

static void interval(double *v, uint32_t n, struct rank_ci *out)
{
    sort_f64(v, n);
    out->lo = percentile_sorted(v, n, 2.5);
    out->hi = percentile_sorted(v, n, 97.5);
}

bool rank_compare(const struct rank_data *d, uint64_t seed, uint32_t replicates,
                  struct rank_result *out, struct err *e)
{
    struct work w = {.d = d};
    struct rng_key key = rng_key(seed, RNG_BOOTSTRAP, UINT64_C(0x6a75646765));
    bool ok = false;

    *out = (struct rank_result){.n = d->n};
    CHECK(replicates > 0);
    w.tau[0] = mem_calloc(3 * (size_t)replicates, sizeof *w.tau[0], e);
    if (!w.tau[0] || !list_members(&w, e) || !grow(&w, largest(&w) + 1, e)) goto out;
    w.tau[1] = w.tau[0] + replicates;
    w.tau[2] = w.tau[1] + replicates;
    out->groups = w.units;
    out->a.value = rank_tau(d->truth, d->a, d->n, w.scratch);
    out->b.value = d->b ? rank_tau(d->truth, d->b, d->n, w.scratch) : 0;
    out->diff.value = d->b ? out->a.value - out->b.value : 0;
    for (uint32_t r = 0; r < replicates; r++)
        if (!replicate(&w, key, r, e)) goto out;
    interval(w.tau[0], replicates, &out->a);
    interval(w.tau[1], replicates, &out->b);
    interval(w.tau[2], replicates, &out->diff);
    ok = true;
out:
    mem_free(w.t);
    mem_free(w.member);
    mem_free(w.first);
    mem_free(w.tau[0]);
    return ok;
}
