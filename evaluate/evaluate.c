#include "evaluate/evaluate.h"

#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "evaluate/eval_report.h"
#include "evaluate/eval_run.h"
#include "evaluate/strata.h"
#include "evaluate/text_numbers.h"

/* A pairs file and what is made of it stays below this. */
#define ARENA_BYTES ((size_t)64 << 30)

static const char *const cluster_names[] = {"auto", "patient", "none", NULL};
static const char *const metric_names[] = {"rouge", "bleu", NULL};
static const char *const baseline_names[] = {"constant", "lead2", NULL};
const struct opt evaluate_table[] = {
    OPT_PATH(struct evaluate_opts, dir, NULL, "folder of the report"),
    OPT_PATH(struct evaluate_opts, per_pair, NULL,
             "scores of each pair, instead of dir/per_pair.jsonl"),
    OPT_PATH(struct evaluate_opts, report, NULL, "the report, instead of dir/report.json"),
    OPT_STRS(struct evaluate_opts, metrics, "[rouge]", "what to compute: rouge (always), bleu"),
    OPT_BOOL(struct evaluate_opts, stem, false, "ROUGE over Porter stems"),
    OPT_U32(struct evaluate_opts, bootstrap, 10000, 100, 1000000,
            "replicates of intervals and tests"),
    OPT_U64(struct evaluate_opts, seed, 1, 0, 9007199254740992.0, "seed of the resampling"),
    OPT_STRS(struct evaluate_opts, baselines, "[constant, lead2]",
             "answers without a model to compare with: constant, lead2"),
    OPT_ENUM(struct evaluate_opts, cluster, "auto", cluster_names,
             "resample patients (auto: where every pair names one) or single pairs"),
    OPT_BOOL(struct evaluate_opts, strata, true, "tables by kind of report"),
    OPT_END,
};

/* ---- tables */

/* What a resampling needs: units of t and draws of their own. Collective. */
static bool table_open(struct eval_run *r, const struct eval_table *t, struct units *u,
                       struct boot_data *d, struct boot_opts *b, struct err *e)
{
    const struct unit_rows rows = {.value = t->value,
                                   .cols = t->cols,
                                   .stride = t->stride,
                                   .rows = t->rows,
                                   .nrows = t->nrows,
                                   .group = r->group,
                                   .ngroups = r->ngroups};
    bool ok = comm_agree(r->comm, units_init(u, &rows, e), e);
    *d = (struct boot_data){.sum = u->sum, .count = u->count, .units = u->n, .cols = t->cols};
    *b = (struct boot_opts){
        .seed = r->o->seed, .table = ++r->ntables, .replicates = r->o->bootstrap};
    if (!ok) units_free(u);
    return ok;
}

bool eval_table_ci(struct eval_run *r, const struct eval_table *t, struct boot_ci *ci, double *p,
                   struct err *e)
{
    struct units u;
    struct boot_data d;
    struct boot_opts b;
    if (!table_open(r, t, &u, &d, &b, e)) return false;
    bool ok = bootstrap_ci(&d, &b, r->comm, ci, e);
    if (ok && p) ok = signflip_p(&d, &b, r->comm, p, e);
    units_free(&u);
    return ok;
}

bool eval_table_stat(struct eval_run *r, const struct eval_table *t, boot_stat fn,
                     struct boot_ci *ci, struct err *e)
{
    struct units u;
    struct boot_data d;
    struct boot_opts b;
    if (!table_open(r, t, &u, &d, &b, e)) return false;
    bool ok = bootstrap_stat(&d, &b, fn, r->comm, ci, e);
    units_free(&u);
    return ok;
}

bool eval_table_swap(struct eval_run *r, const struct eval_table *t, boot_stat fn, double *p,
                     struct err *e)
{
    struct units u;
    struct boot_data d;
    struct boot_opts b;
    if (!table_open(r, t, &u, &d, &b, e)) return false;
    bool ok = swap_p(&d, &b, fn, r->comm, p, e);
    units_free(&u);
    return ok;
}

bool eval_metrics(struct eval_run *r, const struct pair_score *s, const uint32_t *rows,
                  size_t nrows, struct evaluate_metric m[ROUGE_KINDS], struct evaluate_bleu *bleu,
                  struct err *e)
{
    struct boot_ci ci[SCORE_MEANS];
    struct eval_table means = {s->v, r->score.bleu ? SCORE_MEANS : SCORE_BLEU, SCORE_COLS, rows,
                               nrows};
    if (!eval_table_ci(r, &means, ci, NULL, e)) return false;
    for (int k = 0; k < ROUGE_KINDS; k++)
        m[k] = (struct evaluate_metric){.p = ci[3 * k], .r = ci[3 * k + 1], .f = ci[3 * k + 2]};
    if (!r->score.bleu) return true;
    bleu->sentence = ci[SCORE_BLEU];
    bleu->nltk1 = ci[SCORE_NLTK1];
    struct eval_table stats = {s->v + SCORE_STATS, SCORE_NSTATS, SCORE_COLS, rows, nrows};
    return eval_table_stat(r, &stats, score_bleu, &bleu->corpus, e);
}

