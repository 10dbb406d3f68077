#include "evaluate/board.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/audit.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "evaluate/board_impl.h"

#define ARENA_BYTES ((size_t)64 << 30)
enum { FILE_MAX_BYTES = 256 << 20 };

/* ---- small questions */

bool board_has(const struct board *b, size_t row, size_t value)
{
    const struct board_row *r = &b->row[row];
    return r->kind != BOARD_QUOTED || isfinite(r->quoted[value]);
}

bool board_pair_value(const struct board *b, size_t row, size_t pair, size_t value, double *out)
{
    const struct metric_set *set = &b->run.out->set;
    const struct metric_value *v = set->value[value];
    if (!b->row[row].scores || (v->flags & METRIC_CORPUS)) return false;
    const double *x = b->row[row].scores + pair * set->ncolumns + set->column[value];
    if (v->stat && v->stat != metric_ratio) return false;
    if (v->stat && x[1] <= 0) return false;
    *out = v->stat ? x[0] / x[1] : x[0];
    return true;
}

struct str board_answer(const struct board *b, size_t row, size_t pair)
{
    const struct board_row *r = &b->row[row];
    if (r->baseline) return r->baseline[pair];
    const struct board_source *s = &b->source[r->source[0]];
    return s->pairs[s->at[pair]].prediction;
}

size_t board_main_value(const struct board *b)
{
    const struct metric_set *set = &b->run.out->set;
    size_t v = metric_set_find(set, "rougeL.f");
    for (size_t i = 0; v == SIZE_MAX && i < set->nvalues; i++)
        if (set->value[i]->flags & METRIC_HEADLINE) v = i;
    return v == SIZE_MAX ? 0 : v;
}

void board_duration(double s, char out[24])
{
    if (s <= 0)
        (void)snprintf(out, 24, "-");
    else if (s < 60)
        (void)snprintf(out, 24, "%.0f s", s);
    else if (s < 3600)
        (void)snprintf(out, 24, "%dm%02d", (int)s / 60, (int)s % 60);
    else
        (void)snprintf(out, 24, "%dh%02d", (int)(s / 3600), (int)(s / 60) % 60);
}

/* The word behind "key=", up to a blank. */
static struct str word_behind(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at) return (struct str){"", 0};
    at += strlen(key);
    return (struct str){at, strcspn(at, " ")};
}

void board_device(const char *describe, int ranks, char out[96])
{
    struct str isa = word_behind(describe, "isa="), threads = word_behind(describe, "threads=");
    out[0] = 0;
    if (!describe[0]) return;
    if (isa.n == 0) {
        (void)snprintf(out, 96, "%.60s, %d rank%s", describe, ranks, ranks == 1 ? "" : "s");
        return;
    }
    (void)snprintf(out, 96, "CPU %.*s, %d rank%s of %.*s thread%s", STR_ARG(isa), ranks,
                   ranks == 1 ? "" : "s", STR_ARG(threads), str_eqz(threads, "1") ? "" : "s");
}

int board_mark(const struct board *b, const struct board_part *p, size_t row, size_t value)
{
    const struct evaluate_delta *d = &p->delta[board_at(b, row, value)];
    const struct metric_value *v = b->run.out->set.value[value];
    if (row == b->yardstick || b->row[row].kind == BOARD_QUOTED) return 0;
    if (!(v->flags & METRIC_HEADLINE) || !(d->holm <= 0.05) || d->ci.mean == 0) return 0;
    return (d->ci.mean > 0) != ((v->flags & METRIC_LOWER) != 0) ? 1 : -1;
}

size_t board_find_row(const struct board *b, struct str name)
{
    for (size_t i = 0; i < b->nrows; i++)
        if (str_eqz(name, b->row[i].name)) return i;
    for (size_t i = 0; i < b->nrows; i++)
        if (str_eqz(name, b->row[i].letter)) return i;
    return SIZE_MAX;
}

