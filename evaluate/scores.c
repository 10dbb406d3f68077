#include "evaluate/scores.h"

#include <string.h>

#include "base/mem.h"
#include "base/threads.h"

/* Pairs a thread takes at a time: enough to forget the lock, few enough to end together. */
enum { BATCH = 256 };

struct scorers {
    const struct metric_set *set;
    const struct metric_env *env;
    uint32_t nthreads;
    void **scorer; /* [nthreads][set->n] */
};

static void **scorer_at(struct scorers *s, uint32_t worker, size_t m)
{
    return &s->scorer[worker * s->set->n + m];
}

/* Open those of a worker that are not open; `whole` ones belong to the main thread alone. */
static bool open_worker(struct scorers *s, uint32_t worker, struct err *e)
{
    for (size_t m = 0; m < s->set->n; m++) {
        const struct metric *metric = s->set->metric[m];
        void **at = scorer_at(s, worker, m);
        if (*at || (metric->whole && worker > 0)) continue;
        if (!metric->open(s->env, at, e)) return err_wrap(e, "metric %s", metric->name);
    }
    return true;
}

bool scorers_get(struct scorers *s, uint32_t worker, size_t m, void **out, struct err *e)
{
    if (!open_worker(s, worker, e)) return false;
    *out = *scorer_at(s, worker, m);
    return true;
}

bool scorers_open(const struct metric_set *set, const struct metric_env *env, struct scorers **out,
                  struct err *e)
{
    uint32_t nthreads = env->threads > 0 ? env->threads : 1;
    struct scorers *s = mem_calloc(1, sizeof *s, e);
    *out = NULL;
    if (!s) return false;
    *s = (struct scorers){.set = set, .env = env, .nthreads = nthreads};
    s->scorer = mem_calloc(nthreads * set->n, sizeof *s->scorer, e);
    if (!s->scorer || !open_worker(s, 0, e)) {
        scorers_close(s);
        return false;
    }
    *out = s;
    return true;
}

void scorers_close(struct scorers *s)
{
    if (!s) return;
    for (uint32_t w = 0; s->scorer && w < s->nthreads; w++)
        for (size_t m = 0; m < s->set->n; m++)
            if (*scorer_at(s, w, m)) s->set->metric[m]->close(*scorer_at(s, w, m));
    mem_free(s->scorer);
    mem_free(s);
}

/* ---- scoring */

struct share {
    struct scorers *s;
    const struct metric_text *t; /* of this rank's first pair */
    size_t n, first;             /* its number among all */
    double *rows;
};

static bool score_pair(struct share *w, uint32_t worker, size_t i, struct err *e)
{
    const struct metric_set *set = w->s->set;
    double *row = w->rows + i * set->ncolumns;
    for (size_t m = 0; m < set->n; m++) {
        const struct metric *metric = set->metric[m];
        if (metric->whole) continue;
        if (!metric->score(*scorer_at(w->s, worker, m), w->t + i, 1, row + set->first_column[m],
                           set->ncolumns, e))
            return err_wrap(e, "pair %zu, metric %s", w->first + i + 1, metric->name);
    }
    return true;
}

static bool score_batch(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    struct share *w = ctx;
    size_t end = (job + 1) * BATCH < w->n ? (job + 1) * BATCH : w->n;
    if (!open_worker(w->s, worker, e)) return false;
    for (size_t i = job * BATCH; i < end; i++)
        if (!score_pair(w, worker, i, e)) return false;
    return true;
}

static bool score_share(struct share *w, struct err *e)
{
    const struct metric_set *set = w->s->set;
    if (!threads_run(w->s->nthreads, (w->n + BATCH - 1) / BATCH, score_batch, w, e)) return false;
    for (size_t m = 0; m < set->n; m++) {
        const struct metric *metric = set->metric[m];
        if (metric->whole && w->n > 0 &&
            !metric->score(*scorer_at(w->s, 0, m), w->t, w->n, w->rows + set->first_column[m],
                           set->ncolumns, e))
            return err_wrap(e, "metric %s", metric->name);
    }
    return true;
}

