#include <string.h>

#include "base/mem.h"
#include "evaluate/baseline.h"
#include "evaluate/eval_run.h"
#include "evaluate/text_numbers.h"

/* Another system's answers to the pairs numbered rows[0..n). */
struct rival {
    struct evaluate_loss loss; /* until compare, per_token is the sum */
    struct answer *v;
    uint32_t *rows;
    size_t n;
    struct pair_score *scores;
};

static bool rival_init(struct eval_run *r, struct rival *v, struct err *e)
{
    *v = (struct rival){0};
    v->v = arena_alloc(&r->arena, r->n * sizeof *v->v, e);
    if (v->v) v->rows = arena_alloc(&r->arena, r->n * sizeof *v->rows, e);
    if (v->rows) v->scores = arena_alloc(&r->arena, r->n * sizeof *v->scores, e);
    return v->scores != NULL;
}

static void rival_put(struct rival *v, size_t row, struct str prediction, struct str reference)
{
    v->v[v->n] = (struct answer){prediction, reference};
    v->rows[v->n++] = (uint32_t)row;
}

/* ---- differences */

/* What is averaged of the differences: F of each kind, sentence BLEU. */
enum { DIFF_BLEU = ROUGE_KINDS, DIFF_COLS };

/* Corpus BLEU of the first half of the columns minus that of the second. */
static double bleu_difference(const double *sum)
{
    return score_bleu(sum) - score_bleu(sum + SCORE_NSTATS);
}

static bool mean_deltas(struct eval_run *r, const struct rival *v, struct evaluate_compared *out,
                        struct err *e)
{
    struct boot_ci ci[DIFF_COLS];
    double p[DIFF_COLS];
    double *diff = mem_calloc(v->n * DIFF_COLS, sizeof *diff, e);
    bool ok = comm_agree(r->comm, diff != NULL, e);
    for (size_t i = 0; ok && i < v->n; i++) {
        const struct pair_score *a = &r->scores[v->rows[i]], *b = &v->scores[i];
        for (int k = 0; k < ROUGE_KINDS; k++)
            diff[i * DIFF_COLS + k] = score_f(a, k) - score_f(b, k);
        diff[i * DIFF_COLS + DIFF_BLEU] = a->v[SCORE_BLEU] - b->v[SCORE_BLEU];
    }
    const struct eval_table t = {diff, DIFF_COLS, DIFF_COLS, v->rows, v->n};
    if (ok) ok = eval_table_ci(r, &t, ci, p, e);
    for (int k = 0; ok && k < ROUGE_KINDS; k++)
        out->delta[k] = (struct evaluate_delta){.ci = ci[k], .p = p[k]};
    if (ok) out->bleu_sentence = (struct evaluate_delta){.ci = ci[DIFF_BLEU], .p = p[DIFF_BLEU]};
    mem_free(diff);
    return ok;
}

static bool corpus_delta(struct eval_run *r, const struct rival *v, struct evaluate_delta *out,
                         struct err *e)
{
    enum { COLS = 2 * SCORE_NSTATS };
    double *both = mem_calloc(v->n * COLS, sizeof *both, e);
    bool ok = comm_agree(r->comm, both != NULL, e);
    for (size_t i = 0; ok && i < v->n; i++) {
        const double *a = r->scores[v->rows[i]].v + SCORE_STATS, *b = v->scores[i].v + SCORE_STATS;
        memcpy(both + i * COLS, a, SCORE_NSTATS * sizeof *both);
        memcpy(both + i * COLS + SCORE_NSTATS, b, SCORE_NSTATS * sizeof *both);
    }
    const struct eval_table t = {both, COLS, COLS, v->rows, v->n};
    if (ok) ok = eval_table_stat(r, &t, bleu_difference, &out->ci, e);
    if (ok) ok = eval_table_swap(r, &t, score_bleu, &out->p, e);
    mem_free(both);
    return ok;
}

