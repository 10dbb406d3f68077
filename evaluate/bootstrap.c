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

/* ---- many units are folded into fewer */

struct folded {
    struct boot_data d; /* what is resampled */
    double *sum;
    uint32_t *count;
};

static void folded_free(struct folded *f)
{
    mem_free(f->sum);
    mem_free(f->count);
}

static bool fold(const struct boot_data *d, const struct boot_opts *o, struct folded *f,
                 struct err *e)
{
    uint32_t draw[4];
    *f = (struct folded){.d = *d};
    if (d->units <= BOOT_UNITS_MAX) return true;
    f->sum = mem_calloc((size_t)BOOT_GROUPS * d->cols, sizeof *f->sum, e);
    f->count = f->sum ? mem_calloc(BOOT_GROUPS, sizeof *f->count, e) : NULL;
    if (!f->count) return false;
    f->d = (struct boot_data){f->sum, f->count, BOOT_GROUPS, d->cols};
    struct rng_key key = replicate_key(o, RNG_BOOTSTRAP, UINT32_MAX); /* no replicate's */
    for (size_t u = 0; u < d->units; u++) {
        if (u % 4 == 0) rng_block(key, u / 4, draw);
        size_t g = draw[u % 4] % BOOT_GROUPS;
        for (size_t k = 0; k < d->cols; k++)
            f->sum[g * d->cols + k] += d->sum[u * d->cols + k];
        f->count[g] += d->count ? d->count[u] : 1;
    }
    return true;
}

/* ---- resampling */

/* The sums over one resampled set of units; how many rows they hold. */
static uint64_t resample(const struct boot_data *d, struct rng_key key, double *sum)
{
    uint64_t rows = 0;
    uint32_t draw[4];

    memset(sum, 0, d->cols * sizeof *sum);
    for (size_t i = 0; i < d->units; i++) {
        if (i % 4 == 0) rng_block(key, i / 4, draw);
        /* 32 random bits scaled down: no unit's chance is off by more than 2^-18 of it. */
        size_t u = (size_t)((uint64_t)draw[i % 4] * d->units >> 32);
        const double *row = d->sum + u * d->cols;
        for (size_t k = 0; k < d->cols; k++)
            sum[k] += row[k];
        rows += d->count ? d->count[u] : 1;
    }
    return rows;
}

static uint64_t plain_sums(const struct boot_data *d, double *sum)
{
    uint64_t rows = 0;
    memset(sum, 0, d->cols * sizeof *sum);
    for (size_t u = 0; u < d->units; u++) {
        rows += d->count ? d->count[u] : 1;
        for (size_t k = 0; k < d->cols; k++)
            sum[k] += d->sum[u * d->cols + k];
    }
    return rows;
}

/* What one replicate leaves: every column's mean, or (fn) one number. */
static void reduce(const struct boot_data *d, boot_stat fn, const double *sum, uint64_t rows,
                   double *out)
{
    if (fn) {
        *out = fn(sum);
        return;
    }
    for (size_t k = 0; k < d->cols; k++)
        out[k] = sum[k] / (double)rows;
}

/* values: [nboot][width]; scratch: [nboot]. */
static void intervals(const double *values, size_t width, uint32_t nboot, double *scratch,
                      struct boot_ci *out)
{
    for (size_t k = 0; k < width; k++) {
        for (uint32_t b = 0; b < nboot; b++)
            scratch[b] = values[(size_t)b * width + k];
        sort_f64(scratch, nboot);
        out[k].lo = percentile_sorted(scratch, nboot, 2.5);
        out[k].hi = percentile_sorted(scratch, nboot, 97.5);
    }
}

/* This rank's replicates of the folded data, all ranks' into *all. Collective. */
static bool replicates(const struct boot_data *d, const struct boot_opts *o, boot_stat fn,
                       struct comm *c, void **all, struct err *e)
{
    size_t width = fn ? 1 : d->cols, total;
    struct comm_range share = comm_share(c, o->replicates);
    size_t n = (size_t)(share.end - share.begin);
    double *mine = mem_calloc(n * width, sizeof *mine, e);
    double *sum = mine ? mem_calloc(d->cols, sizeof *sum, e) : NULL;

    bool ok = comm_agree(c, sum != NULL, e);
    for (size_t b = 0; ok && b < n; b++) {
        uint64_t rows = resample(d, replicate_key(o, RNG_BOOTSTRAP, share.begin + b), sum);
        reduce(d, fn, sum, rows, mine + b * width);
    }
    if (ok) ok = comm_allgatherv(c, mine, n * width * sizeof *mine, all, &total, NULL, e);
    mem_free(sum);
    mem_free(mine);
    return ok;
}

