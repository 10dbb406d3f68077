#include "sweep/space.h"

#include <math.h>

#include "base/json.h"

enum { TEXT_BYTES = 4096, PATH_BYTES = 4096 };

static bool fail(struct err *e, const struct opt_node *at, const char *key, const char *what)
{
    return err_set(e, ERR_CONFIG, "%s:%d: sweep.params: %s: %s", at->file, at->line, key, what);
}

/* ---- texts of choices */

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '_' && c != '.' && c != '/' && c != '-') return false;
    }
    return s.n > 0;
}

static bool put_flow(const struct opt_node *n, struct sbuf *b, struct err *e)
{
    if (n->kind == OPT_SCALAR)
        return is_word(n->scalar) ? sbuf_put(b, n->scalar, e)
                                  : json_put_str(b, n->scalar, false, e);
    bool map = n->kind == OPT_MAPPING;
    if (!sbuf_putc(b, map ? '{' : '[', e)) return false;
    for (size_t i = 0; i < n->n; i++) { /* depth: the parser's */
        if (i > 0 && !sbuf_put(b, STR(", "), e)) return false;
        if (map && (!json_put_str(b, str_of(n->keys[i]), false, e) || !sbuf_put(b, STR(": "), e)))
            return false;
        if (!put_flow(n->items[i], b, e)) return false;
    }
    return sbuf_putc(b, map ? '}' : ']', e);
}

static bool choice_text(const struct opt_node *n, struct sbuf *b, struct err *e)
{
    sbuf_clear(b);
    if (n->kind != OPT_SCALAR) return put_flow(n, b, e);
    /* What --set would take for YAML is quoted; a plain word is taken as it is. */
    bool yaml = n->scalar.n > 0 && memchr("[{\"'", n->scalar.p[0], 4);
    return yaml ? json_put_str(b, n->scalar, false, e) : sbuf_put(b, n->scalar, e);
}

static bool parse_choices(const struct opt_node *n, struct arena *a, struct space_param *p,
                          struct err *e)
{
    struct sbuf b;
    const char **texts;
    bool ok = false;

    if (n->kind != OPT_SEQ || n->n == 0) return fail(e, n, p->key, "choice wants a list of values");
    if (n->n > SPACE_CHOICES_MAX) return fail(e, n, p->key, "more than 64 choices");
    texts = arena_alloc(a, n->n * sizeof *texts, e);
    if (!texts) return false;
    sbuf_init(&b, TEXT_BYTES);
    for (size_t i = 0; i < n->n; i++) {
        struct str s;
        if (!choice_text(n->items[i], &b, e)) goto out;
        if (!arena_str(a, sbuf_str(&b), &s, e)) goto out;
        texts[i] = s.p;
        for (size_t k = 0; k < i; k++)
            if (str_eqz(s, texts[k])) {
                fail(e, n, p->key, "the same choice twice");
                goto out;
            }
    }
    p->kind = SPACE_CHOICE;
    p->choices = texts;
    p->n = n->n;
    p->hi = (double)(n->n - 1);
    ok = true;
out:
    sbuf_free(&b);
    return ok;
}

/* ---- numbers */

static bool numbers(const struct opt_node *n, const char *key, double *v, size_t count,
                    struct err *e)
{
    struct err why = {0};
    if (n->kind != OPT_SEQ || n->n != count)
        return fail(e, n, key, count == 3 ? "steps wants [from, to, step]" : "wants [from, to]");
    for (size_t i = 0; i < count; i++)
        if (n->items[i]->kind != OPT_SCALAR || !parse_f64(n->items[i]->scalar, &v[i], &why) ||
            !isfinite(v[i]))
            return fail(e, n->items[i], key, "is not a number");
    if (!(v[0] < v[1])) return fail(e, n, key, "the first number must be below the second");
    return true;
}

static bool parse_range(const struct opt_node *n, const char *kind, struct space_param *p,
                        struct err *e)
{
    bool steps = str_eqz(str_of(kind), "steps");
    bool whole = str_eqz(str_of(kind), "integers") || str_eqz(str_of(kind), "log_integers");
    double v[3] = {0, 0, 0};

