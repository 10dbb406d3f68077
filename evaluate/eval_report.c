#include "evaluate/eval_report.h"

#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "evaluate/eval_md.h"
#include "evaluate/eval_rows.h"

/* Builds the tree; an allocation that fails anywhere is remembered, so that no key is silently
 * missing. */
struct maker {
    const struct evaluate_summary *s;
    bool failed;
};

static void set(struct maker *m, json_t *obj, const char *key, json_t *value)
{
    if (json_object_set_new(obj, key, value) != 0) m->failed = true;
}

static void append(struct maker *m, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0) m->failed = true;
}

static void set_ci(struct maker *m, json_t *o, const struct boot_ci *c)
{
    set(m, o, "mean", json_real(c->mean));
    set(m, o, "lo", json_real(c->lo));
    set(m, o, "hi", json_real(c->hi));
}

static json_t *ci_json(struct maker *m, const struct boot_ci *c)
{
    json_t *o = json_object();
    set_ci(m, o, c);
    return o;
}

/* ---- this system */

static json_t *metrics_json(struct maker *m)
{
    json_t *all = json_array();
    for (size_t i = 0; i < m->s->set.n; i++) {
        json_t *o = json_object();
        set(m, o, "name", json_string(m->s->set.metric[i]->name));
        set(m, o, "signature", json_string(m->s->signature[i]));
        append(m, all, o);
    }
    return all;
}

static json_t *values_json(struct maker *m)
{
    const struct metric_set *t = &m->s->set;
    json_t *all = json_object();
    for (size_t v = 0; v < t->nvalues; v++) {
        unsigned flags = t->value[v]->flags;
        json_t *o = json_object();
        set(m, o, "metric", json_string(t->metric[t->of[v]]->name));
        set(m, o, "label", json_string(t->value[v]->label));
        set(m, o, "scale", json_real(t->value[v]->scale));
        set(m, o, "headline", json_boolean(flags & METRIC_HEADLINE));
        set(m, o, "lower_is_better", json_boolean(flags & METRIC_LOWER));
        set(m, o, "corpus", json_boolean(flags & METRIC_CORPUS));
        set_ci(m, o, &m->s->value[v]);
        set(m, all, t->value[v]->name, o);
    }
    return all;
}

/* null where the pairs file does not say. */
static json_t *loss_json(struct maker *m, const struct evaluate_loss *l)
{
    if (!l->tokens) return json_null();
    json_t *o = json_object();
    set(m, o, "nats_per_token", json_real(l->per_token));
    set(m, o, "perplexity", json_real(exp(l->per_token)));
    set(m, o, "tokens", json_integer((json_int_t)l->tokens));
    return o;
}

/* ---- compared, strata */

static json_t *compared_json(struct maker *m, const struct evaluate_compared *c)
{
    const struct metric_set *t = &m->s->set;
    json_t *o = json_object(), *values = json_object();
    for (size_t v = 0; v < t->nvalues; v++) {
        json_t *x = ci_json(m, &c->value[v]), *d = ci_json(m, &c->delta[v].ci);
        set(m, d, "p", json_real(c->delta[v].p));
        if (t->value[v]->flags & METRIC_HEADLINE) set(m, d, "p_holm", json_real(c->delta[v].holm));
        set(m, x, "difference", d);
        set(m, values, t->value[v]->name, x);
    }
    set(m, o, "name", json_string(c->name));
    set(m, o, "kind", json_string(c->baseline ? "baseline" : "system"));
    if (c->note[0]) set(m, o, "note", json_string(c->note));
    set(m, o, "pairs", json_integer((json_int_t)c->pairs));
    set(m, o, "loss", loss_json(m, &c->loss));
    set(m, o, "values", values);
    return o;
}

static json_t *stratum_json(struct maker *m, const struct evaluate_stratum *s)
{
    const struct metric_set *t = &m->s->set;
    json_t *o = json_object(), *values = json_object();
    for (size_t v = 0; v < t->nvalues; v++) {
        if (!(t->value[v]->flags & METRIC_HEADLINE)) continue;
        json_t *x = ci_json(m, &s->number[v]);
        if (s->has_constant) {
            set(m, x, "constant", json_real(s->constant[v]));
            set(m, x, "over_constant", ci_json(m, &s->over_constant[v]));
        }
        set(m, values, t->value[v]->name, x);
    }
    set(m, o, "by", json_string(s->by));
    set(m, o, "value", json_string(s->value));
    set(m, o, "pairs", json_integer((json_int_t)s->pairs));
    set(m, o, "values", values);
    return o;
}

