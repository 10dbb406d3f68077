/* Answers that need no model, compared as other systems are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "evaluate/baseline.h"
#include "evaluate/eval_run.h"
#include "evaluate/nearest.h"
#include "evaluate/train_texts.h"

enum { BATCH = 16 }; /* searches a thread takes at a time */

static bool leave_out(struct eval_run *r, const char *name, const char *why)
{
    struct evaluate_left_out *l = &r->out->left_out[r->out->nleft_out++];
    CHECK(r->out->nleft_out <= EVALUATE_BASELINES);
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->why, sizeof l->why, "%s", why);
    log_warn("baseline_left_out", "name=%s why=\"%s\"", name, why);
    return true;
}

static size_t with_findings(const struct eval_run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->pairs[i].findings.n > 0;
    return n;
}

static bool constant(struct eval_run *r, struct err *e)
{
    struct eval_rival v;
    if (!comm_agree(r->comm, eval_rival_init(r, &v, e), e)) return false;
    for (size_t i = 0; i < r->n; i++)
        eval_rival_put(r, &v, i, baseline_constant);
    return eval_rival_compare(r, &v, "constant", true, &r->constant, e);
}

static bool lead2(struct eval_run *r, struct err *e)
{
    struct eval_rival v;
    if (with_findings(r) == 0) return leave_out(r, "lead2", "no pair has findings");
    if (!comm_agree(r->comm, eval_rival_init(r, &v, e), e)) return false;
    for (size_t i = 0; i < r->n; i++)
        if (r->pairs[i].findings.n > 0)
            eval_rival_put(r, &v, i, baseline_lead(r->pairs[i].findings, 2));
    return eval_rival_compare(r, &v, "lead2", true, NULL, e);
}

/* ---- knn: the impression of the training report whose findings are most similar */

struct knn {
    struct eval_run *r;
    struct train_texts train;
    struct nearest *index;
    struct nearest_scratch **scratch; /* [threads] */
    struct comm_range share;          /* of the pairs */
    uint32_t *mine;                   /* [share]: number of the nearest + 1; 0: none */
    uint32_t *found;                  /* [n], of all pairs */
};

static void knn_free(struct knn *k)
{
    for (uint32_t t = 0; k->scratch && t < k->r->threads; t++)
        nearest_scratch_close(k->scratch[t]);
    mem_free(k->scratch);
    mem_free(k->mine);
    mem_free(k->found);
    nearest_close(k->index);
}

static bool knn_index(struct knn *k, struct err *e)
{
    if (!nearest_open(&k->index, e)) return false;
    for (size_t i = 0; i < k->train.n; i++) {
        struct str findings;
        if (!k->train.get(k->train.ctx, i, &findings, NULL, e) ||
            !nearest_add(k->index, findings, e))
            return err_wrap(e, "%s, report %zu", k->train.name, i + 1);
    }
    return nearest_seal(k->index, e);
}

static bool search(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    struct knn *k = ctx;
    size_t n = (size_t)(k->share.end - k->share.begin), end = (job + 1) * BATCH;
    if (!k->scratch[worker] && !nearest_scratch_open(k->index, &k->scratch[worker], e))
        return false;
    for (size_t i = job * BATCH; i < n && i < end; i++) {
        struct str findings = k->r->pairs[k->share.begin + i].findings;
        size_t at;
        double cosine;
        if (!nearest_find(k->index, k->scratch[worker], findings, &at, &cosine, e)) return false;
        k->mine[i] = at == SIZE_MAX ? 0 : (uint32_t)at + 1;
    }
    return true;
}

