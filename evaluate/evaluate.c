#include "evaluate/evaluate.h"

#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/threads.h"
#include "evaluate/eval_report.h"
#include "evaluate/eval_run.h"
#include "evaluate/strata.h"
#include "evaluate/text_numbers.h"

/* A pairs file and what is made of it stays below this. */
#define ARENA_BYTES ((size_t)64 << 30)

static const char *const cluster_names[] = {"auto", "patient", "none", NULL};
static const char *const baseline_names[] = {"constant", "lead2", "knn", NULL};
const struct opt evaluate_table[] = {
    OPT_PATH(struct evaluate_opts, dir, NULL, "folder of the report"),
    OPT_PATH(struct evaluate_opts, per_pair, NULL,
             "scores of each pair, instead of dir/per_pair.jsonl"),
    OPT_PATH(struct evaluate_opts, report, NULL, "the report, instead of dir/report.json"),
    OPT_STRS(
        struct evaluate_opts, metrics, "[rouge, bleu, chrf, meteor, facts]",
        "what to compute: all (that needs no weights), or some of rouge, rougeLsum_sent, bleu, "
        "chrf, meteor, facts, bertscore, clinicalbert, radbert, chexbert"),
    OPT_U32(struct evaluate_opts, bootstrap, 10000, 100, 1000000,
            "replicates of intervals and tests"),
    OPT_U64(struct evaluate_opts, seed, 1, 0, 9007199254740992.0, "seed of the resampling"),
    OPT_STRS(struct evaluate_opts, baselines, "[constant, lead2, knn]",
             "answers without a model to compare with: constant, lead2 (of the findings), knn (the "
             "impression of the nearest training report)"),
    OPT_PATH(struct evaluate_opts, train_pairs, NULL,
             "training reports for knn, JSON lines with findings and reference (or impression); "
             "else the train split of shards.dir and corpus.dir"),
    OPT_ENUM(struct evaluate_opts, cluster, "auto", cluster_names,
             "resample patients (auto: where every pair names one) or single pairs"),
    OPT_BOOL(struct evaluate_opts, strata, true, "tables by kind of report"),
    OPT_U32(struct evaluate_opts, threads, 0, 0, 256,
            "threads of a rank; 0: its share of the processors"),
    OPT_PATH(struct evaluate_opts, judge, NULL,
             "metric judge: grades of radmill judge score for these pairs; left out: judge.dir's "
             "judge grades them first"),
    OPT_PATH(struct evaluate_opts, training, NULL,
             "metric memorization: the reports trained on (radmill export --format jsonl --split "
             "train)"),
    OPT_PATH(struct evaluate_opts, canaries, NULL,
             "metric memorization: pairs with nll of planted canaries (source canary) and of "
             "candidates that were not planted"),
    OPT_PATH(struct evaluate_opts, lexicon, NULL,
             "folder of another lexicon for the fact check (docs/FACTS.md)"),
    OPT_MAP(struct evaluate_opts, encoders, struct encoder_opts, encoder_table,
            "folders of encoders; each turns its metric on"),
    OPT_MAP(struct evaluate_opts, bertscore, struct encoder_bertscore_opts, encoder_bertscore_table,
            "how BERTScore is computed"),
    OPT_ENUM(struct evaluate_opts, pooling, "mean", encoder_pool_names,
             "a text's vector for the cosines of ClinicalBERT and RadBERT"),
    OPT_ENUM(struct evaluate_opts, lower_case, "auto", encoder_case_names,
             "encoders see lower case: as their tokenizer says, never (0), always (1)"),
    OPT_STRING(struct evaluate_opts, device, "auto", "of the encoders: auto, cpu, cuda:N"),
    OPT_END,
};

/* ---- tables */

/* Two systems: the second's values, then first minus second. */
static void compare_values(const void *ctx, const double *sum, uint64_t rows, double *out)
{
    const struct score_columns *c = ctx;
    double own[METRIC_VALUES_MAX];
    score_columns_reduce(c, sum, rows, own);
    score_columns_reduce(c, sum + c->ncolumns, rows, out);
    for (size_t v = 0; v < c->nvalues; v++)
        out[c->nvalues + v] = own[v] - out[v];
}

static void own_values(const void *ctx, const double *sum, uint64_t rows, double *out)
{
    score_columns_reduce(ctx, sum, rows, out);
}