void eval_put_name(char *out, size_t cap, const char *name)
{
    size_t n = strlen(name);
    if (n >= cap) {
        n = cap - 1;
        while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)name[i] < 0x20 || name[i] == '|' ? '_' : name[i];
    out[n] = 0;
}

/* ---- groups */

static bool wants_groups(const struct eval_run *r, bool *out, struct err *e)
{
    size_t with = 0;
    for (size_t i = 0; i < r->n; i++)
        with += r->pairs[i].group.n > 0;
    *out = r->o->cluster != EVALUATE_CLUSTER_NONE && with == r->n;
    if (r->o->cluster == EVALUATE_CLUSTER_PATIENT && with != r->n)
        return err_set(e, ERR_CONFIG,
                       "evaluate.cluster is patient, but %zu of %zu pairs have no \"group\"",
                       r->n - with, r->n);
    return true;
}

static bool make_groups(struct eval_run *r, struct err *e)
{
    struct text_numbers t = {0};
    bool wanted;

    if (!wants_groups(r, &wanted, e)) return false;
    if (!wanted) return true;
    r->group = arena_alloc(&r->arena, r->n * sizeof *r->group, e);
    bool ok = r->group && text_numbers_init(&t, r->n, e);
    for (size_t i = 0; ok && i < r->n; i++) {
        uint32_t *number = text_numbers_at(&t, r->pairs[i].group);
        if (!*number) *number = (uint32_t)++r->ngroups;
        r->group[i] = *number - 1;
    }
    text_numbers_free(&t);
    return ok;
}

/* ---- this system */

static bool own_answers(struct eval_run *r, struct answer **out, uint32_t **rows, struct err *e)
{
    *out = arena_alloc(&r->arena, r->n * sizeof **out, e);
    *rows = *out ? arena_alloc(&r->arena, r->n * sizeof **rows, e) : NULL;
    r->scores = *rows ? arena_alloc(&r->arena, r->n * sizeof *r->scores, e) : NULL;
    for (size_t i = 0; r->scores && i < r->n; i++) {
        (*out)[i] = (struct answer){r->pairs[i].prediction, r->pairs[i].reference};
        (*rows)[i] = (uint32_t)i;
    }
    return r->scores != NULL;
}

static bool score_own(struct eval_run *r, struct err *e)
{
    struct answer *v = NULL;
    uint32_t *rows = NULL;
    if (!comm_agree(r->comm, own_answers(r, &v, &rows, e), e)) return false;
    double t0 = clock_mono_s();
    struct evaluate_loss *loss = &r->out->loss;
    for (size_t i = 0; i < r->n; i++) {
        loss->per_token += r->pairs[i].nll;
        loss->tokens += r->pairs[i].tokens;
    }
    if (loss->tokens) loss->per_token /= (double)loss->tokens;
    if (!scores_of(v, r->n, &r->score, r->comm, r->scores, e)) return false;
    r->out->score_s = clock_mono_s() - t0;
    return eval_metrics(r, r->scores, rows, r->n, r->out->m, &r->out->bleu, e);
}

/* ---- strata */

/* F of each kind, then its difference to the constant sentence's. */
enum { STRATUM_COLS = 2 * ROUGE_KINDS };

static bool stratum_run(struct eval_run *r, const struct stratum *s, double *f, struct err *e)
{
    struct evaluate_stratum *out = &r->out->strata[r->out->nstrata];
    *out = (struct evaluate_stratum){.pairs = s->n, .has_constant = r->constant != NULL};
    eval_put_name(out->by, sizeof out->by, s->by);
    eval_put_name(out->value, sizeof out->value, s->value);
    for (size_t i = 0; i < s->n; i++)
        for (int k = 0; k < ROUGE_KINDS; k++) {
            double own = score_f(&r->scores[s->rows[i]], k);
            double constant = r->constant ? score_f(&r->constant[s->rows[i]], k) : 0;
            f[i * STRATUM_COLS + k] = own;
            f[i * STRATUM_COLS + ROUGE_KINDS + k] = own - constant;
            out->constant_f[k] += constant / (double)s->n;
        }
    const struct eval_table t = {f, STRATUM_COLS, STRATUM_COLS, s->rows, s->n};
    struct boot_ci ci[STRATUM_COLS];
    if (!eval_table_ci(r, &t, ci, NULL, e)) return false;
    for (int k = 0; k < ROUGE_KINDS; k++) {
        out->f[k] = ci[k];
        out->over_constant[k] = ci[ROUGE_KINDS + k];
    }
    r->out->nstrata++;
    return true;
}

