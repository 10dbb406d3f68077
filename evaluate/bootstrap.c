#include "evaluate/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static int cmp_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_f64(double *v, size_t n)
{
    qsort(v, n, sizeof *v, cmp_f64);
}

double percentile_sorted(const double *v, size_t n, double q)
{
    CHECK(n > 0 && q >= 0 && q <= 100);
    double at = (double)(n - 1) * (q / 100);
    size_t i = (size_t)floor(at);
    if (i + 1 >= n) return v[n - 1];
    double t = at - (double)i, step = v[i + 1] - v[i];
    return t < 0.5 ? v[i] + step * t : v[i + 1] - step * (1 - t);
}

/* Key of one replicate: tables and replicates never share draws. */
static struct rng_key replicate_key(const struct boot_opts *o, enum rng_stream s, uint64_t b)
{
    return rng_key(o->seed, s, (uint64_t)o->table << 32 | b);
}

/* The means of one resampled set of units. */
static void resample(const struct boot_data *d, struct rng_key key, double *mean)
{
    uint64_t rows = 0;
    uint32_t draw[4];

    memset(mean, 0, d->cols * sizeof *mean);
    for (size_t i = 0; i < d->units; i++) {
        if (i % 4 == 0) rng_block(key, i / 4, draw);
        /* 32 random bits scaled down: with fewer than 2^24 units the bias is below 0.4 %. */
        size_t u = (size_t)((uint64_t)draw[i % 4] * d->units >> 32);
        const double *row = d->sum + u * d->cols;
        for (size_t k = 0; k < d->cols; k++)
            mean[k] += row[k];
        rows += d->count ? d->count[u] : 1;
    }
    for (size_t k = 0; k < d->cols; k++)
        mean[k] /= (double)rows;
}

static void plain_means(const struct boot_data *d, struct boot_ci *out)
{
    uint64_t rows = 0;
    memset(out, 0, d->cols * sizeof *out);
    for (size_t u = 0; u < d->units; u++) {
        rows += d->count ? d->count[u] : 1;
        for (size_t k = 0; k < d->cols; k++)
            out[k].mean += d->sum[u * d->cols + k];
    }
    for (size_t k = 0; k < d->cols && rows > 0; k++)
        out[k].mean /= (double)rows;
}

/* means: [B][cols]; scratch: [B]. */
static void intervals(const double *means, const struct boot_data *d, uint32_t nboot,
                      double *scratch, struct boot_ci *out)
{
    for (size_t k = 0; k < d->cols; k++) {
        for (uint32_t b = 0; b < nboot; b++)
            scratch[b] = means[(size_t)b * d->cols + k];
        sort_f64(scratch, nboot);
        out[k].lo = percentile_sorted(scratch, nboot, 2.5);
        out[k].hi = percentile_sorted(scratch, nboot, 97.5);
    }
}

bool bootstrap_ci(const struct boot_data *d, const struct boot_opts *o, struct comm *c,
                  struct boot_ci *out, struct err *e)
{
    double *mine = NULL, *scratch = NULL;
    void *all = NULL;
    size_t total;

    plain_means(d, out);
    if (d->units == 0 || o->replicates == 0) return true;
    struct comm_range share = comm_share(c, o->replicates);
    size_t n = (size_t)(share.end - share.begin);
    mine = mem_calloc(n * d->cols, sizeof *mine, e);
    scratch = mine ? mem_calloc(o->replicates, sizeof *scratch, e) : NULL;
    bool ok = comm_agree(c, scratch != NULL, e);
    if (!ok) goto out;
    for (size_t b = 0; b < n; b++)
        resample(d, replicate_key(o, RNG_BOOTSTRAP, share.begin + b), mine + b * d->cols);
    ok = comm_allgatherv(c, mine, n * d->cols * sizeof *mine, &all, &total, NULL, e);
    if (!ok) goto out;
    intervals(all, d, o->replicates, scratch, out);
out:
    mem_free(all);
    mem_free(scratch);
    mem_free(mine);
    return ok;
}

/* The sums with every unit's sign tossed. */
static void flip(const struct boot_data *d, struct rng_key key, double *sum)
{
    uint32_t toss[4];
    memset(sum, 0, d->cols * sizeof *sum);
    for (size_t u = 0; u < d->units; u++) {
        if (u % 128 == 0) rng_block(key, u / 128, toss);
        double sign = toss[u % 128 / 32] >> (u % 32) & 1 ? 1.0 : -1.0;
        for (size_t k = 0; k < d->cols; k++)
            sum[k] += sign * d->sum[u * d->cols + k];
    }
}

/* What counts as "at least as far out": rounding must not turn an equal sum into a smaller one. */
static void thresholds(const struct boot_data *d, double *limit)
{
    for (size_t k = 0; k < d->cols; k++) {
        double sum = 0, size = 0;
        for (size_t u = 0; u < d->units; u++) {
            sum += d->sum[u * d->cols + k];
            size += fabs(d->sum[u * d->cols + k]);
        }
        limit[k] = fabs(sum) - 1e-12 * size;
    }
}

bool signflip_p(const struct boot_data *d, const struct boot_opts *o, struct comm *c, double *p,
                struct err *e)
{
    double *work = mem_calloc(2 * d->cols, sizeof *work, e);
    uint64_t *beyond = work ? mem_calloc(d->cols, sizeof *beyond, e) : NULL;
    bool ok = comm_agree(c, beyond != NULL, e);
    if (!ok) goto out;
    double *limit = work, *sum = work + d->cols;
    thresholds(d, limit);
    struct comm_range share = comm_share(c, o->replicates);
    for (uint64_t b = share.begin; b < share.end; b++) {
        flip(d, replicate_key(o, RNG_PERMUTE, b), sum);
        for (size_t k = 0; k < d->cols; k++)
            beyond[k] += fabs(sum[k]) >= limit[k];
    }
    comm_sum_u64(c, beyond, d->cols);
    for (size_t k = 0; k < d->cols; k++)
        p[k] = (double)(beyond[k] + 1) / ((double)o->replicates + 1);
out:
    mem_free(beyond);
    mem_free(work);
    return ok;
}
