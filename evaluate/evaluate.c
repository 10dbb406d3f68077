#include "evaluate/evaluate.h"

#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluate/baseline.h"
#include "evaluate/eval_report.h"
#include "evaluate/scores.h"
#include "evaluate/strata.h"
#include "generate/pairs.h"

/* A pairs file and what is made of it stays below this. */
#define ARENA_BYTES ((size_t)64 << 30)
/* p, r, f of every metric. */
enum { COLS = 3 * ROUGE_KINDS };
_Static_assert(sizeof(struct rouge_scores) == COLS * sizeof(double), "scores are rows of doubles");

static const char *const cluster_names[] = {"auto", "patient", "none", NULL};
const struct opt evaluate_table[] = {
    OPT_PATH(struct evaluate_opts, dir, NULL, "folder of the report"),
    OPT_PATH(struct evaluate_opts, per_pair, NULL,
             "scores of each pair, instead of dir/per_pair.jsonl"),
    OPT_PATH(struct evaluate_opts, report, NULL, "the report, instead of dir/report.json"),
    OPT_STRS(struct evaluate_opts, metrics, "[rouge]", "what to compute: rouge"),
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

/* One run. Everything in it is the same on all ranks. */
struct run {
    const struct evaluate_opts *o;
    struct comm *comm;
    struct arena arena;
    struct pair *pairs;
    size_t n;
    uint32_t *group; /* of each pair, dense; NULL: pairs are independent */
    size_t ngroups;
    struct rouge_scores *scores;   /* [n] */
    struct rouge_scores *constant; /* [n] or NULL */
    uint32_t ntables;              /* bootstrap tables so far */
    struct evaluate_summary *out;
};

/* ---- helpers over rows */

static bool all_rows(struct run *r, uint32_t **rows, struct err *e)
{
    *rows = arena_alloc(&r->arena, (r->n + 1) * sizeof **rows, e);
    for (size_t i = 0; *rows && i < r->n; i++)
        (*rows)[i] = (uint32_t)i;
    return *rows != NULL;
}

/* Intervals of `cols` columns of nrows rows, and p values when p is not NULL. Collective. */
static bool table_ci(struct run *r, const double *value, size_t cols, const uint32_t *rows,
                     size_t nrows, struct boot_ci *ci, double *p, struct err *e)
{
    struct units u;
    struct boot_opts b = {.seed = r->o->seed, .table = ++r->ntables, .replicates = r->o->bootstrap};
    bool ok = units_init(&u, value, cols, rows, nrows, r->group, r->ngroups, e);
    if (!comm_agree(r->comm, ok, e)) {
        units_free(&u);
        return false;
    }
    struct boot_data d = {.sum = u.sum, .count = u.count, .units = u.n, .cols = cols};
    ok = bootstrap_ci(&d, &b, r->comm, ci, e);
    if (ok && p) ok = signflip_p(&d, &b, r->comm, p, e);
    units_free(&u);
    return ok;
}

static void put_metrics(const struct boot_ci ci[COLS], struct evaluate_metric m[ROUGE_KINDS])
{
    for (int k = 0; k < ROUGE_KINDS; k++)
        m[k] = (struct evaluate_metric){.p = ci[3 * k], .r = ci[3 * k + 1], .f = ci[3 * k + 2]};
}

/* Copy a name for the report's tables: cut at a whole character, no table or line breaks. */
static void put_name(char *out, size_t cap, const char *name)
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

static bool wants_groups(const struct run *r, bool *out, struct err *e)
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

/* Number equal texts alike: number[i] of text key(i), from 0 in order of appearance. Two texts are
 * taken for equal when their 128-bit hashes are. */
struct numbering {
    struct hash128 *key;
    uint32_t *value; /* number + 1, 0: free */
    size_t cap, n;
};

static bool numbering_init(struct numbering *t, size_t n, struct err *e)
{
    *t = (struct numbering){.cap = 16};
    while (t->cap < 2 * n)
        t->cap *= 2;
    t->key = mem_calloc(t->cap, sizeof *t->key, e);
    t->value = t->key ? mem_calloc(t->cap, sizeof *t->value, e) : NULL;
    return t->value != NULL;
}

static void numbering_free(struct numbering *t)
{
    mem_free(t->key);
    mem_free(t->value);
}

/* The slot of a text: its own or a free one. */
static size_t numbering_slot(const struct numbering *t, struct str s, struct hash128 *h)
{
    *h = hash_xxh128(s.p, s.n);
    size_t k = h->lo & (t->cap - 1);
    while (t->value[k] && (t->key[k].lo != h->lo || t->key[k].hi != h->hi))
        k = (k + 1) & (t->cap - 1);
    return k;
}

static bool make_groups(struct run *r, struct err *e)
{
    struct numbering t = {0};
    struct hash128 h;
    bool wanted;

    if (!wants_groups(r, &wanted, e)) return false;
    if (!wanted) return true;
    r->group = arena_alloc(&r->arena, r->n * sizeof *r->group, e);
    bool ok = r->group && numbering_init(&t, r->n, e);
    for (size_t i = 0; ok && i < r->n; i++) {
        size_t k = numbering_slot(&t, r->pairs[i].group, &h);
        if (!t.value[k]) {
            t.key[k] = h;
            t.value[k] = (uint32_t)++t.n;
        }
        r->group[i] = t.value[k] - 1;
    }
    r->ngroups = t.n;
    numbering_free(&t);
    return ok;
}

/* ---- this system */

static bool own_answers(struct run *r, struct answer **out, struct err *e)
{
    *out = arena_alloc(&r->arena, r->n * sizeof **out, e);
    r->scores = *out ? arena_alloc(&r->arena, r->n * sizeof *r->scores, e) : NULL;
    for (size_t i = 0; r->scores && i < r->n; i++)
        (*out)[i] = (struct answer){r->pairs[i].prediction, r->pairs[i].reference};
    return r->scores != NULL;
}

static bool score_own(struct run *r, struct err *e)
{
    struct answer *v;
    uint32_t *rows = NULL;
    struct boot_ci ci[COLS];
    bool ok = own_answers(r, &v, e) && all_rows(r, &rows, e);
    if (!comm_agree(r->comm, ok, e)) return false;
    double t0 = clock_mono_s();
    if (!scores_of(v, r->n, r->o->stem, r->comm, r->scores, e)) return false;
    r->out->score_s = clock_mono_s() - t0;
    if (!table_ci(r, (const double *)r->scores, COLS, rows, r->n, ci, NULL, e)) return false;
    put_metrics(ci, r->out->m);
    return true;
}

/* ---- comparisons */

/* Another system's answers to the pairs numbered rows[0..n). */
struct rival {
    struct answer *v;
    uint32_t *rows;
    size_t n;
    struct rouge_scores *scores;
};

static bool rival_init(struct run *r, struct rival *v, struct err *e)
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

/* Score the rival and compare it with this system on its rows. Collective. */
static bool compare(struct run *r, struct rival *v, const char *name, bool baseline, struct err *e)
{
    struct evaluate_compared *out = &r->out->compared[r->out->ncompared];
    struct boot_ci ci[COLS];
    double p[ROUGE_KINDS];
    double *diff;

    if (!scores_of(v->v, v->n, r->o->stem, r->comm, v->scores, e)) return false;
    diff = mem_calloc(v->n * ROUGE_KINDS, sizeof *diff, e);
    bool ok = comm_agree(r->comm, diff != NULL, e);
    for (size_t i = 0; ok && i < v->n; i++)
        for (int k = 0; k < ROUGE_KINDS; k++)
            diff[i * ROUGE_KINDS + k] = r->scores[v->rows[i]].v[k].f - v->scores[i].v[k].f;
    *out = (struct evaluate_compared){.baseline = baseline, .pairs = v->n};
    put_name(out->name, sizeof out->name, name);
    if (ok) ok = table_ci(r, (const double *)v->scores, COLS, v->rows, v->n, ci, NULL, e);
    if (ok) put_metrics(ci, out->m);
    if (ok) ok = table_ci(r, diff, ROUGE_KINDS, v->rows, v->n, ci, p, e);
    for (int k = 0; ok && k < ROUGE_KINDS; k++)
        out->delta[k] = (struct evaluate_delta){.ci = ci[k], .p = p[k]};
    mem_free(diff);
    if (ok) r->out->ncompared++;
    return ok;
}

static bool baseline_run(struct run *r, struct str name, struct err *e)
{
    struct rival v;
    bool constant = str_eqz(name, "constant");
    if (!comm_agree(r->comm, rival_init(r, &v, e), e)) return false;
    for (size_t i = 0; i < r->n; i++) {
        struct pair *p = &r->pairs[i];
        if (constant)
            rival_put(&v, i, baseline_constant, p->reference);
        else if (p->findings.n > 0)
            rival_put(&v, i, baseline_lead(p->findings, 2), p->reference);
    }
    if (v.n == 0) return true; /* no findings in the file: lead2 has nothing to say */
    if (constant) r->constant = v.scores;
    return compare(r, &v, constant ? "constant" : "lead2", true, e);
}

/* Put pair j of the other file beside pair i of ours. */
static bool match_put(struct run *r, struct rival *v, size_t i, const struct pair *other, size_t j,
                      struct err *e)
{
    if (!str_eq(r->pairs[i].reference, other[j].reference))
        return err_set(e, ERR_FORMAT,
                       "its pair %zu and pair %zu of the evaluated file have different references",
                       j + 1, i + 1);
    rival_put(v, i, other[j].prediction, other[j].reference);
    return true;
}

static bool have_ids(const struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i].id.n == 0) return false;
    return true;
}