    if (!numbers(n, p->key, v, steps ? 3 : 2, e)) return false;
    p->log = str_starts(str_of(kind), STR("log_"));
    p->lo = v[0];
    p->hi = v[1];
    if (p->log && p->lo <= 0) return fail(e, n, p->key, "a logarithm wants numbers above 0");
    if (whole && (floor(v[0]) != v[0] || floor(v[1]) != v[1] || fabs(v[0]) > 1e15 || v[1] > 1e15))
        return fail(e, n, p->key, "integers wants whole numbers");
    p->kind = steps ? SPACE_STEPS : whole ? SPACE_INTEGERS : SPACE_UNIFORM;
    p->step = steps ? v[2] : whole ? 1 : 0;
    if (!steps) return true;
    if (!(p->step > 0)) return fail(e, n, p->key, "the step must be above 0");
    double count = floor((p->hi - p->lo) / p->step + 1e-9);
    if (count < 1 || count > 1e6) return fail(e, n, p->key, "wants 1 to a million steps");
    p->hi = p->lo + count * p->step;
    return true;
}

/* ---- conditions */

static bool parse_when(const struct space *s, const struct opt_node *n, struct space_param *p,
                       struct err *e)
{
    struct sbuf b;
    bool ok = false;

    if (n->kind != OPT_MAPPING || n->n != 1)
        return fail(e, n, p->key, "when wants {KEY: [values]} of one choice");
    p->parent = space_find(s, str_of(n->keys[0]));
    if (p->parent < 0 || s->p[p->parent].kind != SPACE_CHOICE)
        return fail(e, n, p->key, "when names no choice further up");
    const struct space_param *q = &s->p[p->parent];
    const struct opt_node *list = n->items[0];
    size_t count = list->kind == OPT_SEQ ? list->n : 1;
    sbuf_init(&b, TEXT_BYTES);
    for (size_t i = 0; i < count; i++) {
        const struct opt_node *item = list->kind == OPT_SEQ ? list->items[i] : list;
        double at;
        struct err why = {0};
        if (!choice_text(item, &b, e)) goto out;
        if (!space_get_text(q, sbuf_str(&b), &at, &why)) {
            fail(e, item, p->key, "when names a value that the other key never has");
            goto out;
        }
        p->when |= 1ULL << (unsigned)at;
    }
    ok = true;
out:
    sbuf_free(&b);
    return ok;
}

static bool parse_item(const struct space *s, const struct opt_node *n, const char *word,
                       struct arena *a, struct space_param *p, struct err *e)
{
    static const char *const ranges[] = {"uniform",  "log_uniform",  "steps",
                                         "integers", "log_integers", NULL};
    struct str w = str_of(word);

    if (str_eqz(w, "when")) return parse_when(s, n, p, e);
    if (str_eqz(w, "points")) {
        struct err why = {0};
        if (n->kind == OPT_SCALAR && parse_u64(n->scalar, &p->points, &why) && p->points >= 2 &&
            p->points <= 1000)
            return true;
        return fail(e, n, p->key, "points wants a number from 2 to 1000");
    }
    if (p->n > 0 || p->hi > p->lo) return fail(e, n, p->key, "has two kinds of values");
    if (str_eqz(w, "choice")) return parse_choices(n, a, p, e);
    for (size_t i = 0; ranges[i]; i++)
        if (str_eqz(w, ranges[i])) return parse_range(n, word, p, e);
    return fail(e, n, p->key,
                "wants choice, uniform, log_uniform, integers, log_integers or steps, and may have "
                "points and when");
}

static bool parse_param(const struct space *s, const struct opt_node *n, struct arena *a,
                        struct space_param *p, struct err *e)
{
    p->parent = -1;
    p->points = 5;
    if (n->kind == OPT_SEQ) return parse_choices(n, a, p, e);
    if (n->kind != OPT_MAPPING) return fail(e, n, p->key, "wants a list of values or a range");
    for (size_t i = 0; i < n->n; i++)
        if (!parse_item(s, n->items[i], n->keys[i], a, p, e)) return false;
    if (p->n == 0 && !(p->hi > p->lo)) return fail(e, n, p->key, "has no values");
    return true;
}

bool space_parse(const struct opt_node *node, struct arena *a, struct space *out, struct err *e)
{
    *out = (struct space){.n = 0};
    if (!node || node->kind != OPT_MAPPING || node->n == 0)
        return err_set(e, ERR_CONFIG,
                       "sweep.params is empty: name at least one key to vary, e.g. "
                       "train.lr: {log_uniform: [1.0e-5, 1.0e-3]}");
    if (node->n > SPACE_MAX)
        return err_set(e, ERR_CONFIG, "sweep.params: more than %d keys", SPACE_MAX);
    for (size_t i = 0; i < node->n; i++) {
        struct str key;
        if (!arena_str(a, str_of(node->keys[i]), &key, e)) return false;
        out->p[i].key = key.p;
        if (!parse_param(out, node->items[i], a, &out->p[i], e)) return false;
        out->n = i + 1;
    }
    return true;
}

