#include "sweep/sweep_facts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "sweep/sweep_report.h"

enum { CURVE_MAX = 200, METRICS_BYTES = 256 << 20, BINS = 4, FEWEST = 8 };

const char *sweep_trial_state(const struct sweep *s, uint64_t trial)
{
    const struct sweep_trial *t = &s->state.trial[trial];

    for (uint32_t j = s->rungs.n; t->u && j-- > 0;) {
        switch (t->u[j].step) {
        case SWEEP_RUNNING:
            return "running";
        case SWEEP_READY:
            return "waiting";
        case SWEEP_FAILED:
            return sweep_failure_names[t->u[j].a[t->u[j].n - 1].failure];
        case SWEEP_DONE:
            return j + 1 == s->rungs.n ? "finished" : t->stopped ? "stopped" : "paused";
        default:
            break;
        }
    }
    return "claimed";
}

double sweep_trial_gpu_s(const struct sweep *s, uint64_t trial)
{
    const struct sweep_trial *t = &s->state.trial[trial];
    double sum = 0;

    for (uint32_t j = 0; t->u && j < s->rungs.n; j++)
        for (size_t i = 0; i < t->u[j].n; i++)
            sum += t->u[j].a[i].gpu_s;
    return sum;
}

static bool put_num(struct sbuf *b, double v, struct err *e)
{
    return isfinite(v) ? sbuf_put_f64(b, v, e) : sbuf_put(b, STR("null"), e);
}

/* ---- the space */

static bool put_param(const struct space_param *p, struct sbuf *b, struct err *e)
{
    if (!sbuf_put(b, STR("{\"key\":"), e) || !json_put_str(b, str_of(p->key), true, e))
        return false;
    if (p->kind != SPACE_CHOICE)
        return sbuf_printf(b, e, ",\"log\":%s,\"lo\":", p->log ? "true" : "false") &&
               put_num(b, p->lo, e) && sbuf_put(b, STR(",\"hi\":"), e) && put_num(b, p->hi, e) &&
               sbuf_putc(b, '}', e);
    if (!sbuf_put(b, STR(",\"choices\":["), e)) return false;
    for (size_t i = 0; i < p->n; i++)
        if ((i > 0 && !sbuf_putc(b, ',', e)) || !json_put_str(b, str_of(p->choices[i]), true, e))
            return false;
    return sbuf_put(b, STR("]}"), e);
}

/* ---- curves */

struct curve {
    double x[CURVE_MAX], y[CURVE_MAX];
    size_t n;
};

static void add_point(struct curve *c, double x, double y)
{
    if (!isfinite(x) || !isfinite(y)) return;
    size_t at = c->n;
    while (at > 0 && c->x[at - 1] > x)
        at--;
    if (at > 0 && c->x[at - 1] == x) return;
    if (c->n == CURVE_MAX) return;
    memmove(c->x + at + 1, c->x + at, (c->n - at) * sizeof *c->x);
    memmove(c->y + at + 1, c->y + at, (c->n - at) * sizeof *c->y);
    c->x[at] = x;
    c->y[at] = y;
    c->n++;
}

static void add_line(struct curve *c, struct str line, double total)
{
    struct err ignored = {0};
    json_t *j = NULL;
    double step, loss;

    if (str_find(line, STR("\"dev\""), 0) == SIZE_MAX || total <= 0) return;
    if (json_parse(line, "a line of metrics.jsonl", &j, &ignored) &&
        json_get_f64(j, "step", &step, &ignored) && json_get_f64(j, "loss", &loss, &ignored))
        add_point(c, step / total, loss);
    json_decref(j);
}

/* Scores at rungs, and what the trial's own log has between them. A log that cannot be read leaves
 * the rungs. */