static bool match_by_id(struct run *r, struct rival *v, const struct pair *other, size_t n,
                        struct err *e)
{
    struct numbering t;
    struct hash128 h;
    bool ok = numbering_init(&t, n, e);
    for (size_t j = 0; ok && j < n; j++) {
        size_t k = numbering_slot(&t, other[j].id, &h);
        if (t.value[k])
            ok = err_set(e, ERR_FORMAT, "its pairs %u and %zu have the same id", t.value[k], j + 1);
        t.key[k] = h;
        t.value[k] = (uint32_t)j + 1;
    }
    for (size_t i = 0; ok && i < r->n; i++) {
        size_t k = numbering_slot(&t, r->pairs[i].id, &h);
        if (t.value[k]) ok = match_put(r, v, i, other, t.value[k] - 1, e);
    }
    if (ok && v->n == 0) ok = err_set(e, ERR_FORMAT, "it shares no id with the evaluated file");
    numbering_free(&t);
    return ok;
}

static bool match_by_line(struct run *r, struct rival *v, const struct pair *other, size_t n,
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

static bool other_read(struct run *r, const char *path, struct rival *v, struct err *e)
{
    struct pair *other;
    size_t n;
    if (!rival_init(r, v, e) || !pairs_read(path, &r->arena, &other, &n, e)) return false;
    bool ids = have_ids(r->pairs, r->n) && have_ids(other, n);
    bool ok = ids ? match_by_id(r, v, other, n, e) : match_by_line(r, v, other, n, e);
    return ok || err_wrap(e, "%s", path);
}

static bool compare_all(struct run *r, const struct evaluate_other *others, size_t nothers,
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

/* ---- strata */

static bool stratum_run(struct run *r, const struct stratum *s, double *f, struct err *e)
{
    struct evaluate_stratum *out = &r->out->strata[r->out->nstrata];
    *out = (struct evaluate_stratum){.pairs = s->n, .has_constant = r->constant != NULL};
    put_name(out->by, sizeof out->by, s->by);
    put_name(out->value, sizeof out->value, s->value);
    for (size_t i = 0; i < s->n; i++)
        for (int k = 0; k < ROUGE_KINDS; k++) {
            f[i * ROUGE_KINDS + k] = r->scores[s->rows[i]].v[k].f;
            if (r->constant) out->constant_f[k] += r->constant[s->rows[i]].v[k].f / (double)s->n;
        }
    if (!table_ci(r, f, ROUGE_KINDS, s->rows, s->n, out->f, NULL, e)) return false;
    r->out->nstrata++;
    return true;
}

static bool strata_run(struct run *r, struct err *e)
{
    struct stratum *s;
    size_t n = 0;
    double *f;
    _Static_assert(STRATA_MAX == sizeof r->out->strata / sizeof r->out->strata[0], "room for all");

    if (!r->o->strata) return true;
    s = arena_alloc(&r->arena, STRATA_MAX * sizeof *s, e);
    f = s ? arena_alloc(&r->arena, r->n * ROUGE_KINDS * sizeof *f, e) : NULL;
    bool ok = f && strata_make(r->pairs, r->n, &r->arena, s, &n, e);
    if (!comm_agree(r->comm, ok, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!stratum_run(r, &s[i], f, e)) return false;
    return true;
}

/* ---- the whole */

static bool known_names(const struct opt_strs *v, const char *key, const char *const *known,
                        struct err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        size_t k = 0;
        while (known[k] && strcmp(known[k], v->v[i]) != 0)
            k++;
        if (!known[k])
            return err_set(e, ERR_CONFIG, "evaluate.%s: \"%s\" is unknown; known: %s%s%s", key,
                           v->v[i], known[0], known[1] ? ", " : "", known[1] ? known[1] : "");
        for (size_t j = 0; j < i; j++)
            if (strcmp(v->v[j], v->v[i]) == 0)
                return err_set(e, ERR_CONFIG, "evaluate.%s names \"%s\" twice", key, v->v[i]);
    }
    return true;
}

static bool check_opts(const struct evaluate_opts *o, size_t nothers, struct err *e)
{
    static const char *const metrics[] = {"rouge", NULL, NULL};
    static const char *const baselines[] = {"constant", "lead2", NULL};
    if (nothers > EVALUATE_OTHERS_MAX)
        return err_set(e, ERR_CONFIG, "%zu systems to compare with, at most %d", nothers,
                       EVALUATE_OTHERS_MAX);
    if (!o->dir && !o->per_pair && !o->report)
        return err_set(e, ERR_CONFIG, "evaluate.dir is missing: where should the report go?");
    return known_names(&o->metrics, "metrics", metrics, e) &&
           known_names(&o->baselines, "baselines", baselines, e);
}

static bool start(struct run *r, const char *path, size_t nothers, struct err *e)
{
    if (!check_opts(r->o, nothers, e)) return false;
    if (!pairs_read(path, &r->arena, &r->pairs, &r->n, e)) return false;
    if (r->n > UINT32_MAX) return err_set(e, ERR_LIMIT, "%s: %zu pairs", path, r->n);
    return make_groups(r, e);
}

static bool finish(struct run *r, const char *path, struct err *e)
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
    struct run r = {.o = o, .comm = c, .out = s};

    memset(s, 0, sizeof *s);
    arena_init(&r.arena, ARENA_BYTES);
    bool ok = comm_agree(c, start(&r, pairs_path, nothers, e), e);
    if (!ok) goto out;
    s->pairs = r.n;
    s->groups = r.ngroups;
    s->clustered = r.group != NULL;
    s->signature = rouge_signature(o->stem);
    ok = score_own(&r, e) && compare_all(&r, others, nothers, e) && strata_run(&r, e) &&
         finish(&r, pairs_path, e);
    if (ok)
        log_info("evaluated", "pairs=%zu rouge1=%.4f rouge2=%.4f rougeL=%.4f rougeLsum=%.4f", r.n,
                 s->m[ROUGE_1].f.mean, s->m[ROUGE_2].f.mean, s->m[ROUGE_L].f.mean,
                 s->m[ROUGE_LSUM].f.mean);
out:
    arena_free(&r.arena);
    return ok;
}