size_t board_find_value(const struct metric_set *set, struct str name)
{
    static const char *const tails[] = {"", ".f", ".score", ".cos"};
    char full[128];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        if (snprintf(full, sizeof full, "%.*s%s", STR_ARG(name), tails[i]) >= (int)sizeof full)
            return SIZE_MAX;
        size_t v = metric_set_find(set, full);
        if (v != SIZE_MAX) return v;
    }
    return SIZE_MAX;
}

static bool has_column(const struct board_column *out, size_t n, size_t value)
{
    for (size_t i = 0; i < n; i++)
        if (out[i].value == value) return true;
    return false;
}

size_t board_columns(const struct board *b, struct board_column out[BOARD_COLUMNS_MAX])
{
    static const struct {
        const char *group, *head, *value;
    } known[] = {
        {"Facts", "", "facts.score"},
        {"BERTScore", "P", "bertscore.p"},
        {"BERTScore", "R", "bertscore.r"},
        {"BERTScore", "F", "bertscore.f"},
        {"ClinicalBERT", "cos", "clinicalbert.cos"},
        {"ClinicalBERT", "resc.", "clinicalbert.rescaled"},
        {"RadBERT", "cos", "radbert.cos"},
        {"RadBERT", "resc.", "radbert.rescaled"},
        {"ROUGE-1", "P", "rouge1.p"},
        {"ROUGE-1", "R", "rouge1.r"},
        {"ROUGE-1", "F", "rouge1.f"},
        {"ROUGE-2", "P", "rouge2.p"},
        {"ROUGE-2", "R", "rouge2.r"},
        {"ROUGE-2", "F", "rouge2.f"},
        {"ROUGE-L", "P", "rougeL.p"},
        {"ROUGE-L", "R", "rougeL.r"},
        {"ROUGE-L", "F", "rougeL.f"},
        {"BLEU", "corpus", "bleu_corpus"},
        {"BLEU", "sent.", "bleu"},
        {"BLEU", "NLTK", "nltk_bleu.method1"},
    };
    const struct metric_set *set = &b->run.out->set;
    size_t n = 0;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t v = metric_set_find(set, known[i].value);
        if (v == SIZE_MAX) continue;
        out[n++] = (struct board_column){known[i].group, known[i].head, v, 1};
    }
    for (size_t v = 0; v < set->nvalues; v++) {
        if (!(set->value[v]->flags & METRIC_HEADLINE) || has_column(out, n, v)) continue;
        out[n++] = (struct board_column){set->value[v]->label, "", v, 1};
    }
    return n;
}

/* ---- baselines and scores */

/* Those that answer every pair. Collective. */
static bool add_baseline(struct board *b, const char *name, struct err *e)
{
    struct eval_run *r = &b->run;
    struct board_row *row = &b->row[b->nrows];
    bool all;

    row->baseline = arena_alloc(&r->arena, r->n * sizeof *row->baseline, e);
    if (!comm_agree(r->comm, row->baseline != NULL, e) ||
        !eval_baseline_answers(r, name, row->baseline, &all, e))
        return false;
    if (!all) {
        row->baseline = NULL;
        log_warn("baseline_left_out", "name=%s", name);
        return true;
    }
    row->kind = BOARD_BASELINE;
    eval_put_name(row->name, sizeof row->name, name);
    b->nrows++;
    return true;
}

static void name_rows(struct board *b)
{
    for (size_t i = 0; i < b->nrows; i++) {
        struct board_row *row = &b->row[i];
        char *l = row->letter;
        if (i < 26)
            (void)snprintf(l, sizeof row->letter, "%c", (char)('A' + i));
        else
            (void)snprintf(l, sizeof row->letter, "%c%c", (char)('A' + i / 26 - 1),
                           (char)('A' + i % 26));
        size_t n = strlen(row->name);
        if (row->nsources < 2) continue;
        if (n > sizeof row->name - 16) n = sizeof row->name - 16;
        (void)snprintf(row->name + n, sizeof row->name - n, " (%u seeds)", row->nsources);
    }
}