/* Each rank holds the whole index and searches for its share of the pairs. Collective. */
static bool knn_search(struct knn *k, struct err *e)
{
    struct comm *c = k->r->comm;
    size_t n, total;
    void *all = NULL;
    k->share = comm_share(c, k->r->n);
    n = (size_t)(k->share.end - k->share.begin);
    k->mine = mem_calloc(n, sizeof *k->mine, e);
    k->scratch = k->mine ? mem_calloc(k->r->threads, sizeof *k->scratch, e) : NULL;
    bool ok = k->scratch && knn_index(k, e) &&
              threads_run(k->r->threads, (n + BATCH - 1) / BATCH, search, k, e);
    ok = comm_agree(c, ok, e) &&
         comm_allgatherv(c, k->mine, n * sizeof *k->mine, &all, &total, NULL, e);
    if (ok) k->found = all;
    return ok;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static const struct str *impression_of(const uint32_t *wanted, const struct str *texts, size_t n,
                                       uint32_t number)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (wanted[mid] < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return &texts[lo];
}

/* The impressions found, each read once, in ascending order as the source wants it. */
static bool knn_answers(struct knn *k, struct eval_rival *v, struct err *e)
{
    static const struct str none = STR_INIT("");
    struct eval_run *r = k->r;
    uint32_t *wanted = arena_alloc(&r->arena, r->n * sizeof *wanted, e);
    struct str *texts = wanted ? arena_alloc(&r->arena, r->n * sizeof *texts, e) : NULL;
    size_t n = 0;
    if (!texts || !eval_rival_init(r, v, e)) return false;
    memcpy(wanted, k->found, r->n * sizeof *wanted);
    qsort(wanted, r->n, sizeof *wanted, cmp_u32);
    for (size_t i = 0; i < r->n; i++) {
        struct str impression;
        if (wanted[i] == 0 || (n > 0 && wanted[n - 1] == wanted[i])) continue;
        if (!k->train.get(k->train.ctx, wanted[i] - 1, NULL, &impression, e) ||
            !arena_str(&r->arena, impression, &texts[n], e))
            return false;
        wanted[n++] = wanted[i];
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->pairs[i].findings.n > 0)
            eval_rival_put(r, v, i,
                           k->found[i] ? *impression_of(wanted, texts, n, k->found[i]) : none);
    return true;
}

static bool knn_source(struct eval_run *r, struct train_texts *out, struct err *e)
{
    if (r->o->train_pairs) return train_texts_read(r->o->train_pairs, &r->arena, out, e);
    *out = (struct train_texts){0};
    if (r->o->train) *out = *r->o->train;
    return true;
}

/* The answers alone; *count: of training reports, 0: there are none to look at. Collective. */
static bool knn_rival(struct eval_run *r, struct eval_rival *v, size_t *count, struct err *e)
{
    struct knn k = {.r = r};
    *count = 0;
    if (!comm_agree(r->comm, knn_source(r, &k.train, e), e)) return false;
    if (!k.train.get) return true;
    *count = k.train.n;
    bool ok = knn_search(&k, e);
    if (ok) ok = comm_agree(r->comm, knn_answers(&k, v, e), e);
    knn_free(&k);
    return ok;
}

static bool knn(struct eval_run *r, struct err *e)
{
    struct eval_rival v;
    size_t count;
    if (with_findings(r) == 0) return leave_out(r, "knn", "no pair has findings");
    bool ok = knn_rival(r, &v, &count, e);
    if (ok && count == 0)
        return leave_out(r, "knn",
                         r->o->no_train ? r->o->no_train
                                        : "no training reports: evaluate.train_pairs names a file");
    struct evaluate_compared *out = &r->out->compared[r->out->ncompared];
    if (ok) ok = eval_rival_compare(r, &v, "knn", true, NULL, e);
    if (ok)
        snprintf(out->note, sizeof out->note,
                 "impression of the nearest of %zu training reports, TF-IDF of the findings",
                 count);
    return ok || err_wrap(e, "baseline knn (evaluate.baselines can leave it out)");
}

bool eval_baseline_answers(struct eval_run *r, const char *name, struct str *out, bool *all,
                           struct err *e)
{
    struct eval_rival v = {0};
    size_t count;
    *all = strcmp(name, "constant") == 0 || with_findings(r) == r->n;
    for (size_t i = 0; *all && i < r->n; i++)
        out[i] = strcmp(name, "constant") == 0 ? baseline_constant
                                               : baseline_lead(r->pairs[i].findings, 2);
    if (!*all || strcmp(name, "knn") != 0) return true;
    if (!knn_rival(r, &v, &count, e)) return err_wrap(e, "baseline knn");
    *all = v.n == r->n;
    for (size_t i = 0; *all && i < v.n; i++)
        out[v.rows[i]] = v.v[i].prediction;
    return true;
}

bool eval_baselines(struct eval_run *r, struct err *e)
{
    static const struct {
        const char *name;
        bool (*run)(struct eval_run *r, struct err *e);
    } table[EVALUATE_BASELINES] = {{"constant", constant}, {"lead2", lead2}, {"knn", knn}};
    for (size_t i = 0; i < r->o->baselines.n; i++)
        for (size_t k = 0; k < EVALUATE_BASELINES; k++)
            if (strcmp(r->o->baselines.v[i], table[k].name) == 0 && !table[k].run(r, e))
                return false;
    return true;
}