static bool read_curve(const struct sweep *s, uint64_t k, struct curve *c, struct err *e)
{
    struct err ignored = {0};
    struct str text, line;
    const char *dir, *path;
    struct arena a;
    double total = 0;

    c->n = 0;
    for (uint32_t j = 0; j < s->rungs.n; j++) {
        const struct sweep_work_unit *u = sweep_state_unit(&s->state, k, j);
        if (!u || u->step != SWEEP_DONE || u->r.total_steps == 0) continue;
        total = (double)u->r.total_steps;
        add_point(c, (double)u->r.step / total, u->r.value[SWEEP_DEV_LOSS]);
    }
    arena_init(&a, (size_t)METRICS_BYTES + (1 << 20));
    bool ok =
        sweep_trial_dir(s->o, k, &a, &dir, e) && fs_join(&a, dir, "run/metrics.jsonl", &path, e);
    if (ok && fs_exists(path) && fs_read_file(path, METRICS_BYTES, &a, &text, &ignored))
        while (str_split(&text, '\n', &line))
            add_line(c, line, total);
    arena_free(&a);
    return ok;
}

static bool put_curve(const struct sweep *s, uint64_t k, struct sbuf *b, struct err *e)
{
    struct curve *c = mem_alloc(sizeof *c, e);
    bool ok = c && read_curve(s, k, c, e) && sbuf_put(b, STR(",\"curve\":["), e);

    for (size_t i = 0; ok && i < c->n; i++)
        ok = sbuf_printf(b, e, "%s[%.5g,%.7g]", i ? "," : "", c->x[i], c->y[i]);
    mem_free(c);
    return ok && sbuf_putc(b, ']', e);
}

/* ---- a trial */

static bool put_values(const struct sweep *s, uint64_t k, struct sbuf *b, struct err *e)
{
    int rung = sweep_state_reached(&s->state, k);

    if (rung < 0) return sbuf_put(b, STR(",\"v\":null"), e);
    const struct sweep_result *r = &sweep_state_unit(&s->state, k, (uint32_t)rung)->r;
    if (!sbuf_printf(b, e, ",\"rung\":%d,\"step\":%" PRIu64 ",\"total\":%" PRIu64 ",\"v\":{", rung,
                     r->step, r->total_steps))
        return false;
    for (int m = 0; m < SWEEP_METRICS; m++)
        if (!sbuf_printf(b, e, "%s\"%s\":", m ? "," : "", sweep_metric_names[m]) ||
            !put_num(b, r->value[m], e))
            return false;
    return sbuf_putc(b, '}', e);
}

static bool put_trial(const struct sweep *s, uint64_t k, struct sbuf *b, struct err *e)
{
    const struct sweep_trial *t = &s->state.trial[k];

    if (!sbuf_printf(b, e, "{\"id\":%" PRIu64 ",\"state\":\"%s\",\"gpu_s\":", k,
                     sweep_trial_state(s, k)) ||
        !put_num(b, sweep_trial_gpu_s(s, k), e) || !sbuf_put(b, STR(",\"p\":["), e))
        return false;
    for (size_t d = 0; d < s->space.n; d++)
        if ((d > 0 && !sbuf_putc(b, ',', e)) ||
            !put_num(b, t->point.on >> d & 1 ? t->point.v[d] : (double)NAN, e))
            return false;
    return sbuf_putc(b, ']', e) && put_values(s, k, b, e) && put_curve(s, k, b, e) &&
           sbuf_putc(b, '}', e);
}

/* ---- importance */

struct sample {
    double x, rank;
    size_t group;
};

static int by_x(const void *a, const void *b)
{
    double x = ((const struct sample *)a)->x, y = ((const struct sample *)b)->x;
    return x < y ? -1 : x > y;
}

/* Groups of equal choices, or of about equally many neighbours that never part equal values. */
static size_t group(struct sample *v, size_t n, bool choices)
{
    size_t groups = 0, bins = n / 4 < BINS ? n / 4 : BINS;

    qsort(v, n, sizeof *v, by_x);
    for (size_t i = 0, from = 0; i < n; i++) {
        bool full = choices || i - from >= (n + bins - 1) / bins;
        if (i > 0 && v[i].x != v[i - 1].x && full) {
            groups++;
            from = i;
        }
        v[i].group = groups;
    }
    return groups + 1;
}

