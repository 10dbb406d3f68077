#include "evaluate/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"

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

/* Every column's mean. */
static void means(const void *ctx, const double *sum, uint64_t rows, double *out)
{
    const struct boot_data *d = ctx;
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

/* ---- replicates, some to a job */

enum { JOB_REPLICATES = 64 };

struct work {
    const struct boot_data *d; /* folded */
    const struct boot_opts *o;
    const struct boot_values *numbers;
    struct comm_range share; /* of the replicates */
    uint32_t threads;
    double *sum;       /* [threads][cols + 2 width] */
    double *values;    /* [share][width]: of each replicate */
    const double *far; /* [width]: what counts as at least as far out */
    uint64_t *beyond;  /* [threads][width]: replicates that are */
};

static bool work_init(struct work *w, struct comm *c, struct err *e)
{
    w->threads = w->o->threads > 0 ? w->o->threads : 1;
    w->share = comm_share(c, w->o->replicates);
    w->sum = mem_calloc(w->threads, (w->d->cols + 2 * w->numbers->width) * sizeof *w->sum, e);
    return w->sum != NULL;
}

static double *worker_sum(const struct work *w, uint32_t worker)
{
    return w->sum + worker * (w->d->cols + 2 * w->numbers->width);
}

static bool run_jobs(struct work *w, threads_job fn, struct err *e)
{
    uint64_t n = w->share.end - w->share.begin;
    return threads_run(w->threads, (n + JOB_REPLICATES - 1) / JOB_REPLICATES, fn, w, e);
}

static struct comm_range job_share(const struct work *w, uint64_t job)
{
    uint64_t begin = w->share.begin + job * JOB_REPLICATES, end = begin + JOB_REPLICATES;
    return (struct comm_range){begin, end < w->share.end ? end : w->share.end};
}

static bool resample_job(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    struct work *w = ctx;
    struct comm_range r = job_share(w, job);
    double *sum = worker_sum(w, worker);
    (void)e;
    for (uint64_t b = r.begin; b < r.end; b++) {
        uint64_t rows = resample(w->d, replicate_key(w->o, RNG_BOOTSTRAP, b), sum);
        w->numbers->fn(w->numbers->ctx, sum, rows,
                       w->values + (b - w->share.begin) * w->numbers->width);
    }
    return true;
}

/* This rank's replicates of the folded data, all ranks' into *all. Collective. */
static bool replicates(struct work *w, struct comm *c, void **all, struct err *e)
{
    size_t total, n = (size_t)(w->share.end - w->share.begin), width = w->numbers->width;
    w->values = mem_calloc(n * width, sizeof *w->values, e);
    bool ok = comm_agree(c, w->values && run_jobs(w, resample_job, e), e);
    if (ok) ok = comm_allgatherv(c, w->values, n * width * sizeof(double), all, &total, NULL, e);
    mem_free(w->values);
    return ok;
}

bool bootstrap_values(const struct boot_data *d, const struct boot_opts *o,
                      const struct boot_values *values, struct comm *c, struct boot_ci *out,
                      struct err *e)
{
    struct folded f = {.d = *d};
    struct work w = {.d = &f.d, .o = o, .numbers = values};
    void *all = NULL;

    CHECK(o->replicates > 0);
    memset(out, 0, values->width * sizeof *out);
    if (d->units == 0) return true;
    double *scratch = mem_calloc(o->replicates, sizeof *scratch, e);
    bool ok = comm_agree(c, scratch && fold(d, o, &f, e) && work_init(&w, c, e), e);
    if (!ok) goto out;
    double *whole = w.sum + d->cols;
    uint64_t rows = plain_sums(d, w.sum);
    values->fn(values->ctx, w.sum, rows, whole);
    for (size_t k = 0; k < values->width; k++)
        out[k].mean = whole[k];
    ok = replicates(&w, c, &all, e);
    if (ok) intervals(all, values->width, o->replicates, scratch, out);
out:
    mem_free(all);
    mem_free(w.sum);
    folded_free(&f);
    mem_free(scratch);
    return ok;
}

static void one_value(const void *ctx, const double *sum, uint64_t rows, double *out)
{
    const boot_stat *fn = ctx;
    (void)rows;
    *out = (*fn)(sum);
}

bool bootstrap_stat(const struct boot_data *d, const struct boot_opts *o, boot_stat fn,
                    struct comm *c, struct boot_ci *out, struct err *e)
{
    const struct boot_values value = {one_value, &fn, 1};
    return bootstrap_values(d, o, &value, c, out, e);
}

bool bootstrap_ci(const struct boot_data *d, const struct boot_opts *o, struct comm *c,
                  struct boot_ci *out, struct err *e)
{
    const struct boot_values mean_of_columns = {means, d, d->cols};
    return bootstrap_values(d, o, &mean_of_columns, c, out, e);
}

/* ---- tests */

/* Replicate b's coin for unit u; *toss holds 128 coins at a time. */
static bool heads(struct rng_key key, size_t u, uint32_t toss[4])
{
    if (u % 128 == 0) rng_block(key, u / 128, toss);
    return toss[u % 128 / 32] >> (u % 32) & 1;
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

/* |stat(first half) - stat(second half)| into out[width]; out has room for twice as many. */
static void distance(const struct work *w, const double *sum, uint64_t rows, double *out)
{
    size_t width = w->numbers->width;
    w->numbers->fn(w->numbers->ctx, sum, rows, out);
    w->numbers->fn(w->numbers->ctx, sum + w->d->cols / 2, rows, out + width);
    for (size_t k = 0; k < width; k++)
        out[k] = fabs(out[k] - out[width + k]);
}

static uint64_t count_rows(const struct boot_data *d)
{
    uint64_t rows = 0;
    for (size_t u = 0; u < d->units; u++)
        rows += d->count ? d->count[u] : 1;
    return rows;
}

static bool swap_job(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    struct work *w = ctx;
    struct comm_range r = job_share(w, job);
    double *sum = worker_sum(w, worker), *out = sum + w->d->cols;
    uint64_t rows = count_rows(w->d), *beyond = w->beyond + worker * w->numbers->width;
    (void)e;
    for (uint64_t b = r.begin; b < r.end; b++) {
        swap_halves(w->d, replicate_key(w->o, RNG_PERMUTE, b), sum);
        distance(w, sum, rows, out);
        for (size_t k = 0; k < w->numbers->width; k++)
            beyond[k] += out[k] >= w->far[k];
    }
    return true;
}

bool swap_p(const struct boot_data *d, const struct boot_opts *o, const struct boot_values *values,
            struct comm *c, double *p, struct err *e)
{
    CHECK(d->cols % 2 == 0);
    size_t width = values->width;
    struct folded f = {.d = *d};
    struct work w = {.d = &f.d, .o = o, .numbers = values};
    double *far = mem_calloc(2 * width, sizeof *far, e);
    bool ok = far && fold(d, o, &f, e) && work_init(&w, c, e) &&
              (w.beyond = mem_calloc(w.threads * width, sizeof *w.beyond, e));
    ok = comm_agree(c, ok, e);
    if (!ok) goto out;
    uint64_t rows = plain_sums(&f.d, w.sum);
    distance(&w, w.sum, rows, far);
    for (size_t k = 0; k < width; k++) /* rounding must not turn an equal distance into a smaller */
        far[k] -= 1e-12 * (1 + far[k]);
    w.far = far;
    ok = comm_agree(c, run_jobs(&w, swap_job, e), e);
    if (!ok) goto out;
    for (uint32_t t = 1; t < w.threads; t++)
        for (size_t k = 0; k < width; k++)
            w.beyond[k] += w.beyond[t * width + k];
    comm_sum_u64(c, w.beyond, width);
    for (size_t k = 0; k < width; k++)
        p[k] = (double)(w.beyond[k] + 1) / ((double)o->replicates + 1);
out:
    mem_free(w.beyond);
    mem_free(w.sum);
    folded_free(&f);
    mem_free(far);
    return ok;
}

bool holm(const double *p, size_t n, double *out, struct err *e)
{
    double *sorted = mem_calloc(n, 2 * sizeof *sorted, e), *adjusted = sorted + n;
    if (!sorted) return false;
    if (n > 0) memcpy(sorted, p, n * sizeof *p);
    sort_f64(sorted, n);
    for (size_t i = 0; i < n; i++) {
        double v = (double)(n - i) * sorted[i];
        if (i > 0 && v < adjusted[i - 1]) v = adjusted[i - 1];
        adjusted[i] = v < 1 ? v : 1;
    }
    for (size_t k = 0; k < n; k++) { /* equal p: the first's factor, which is the largest */
        size_t i = 0;
        while (sorted[i] < p[k])
            i++;
        out[k] = adjusted[i];
    }
    mem_free(sorted);
    return true;
}
