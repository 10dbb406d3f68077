#include "label/agreement.h"

#include <stdlib.h>

#include "base/mem.h"

enum { G = FACTLABEL_GRADES, CELLS = G * G, F1_COLS = 3 };

/* ---- statistics of sums */
double agreement_kappa(const double *confusion)
{
    double row[G] = {0}, col[G] = {0}, all = 0, seen = 0, chance = 0;

    for (int i = 0; i < CELLS; i++) {
        row[i / G] += confusion[i];
        col[i % G] += confusion[i];
        all += confusion[i];
    }
    for (int i = 0; i < CELLS && all > 0; i++) {
        int apart = i / G - i % G;
        double w = (double)(apart * apart);
        seen += w * confusion[i];
        chance += w * row[i / G] * col[i % G] / all;
    }
    return chance > 0 ? 1 - seen / chance : 0;
}

/* Squared distance of two grades c <= k: how many values lie between them, ends counted half. */
static double ordinal_distance(const double *margin, int c, int k)
{
    double d = -(margin[c] + margin[k]) / 2;

    for (int g = c; g <= k; g++)
        d += margin[g];
    return d * d;
}

double agreement_alpha(const double *coincidence)
{
    double margin[G] = {0}, n = 0, seen = 0, chance = 0;

    for (int i = 0; i < CELLS; i++) {
        margin[i / G] += coincidence[i];
        n += coincidence[i];
    }
    for (int c = 0; c < G; c++)
        for (int k = c + 1; k < G; k++) {
            double d = ordinal_distance(margin, c, k);
            seen += coincidence[c * G + k] * d;
            chance += margin[c] * margin[k] * d;
        }
    return chance > 0 ? 1 - (n - 1) * seen / chance : 0;
}

static double f1_of(const double *sum)
{
    return sum[0] + sum[1] > 0 ? 2 * sum[2] / (sum[0] + sum[1]) : 0;
}

/* ---- labels in order: all of one item together, raters ascending */
struct item {
    size_t from, to; /* into order */
    uint32_t unit;   /* what is resampled */
};
struct table {
    const struct factlabel **order;
    size_t n;
    struct item *items;
    size_t nitems, nunits;
    double *sum; /* [nunits][CELLS] scratch of one statistic */
};

static bool is_reader(const struct factlabel *l)
{
    return !str_eqz(l->rater, "adj") && !str_eqz(l->rater, "made");
}

static int same_item(const struct factlabel *a, const struct factlabel *b)
{
    int c = str_cmp(a->id, b->id);
    return c ? c : str_cmp(a->system, b->system);
}

static int by_item(const void *x, const void *y)
{
    const struct factlabel *a = *(const struct factlabel *const *)x;
    const struct factlabel *b = *(const struct factlabel *const *)y;
    int c = same_item(a, b);

    if (c == 0) c = str_cmp(a->rater, b->rater);
    return c ? c : (a > b) - (a < b);
}

static int by_text(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

/* Sorts v and drops repeats. */
static size_t unique(struct str *v, size_t n)
{
    size_t kept = 0;

    if (n > 0) qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq(v[kept - 1], v[i])) v[kept++] = v[i];
    return kept;
}

static size_t place_of(const struct str *v, size_t n, struct str s)
{
    const struct str *at = bsearch(&s, v, n, sizeof *v, by_text);
    CHECK(at != NULL);
    return (size_t)(at - v);
}

/* Units: subjects where every item names one, else items. */
static bool find_units(struct table *t, struct agreement *out, struct err *e)
{
    struct str *names = mem_calloc(t->nitems + 1, sizeof *names, e);
    bool all = true;

    if (!names) return false;
    for (size_t i = 0; i < t->nitems; i++) {
        names[i] = t->order[t->items[i].from]->subject;
        all = all && names[i].n > 0;
    }
    t->nunits = all ? unique(names, t->nitems) : t->nitems;
    for (size_t i = 0; i < t->nitems; i++)
        t->items[i].unit =
            (uint32_t)(all ? place_of(names, t->nunits, t->order[t->items[i].from]->subject) : i);
    out->subjects = all ? t->nunits : 0;
    mem_free(names);
    t->sum = mem_calloc(t->nunits * CELLS + 1, sizeof *t->sum, e);
    return t->sum != NULL;
}

static bool table_init(struct table *t, const struct factlabel *v, size_t n, struct agreement *out,
                       struct err *e)
{
    t->order = mem_calloc(n + 1, sizeof *t->order, e);
    t->items = t->order ? mem_calloc(n + 1, sizeof *t->items, e) : NULL;
    if (!t->items) return false;
    for (size_t i = 0; i < n; i++)
        if (is_reader(&v[i])) t->order[t->n++] = &v[i];
    if (t->n > 0) qsort(t->order, t->n, sizeof *t->order, by_item);
    for (size_t i = 0; i < t->n; i++) {
        if (i == 0 || same_item(t->order[i], t->order[i - 1]) != 0)
            t->items[t->nitems++] = (struct item){.from = i};
        t->items[t->nitems - 1].to = i + 1;
    }
    out->labels = t->n;
    out->items = t->nitems;
    for (size_t i = 0; i < t->nitems; i++)
        out->doubled += t->items[i].to - t->items[i].from > 1;
    return find_units(t, out, e);
}

static void table_free(struct table *t)
{
    mem_free(t->sum);
    mem_free(t->items);
    mem_free(t->order);
}

static bool find_raters(const struct table *t, struct agreement *out, struct err *e)
{
    struct str *names = mem_calloc(t->n + 1, sizeof *names, e);

    if (!names) return false;
    for (size_t i = 0; i < t->n; i++)
        names[i] = t->order[i]->rater;
    out->nraters = unique(names, t->n);
    bool ok = out->nraters <= AGREEMENT_RATERS ||
              err_set(e, ERR_LIMIT, "labels of %zu readers, at most %d are compared", out->nraters,
                      AGREEMENT_RATERS);
    for (size_t i = 0; ok && i < out->nraters; i++)
        out->raters[i] = names[i];
    mem_free(names);
    return ok;
}