/* Rows of one source or baseline on all pairs. Collective. */
static bool score_answers(struct board *b, const struct board_source *s, const struct str *baseline,
                          double **out, struct err *e)
{
    struct eval_run *r = &b->run;
    struct metric_text *t = mem_calloc(r->n, sizeof *t, e);
    bool ok = comm_agree(r->comm, t != NULL, e);

    for (size_t i = 0; ok && i < r->n; i++) {
        t[i] = r->texts[i];
        if (baseline)
            t[i].prediction = baseline[i];
        else if (s)
            t[i].prediction = s->pairs[s->at[i]].prediction;
    }
    ok = ok && eval_score(r, t, r->all, r->n, out, e);
    mem_free(t);
    return ok;
}

/* The mean over a row's runs. */
static bool average(struct board *b, struct board_row *row, struct err *e)
{
    size_t cells = b->run.n * b->run.out->set.ncolumns;
    row->scores = mem_calloc(cells, sizeof *row->scores, e);
    for (size_t i = 0; row->scores && i < cells; i++) {
        for (uint32_t k = 0; k < row->nsources; k++)
            row->scores[i] += b->source[row->source[k]].scores[i];
        row->scores[i] /= row->nsources;
    }
    return row->scores != NULL;
}

static bool score_rows(struct board *b, struct err *e)
{
    for (size_t k = 0; k < b->nsources; k++)
        if (!score_answers(b, &b->source[k], NULL, &b->source[k].scores, e)) return false;
    for (size_t i = 0; i < b->nrows; i++) {
        struct board_row *row = &b->row[i];
        if (row->kind == BOARD_QUOTED) continue;
        if (row->kind == BOARD_BASELINE) {
            if (!score_answers(b, NULL, row->baseline, &row->scores, e)) return false;
        } else if (!comm_agree(b->run.comm, average(b, row, e), e))
            return false;
    }
    return true;
}

static void free_scores(struct board *b)
{
    for (size_t k = 0; k < b->nsources; k++)
        mem_free(b->source[k].scores);
    for (size_t i = 0; i < b->nrows; i++)
        mem_free(b->row[i].scores);
}

/* Between the runs of a row: the values of each, then their standard deviation (n - 1). */
static bool spread(struct board *b, struct board_row *row, const struct board_part *p,
                   struct err *e)
{
    const struct metric_set *set = &b->run.out->set;
    double mean[METRIC_VALUES_MAX] = {0}, square[METRIC_VALUES_MAX] = {0};
    double sum[METRIC_COLUMNS_MAX], v[METRIC_VALUES_MAX];
    struct score_columns every;

    row->sd = arena_alloc(&b->run.arena, set->nvalues * sizeof *row->sd, e);
    if (!row->sd) return false;
    score_columns_init(&every, set, 0);
    for (uint32_t k = 0; k < row->nsources; k++) {
        const double *scores = b->source[row->source[k]].scores;
        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < p->n; i++)
            for (size_t c = 0; c < every.ncolumns; c++)
                sum[c] += scores[p->pairs[i] * set->ncolumns + every.column[c]];
        score_columns_reduce(&every, sum, p->n, v);
        for (size_t x = 0; x < set->nvalues; x++) {
            double d = v[x] - mean[x]; /* Welford */
            mean[x] += d / (k + 1);
            square[x] += d * (v[x] - mean[x]);
        }
    }
    for (size_t x = 0; x < set->nvalues; x++)
        row->sd[x] = row->nsources > 1 ? sqrt(square[x] / (row->nsources - 1)) : (double)NAN;
    return true;
}

/* ---- parts */

static bool is_external(const struct board *b, struct str source)
{
    for (size_t i = 0; i < b->o->external.n; i++)
        if (str_eqz(source, b->o->external.v[i])) return true;
    return false;
}