/* Score the rival and compare it with this system on its rows. Collective. */
static bool compare(struct eval_run *r, struct rival *v, const char *name, bool baseline,
                    struct err *e)
{
    struct evaluate_compared *out = &r->out->compared[r->out->ncompared];
    *out = (struct evaluate_compared){.baseline = baseline, .pairs = v->n};
    eval_put_name(out->name, sizeof out->name, name);
    if (!scores_of(v->v, v->n, &r->score, r->comm, v->scores, e)) return false;
    if (!eval_metrics(r, v->scores, v->rows, v->n, out->m, &out->bleu, e)) return false;
    if (!mean_deltas(r, v, out, e)) return false;
    if (r->score.bleu && !corpus_delta(r, v, &out->bleu_corpus, e)) return false;
    out->loss = v->loss;
    if (v->loss.tokens) out->loss.per_token /= (double)v->loss.tokens;
    r->out->ncompared++;
    return true;
}

/* ---- baselines */

static bool baseline_run(struct eval_run *r, struct str name, struct err *e)
{
    struct rival v;
    bool constant = str_eqz(name, "constant");
    if (!comm_agree(r->comm, rival_init(r, &v, e), e)) return false;
    for (size_t i = 0; i < r->n; i++) {
        const struct pair *p = &r->pairs[i];
        if (constant)
            rival_put(&v, i, baseline_constant, p->reference);
        else if (p->findings.n > 0)
            rival_put(&v, i, baseline_lead(p->findings, 2), p->reference);
    }
    if (v.n == 0) return true; /* no findings in the file: lead2 has nothing to say */
    if (constant) r->constant = v.scores;
    return compare(r, &v, constant ? "constant" : "lead2", true, e);
}

/* ---- other systems */

/* Put pair j of the other file beside pair i of ours. */
static bool match_put(struct eval_run *r, struct rival *v, size_t i, const struct pair *other,
                      size_t j, struct err *e)
{
    if (!str_eq(r->pairs[i].reference, other[j].reference))
        return err_set(e, ERR_FORMAT,
                       "its pair %zu and pair %zu of the evaluated file have different references",
                       j + 1, i + 1);
    rival_put(v, i, other[j].prediction, other[j].reference);
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

static bool match_by_id(struct eval_run *r, struct rival *v, const struct pair *other, size_t n,
                        struct err *e)
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

static bool match_by_line(struct eval_run *r, struct rival *v, const struct pair *other, size_t n,
                          struct err *e)
{
    if (n != r->n)
        return err_set(e, ERR_FORMAT,
                       "it has %zu pairs, the evaluated file %zu; ids in both would let them match",
                       n, r->n);
    for (size_t i = 0; i < n; i++)
        if (!match_put(r, v, i, other, i, e)) return false;
    return true;
}

static bool other_read(struct eval_run *r, const char *path, struct rival *v, struct err *e)
{
    struct pair *other;
    size_t n;
    if (!rival_init(r, v, e) || !pairs_read(path, &r->arena, &other, &n, e)) return false;
    if (n > UINT32_MAX) return err_set(e, ERR_LIMIT, "%s: %zu pairs", path, n);
    bool ids = have_ids(r->pairs, r->n) && have_ids(other, n);
    bool ok = ids ? match_by_id(r, v, other, n, e) : match_by_line(r, v, other, n, e);
    return ok || err_wrap(e, "%s", path);
}

bool eval_compare(struct eval_run *r, const struct evaluate_other *others, size_t nothers,
                  struct err *e)
{
    for (size_t i = 0; i < nothers; i++) {
        struct rival v;
        if (!comm_agree(r->comm, other_read(r, others[i].path, &v, e), e)) return false;
        if (!compare(r, &v, others[i].name, false, e)) return false;
    }
    for (size_t i = 0; i < r->o->baselines.n; i++)
        if (!baseline_run(r, str_of(r->o->baselines.v[i]), e)) return false;
    return true;
}
