#include <math.h>

#include "base/mem.h"
#include "evaluate/eval_run.h"
#include "evaluate/text_numbers.h"

bool eval_rival_init(struct eval_run *r, struct eval_rival *v, struct err *e)
{
    *v = (struct eval_rival){0};
    v->v = arena_alloc(&r->arena, r->n * sizeof *v->v, e);
    if (v->v) v->rows = arena_alloc(&r->arena, r->n * sizeof *v->rows, e);
    return v->rows != NULL;
}

void eval_rival_put(struct eval_run *r, struct eval_rival *v, size_t row, struct str prediction)
{
    v->v[v->n] = r->texts[row];
    v->v[v->n].prediction = prediction;
    v->rows[v->n++] = (uint32_t)row;
}

/* Compare this system with the rival's rows. Collective. */
static bool compare_rows(struct eval_run *r, struct eval_rival *v, const double *scores,
                         struct evaluate_compared *out, struct err *e)
{
    struct score_columns every;
    struct boot_ci ci[2 * METRIC_VALUES_MAX];
    double p[METRIC_VALUES_MAX];
    score_columns_init(&every, &r->out->set, 0);
    const struct eval_table t = {&every, r->scores, scores, v->rows, v->n};
    if (!eval_table_run(r, &t, ci, p, e)) return false;
    for (size_t i = 0; i < every.nvalues; i++) {
        out->value[i] = ci[i];
        out->delta[i] = (struct evaluate_delta){ci[every.nvalues + i], p[i], (double)NAN};
    }
    return true;
}

bool eval_rival_compare(struct eval_run *r, struct eval_rival *v, const char *name, bool baseline,
                        double **keep, struct err *e)
{
    struct evaluate_compared *out = &r->out->compared[r->out->ncompared];
    double *scores;
    *out = (struct evaluate_compared){.baseline = baseline, .pairs = v->n};
    eval_put_name(out->name, sizeof out->name, name);
    if (!eval_score(r, v->v, v->rows, v->n, &scores, e)) return false;
    bool ok = compare_rows(r, v, scores, out, e);
    if (ok && keep)
        *keep = scores;
    else
        mem_free(scores);
    if (!ok) return false;
    out->loss = v->loss;
    if (v->loss.tokens) out->loss.per_token /= (double)v->loss.tokens;
    r->out->ncompared++;
    return true;
}

/* Holm over all compared systems x headline values. */
static bool correct(struct evaluate_summary *s, struct err *e)
{
    double p[(EVALUATE_OTHERS_MAX + EVALUATE_BASELINES) * METRIC_VALUES_MAX];
    struct score_columns headline;
    size_t n = 0;
    score_columns_init(&headline, &s->set, METRIC_HEADLINE);
    for (size_t i = 0; i < s->ncompared; i++)
        for (size_t k = 0; k < headline.nvalues; k++)
            p[n++] = s->compared[i].delta[headline.value[k]].p;
    if (!holm(p, n, p, e)) return false;
    n = 0;
    for (size_t i = 0; i < s->ncompared; i++)
        for (size_t k = 0; k < headline.nvalues; k++)
            s->compared[i].delta[headline.value[k]].holm = p[n++];
    return true;
}

/* ---- other systems */

/* Put pair j of the other file beside pair i of ours. */
static bool match_put(struct eval_run *r, struct eval_rival *v, size_t i, const struct pair *other,
                      size_t j, struct err *e)
{
    if (!str_eq(r->pairs[i].reference, other[j].reference))
        return err_set(e, ERR_FORMAT,
                       "its pair %zu and pair %zu of the evaluated file have different references",
                       j + 1, i + 1);
    eval_rival_put(r, v, i, other[j].prediction);
    v->loss.per_token += other[j].nll;
    v->loss.tokens += other[j].tokens;
    return true;
}

static bool have_ids(const struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i].id.n == 0) return false;
    return true;
}

static bool match_by_id(struct eval_run *r, struct eval_rival *v, const struct pair *other,
                        size_t n, struct err *e)
{
    struct text_numbers t;
    bool ok = text_numbers_init(&t, n, e);
    for (size_t j = 0; ok && j < n; j++) {
        uint32_t *number = text_numbers_at(&t, other[j].id);
        if (*number)
            ok = err_set(e, ERR_FORMAT, "its pairs %u and %zu have the same id", *number, j + 1);
        *number = (uint32_t)j + 1;
    }
    for (size_t i = 0; ok && i < r->n; i++) {
        uint32_t number = *text_numbers_at(&t, r->pairs[i].id);
        if (number) ok = match_put(r, v, i, other, number - 1, e);
    }
    if (ok && v->n == 0) ok = err_set(e, ERR_FORMAT, "it shares no id with the evaluated file");
    text_numbers_free(&t);
    return ok;
}

static bool match_by_line(struct eval_run *r, struct eval_rival *v, const struct pair *other,
                          size_t n, struct err *e)
{
    if (n != r->n)
        return err_set(e, ERR_FORMAT,
                       "it has %zu pairs, the evaluated file %zu; ids in both would let them match",
                       n, r->n);
    for (size_t i = 0; i < n; i++)
        if (!match_put(r, v, i, other, i, e)) return false;
    return true;
}

static bool other_read(struct eval_run *r, const char *path, struct eval_rival *v, struct err *e)
{
    struct pair *other;
    size_t n;
    if (!eval_rival_init(r, v, e) || !pairs_read(path, &r->arena, &other, &n, e)) return false;
    if (n > UINT32_MAX) return err_set(e, ERR_LIMIT, "%s: %zu pairs", path, n);
    bool ids = have_ids(r->pairs, r->n) && have_ids(other, n);
    bool ok = ids ? match_by_id(r, v, other, n, e) : match_by_line(r, v, other, n, e);
    return ok || err_wrap(e, "%s", path);
}

bool eval_compare(struct eval_run *r, const struct evaluate_other *others, size_t nothers,
                  struct err *e)
{
    for (size_t i = 0; i < nothers; i++) {
        struct eval_rival v;
        if (!comm_agree(r->comm, other_read(r, others[i].path, &v, e), e)) return false;
        if (!eval_rival_compare(r, &v, others[i].name, false, NULL, e)) return false;
    }
    if (!eval_baselines(r, e)) return false;
    return comm_agree(r->comm, correct(r->out, e), e);
}