static bool add_part(struct board *b, bool external, const char *title, struct err *e)
{
    struct board_part *p = &b->part[b->nparts];
    const struct eval_run *r = &b->run;

    *p = (struct board_part){.title = title};
    p->pairs = arena_alloc(&b->run.arena, r->n * sizeof *p->pairs, e);
    if (!p->pairs) return false;
    for (size_t i = 0; i < r->n; i++)
        if (is_external(b, r->pairs[i].source) == external) p->pairs[p->n++] = (uint32_t)i;
    if (p->n > 0) b->nparts++;
    return true;
}

static bool make_parts(struct board *b, struct err *e)
{
    if (!add_part(b, false, "All pairs", e)) return false;
    if (b->nparts && b->part[0].n < b->run.n)
        b->part[0].title = "Reports of the training's sources";
    return add_part(b, true, "External test", e);
}

static bool room_for(struct board *b, struct board_part *p, struct err *e)
{
    size_t n = b->nrows * b->run.out->set.nvalues;
    p->ci = arena_alloc(&b->run.arena, n * sizeof *p->ci, e);
    p->delta = p->ci ? arena_alloc(&b->run.arena, n * sizeof *p->delta, e) : NULL;
    return p->delta != NULL;
}

/* Values of every row, differences to the yardstick. Collective. */
static bool row_values(struct board *b, struct board_part *p, size_t row,
                       const struct score_columns *every, struct err *e)
{
    const struct metric_set *set = &b->run.out->set;
    struct boot_ci ci[2 * METRIC_VALUES_MAX];
    double prob[METRIC_VALUES_MAX];
    const double *yard = b->row[b->yardstick].scores;
    bool same = row == b->yardstick;
    const struct eval_table own = {every, b->row[row].scores, NULL, p->pairs, p->n};
    const struct eval_table both = {every, b->row[row].scores, yard, p->pairs, p->n};

    if (!eval_table_run(&b->run, &own, ci, NULL, e)) return false;
    memcpy(&p->ci[board_at(b, row, 0)], ci, set->nvalues * sizeof *ci);
    if (same) return true;
    if (!eval_table_run(&b->run, &both, ci, prob, e)) return false;
    for (size_t v = 0; v < set->nvalues; v++)
        p->delta[board_at(b, row, v)] =
            (struct evaluate_delta){ci[set->nvalues + v], prob[v], (double)NAN};
    return true;
}

/* Holm over the rows compared x headline values. */
static bool correct(struct board *b, struct board_part *p, struct err *e)
{
    const struct metric_set *set = &b->run.out->set;
    double *prob = mem_calloc(b->nrows * set->nvalues, sizeof *prob, e);
    size_t n = 0;
    bool ok = prob != NULL;

    for (int write = 0; ok && write < 2; write++) {
        if (write && n > 0) ok = holm(prob, n, prob, e);
        n = 0;
        for (size_t i = 0; ok && i < b->nrows; i++) {
            if (i == b->yardstick || b->row[i].kind == BOARD_QUOTED) continue;
            for (size_t v = 0; v < set->nvalues; v++) {
                struct evaluate_delta *d = &p->delta[board_at(b, i, v)];
                if (!(set->value[v]->flags & METRIC_HEADLINE)) continue;
                if (write)
                    d->holm = prob[n++];
                else
                    prob[n++] = d->p;
            }
        }
    }
    mem_free(prob);
    return ok;
}

