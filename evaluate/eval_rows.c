#include "evaluate/eval_rows.h"

#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/threads.h"

enum {
    ROW_MAX_BYTES = 8 << 20, /* a row holds an id, which a pairs file may make long */
    BATCH = 128,             /* rows composed by one thread at a time */
    BATCHES = 64,            /* and so many of these are held before they are written */
};

/* ---- names to nested objects */

/* The objects open in a row: the components of the last name but its leaf. */
struct nest {
    struct sbuf *b;
    struct str open[8];
    size_t n;
    bool first; /* nothing stands yet in the innermost object */
};

static bool close_to(struct nest *x, size_t depth, struct err *e)
{
    for (; x->n > depth; x->n--) {
        if (!sbuf_putc(x->b, '}', e)) return false;
        x->first = false;
    }
    return true;
}

static bool put_key(struct nest *x, struct str key, struct err *e)
{
    bool ok = sbuf_printf(x->b, e, "%s\"%.*s\": ", x->first ? "" : ", ", STR_ARG(key));
    x->first = false;
    return ok;
}

/* Open what `name` stands in; *leaf: its last component. */
static bool descend(struct nest *x, struct str name, struct str *leaf, struct err *e)
{
    struct str part[8], piece;
    size_t n = 0, same = 0;
    while (str_split(&name, '.', &piece)) {
        CHECK(n < sizeof part / sizeof part[0]);
        part[n++] = piece;
    }
    *leaf = part[--n];
    while (same < n && same < x->n && str_eq(part[same], x->open[same]))
        same++;
    if (!close_to(x, same, e)) return false;
    for (size_t i = same; i < n; i++) {
        if (!put_key(x, part[i], e) || !sbuf_putc(x->b, '{', e)) return false;
        x->open[x->n++] = part[i];
        x->first = true;
    }
    return true;
}

/* ---- rows */

static bool put_value(struct nest *x, const struct metric_value *v, const double *at, struct err *e)
{
    struct str leaf;
    if (v->flags & METRIC_CORPUS) return true;
    if (!descend(x, str_of(v->name), &leaf, e) || !put_key(x, leaf, e)) return false;
    if (v->stat == metric_ratio && at[1] == 0) return sbuf_put(x->b, STR("null"), e);
    return sbuf_printf(x->b, e, "%.17g", v->stat ? v->stat(at) : *at);
}

static bool put_metric(struct eval_run *r, uint32_t worker, size_t m, size_t row, struct nest *x,
                       struct err *e)
{
    const struct metric_set *set = &r->out->set;
    const struct metric *metric = set->metric[m];
    const double *values = r->scores + row * set->ncolumns;
    void *scorer;
    for (size_t v = 0; v < set->nvalues; v++)
        if (set->of[v] == m && !put_value(x, set->value[v], values + set->column[v], e))
            return false;
    if (!metric->put) return true;
    return scorers_get(r->scorers, worker, m, &scorer, e) &&
           metric->put(scorer, &r->texts[row], x->b, e);
}

static bool put_row(struct eval_run *r, uint32_t worker, size_t row, struct sbuf *b, struct err *e)
{
    struct nest x = {.b = b, .first = true};
    struct str id = r->pairs[row].id;
    if (!sbuf_putc(b, '{', e)) return false;
    if (id.n > 0 && (!put_key(&x, STR("id"), e) || !json_put_str(b, id, false, e))) return false;
    for (size_t m = 0; m < r->out->set.n; m++)
        if (!put_metric(r, worker, m, row, &x, e) || !close_to(&x, 0, e)) return false;
    return sbuf_put(b, STR("}\n"), e);
}

/* ---- batches, composed by threads, written in order */

struct batches {
    struct eval_run *r;
    size_t first; /* row */
    struct sbuf text[BATCHES];
};

static bool compose(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    struct batches *w = ctx;
    size_t begin = w->first + job * BATCH, end = begin + BATCH;
    if (end > w->r->n) end = w->r->n;
    sbuf_clear(&w->text[job]);
    for (size_t i = begin; i < end; i++)
        if (!put_row(w->r, worker, i, &w->text[job], e)) return err_wrap(e, "pair %zu", i + 1);
    return true;
}

static bool write_batches(struct batches *w, struct fs_writer *out, struct err *e)
{
    for (w->first = 0; w->first < w->r->n; w->first += (size_t)BATCH * BATCHES) {
        size_t n = (w->r->n - w->first + BATCH - 1) / BATCH;
        if (n > BATCHES) n = BATCHES;
        if (!threads_run(w->r->threads, n, compose, w, e)) return false;
        for (size_t k = 0; k < n; k++)
            if (!fs_writer_put(out, w->text[k].p, w->text[k].n, e)) return false;
    }
    return true;
}

bool eval_rows_write(struct eval_run *r, const char *path, struct err *e)
{
    struct fs_writer *out = NULL;
    struct batches *w = mem_calloc(1, sizeof *w, e);
    if (!w) return false;
    w->r = r;
    for (size_t k = 0; k < BATCHES; k++)
        sbuf_init(&w->text[k], (size_t)ROW_MAX_BYTES * BATCH);
    bool ok = fs_writer_open(path, &out, e) && write_batches(w, out, e);
    if (ok) ok = fs_writer_commit(out, e);
    fs_writer_close(out);
    for (size_t k = 0; k < BATCHES; k++)
        sbuf_free(&w->text[k]);
    mem_free(w);
    return ok;
}