bool scores_of(struct scorers *s, const struct metric_text *t, size_t n, struct comm *c,
               double *out, struct err *e)
{
    struct comm_range range = comm_share(c, n);
    size_t row_bytes = s->set->ncolumns * sizeof(double), total = 0;
    struct share w = {.s = s,
                      .t = t + range.begin,
                      .n = (size_t)(range.end - range.begin),
                      .first = (size_t)range.begin};
    void *all = NULL;
    w.rows = mem_calloc(w.n, row_bytes, e);
    bool ok = comm_agree(c, w.rows && score_share(&w, e), e);
    if (ok) ok = comm_allgatherv(c, w.rows, w.n * row_bytes, &all, &total, NULL, e);
    if (ok) memcpy(out, all, total);
    mem_free(all);
    mem_free(w.rows);
    return ok;
}

/* ---- columns */

void score_columns_init(struct score_columns *c, const struct metric_set *set, unsigned flags)
{
    uint16_t at[METRIC_COLUMNS_MAX];
    bool used[METRIC_COLUMNS_MAX] = {false};
    *c = (struct score_columns){.set = set};
    for (size_t v = 0; v < set->nvalues; v++) {
        if ((set->value[v]->flags & flags) != flags) continue;
        c->value[c->nvalues++] = (uint16_t)v;
        for (size_t k = 0; k < set->value[v]->columns; k++)
            used[set->column[v] + k] = true;
    }
    for (size_t k = 0; k < set->ncolumns; k++) {
        at[k] = (uint16_t)c->ncolumns;
        if (used[k]) c->column[c->ncolumns++] = (uint16_t)k;
    }
    for (size_t i = 0; i < c->nvalues; i++)
        c->at[i] = at[set->column[c->value[i]]];
}

void score_columns_reduce(const struct score_columns *c, const double *sum, uint64_t rows,
                          double *out)
{
    for (size_t i = 0; i < c->nvalues; i++) {
        const struct metric_value *v = c->set->value[c->value[i]];
        out[i] = v->stat ? v->stat(sum + c->at[i]) : sum[c->at[i]] / (double)rows;
    }
}

/* ---- units */

static void add_row(double *sum, const struct score_columns *c, const double *row)
{
    for (size_t j = 0; j < c->ncolumns; j++)
        sum[j] += row[c->column[j]];
}

bool units_init(struct units *u, const struct unit_rows *r, struct err *e)
{
    size_t ncols = r->columns->ncolumns, width = r->columns->set->ncolumns;
    size_t most = r->group && r->ngroups < r->nrows ? r->ngroups : r->nrows;
    uint32_t *unit_of = NULL; /* of a group: unit number + 1 */
    *u = (struct units){.cols = r->second ? 2 * ncols : ncols};
    u->sum = mem_calloc(most * u->cols, sizeof *u->sum, e);
    u->count = u->sum ? mem_calloc(most, sizeof *u->count, e) : NULL;
    if (u->count && r->group) unit_of = mem_calloc(r->ngroups, sizeof *unit_of, e);
    if (!u->count || (r->group && !unit_of)) {
        units_free(u);
        return false;
    }
    for (size_t i = 0; i < r->nrows; i++) {
        size_t k = u->n, row = r->rows[i];
        if (r->group) {
            uint32_t *slot = &unit_of[r->group[row]];
            if (*slot)
                k = *slot - 1;
            else
                *slot = (uint32_t)k + 1;
        }
        if (k == u->n) u->n++;
        add_row(u->sum + k * u->cols, r->columns, r->first + row * width);
        if (r->second) add_row(u->sum + k * u->cols + ncols, r->columns, r->second + row * width);
        u->count[k]++;
    }
    mem_free(unit_of);
    return true;
}

void units_free(struct units *u)
{
    mem_free(u->sum);
    mem_free(u->count);
    *u = (struct units){0};
}