static bool strata_run(struct eval_run *r, struct err *e)
{
    struct stratum *s;
    size_t n = 0;
    double *f;
    _Static_assert(STRATA_MAX == sizeof r->out->strata / sizeof r->out->strata[0], "room for all");

    if (!r->o->strata) return true;
    s = arena_alloc(&r->arena, STRATA_MAX * sizeof *s, e);
    f = s ? arena_alloc(&r->arena, r->n * STRATUM_COLS * sizeof *f, e) : NULL;
    bool ok = f && strata_make(r->pairs, r->n, &r->arena, s, &n, e);
    if (!comm_agree(r->comm, ok, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!stratum_run(r, &s[i], f, e)) return false;
    return true;
}

/* ---- the whole */

static bool has_name(const struct opt_strs *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->v[i], name) == 0) return true;
    return false;
}

/* Every name is one of known[2], none stands twice. */
static bool check_names(const struct opt_strs *v, const char *key, const char *const *known,
                        struct err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct opt_strs before = {v->v, i};
        if (strcmp(v->v[i], known[0]) != 0 && strcmp(v->v[i], known[1]) != 0)
            return err_set(e, ERR_CONFIG, "evaluate.%s: \"%s\" is unknown; known: %s, %s", key,
                           v->v[i], known[0], known[1]);
        if (has_name(&before, v->v[i]))
            return err_set(e, ERR_CONFIG, "evaluate.%s names \"%s\" twice", key, v->v[i]);
    }
    return true;
}

static bool check_opts(const struct evaluate_opts *o, size_t nothers, struct err *e)
{
    if (nothers > EVALUATE_OTHERS_MAX)
        return err_set(e, ERR_CONFIG, "%zu systems to compare with, at most %d", nothers,
                       EVALUATE_OTHERS_MAX);
    if (!o->dir && !o->per_pair && !o->report)
        return err_set(e, ERR_CONFIG, "evaluate.dir is missing: where should the report go?");
    return check_names(&o->metrics, "metrics", metric_names, e) &&
           check_names(&o->baselines, "baselines", baseline_names, e);
}

static bool start(struct eval_run *r, const char *path, size_t nothers, struct err *e)
{
    if (!check_opts(r->o, nothers, e)) return false;
    if (!pairs_read(path, &r->arena, &r->pairs, &r->n, e)) return false;
    if (r->n > UINT32_MAX) return err_set(e, ERR_LIMIT, "%s: %zu pairs", path, r->n);
    if (r->o->dir && comm_rank(r->comm) == 0 && !fs_mkdirs(r->o->dir, e)) return false;
    return make_groups(r, e);
}

static bool finish(struct eval_run *r, const char *path, struct err *e)
{
    bool ok = true;
    if (comm_rank(r->comm) == 0)
        ok = eval_report_write(r->o, path, r->pairs, r->scores, r->n, r->out, e);
    return comm_agree(r->comm, ok, e);
}

bool evaluate_run(const struct evaluate_opts *o, const char *pairs_path,
                  const struct evaluate_other *others, size_t nothers, struct comm *c,
                  struct evaluate_summary *s, struct err *e)
{
    struct eval_run r = {.o = o,
                         .score = {.stem = o->stem, .bleu = has_name(&o->metrics, "bleu")},
                         .comm = c,
                         .out = s};
    struct progress p;

    memset(s, 0, sizeof *s);
    arena_init(&r.arena, ARENA_BYTES);
    bool ok = comm_agree(c, start(&r, pairs_path, nothers, e), e);
    if (!ok) goto out;
    s->pairs = r.n;
    s->groups = r.ngroups;
    s->clustered = r.group != NULL;
    s->has_bleu = r.score.bleu;
    s->signature = rouge_signature(o->stem);
    progress_start(&p, comm_rank(c), "evaluate", "pairs", r.n, o->dir);
    progress_update(&p, 0, NULL);
    ok = score_own(&r, e) && eval_compare(&r, others, nothers, e) && strata_run(&r, e) &&
         finish(&r, pairs_path, e);
    if (ok)
        log_info("evaluated", "pairs=%zu rouge1=%.4f rouge2=%.4f rougeL=%.4f rougeLsum=%.4f", r.n,
                 s->m[ROUGE_1].f.mean, s->m[ROUGE_2].f.mean, s->m[ROUGE_L].f.mean,
                 s->m[ROUGE_LSUM].f.mean);
    if (ok) progress_update(&p, r.n, NULL);
    progress_end(&p, ok ? "done" : "failed");
out:
    arena_free(&r.arena);
    return ok;
}
