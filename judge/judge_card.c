#include "judge/judge_card.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "judge/conformal.h"

#define CARD_FORMAT "radmill.judge/2"
enum { CARD_MAX_BYTES = 16 << 20, KNOTS_MAX = 100000 };

/* ---- calibration */
struct fit {
    const struct judge_held *h;
    double *x, *y;    /* [n] points of the fit at hand */
    double *rule;     /* [n] of the same points */
    double *value;    /* [n] blended by weights that did not see the thing's part */
    double *scratch;  /* [4 n] */
    double *grade;    /* [n] by a map that did not see the thing's part */
    double *residual; /* [n] */
    double *others;   /* [n] */
};

static double scale_of(double spread)
{
    return spread + JUDGE_SPREAD_FLOOR;
}

/* The points of all parts but one (h->parts: of all); how many. */
static size_t take_others(struct fit *f, uint32_t part)
{
    const struct judge_held *h = f->h;
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++) {
        if (h->part[i] == part) continue;
        f->x[n] = h->value[i];
        f->rule[n] = h->rule[i];
        f->y[n++] = h->truth[i];
    }
    return n;
}

/* Weights, then the map of what they give, of the n points taken. */
static bool fit_points(struct fit *f, size_t n, struct blend *blend, struct isotonic *map,
                       struct err *e)
{
    *blend = f->h->weights ? *f->h->weights : blend_fit(f->x, f->rule, f->y, n, f->scratch);
    for (size_t i = 0; i < n; i++)
        f->x[i] = blend_at(blend, f->x[i], f->rule[i]);
    return isotonic_fit(f->x, f->y, n, map, e);
}

/* Grades of part `part` by weights and a map of all other parts. */
static bool grade_part(struct fit *f, uint32_t part, struct err *e)
{
    const struct judge_held *h = f->h;
    struct isotonic map;
    struct blend blend;
    size_t n = take_others(f, part);

    if (n == h->n) return true; /* an empty part */
    if (n == 0) return err_set(e, ERR_CONFIG, "all held-out answers are in one part");
    if (!fit_points(f, n, &blend, &map, e)) return false;
    for (size_t i = 0; i < h->n; i++) {
        if (h->part[i] != part) continue;
        f->value[i] = blend_at(&blend, h->value[i], h->rule[i]);
        f->grade[i] = isotonic_at(&map, f->value[i]);
        f->residual[i] = fabs(h->truth[i] - f->grade[i]) / scale_of(h->spread[i]);
    }
    isotonic_free(&map);
    return true;
}

static struct judge_grade interval(double grade, double quantile, double spread)
{
    double reach = quantile * scale_of(spread);
    struct judge_grade g = {grade, fmax(1, grade - reach), fmin(5, grade + reach), false};

    g.abstains = g.hi - g.lo > JUDGE_ABSTAIN;
    return g;
}

/* Each part's intervals by the residuals of the others: how the card does on what it has not seen.
 */
static void measure(struct fit *f, struct judge_validity *v)
{
    const struct judge_held *h = f->h;

    for (uint32_t part = 0; part < h->parts; part++) {
        size_t n = 0;
        for (size_t i = 0; i < h->n; i++)
            if (h->part[i] != part) f->others[n++] = f->residual[i];
        double q = conformal_quantile(f->others, n, JUDGE_ALPHA);
        for (size_t i = 0; i < h->n; i++) {
            if (h->part[i] != part) continue;
            struct judge_grade g = interval(f->grade[i], q, h->spread[i]);
            v->coverage += h->truth[i] >= g.lo - 1e-9 && h->truth[i] <= g.hi + 1e-9;
            v->width += g.hi - g.lo;
            v->abstained += g.abstains;
            v->error += fabs(h->truth[i] - f->grade[i]);
        }
    }
    double n = (double)h->n;
    v->coverage /= n;
    v->width /= n;
    v->abstained /= n;
    v->error /= n;
}

static bool fit_init(struct fit *f, const struct judge_held *h, struct err *e)
{
    *f = (struct fit){.h = h};
    f->x = mem_calloc(11 * h->n, sizeof *f->x, e);
    if (!f->x) return false;
    f->y = f->x + h->n;
    f->grade = f->y + h->n;
    f->residual = f->grade + h->n;
    f->others = f->residual + h->n;
    f->rule = f->others + h->n;
    f->value = f->rule + h->n;
    f->scratch = f->value + h->n;
    return true;
}

bool judge_card_make(const struct judge_held *h, uint64_t seed, uint32_t replicates,
                     struct judge_card *out, struct err *e)
{
    struct rank_data d = {h->truth, NULL, h->rule, h->group, h->n, h->ngroups};
    struct fit f;
    bool ok = h->n > 0 || err_set(e, ERR_CONFIG, "no held-out answer: nothing can be validated");