/* (SS_between - (k - 1) MS_within) / SS_total, Kelley's epsilon squared. */
static double epsilon_squared(const struct sample *v, size_t n, size_t groups)
{
    double mean = 0, total = 0, within = 0;

    for (size_t i = 0; i < n; i++)
        mean += v[i].rank / (double)n;
    for (size_t i = 0; i < n;) {
        double sum = 0;
        size_t from = i;
        for (; i < n && v[i].group == v[from].group; i++)
            sum += v[i].rank;
        double m = sum / (double)(i - from);
        for (size_t j = from; j < i; j++) {
            within += (v[j].rank - m) * (v[j].rank - m);
            total += (v[j].rank - mean) * (v[j].rank - mean);
        }
    }
    if (groups < 2 || n <= groups || total <= 0) return (double)NAN;
    double share = 1 - within / total * (double)(n - 1) / (double)(n - groups);
    return share > 0 ? share : 0;
}

/* The farthest rung that FEWEST trials ended, or -1. */
static int common_rung(const struct sweep *s)
{
    struct sweep_tally t = sweep_tally(s);
    int j = (int)s->rungs.n - 1;

    while (j >= 0 && t.at[j] < FEWEST)
        j--;
    return j;
}

bool sweep_importance(const struct sweep *s, size_t d, double *out, size_t *n, struct err *e)
{
    int rung = common_rung(s);
    struct sample *v = mem_calloc(s->state.ntrials + 1, sizeof *v, e);
    struct rung_entry *entry = NULL;
    bool ok = false;

    *out = (double)NAN;
    *n = 0;
    if (!v) return false;
    entry = mem_calloc(s->state.ntrials + 1, sizeof *entry, e);
    if (!entry) goto out;
    for (uint64_t k = 0; rung >= 0 && k < s->state.ntrials; k++) {
        const struct sweep_work_unit *u = sweep_state_unit(&s->state, k, (uint32_t)rung);
        const struct sweep_trial *t = &s->state.trial[k];
        if (!u || u->step != SWEEP_DONE || !t->known || !(t->point.on >> d & 1)) continue;
        entry[(*n)++] = (struct rung_entry){k, sweep_loss(s->o, &u->r), false};
    }
    (void)rungs_promote(entry, *n, 1); /* sorts by value */
    for (size_t i = 0; i < *n; i++)
        v[i] = (struct sample){s->state.trial[entry[i].trial].point.v[d], (double)i, 0};
    if (*n >= FEWEST)
        *out = epsilon_squared(v, *n, group(v, *n, s->space.p[d].kind == SPACE_CHOICE));
    ok = true;
out:
    mem_free(entry);
    mem_free(v);
    return ok;
}

static bool put_importance(const struct sweep *s, struct sbuf *b, struct err *e)
{
    double share;
    size_t n;

    if (!sbuf_put(b, STR(",\n\"importance\":["), e)) return false;
    for (size_t d = 0; d < s->space.n; d++) {
        if (!sweep_importance(s, d, &share, &n, e)) return false;
        if (!sbuf_put(b, d ? STR(",{\"key\":") : STR("{\"key\":"), e) ||
            !json_put_str(b, str_of(s->space.p[d].key), true, e) ||
            !sbuf_printf(b, e, ",\"n\":%zu,\"share\":", n) || !put_num(b, share, e) ||
            !sbuf_putc(b, '}', e))
            return false;
    }
    return sbuf_putc(b, ']', e);
}

/* ---- the whole */