static json_t *left_out_json(struct maker *m)
{
    json_t *all = json_array();
    for (size_t i = 0; i < m->s->nleft_out; i++) {
        json_t *o = json_object();
        set(m, o, "name", json_string(m->s->left_out[i].name));
        set(m, o, "why", json_string(m->s->left_out[i].why));
        append(m, all, o);
    }
    return all;
}

/* ---- report.json */

static json_t *report_json(struct maker *m, const struct evaluate_opts *o, const char *pairs_path,
                           const char *digest)
{
    const struct evaluate_summary *s = m->s;
    json_t *all = json_object(), *compared = json_array(), *strata = json_array();
    for (size_t i = 0; i < s->ncompared; i++)
        append(m, compared, compared_json(m, &s->compared[i]));
    for (size_t i = 0; i < s->nstrata; i++)
        append(m, strata, stratum_json(m, &s->strata[i]));
    set(m, all, "format", json_string("radmill.evaluation/2"));
    set(m, all, "pairs_file", json_string(pairs_path));
    set(m, all, "pairs_sha256", json_string(digest));
    set(m, all, "pairs", json_integer((json_int_t)s->pairs));
    set(m, all, "groups", json_integer((json_int_t)s->groups));
    set(m, all, "clustered", json_boolean(s->clustered));
    set(m, all, "bootstrap", json_integer((json_int_t)o->bootstrap));
    set(m, all, "seed", json_integer((json_int_t)o->seed));
    set(m, all, "interval", json_string("percentile bootstrap, 95 %"));
    set(m, all, "loss", loss_json(m, &s->loss));
    set(m, all, "metrics", metrics_json(m));
    set(m, all, "values", values_json(m));
    set(m, all, "compared", compared);
    set(m, all, "left_out", left_out_json(m));
    set(m, all, "strata", strata);
    return all;
}

static bool write_json(const char *path, const struct evaluate_opts *o, const char *pairs_path,
                       const struct evaluate_summary *s, struct err *e)
{
    uint8_t digest[32];
    char hex[65];
    if (!sha256_file(pairs_path, digest, e)) return false;
    hash_hex(digest, sizeof digest, hex);
    struct maker m = {s, false};
    json_t *j = report_json(&m, o, pairs_path, hex);
    bool ok =
        !m.failed ||
        err_set(e, ERR_NOMEM, "cannot compose %s: no memory, or a path that is not UTF-8", path);
    if (ok) ok = json_write_file(path, j, e);
    json_decref(j);
    return ok;
}

/* ---- all */

struct paths {
    const char *rows, *md, *json;
};

static bool paths_of(const struct evaluate_opts *o, struct arena *a, struct paths *p, struct err *e)
{
    *p = (struct paths){.rows = o->per_pair, .json = o->report};
    if (!o->dir) return true;
    if (!fs_mkdirs(o->dir, e)) return false;
    if (!p->rows && !fs_join(a, o->dir, "per_pair.jsonl", &p->rows, e)) return false;
    if (!p->json && !fs_join(a, o->dir, "report.json", &p->json, e)) return false;
    return fs_join(a, o->dir, "report.md", &p->md, e);
}

bool eval_report_write(struct eval_run *r, const char *pairs_path, struct err *e)
{
    struct arena a;
    struct paths p;
    arena_init(&a, 1 << 16);
    bool ok = paths_of(r->o, &a, &p, e);
    if (ok && p.json) ok = fs_remove(p.json, e); /* the marker goes first and comes last */
    if (ok && p.rows) ok = eval_rows_write(r, p.rows, e);
    if (ok && p.md) ok = eval_md_write(r->o, r->out, p.md, e);
    if (ok && p.json) ok = write_json(p.json, r->o, pairs_path, r->out, e);
    arena_free(&a);
    if (!ok) err_wrap(e, "write the report");
    return ok;
}