/* out[width]: width is 1 with fn, else the number of columns. */
static bool bootstrap(const struct boot_data *d, const struct boot_opts *o, boot_stat fn,
                      struct comm *c, struct boot_ci *out, struct err *e)
{
    size_t width = fn ? 1 : d->cols;
    double *sum = mem_calloc(d->cols + width, sizeof *sum, e), *scratch = NULL;
    struct folded f = {.d = *d};
    void *all = NULL;

    CHECK(o->replicates > 0);
    if (sum) scratch = mem_calloc(o->replicates, sizeof *scratch, e);
    bool ok = comm_agree(c, scratch && fold(d, o, &f, e), e);
    if (!ok) goto out;
    memset(out, 0, width * sizeof *out);
    if (d->units == 0) goto out;
    double *whole = sum + d->cols;
    uint64_t rows = plain_sums(d, sum);
    reduce(d, fn, sum, rows, whole);
    for (size_t k = 0; k < width; k++)
        out[k].mean = whole[k];
    ok = replicates(&f.d, o, fn, c, &all, e);
    if (ok) intervals(all, width, o->replicates, scratch, out);
out:
    mem_free(all);
    folded_free(&f);
    mem_free(scratch);
    mem_free(sum);
    return ok;
}

bool bootstrap_ci(const struct boot_data *d, const struct boot_opts *o, struct comm *c,
                  struct boot_ci *out, struct err *e)
{
    return bootstrap(d, o, NULL, c, out, e);
}

bool bootstrap_stat(const struct boot_data *d, const struct boot_opts *o, boot_stat fn,
                    struct comm *c, struct boot_ci *out, struct err *e)
{
    return bootstrap(d, o, fn, c, out, e);
}

/* ---- tests */

/* Replicate b's coin for unit u; *toss holds 128 coins at a time. */
static bool heads(struct rng_key key, size_t u, uint32_t toss[4])
{
    if (u % 128 == 0) rng_block(key, u / 128, toss);
    return toss[u % 128 / 32] >> (u % 32) & 1;
}

/* The sums with every unit's sign tossed. */
static void flip(const struct boot_data *d, struct rng_key key, double *sum)
{
    uint32_t toss[4];
    memset(sum, 0, d->cols * sizeof *sum);
    for (size_t u = 0; u < d->units; u++) {
        double sign = heads(key, u, toss) ? 1.0 : -1.0;
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
    struct folded f = {.d = *d};
    bool ok = comm_agree(c, beyond && fold(d, o, &f, e), e);
    if (!ok) goto out;
    double *limit = work, *sum = work + d->cols;
    thresholds(&f.d, limit);
    struct comm_range share = comm_share(c, o->replicates);
    for (uint64_t b = share.begin; b < share.end; b++) {
        flip(&f.d, replicate_key(o, RNG_PERMUTE, b), sum);
        for (size_t k = 0; k < d->cols; k++)
            beyond[k] += fabs(sum[k]) >= limit[k];
    }
    comm_sum_u64(c, beyond, d->cols);
    for (size_t k = 0; k < d->cols; k++)
        p[k] = (double)(beyond[k] + 1) / ((double)o->replicates + 1);
out:
    folded_free(&f);
    mem_free(beyond);
    mem_free(work);
    return ok;
}

/* The sums with the two halves of every unit swapped by a coin. */
static void swap_halves(const struct boot_data *d, struct rng_key key, double *sum)
{
    uint32_t toss[4];
    size_t half = d->cols / 2;
    memset(sum, 0, d->cols * sizeof *sum);
    for (size_t u = 0; u < d->units; u++) {
        const double *row = d->sum + u * d->cols;
        size_t first = heads(key, u, toss) ? 0 : half;
        for (size_t k = 0; k < half; k++) {
            sum[k] += row[first + k];
            sum[half + k] += row[half - first + k];
        }
    }
}

bool swap_p(const struct boot_data *d, const struct boot_opts *o, boot_stat fn, struct comm *c,
            double *p, struct err *e)
{
    CHECK(d->cols % 2 == 0);
    double *sum = mem_calloc(d->cols, sizeof *sum, e);
    struct folded f = {.d = *d};
    bool ok = comm_agree(c, sum && fold(d, o, &f, e), e);
    if (!ok) goto out;
    (void)plain_sums(d, sum);
    double seen = fabs(fn(sum) - fn(sum + d->cols / 2));
    uint64_t beyond = 0;
    struct comm_range share = comm_share(c, o->replicates);
    for (uint64_t b = share.begin; b < share.end; b++) {
        swap_halves(&f.d, replicate_key(o, RNG_PERMUTE, b), sum);
        beyond += fabs(fn(sum) - fn(sum + d->cols / 2)) >= seen - 1e-12 * (1 + seen);
    }
    comm_sum_u64(c, &beyond, 1);
    *p = (double)(beyond + 1) / ((double)o->replicates + 1);
out:
    folded_free(&f);
    mem_free(sum);
    return ok;
}