static bool stratum_values(struct board *b, struct board_part *p, const struct stratum *s,
                           const struct score_columns *headline, struct err *e)
{
    const struct metric_set *set = &b->run.out->set;
    struct board_stratum *out = &p->strata[p->nstrata];
    struct boot_ci ci[METRIC_VALUES_MAX];
    uint32_t *rows = arena_alloc(&b->run.arena, s->n * sizeof *rows, e);

    struct boot_ci *all =
        rows ? arena_alloc(&b->run.arena, b->nrows * set->nvalues * sizeof *all, e) : NULL;
    if (!comm_agree(b->run.comm, all != NULL, e) || !rows || !all) return false;
    *out = (struct board_stratum){.by = s->by, .value = s->value, .pairs = s->n, .ci = all};
    for (size_t i = 0; i < s->n; i++)
        rows[i] = p->pairs[s->rows[i]];
    for (size_t i = 0; i < b->nrows; i++) {
        if (b->row[i].kind == BOARD_QUOTED) continue;
        const struct eval_table t = {headline, b->row[i].scores, NULL, rows, s->n};
        if (!eval_table_run(&b->run, &t, ci, NULL, e)) return false;
        for (size_t k = 0; k < headline->nvalues; k++)
            all[board_at(b, i, headline->value[k])] = ci[k];
    }
    p->nstrata++;
    return true;
}