void space_part(const struct space *s, bool (*wants)(const char *key), struct space *out)
{
    bool need[SPACE_MAX] = {false};

    *out = (struct space){.n = 0};
    for (size_t d = s->n; d-- > 0;) {
        need[d] = need[d] || wants(s->p[d].key);
        if (need[d] && s->p[d].parent >= 0) need[s->p[d].parent] = true;
    }
    for (size_t d = 0; d < s->n; d++) {
        if (!need[d]) continue;
        struct space_param p = s->p[d];
        if (p.parent >= 0) p.parent = space_find(out, str_of(s->p[p.parent].key));
        if (p.kind == SPACE_INTEGERS) p.points = SPACE_GRID_MAX;
        out->p[out->n++] = p;
    }
}

int space_find(const struct space *s, struct str key)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eqz(key, s->p[i].key)) return (int)i;
    return -1;
}

/* ---- points */

void space_settle(const struct space *s, struct space_point *p)
{
    p->on = 0;
    for (size_t d = 0; d < s->n; d++) {
        const struct space_param *q = &s->p[d];
        bool on = q->parent < 0 ||
                  ((p->on >> q->parent & 1) && (q->when >> (unsigned)p->v[q->parent] & 1));
        if (on)
            p->on |= 1U << d;
        else
            p->v[d] = 0;
    }
    for (size_t d = s->n; d < SPACE_MAX; d++)
        p->v[d] = 0;
}

