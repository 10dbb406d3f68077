#include "judge/isotonic.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct block {
    double y, weight;
    double from, to; /* x of its first and last point */
};

static int by_x(const void *a, const void *b)
{
    const struct block *p = a, *q = b;
    return (p->from > q->from) - (p->from < q->from);
}

static struct block joined(struct block a, struct block b)
{
    double w = a.weight + b.weight;
    return (struct block){(a.y * a.weight + b.y * b.weight) / w, w, a.from, b.to};
}

/* Equal x to one block each. */
static size_t fold_ties(struct block *v, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && v[kept - 1].from == v[i].from)
            v[kept - 1] = joined(v[kept - 1], v[i]);
        else
            v[kept++] = v[i];
    }
    return kept;
}

static size_t pool(struct block *v, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct block b = v[i];
        while (kept > 0 && v[kept - 1].y >= b.y)
            b = joined(v[--kept], b);
        v[kept++] = b;
    }
    return kept;
}

static bool reserve(struct isotonic *m, size_t n, struct err *e)
{
    *m = (struct isotonic){0};
    m->x = mem_calloc(2 * n, sizeof *m->x, e);
    if (!m->x) return false;
    m->y = m->x + n;
    return true;
}

bool isotonic_fit(const double *x, const double *y, size_t n, struct isotonic *out, struct err *e)
{
    struct block *v = mem_calloc(n, sizeof *v, e);
    bool ok = false;

    CHECK(n > 0);
    *out = (struct isotonic){0};
    for (size_t i = 0; v && i < n; i++)
        v[i] = (struct block){y[i], 1, x[i], x[i]};
    if (v) {
        qsort(v, n, sizeof *v, by_x);
        size_t kept = pool(v, fold_ties(v, n));
        ok = reserve(out, 2 * kept, e);
        for (size_t i = 0; ok && i < kept; i++) {
            out->x[out->n] = v[i].from;
            out->y[out->n++] = v[i].y;
            if (v[i].to == v[i].from) continue;
            out->x[out->n] = v[i].to;
            out->y[out->n++] = v[i].y;
        }
    }
    mem_free(v);
    return ok;
}

bool isotonic_init(const double *x, const double *y, size_t n, struct isotonic *out, struct err *e)
{
    *out = (struct isotonic){0};
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || !isfinite(y[i]) || (i > 0 && (x[i] <= x[i - 1] || y[i] < y[i - 1])))
            return err_set(e, ERR_FORMAT, "knot %zu of the calibration does not rise", i);
    if (n == 0) return err_set(e, ERR_FORMAT, "a calibration without knots");
    if (!reserve(out, n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        out->x[i] = x[i];
        out->y[i] = y[i];
    }
    out->n = n;
    return true;
}

void isotonic_free(struct isotonic *m)
{
    mem_free(m->x);
    *m = (struct isotonic){0};
}

double isotonic_at(const struct isotonic *m, double x)
{
    size_t lo = 0, hi = m->n - 1;

    CHECK(m->n > 0);
    if (x <= m->x[0]) return m->y[0];
    if (x >= m->x[hi]) return m->y[hi];
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (m->x[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return m->y[lo] + (m->y[hi] - m->y[lo]) * (x - m->x[lo]) / (m->x[hi] - m->x[lo]);
}