static bool put_warnings(const struct sweep *s, struct sbuf *b, struct err *e)
{
    struct sweep_damage d = sweep_store_damage(s->store);
    uint64_t failed = sweep_tally(s).failed, all, same;
    const char *comma = "";

    if (!sbuf_put(b, STR(",\n\"warnings\":["), e)) return false;
    if (d.lines > 0) {
        if (!sbuf_printf(b, e,
                         "\"%" PRIu64 " journal records are damaged and were skipped; the "
                         "first is at byte %" PRIu64 " of %s.\"",
                         d.lines, d.first_offset, d.first))
            return false;
        comma = ",";
    }
    if (failed > 0) {
        if (!sbuf_printf(b, e,
                         "%s\"%" PRIu64 " trials failed; their classes are in the table of "
                         "all trials, the reasons in report.csv.\"",
                         comma, failed))
            return false;
        comma = ",";
    }
    if (!sweep_replay(s, &all, &same, e)) return false;
    if (same < all && !sbuf_printf(b, e,
                                   "%s\"%" PRIu64 " of %" PRIu64 " TPE suggestions do not "
                                   "come out the same when computed again.\"",
                                   comma, all - same, all))
        return false;
    return sbuf_putc(b, ']', e);
}

static bool put_head(const struct sweep *s, struct sbuf *b, struct err *e)
{
    const struct sweep_opts *o = s->o;
    struct sweep_tally t = sweep_tally(s);
    const char *name = o->dir + strlen(o->dir);
    struct sweep_result one = {.value = {1, 1, 1}};
    char now[21];

    for (int parts = 0; name > o->dir; name--) /* the last two parts of the path */
        if (name[-1] == '/' && ++parts == 2) break;
    clock_iso8601(clock_wall_s(), now);
    return sbuf_put(b, STR("{\"title\":"), e) && json_put_str(b, str_of(name), true, e) &&
           sbuf_printf(b, e, ",\"made\":\"%s\",\"method\":\"%s\",\"goal\":\"%s\",\"max\":%s,", now,
                       sweep_method_name(o), sweep_metric_names[o->goal.metric],
                       sweep_loss(o, &one) < 0 ? "true" : "false") &&
           sbuf_printf(b, e, "\"metrics\":[\"%s\",\"%s\",\"%s\"],\"gpu_s\":", sweep_metric_names[0],
                       sweep_metric_names[1], sweep_metric_names[2]) &&
           put_num(b, s->state.gpu_s, e) &&
           sbuf_printf(b, e,
                       ",\"tally\":{\"begun\":%" PRIu64 ",\"ended\":%" PRIu64
                       ",\"running\":%" PRIu64 ",\"waiting\":%" PRIu64 ",\"failed\":%" PRIu64 "}",
                       t.begun, t.ended, t.running, t.waiting, t.failed);
}

static bool put_order(const struct sweep *s, struct sbuf *b, struct err *e)
{
    struct arena a;
    uint64_t *order;
    size_t n;

    arena_init(&a, (size_t)256 << 20);
    bool ok = sweep_ranking(s, &a, &order, &n, e) && sbuf_put(b, STR(",\n\"order\":["), e);
    for (size_t i = 0; ok && i < n; i++)
        ok = sbuf_printf(b, e, "%s%" PRIu64, i ? "," : "", order[i]);
    arena_free(&a);
    return ok && sbuf_putc(b, ']', e);
}

bool sweep_facts(const struct sweep *s, struct sbuf *b, struct err *e)
{
    bool first = true;

    if (!put_head(s, b, e) || !put_warnings(s, b, e) || !sbuf_put(b, STR(",\n\"params\":["), e))
        return false;
    for (size_t d = 0; d < s->space.n; d++)
        if ((d > 0 && !sbuf_putc(b, ',', e)) || !put_param(&s->space.p[d], b, e)) return false;
    if (!sbuf_putc(b, ']', e) || !put_importance(s, b, e) || !put_order(s, b, e) ||
        !sbuf_put(b, STR(",\n\"trials\":["), e))
        return false;
    for (uint64_t k = 0; k < s->state.ntrials; k++) {
        if (!s->state.trial[k].known) continue;
        if (!sbuf_put(b, first ? STR("\n") : STR(",\n"), e) || !put_trial(s, k, b, e)) return false;
        first = false;
    }
    return sbuf_put(b, STR("]}"), e);
}