    CHECK(h->parts >= 2);
    if (!ok || !fit_init(&f, h, e)) return false;
    out->v = (struct judge_validity){0};
    for (uint32_t part = 0; ok && part < h->parts; part++)
        ok = grade_part(&f, part, e);
    if (!ok) goto out;
    measure(&f, &out->v);
    out->quantile = conformal_quantile(f.residual, h->n, JUDGE_ALPHA);
    d.a = f.value;
    out->v.alone = rank_tau(h->truth, h->value, h->n, f.scratch);
    ok = rank_compare(&d, seed, replicates, &out->v.tau, e) &&
         fit_points(&f, take_others(&f, h->parts), &out->blend, &out->map, e);
    out->v.validated = ok && out->v.tau.a.lo > out->v.tau.b.value;
out:
    mem_free(f.x);
    return ok;
}

void judge_card_free(struct judge_card *c)
{
    isotonic_free(&c->map);
}

struct judge_grade judge_card_grade(const struct judge_card *c, double value, double spread,
                                    double rule)
{
    return interval(isotonic_at(&c->map, blend_at(&c->blend, value, rule)), c->quantile, spread);
}

bool judge_card_line(const struct judge_card *c, struct sbuf *b, struct err *e)
{
    const struct judge_validity *v = &c->v;
    const struct rank_result *t = &v->tau;

    return sbuf_printf(
        b, e,
        "judge|%s: tau=%.3f [%.3f, %.3f] CI 95 %%, the rule check's %.3f, difference %+.3f "
        "[%+.3f, %+.3f], n=%zu of %zu patients|reading alone %.3f, weights: reading %.2f, rule "
        "check "
        "%.2f|truth: %s%s|90 %% interval covered %.1f %%, mean "
        "width %.2f, abstained %.1f %%|mean error %.2f steps",
        v->validated ? "validated" : "not validated", t->a.value, t->a.lo, t->a.hi, t->b.value,
        t->diff.value, t->diff.lo, t->diff.hi, t->n, t->groups, v->alone, c->blend.reading,
        c->blend.rule, c->truth, c->shuffled ? ", shuffled (a control)" : "", 100 * v->coverage,
        v->width, 100 * v->abstained, v->error);
}