bool eval_table_run(struct eval_run *r, const struct eval_table *t, struct boot_ci *ci, double *p,
                    struct err *e)
{
    const struct unit_rows rows = {.first = t->first,
                                   .second = t->second,
                                   .columns = t->columns,
                                   .rows = t->rows,
                                   .nrows = t->nrows,
                                   .group = r->group,
                                   .ngroups = r->ngroups};
    const struct boot_opts b = {.seed = r->o->seed,
                                .table = ++r->ntables,
                                .replicates = r->o->bootstrap,
                                .threads = r->threads};
    const struct boot_values one = {own_values, t->columns, t->columns->nvalues};
    const struct boot_values two = {compare_values, t->columns, 2 * t->columns->nvalues};
    struct units u;
    bool ok = comm_agree(r->comm, units_init(&u, &rows, e), e);
    if (!ok) goto out;
    const struct boot_data d = {.sum = u.sum, .count = u.count, .units = u.n, .cols = u.cols};
    ok = bootstrap_values(&d, &b, t->second ? &two : &one, r->comm, ci, e);
    if (ok && p) ok = swap_p(&d, &b, &one, r->comm, p, e);
out:
    units_free(&u);
    return ok;
}

bool eval_score(struct eval_run *r, const struct metric_text *t, const uint32_t *rows, size_t n,
                double **out, struct err *e)
{
    size_t width = r->out->set.ncolumns;
    double *dense = mem_calloc(n * width, sizeof *dense, e);
    *out = dense ? mem_calloc(r->n * width, sizeof **out, e) : NULL;
    bool ok =
        comm_agree(r->comm, *out != NULL, e) && scores_of(r->scorers, t, n, r->comm, dense, e);
    for (size_t i = 0; ok && i < n; i++)
        memcpy(*out + rows[i] * width, dense + i * width, width * sizeof *dense);
    mem_free(dense);
    if (ok) return true;
    mem_free(*out);
    *out = NULL;
    return false;
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

static bool own_texts(struct eval_run *r, struct err *e)
{
    r->texts = arena_alloc(&r->arena, r->n * sizeof *r->texts, e);
    r->all = r->texts ? arena_alloc(&r->arena, r->n * sizeof *r->all, e) : NULL;
    for (size_t i = 0; r->all && i < r->n; i++) {
        const struct pair *p = &r->pairs[i];
        r->texts[i] = (struct metric_text){p->prediction, p->reference, p->findings, p->clinical,
                                           p->modality};
        r->all[i] = (uint32_t)i;
    }
    return r->all != NULL;
}

static void own_loss(struct eval_run *r)
{
    struct evaluate_loss *loss = &r->out->loss;
    for (size_t i = 0; i < r->n; i++) {
        loss->per_token += r->pairs[i].nll;
        loss->tokens += r->pairs[i].tokens;
    }
    if (loss->tokens) loss->per_token /= (double)loss->tokens;
}

static bool open_scorers(struct eval_run *r, struct err *e)
{
    const struct metric_set *set = &r->out->set;
    r->threads = r->o->threads;
    if (!r->threads) r->threads = threads_default((uint32_t)comm_local_size(r->comm));
    r->env = (struct metric_env){r->o, r->texts, r->n, r->threads};
    if (!scorers_open(set, &r->env, &r->scorers, e)) return false;
    for (size_t m = 0; m < set->n; m++) {
        struct sbuf b;
        void *scorer;
        sbuf_init(&b, EVALUATE_SIGNATURE_MAX - 1);
        bool ok =
            scorers_get(r->scorers, 0, m, &scorer, e) && set->metric[m]->signature(scorer, &b, e);
        if (ok) memcpy(r->out->signature[m], b.p, b.n + 1);
        sbuf_free(&b);
        if (!ok) return err_wrap(e, "signature of metric %s", set->metric[m]->name);
    }
    return true;
}

static bool score_own(struct eval_run *r, struct err *e)
{
    struct score_columns every;
    double t0 = clock_mono_s();
    if (!eval_score(r, r->texts, r->all, r->n, &r->scores, e)) return false;
    r->out->score_s = clock_mono_s() - t0;
    score_columns_init(&every, &r->out->set, 0);
    const struct eval_table t = {&every, r->scores, NULL, r->all, r->n};
    return eval_table_run(r, &t, r->out->value, NULL, e);
}

const struct boot_ci *evaluate_value(const struct evaluate_summary *s, const char *name)
{
    size_t v = metric_set_find(&s->set, name);
    return v == SIZE_MAX ? NULL : &s->value[v];
}

/* ---- strata */

static bool stratum_run(struct eval_run *r, const struct stratum *s, const struct score_columns *c,
                        struct err *e)
{
    struct evaluate_stratum *out = &r->out->strata[r->out->nstrata];
    *out = (struct evaluate_stratum){.pairs = s->n, .has_constant = r->constant != NULL};
    eval_put_name(out->by, sizeof out->by, s->by);
    eval_put_name(out->value, sizeof out->value, s->value);
    /* The second system's values come with the difference: so this system is the second here. */
    const struct eval_table own = {c, r->scores, NULL, s->rows, s->n};
    const struct eval_table both = {c, r->constant, r->scores, s->rows, s->n};
    struct boot_ci ci[2 * METRIC_VALUES_MAX];
    if (!eval_table_run(r, r->constant ? &both : &own, ci, NULL, e)) return false;
    for (size_t i = 0; i < c->nvalues; i++) {
        const struct boot_ci *under = &ci[c->nvalues + i];
        size_t v = c->value[i];
        out->number[v] = ci[i];
        if (!r->constant) continue;
        out->constant[v] = ci[i].mean + under->mean;
        out->over_constant[v] = (struct boot_ci){-under->mean, -under->hi, -under->lo};
    }
    r->out->nstrata++;
    return true;
}

static bool strata_run(struct eval_run *r, struct err *e)
{
    struct score_columns headline;
    struct stratum *s;
    size_t n = 0;
    _Static_assert(STRATA_MAX == EVALUATE_STRATA_MAX, "room for all");

    if (!r->o->strata) return true;
    score_columns_init(&headline, &r->out->set, METRIC_HEADLINE);
    s = arena_alloc(&r->arena, STRATA_MAX * sizeof *s, e);
    bool ok = s && strata_make(r->pairs, r->n, &r->arena, s, &n, e);
    if (!comm_agree(r->comm, ok, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!stratum_run(r, &s[i], &headline, e)) return false;
    return true;
}

/* ---- the whole */

/* Every name is one of the known ones, none stands twice. */
static bool check_baselines(const struct opt_strs *v, struct err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        size_t k = 0;
        while (baseline_names[k] && strcmp(v->v[i], baseline_names[k]) != 0)
            k++;
        if (!baseline_names[k])
            return err_set(e, ERR_CONFIG,
                           "evaluate.baselines: \"%s\" is unknown; known: constant, lead2, knn",
                           v->v[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(v->v[i], v->v[j]) == 0)
                return err_set(e, ERR_CONFIG, "evaluate.baselines names \"%s\" twice", v->v[i]);
    }
    return true;
}

bool eval_metrics(const struct evaluate_opts *o, struct metric_set *set, struct err *e)
{
    const char *room[2 * METRICS_MAX];
    const struct opt_strs names = encoders_metrics(o, room);

    if (!metric_set_init(set, &names, e) || !check_baselines(&o->baselines, e)) return false;
    for (size_t m = 0; m < set->n; m++)
        if (set->metric[m]->check && !set->metric[m]->check(o, e)) return false;
    return true;
}

bool eval_prepare(struct eval_run *r, struct err *e)
{
    return make_groups(r, e) && own_texts(r, e) && open_scorers(r, e);
}

static bool check_opts(const struct evaluate_opts *o, size_t nothers, struct metric_set *set,
                       struct err *e)
{
    if (nothers > EVALUATE_OTHERS_MAX)
        return err_set(e, ERR_CONFIG, "%zu systems to compare with, at most %d", nothers,
                       EVALUATE_OTHERS_MAX);
    if (!o->dir && !o->per_pair && !o->report)
        return err_set(e, ERR_CONFIG, "evaluate.dir is missing: where should the report go?");
    return eval_metrics(o, set, e);
}

static bool start(struct eval_run *r, const char *path, size_t nothers, struct err *e)
{
    if (!check_opts(r->o, nothers, &r->out->set, e)) return false;
    if (!pairs_read(path, &r->arena, &r->pairs, &r->n, e)) return false;
    if (r->n > UINT32_MAX) return err_set(e, ERR_LIMIT, "%s: %zu pairs", path, r->n);
    if (r->o->dir && comm_rank(r->comm) == 0 && !fs_mkdirs(r->o->dir, e)) return false;
    own_loss(r);
    return eval_prepare(r, e);
}

static bool finish(struct eval_run *r, const char *path, struct err *e)
{
    bool ok = true;
    if (comm_rank(r->comm) == 0) ok = eval_report_write(r, path, e);
    return comm_agree(r->comm, ok, e);
}

bool evaluate_run(const struct evaluate_opts *o, const char *pairs_path,
                  const struct evaluate_other *others, size_t nothers, struct comm *c,
                  struct evaluate_summary *s, struct err *e)
{
    struct eval_run r = {.o = o, .comm = c, .out = s};
    struct progress p;

    memset(s, 0, sizeof *s);
    arena_init(&r.arena, ARENA_BYTES);
    bool ok = comm_agree(c, start(&r, pairs_path, nothers, e), e);
    if (!ok) goto out;
    s->pairs = r.n;
    s->groups = r.ngroups;
    s->clustered = r.group != NULL;
    progress_start(&p, comm_rank(c), "evaluate", "pairs", r.n, o->dir);
    progress_update(&p, 0, NULL);
    ok = score_own(&r, e) && eval_compare(&r, others, nothers, e) && strata_run(&r, e) &&
         finish(&r, pairs_path, e);
    if (ok)
        log_info("evaluated", "pairs=%zu metrics=%zu compared=%zu", r.n, s->set.n, s->ncompared);
    if (ok) progress_update(&p, r.n, NULL);
    progress_end(&p, ok ? "done" : "failed");
out:
    mem_free(r.constant);
    mem_free(r.scores);
    scorers_close(r.scorers);
    arena_free(&r.arena);
    return ok;
}