static bool part_strata(struct board *b, struct board_part *p, struct err *e)
{
    struct score_columns headline;
    struct stratum *s = NULL;
    struct pair *pairs = NULL;
    size_t n = 0;

    if (!b->run.o->strata) return true;
    score_columns_init(&headline, &b->run.out->set, METRIC_HEADLINE);
    struct arena *a = &b->run.arena;
    s = arena_alloc(a, STRATA_MAX * sizeof *s, e);
    p->strata = s ? arena_alloc(a, STRATA_MAX * sizeof *p->strata, e) : NULL;
    pairs = p->strata ? arena_alloc(a, p->n * sizeof *pairs, e) : NULL;
    for (size_t i = 0; pairs && i < p->n; i++)
        pairs[i] = b->run.pairs[p->pairs[i]];
    bool ok = pairs && strata_make(pairs, p->n, a, s, &n, e);
    if (!comm_agree(b->run.comm, ok, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!stratum_values(b, p, &s[i], &headline, e)) return false;
    return true;
}

static bool run_part(struct board *b, struct board_part *p, struct err *e)
{
    struct score_columns every;

    score_columns_init(&every, &b->run.out->set, 0);
    if (!comm_agree(b->run.comm, room_for(b, p, e), e)) return false;
    for (size_t i = 0; i < b->nrows; i++)
        if (b->row[i].kind != BOARD_QUOTED && !row_values(b, p, i, &every, e)) return false;
    return comm_agree(b->run.comm, correct(b, p, e), e) && part_strata(b, p, e);
}

/* ---- the whole */

/* A row that has pairs, by name or letter; none given: the first. */
static bool find_row(const struct board *b, const char *option, const char *name, size_t *out,
                     struct err *e)
{
    *out = 0;
    if (!name) return true;
    *out = board_find_row(b, str_of(name));
    if (*out == SIZE_MAX)
        return err_set(e, ERR_CONFIG, "%s: no row is called %s (or has that letter)", option, name);
    return b->row[*out].kind != BOARD_QUOTED ||
           err_set(e, ERR_CONFIG, "%s: %s is quoted: it has no pairs", option, name);
}

static bool prepare(struct board *b, const struct board_input *in, size_t n, struct err *e)
{
    struct eval_run *r = &b->run;

    if (!r->o->dir)
        return err_set(e, ERR_CONFIG,
                       "where should the comparison go? give --output DIR, or evaluate.dir");
    if (!eval_metrics(r->o, &r->out->set, e) || !board_load(b, in, n, e)) return false;
    if (comm_rank(r->comm) == 0 && !fs_mkdirs(r->o->dir, e)) return false;
    return eval_prepare(r, e);
}

/* Once all rows of pairs are there. */
static bool settle(struct board *b, struct err *e)
{
    if (b->o->published && !board_published(b, b->o->published, e)) return false;
    name_rows(b);
    return find_row(b, "--yardstick", b->o->yardstick, &b->yardstick, e) &&
           find_row(b, "--focus", b->o->focus, &b->focus, e) && make_parts(b, e);
}

/* Collective. */
static bool start(struct board *b, const struct board_input *in, size_t n, struct err *e)
{
    if (!comm_agree(b->run.comm, prepare(b, in, n, e), e)) return false;
    for (size_t i = 0; i < b->run.o->baselines.n; i++)
        if (!add_baseline(b, b->run.o->baselines.v[i], e)) return false;
    return comm_agree(b->run.comm, settle(b, e), e);
}

static bool compute(struct board *b, struct err *e)
{
    bool ok = score_rows(b, e);
    for (size_t i = 0; ok && i < b->nparts; i++)
        ok = run_part(b, &b->part[i], e);
    for (size_t i = 0; ok && i < b->nrows; i++)
        if (b->row[i].kind == BOARD_SYSTEM)
            ok = comm_agree(b->run.comm, spread(b, &b->row[i], &b->part[0], e), e);
    return ok && comm_agree(b->run.comm, !b->o->where || board_where(b, e), e);
}

static bool write_one(const struct board *b, const char *name,
                      bool (*make)(const struct board *, struct sbuf *, struct err *),
                      struct err *e)
{
    struct arena a;
    struct sbuf out;
    const char *path;

    arena_init(&a, 1 << 16);
    sbuf_init(&out, FILE_MAX_BYTES);
    bool ok = make(b, &out, e) && fs_join(&a, b->run.o->dir, name, &path, e) &&
              fs_replace(path, sbuf_str(&out), e);
    sbuf_free(&out);
    arena_free(&a);
    return ok || err_wrap(e, "write %s", name);
}

/* One rank. */
static bool write_files(const struct board *b, struct err *e)
{
    const char *dir = b->run.o->dir;
    char what[96];

    (void)snprintf(what, sizeof what, "comparison.html with the text of reports, %zu rows",
                   b->nrows);
    if (b->o->show_text && !audit_note(dir, "show", what, e)) return false;
    return write_one(b, "comparison.md", board_markdown, e) &&
           write_one(b, "comparison.csv", board_csv, e) &&
           write_one(b, "comparison.tex", board_latex, e) &&
           write_one(b, "comparison.html", board_page, e);
}

static bool finish(const struct board *b, struct board_summary *out, struct err *e)
{
    out->rows = b->nrows;
    out->pairs = b->run.n;
    out->left_out = b->left_out;
    out->selected = b->nmatching;
    bool ok = board_terminal(b, &out->table, e);
    if (ok && comm_rank(b->run.comm) == 0) ok = write_files(b, e);
    return comm_agree(b->run.comm, ok, e);
}

bool board_run(const struct evaluate_opts *o, const struct board_opts *bo,
               const struct board_input *in, size_t n, struct comm *c, struct board_summary *out,
               struct err *e)
{
    struct board *b = mem_calloc(1, sizeof *b, e);
    struct evaluate_summary *summary = b ? mem_calloc(1, sizeof *summary, e) : NULL;
    struct progress p;

    *out = (struct board_summary){0};
    sbuf_init(&out->table, 1 << 20);
    bool ok = comm_agree(c, summary != NULL, e);
    if (!ok) goto out;
    b->o = bo;
    b->run = (struct eval_run){.o = o, .comm = c, .out = summary};
    arena_init(&b->run.arena, ARENA_BYTES);
    ok = start(b, in, n, e);
    if (!ok) goto out;
    progress_start(&p, comm_rank(c), "evaluate", "pairs", b->run.n, o->dir);
    progress_update(&p, 0, NULL);
    ok = compute(b, e) && finish(b, out, e);
    if (ok)
        log_info("compared", "rows=%zu pairs=%zu left_out=%zu", b->nrows, b->run.n, b->left_out);
    if (ok) progress_update(&p, b->run.n, NULL);
    progress_end(&p, ok ? "done" : "failed");
out:
    if (b) {
        scorers_close(b->run.scorers);
        free_scores(b);
        if (b->o) arena_free(&b->run.arena);
    }
    mem_free(summary);
    mem_free(b);
    return ok;
}