/* ---- judge.json */
static json_t *knots(const double *v, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_real(v[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *ci_json(const struct rank_ci *c)
{
    return json_pack("[f, f, f]", c->value, c->lo, c->hi);
}

static json_t *card_json(const struct judge_card *c)
{
    const struct judge_validity *v = &c->v;
    json_t *q = isfinite(c->quantile) ? json_real(c->quantile) : json_null();

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:s, s:s, s:o, s:[f, f], s:o, s:o, s:{s:o, "
        "s:o, s:o, s:I, "
        "s:I, "
        "s:f, s:f, s:f, s:f, s:f, s:b}}",
        "format", CARD_FORMAT, "truth", c->truth, "adapter", c->folder, "template", c->template,
        "max_tokens", (json_int_t)c->max_tokens, "list", c->list, "check", c->check, "shuffled",
        c->shuffled, "base_sha256", c->base, "adapter_sha256", c->adapter, "quantile", q, "blend",
        c->blend.reading, c->blend.rule, "value", knots(c->map.x, c->map.n), "grade",
        knots(c->map.y, c->map.n), "validity", "tau", ci_json(&v->tau.a), "rule_tau",
        ci_json(&v->tau.b), "difference", ci_json(&v->tau.diff), "n", (json_int_t)v->tau.n,
        "patients", (json_int_t)v->tau.groups, "coverage", v->coverage, "width", v->width,
        "abstained", v->abstained, "error", v->error, "alone", v->alone, "validated", v->validated);
}

bool judge_card_write(const char *path, const struct judge_card *c, struct err *e)
{
    json_t *j = card_json(c);
    bool ok = j != NULL || err_set(e, ERR_NOMEM, "no memory for %s", path);

    ok = ok && json_seal(j, e) && json_write_file(path, j, e);
    json_decref(j);
    return ok;
}

static bool get_flag(const json_t *j, const char *key, bool *out, struct err *e)
{
    json_t *v = json_object_get(j, key);

    *out = json_is_true(v);
    return json_is_boolean(v) || err_set(e, ERR_FORMAT, "\"%s\" is neither true nor false", key);
}

static bool get_text(const json_t *j, const char *key, struct arena *a, const char **out,
                     struct err *e)
{
    struct str s;

    if (!json_get_str(j, key, &s, e) || !arena_str(a, s, &s, e)) return false;
    *out = s.p;
    return true;
}

static bool get_hex(const json_t *j, const char *key, char out[65], struct err *e)
{
    struct str s;

    if (!json_get_str(j, key, &s, e)) return false;
    if (s.n != 64) return err_set(e, ERR_FORMAT, "\"%s\" is no SHA-256", key);
    memcpy(out, s.p, 64);
    out[64] = 0;
    return true;
}

static bool get_ci(const json_t *j, const char *key, struct rank_ci *out, struct err *e)
{
    json_t *v;

    if (!json_get_arr(j, key, &v, e)) return false;
    for (size_t i = 0; i < 3; i++)
        if (!json_is_number(json_array_get(v, i)))
            return err_set(e, ERR_FORMAT, "\"%s\" is not a value and its interval", key);
    out->value = json_number_value(json_array_get(v, 0));
    out->lo = json_number_value(json_array_get(v, 1));
    out->hi = json_number_value(json_array_get(v, 2));
    return true;
}

static bool get_knots(const json_t *j, const char *key, struct arena *a, double **out, size_t *n,
                      struct err *e)
{
    json_t *v;

    if (!json_get_arr(j, key, &v, e)) return false;
    *n = json_array_size(v);
    if (*n > KNOTS_MAX) return err_set(e, ERR_LIMIT, "more than %d knots", KNOTS_MAX);
    *out = arena_alloc(a, (*n + 1) * sizeof **out, e);
    if (!*out) return false;
    for (size_t i = 0; i < *n; i++) {
        (*out)[i] = json_number_value(json_array_get(v, i));
        if (!json_is_number(json_array_get(v, i)))
            return err_set(e, ERR_FORMAT, "\"%s\" holds what is no number", key);
    }
    return true;
}

static bool get_blend(const json_t *j, struct blend *out, struct err *e)
{
    double *to[] = {&out->reading, &out->rule};
    json_t *v;

    if (!json_get_arr(j, "blend", &v, e)) return false;
    for (size_t i = 0; i < 2; i++) {
        if (!json_is_number(json_array_get(v, i)))
            return err_set(e, ERR_FORMAT, "\"blend\" is not two weights");
        *to[i] = json_number_value(json_array_get(v, i));
    }
    return true;
}

static bool get_map(const json_t *j, struct arena *a, struct judge_card *c, struct err *e)
{
    json_t *q = json_object_get(j, "quantile");
    double *x, *y;
    size_t nx, ny;

    if (!get_blend(j, &c->blend, e)) return false;
    c->quantile = json_is_null(q) ? (double)INFINITY : json_number_value(q);
    if (!json_is_null(q) && (!json_is_number(q) || c->quantile < 0))
        return err_set(e, ERR_FORMAT, "\"quantile\" is no length");
    if (!get_knots(j, "value", a, &x, &nx, e) || !get_knots(j, "grade", a, &y, &ny, e))
        return false;
    if (nx != ny) return err_set(e, ERR_FORMAT, "%zu values and %zu grades", nx, ny);
    return isotonic_init(x, y, nx, &c->map, e);
}

static bool get_validity(const json_t *j, struct judge_validity *v, struct err *e)
{
    json_t *o;
    uint64_t n, groups;

    if (!json_get_obj(j, "validity", &o, e) || !get_ci(o, "tau", &v->tau.a, e) ||
        !get_ci(o, "rule_tau", &v->tau.b, e) || !get_ci(o, "difference", &v->tau.diff, e) ||
        !json_get_u64(o, "n", &n, e) || !json_get_u64(o, "patients", &groups, e))
        return false;
    v->tau.n = (size_t)n;
    v->tau.groups = (size_t)groups;
    return json_get_f64(o, "coverage", &v->coverage, e) && json_get_f64(o, "width", &v->width, e) &&
           json_get_f64(o, "abstained", &v->abstained, e) &&
           json_get_f64(o, "error", &v->error, e) && json_get_f64(o, "alone", &v->alone, e) &&
           get_flag(o, "validated", &v->validated, e);
}

static bool card_of(json_t *j, struct arena *a, struct judge_card *c, struct err *e)
{
    struct str format;
    uint64_t tokens;

    if (!json_get_str(j, "format", &format, e)) return false;
    if (!str_eqz(format, CARD_FORMAT))
        return err_set(e, ERR_FORMAT, "its format is not %s", CARD_FORMAT);
    if (!json_check_seal(j, e) || !get_text(j, "truth", a, &c->truth, e) ||
        !get_text(j, "adapter", a, &c->folder, e) || !get_text(j, "template", a, &c->template, e) ||
        !json_get_u64(j, "max_tokens", &tokens, e))
        return false;
    if (tokens < 1 || tokens > 1 << 20)
        return err_set(e, ERR_FORMAT, "\"max_tokens\" is no length");
    c->max_tokens = (uint32_t)tokens;
    return get_flag(j, "list", &c->list, e) && get_flag(j, "check", &c->check, e) &&
           get_flag(j, "shuffled", &c->shuffled, e) && get_hex(j, "base_sha256", c->base, e) &&
           get_hex(j, "adapter_sha256", c->adapter, e) && get_validity(j, &c->v, e) &&
           get_map(j, a, c, e);
}

bool judge_card_read(const char *path, struct arena *a, struct judge_card *out, struct err *e)
{
    json_t *j = NULL;

    *out = (struct judge_card){0};
    if (!json_read_file(path, CARD_MAX_BYTES, &j, e)) return false;
    bool ok = card_of(j, a, out, e);
    json_decref(j);
    return ok || err_wrap(e, "%s", path);
}