/* ---- the statistics of all readers, and of each two */
struct job {
    struct table *t;
    struct boot_opts o;
    struct comm *c;
};

static bool resample(struct job *j, size_t cols, boot_stat fn, struct boot_ci *out, struct err *e)
{
    struct boot_data d = {.sum = j->t->sum, .units = j->t->nunits, .cols = cols};

    j->o.table++;
    return bootstrap_stat(&d, &j->o, fn, j->c, out, e);
}

static double *cleared(const struct table *t)
{
    for (size_t i = 0; i < t->nunits * CELLS; i++)
        t->sum[i] = 0;
    return t->sum;
}

static bool alpha_of(struct job *j, struct agreement *out, struct err *e)
{
    struct table *t = j->t;
    double *sum = cleared(t);

    for (size_t i = 0; i < t->nitems; i++) {
        struct item it = t->items[i];
        double *cell = sum + (size_t)it.unit * CELLS;
        for (size_t a = it.from; a < it.to; a++)
            for (size_t b = it.from; b < it.to; b++) {
                if (a == b) continue;
                int row = t->order[a]->overall - 1, col = t->order[b]->overall - 1;
                cell[row * G + col] += 1 / (double)(it.to - it.from - 1);
            }
    }
    return resample(j, CELLS, agreement_alpha, &out->alpha, e);
}

static const struct factlabel *label_by(const struct table *t, struct item it, struct str rater)
{
    for (size_t i = it.from; i < it.to; i++)
        if (str_eq(t->order[i]->rater, rater)) return t->order[i];
    return NULL;
}

static uint64_t count_type(const struct factlabel *l, int type)
{
    uint64_t n = 0;

    for (size_t i = 0; i < l->nerrors; i++)
        n += l->errors[i].type == type;
    return n;
}

/* Calls put for every item that both judged. */
typedef void (*put_fn)(double *sum, const struct factlabel *a, const struct factlabel *b, int type);
static void over_common(const struct table *t, const struct agreement *out,
                        const struct agreement_pair *p, put_fn put, size_t cols, int type)
{
    double *sum = cleared(t);

    for (size_t i = 0; i < t->nitems; i++) {
        const struct factlabel *a = label_by(t, t->items[i], out->raters[p->a]);
        const struct factlabel *b = label_by(t, t->items[i], out->raters[p->b]);
        if (a && b) put(sum + (size_t)t->items[i].unit * cols, a, b, type);
    }
}

static void put_confusion(double *sum, const struct factlabel *a, const struct factlabel *b,
                          int type)
{
    (void)type;
    sum[(a->overall - 1) * G + b->overall - 1]++;
}

static void put_type(double *sum, const struct factlabel *a, const struct factlabel *b, int type)
{
    uint64_t x = count_type(a, type), y = count_type(b, type);

    sum[0] += (double)x;
    sum[1] += (double)y;
    sum[2] += (double)(x < y ? x : y);
}

static void total(const struct table *t, size_t cols, double *out)
{
    for (size_t i = 0; i < t->nunits * cols; i++)
        out[i % cols] += t->sum[i];
}

static bool types_of(struct job *j, const struct agreement *out, struct agreement_pair *p,
                     struct err *e)
{
    for (int k = 0; k < FACTLABEL_TYPES; k++) {
        double all[F1_COLS] = {0};
        over_common(j->t, out, p, put_type, F1_COLS, k);
        total(j->t, F1_COLS, all);
        p->types[k].a = (uint64_t)all[0];
        p->types[k].b = (uint64_t)all[1];
        p->types[k].both = (uint64_t)all[2];
        if (!resample(j, F1_COLS, f1_of, &p->types[k].f1, e)) return false;
    }
    return true;
}

/* *p is counted only when the two have items in common. */
static bool pair_of(struct job *j, struct agreement *out, struct agreement_pair *p, struct err *e)
{
    double cell[CELLS] = {0}, n = 0;

    over_common(j->t, out, p, put_confusion, CELLS, 0);
    total(j->t, CELLS, cell);
    for (int i = 0; i < CELLS; i++)
        n += cell[i];
    p->n = (uint64_t)n;
    if (p->n == 0) return true;
    for (int i = 0; i < CELLS; i++) {
        p->exact += i / G == i % G ? cell[i] / n : 0;
        p->within_one += abs(i / G - i % G) <= 1 ? cell[i] / n : 0;
    }
    return resample(j, CELLS, agreement_kappa, &p->kappa, e) && types_of(j, out, p, e);
}

static bool all_pairs(struct job *j, struct agreement *out, struct err *e)
{
    for (size_t a = 0; a < out->nraters; a++)
        for (size_t b = a + 1; b < out->nraters; b++) {
            struct agreement_pair *p = &out->pairs[out->npairs];
            *p = (struct agreement_pair){.a = a, .b = b};
            if (!pair_of(j, out, p, e)) return false;
            out->npairs += p->n > 0;
        }
    return true;
}

bool agreement_of(const struct factlabel *v, size_t n, const struct boot_opts *o, struct comm *c,
                  struct agreement *out, struct err *e)
{
    struct table t = {0};
    struct job j = {&t, *o, c};

    *out = (struct agreement){0};
    bool ok = comm_agree(c, table_init(&t, v, n, out, e) && find_raters(&t, out, e), e);
    if (ok && out->doubled > 0) ok = alpha_of(&j, out, e) && all_pairs(&j, out, e);
    table_free(&t);
    return ok;
}