static double clamp(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* What the number's text reads back as: 12 digits, so that 0.1 + 0.2 is 0.3. */
static double through_text(double v)
{
    struct err ignored = {0};
    struct sbuf b;
    double out = v;

    sbuf_init(&b, 64);
    if (!sbuf_printf(&b, &ignored, "%.12g", v) || !parse_f64(sbuf_str(&b), &out, &ignored)) out = v;
    sbuf_free(&b);
    return out;
}

double space_round(const struct space_param *p, double v)
{
    if (p->kind == SPACE_CHOICE || p->kind == SPACE_INTEGERS)
        return clamp(nearbyint(v), p->lo, p->hi);
    if (p->kind == SPACE_STEPS)
        v = p->lo + nearbyint((clamp(v, p->lo, p->hi) - p->lo) / p->step) * p->step;
    return clamp(through_text(v), p->lo, p->hi);
}

static double draw(const struct space_param *p, double u)
{
    if (p->kind == SPACE_UNIFORM && p->log)
        return space_round(p, exp(log(p->lo) + u * (log(p->hi) - log(p->lo))));
    if (p->kind == SPACE_UNIFORM) return space_round(p, p->lo + u * (p->hi - p->lo));
    if (p->log) {
        double lo = log(p->lo - 0.5), hi = log(p->hi + 0.5);
        return space_round(p, exp(lo + u * (hi - lo)));
    }
    double step = p->kind == SPACE_CHOICE ? 1 : p->step;
    double count = nearbyint((p->hi - p->lo) / step) + 1;
    double i = clamp(floor(u * count), 0, count - 1);
    return space_round(p, p->lo + i * step);
}

void space_random(const struct space *s, uint64_t seed, uint64_t trial, struct space_point *out)
{
    struct rng_key key = rng_key(seed, RNG_SWEEP, trial);

    *out = (struct space_point){.on = 0};
    for (size_t d = 0; d < s->n; d++)
        out->v[d] = draw(&s->p[d], rng_unit(key, d));
    space_settle(s, out);
}

void space_spread(const struct space *s, uint64_t seed, uint64_t trial, uint64_t n,
                  struct space_point *out)
{
    struct rng_key within = rng_key(seed, RNG_SWEEP, trial);

    *out = (struct space_point){.on = 0};
    for (size_t d = 0; d < s->n; d++) {
        struct rng_key order = rng_key(seed, RNG_SWEEP, UINT64_MAX - 1 - trial / n * SPACE_MAX - d);
        double part = (double)rng_permute(order, trial % n, n);
        out->v[d] = draw(&s->p[d], (part + rng_unit(within, d)) / (double)n);
    }
    space_settle(s, out);
}

uint64_t space_points(const struct space_param *p)
{
    if (p->kind == SPACE_CHOICE) return p->n;
    if (p->kind == SPACE_STEPS) return (uint64_t)nearbyint((p->hi - p->lo) / p->step) + 1;
    double count = p->kind == SPACE_INTEGERS ? p->hi - p->lo + 1 : 1e18;
    return count < (double)p->points ? (uint64_t)count : p->points;
}

double space_point_at(const struct space_param *p, uint64_t i)
{
    uint64_t n = space_points(p);
    double u = n > 1 ? (double)i / (double)(n - 1) : 0;

    if (p->kind == SPACE_CHOICE) return (double)i;
    if (p->kind == SPACE_STEPS || (p->kind == SPACE_INTEGERS && (double)(n - 1) == p->hi - p->lo))
        return space_round(p, p->lo + (double)i * p->step);
    if (p->log) return space_round(p, exp(log(p->lo) + u * (log(p->hi) - log(p->lo))));
    return space_round(p, p->lo + u * (p->hi - p->lo));
}

/* Count up, the last parameter fastest; those that are off stay at their first value. False after
 * the last point. */
static bool next_digits(const struct space *s, uint64_t digit[SPACE_MAX])
{
    for (size_t d = s->n; d-- > 0;) {
        if (++digit[d] < space_points(&s->p[d])) return true;
        digit[d] = 0;
    }
    return false;
}

static bool point_of(const struct space *s, const uint64_t digit[SPACE_MAX],
                     struct space_point *out)
{
    *out = (struct space_point){.on = 0};
    for (size_t d = 0; d < s->n; d++)
        out->v[d] = space_point_at(&s->p[d], digit[d]);
    space_settle(s, out);
    for (size_t d = 0; d < s->n; d++)
        if (!(out->on >> d & 1) && digit[d] > 0) return false; /* the same point again */
    return true;
}

bool space_grid(const struct space *s, struct arena *a, struct space_point **out, size_t *n,
                struct err *e)
{
    uint64_t digit[SPACE_MAX] = {0}, turns = 0;
    struct space_point p;
    size_t count = 0;

    do {
        if (point_of(s, digit, &p)) count++;
        if (++turns > 50 * (uint64_t)SPACE_GRID_MAX || count > SPACE_GRID_MAX)
            return err_set(e, ERR_LIMIT,
                           "sweep.params: the grid has more than %d points; use fewer values, "
                           "points: 2, or sweep.method: random",
                           SPACE_GRID_MAX);
    } while (next_digits(s, digit));
    *out = arena_alloc(a, count * sizeof **out, e);
    if (!*out) return false;
    *n = 0;
    do {
        if (point_of(s, digit, &p)) (*out)[(*n)++] = p;
    } while (next_digits(s, digit));
    return true;
}

/* ---- texts */

bool space_put_text(const struct space_param *p, double v, struct sbuf *b, struct err *e)
{
    if (p->kind == SPACE_CHOICE) return sbuf_put(b, str_of(p->choices[(size_t)v]), e);
    if (p->kind == SPACE_INTEGERS) return sbuf_printf(b, e, "%lld", (long long)v);
    return sbuf_put_f64(b, v, e);
}

bool space_get_text(const struct space_param *p, struct str text, double *out, struct err *e)
{
    if (p->kind == SPACE_CHOICE) {
        for (size_t i = 0; i < p->n; i++)
            if (str_eqz(text, p->choices[i])) {
                *out = (double)i;
                return true;
            }
        return err_set(e, ERR_FORMAT, "%s has no such choice", p->key);
    }
    if (!parse_f64(text, out, e)) return false;
    bool inside = isfinite(*out) && *out >= p->lo && *out <= p->hi;
    if (inside && (p->kind == SPACE_UNIFORM || space_round(p, *out) == *out)) return true;
    return err_set(e, ERR_FORMAT, "%s has no such value", p->key);
}

bool space_sets(const struct space *s, const struct space_point *p, struct arena *a,
                const char ***sets, size_t *n, struct err *e)
{
    struct sbuf b;
    bool ok = false;

    *n = 0;
    *sets = arena_alloc(a, (s->n + 1) * sizeof **sets, e);
    if (!*sets) return false;
    sbuf_init(&b, 2 * TEXT_BYTES);
    for (size_t d = 0; d < s->n; d++) {
        struct str text;
        if (!(p->on >> d & 1)) continue;
        sbuf_clear(&b);
        if (!sbuf_printf(&b, e, "%s=", s->p[d].key)) goto out;
        if (!space_put_text(&s->p[d], p->v[d], &b, e)) goto out;
        if (!arena_str(a, sbuf_str(&b), &text, e)) goto out;
        (*sets)[(*n)++] = text.p;
    }
    ok = true;
out:
    sbuf_free(&b);
    return ok;
}

bool space_equal(const struct space *s, const struct space_point *a, const struct space_point *b)
{
    if (a->on != b->on) return false;
    for (size_t d = 0; d < s->n; d++)
        if ((a->on >> d & 1) && a->v[d] != b->v[d]) return false;
    return true;
}
