#include "evaluate/facts_find.h"

#define NEAR_PLACE    18u
#define NEAR_SEVERITY 8u
#define NEAR_TIME     20u
#define NEAR_SIZE     16u
#define NEAR_SITE     7u
#define COST_COMMA    3u
#define COST_SCOPE    6u
#define COST_FINDING  2u
#define ANATOMIES     8u

struct finder {
    const struct lex *l;
    const struct scan *d;
    const struct scan_sentence *s;
    struct mentions *out;
    uint32_t first; /* first mention of the sentence */
};

static uint32_t apart(uint32_t x, uint32_t y)
{
    return x > y ? x - y : y - x;
}

/* Words between [a0, a1) and [b0, b1), dearer across commas and scopes. */
static uint32_t distance(const struct scan *d, uint32_t a0, uint32_t a1, uint32_t b0, uint32_t b1)
{
    uint32_t words = a1 <= b0 ? b0 - a1 : b1 <= a0 ? a0 - b1 : 0;
    const struct scan_word *x = &d->w[a0], *y = &d->w[b0];
    return words + COST_COMMA * apart(x->commas, y->commas) +
           COST_SCOPE * apart(x->scope, y->scope);
}

static void add(struct finder *f, uint16_t concept, uint32_t w0, uint32_t w1, bool normal)
{
    if (f->out->n >= FIND_MAX) return;
    f->out->v[f->out->n++] = (struct mention){.concept = concept,
                                              .w0 = w0,
                                              .w1 = w1,
                                              .sentence = f->d->w[w0].sentence,
                                              .normal = normal,
                                              .negated = normal};
}

static bool same_scope(const struct finder *f, uint32_t x, uint32_t y)
{
    return f->d->w[x].scope == f->d->w[y].scope;
}

/* The anatomy a predicate at hit h speaks of: right behind it, else the nearest before it in its
 * scope, else the nearest behind. */
static const struct scan_hit *anatomy_of(const struct finder *f, uint32_t h)
{
    const struct scan_hit *p = &f->d->h[h], *best = NULL;
    uint32_t least = 10;
    for (uint32_t k = f->s->h0; k < f->s->h1; k++) {
        const struct scan_hit *x = &f->d->h[k];
        if (!scan_is(x, LEX_ANATOMY) || !same_scope(f, x->w0, p->w0)) continue;
        uint32_t cost = distance(f->d, x->w0, x->w1, p->w0, p->w1);
        if (k > h && cost > 2) cost += 3;
        if (cost >= least) continue;
        least = cost;
        best = x;
    }
    return best;
}

static const struct lex_role *role(const struct finder *f, const struct scan_hit *h,
                                   enum lex_class cls)
{
    return scan_is(h, cls) ? lex_role_of(f->l, h->role, cls) : NULL;
}

static uint16_t generic(const struct lex *l, uint16_t part)
{
    return (uint16_t)(l->nfindings + part);
}

/* "enlarged", "opacified", "abnormality" with their anatomy. */
static bool predicate(struct finder *f, uint32_t h)
{
    const struct scan_hit *p = &f->d->h[h], *x = anatomy_of(f, h);
    const struct lex_role *pred = role(f, p, LEX_PRED);
    if (!pred || !x) return false;
    uint16_t anatomy = role(f, x, LEX_ANATOMY)->a;
    uint16_t concept = lex_composed(f->l, anatomy, pred->a);
    if (concept == UINT16_MAX && pred->a == f->l->pred_abnormal && !scan_is(p, LEX_FINDING))
    concept = generic(f->l, f->l->anatomy[anatomy].part);
    if (concept == UINT16_MAX) return false;
    add(f, concept, x->w0 < p->w0 ? x->w0 : p->w0, x->w1 > p->w1 ? x->w1 : p->w1, false);
    return true;
}

/* "the heart, lungs and pleura are normal"; "normal heart and lungs": the run of anatomy before, or
 * where there is none, behind. */
static void normal_statement(struct finder *f, uint32_t h)
{
    const uint32_t ends = 1u << LEX_NORMAL | 1u << LEX_PRED | 1u << LEX_FINDING;
    const struct scan_hit *hits = f->d->h, *found[ANATOMIES];
    uint32_t n = 0;
    for (uint32_t k = h; k > f->s->h0 && n < ANATOMIES; k--) {
        const struct scan_hit *x = &hits[k - 1];
        if ((x->cls & ends) || !same_scope(f, x->w0, hits[h].w0)) break;
        if (scan_is(x, LEX_ANATOMY)) found[n++] = x;
    }
    for (uint32_t k = h + 1; k < f->s->h1 && n < ANATOMIES && (n == 0 || found[0] > &hits[h]);
         k++) {
        const struct scan_hit *x = &hits[k];
        if ((x->cls & ends) || !same_scope(f, x->w0, hits[h].w0)) break;
        if (scan_is(x, LEX_ANATOMY)) found[n++] = x;
    }
    for (uint32_t k = 0; k < n; k++) {
        uint16_t anatomy = role(f, found[k], LEX_ANATOMY)->a;
        uint16_t concept = lex_composed(f->l, anatomy, LEX_PRED_NORMAL);
        uint32_t w0 = found[k]->w0 < hits[h].w0 ? found[k]->w0 : hits[h].w0;
        uint32_t w1 = found[k]->w1 > hits[h].w1 ? found[k]->w1 : hits[h].w1;
        if (concept != UINT16_MAX) add(f, concept, w0, w1, true);
        add(f, generic(f->l, f->l->anatomy[anatomy].part), w0, w1, true);
    }
}

static void name_findings(struct finder *f)
{
    for (uint32_t h = f->s->h0; h < f->s->h1; h++) {
        const struct scan_hit *x = &f->d->h[h];
        const struct lex_role *finding = role(f, x, LEX_FINDING);
        if (scan_is(x, LEX_PRED) && predicate(f, h)) continue;
        if (finding)
            add(f, finding->a, x->w0, x->w1, false);
        else if (scan_is(x, LEX_NORMAL))
            normal_statement(f, h);
    }
}

/* Is there an "or" / "nor" / "and" between the words? */
static bool joined(const struct finder *f, uint32_t from, uint32_t to)
{
    for (uint32_t k = f->s->h0; k < f->s->h1; k++)
        if (scan_is(&f->d->h[k], LEX_JOIN) && f->d->h[k].w0 >= from && f->d->h[k].w1 <= to)
            return true;
    return false;
}

static void polarity(const struct finder *f, struct mention *m)
{
    const uint32_t after = 1u << LEX_NEG_POST | 1u << LEX_MOOT_POST;
    uint32_t negations = 0;
    for (uint32_t k = f->s->h0; k < f->s->h1; k++) {
        const struct scan_hit *x = &f->d->h[k];
        if (!same_scope(f, x->w0, m->w0)) continue;
        bool before = x->w1 <= m->w0 || (x->w0 >= m->w0 && x->w1 <= m->w1);
        bool behind = (x->cls & after) && x->w0 >= m->w1 &&
                      (f->d->w[x->w0].commas == f->d->w[m->w0].commas || joined(f, m->w1, x->w0));
        if (scan_is(x, LEX_NEG_PRE) && before) negations++;
        if (scan_is(x, LEX_NEG_POST) && behind) negations++;
        if (scan_is(x, LEX_MOOT) && x->w1 <= m->w0) m->moot = true;
        if (scan_is(x, LEX_MOOT_POST) && behind) m->moot = true;
        if (scan_is(x, LEX_UNSURE_PRE) && x->w1 <= m->w0 && m->w0 - x->w1 < 10) m->unsure = true;
        if (scan_is(x, LEX_UNSURE_POST) && x->w0 >= m->w1 && x->w0 - m->w1 < 10) m->unsure = true;
    }
    if (negations) m->negated = !m->normal;
}

/* Findings of the sentence that begin between two words. */
static uint32_t findings_between(const struct finder *f, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = f->first; i < f->out->n; i++)
        n += f->out->v[i].w0 >= from && f->out->v[i].w1 <= to;
    return n;
}

/* The nearest attribute of a kind within `limit`: its index + 1, or 0. */
static uint32_t nearest(const struct finder *f, const struct mention *m, enum attr_kind kind,
                        uint32_t limit, uint32_t per_finding)
{
    uint32_t best = 0, least = limit;
    for (uint32_t k = f->s->a0; k < f->s->a1; k++) {
        const struct scan_attr *x = &f->d->attr[k];
        if (x->kind != kind) continue;
        uint32_t cost = distance(f->d, x->w0, x->w1, m->w0, m->w1);
        uint32_t from = x->w0 < m->w0 ? x->w1 : m->w1, to = x->w0 < m->w0 ? m->w0 : x->w0;
        cost += per_finding * findings_between(f, from, to);
        if (x->w0 > m->w1) cost++; /* before rather than behind */
        if (cost >= least) continue;
        least = cost;
        best = k + 1;
    }
    return best;
}

/* Places right beside each other, or joined by "and", are one: "right upper and left lower". */
static bool chained(const struct finder *f, const struct scan_attr *x, const struct scan_attr *y)
{
    if (y->w0 < x->w1 || y->w0 - x->w1 > 3) return false;
    for (uint32_t i = x->w1; i < y->w0; i++)
        if (f->d->w[i].content && !joined(f, i, i + 1)) return false;
    return same_scope(f, x->w0, y->w0) && findings_between(f, x->w1, y->w0) == 0;
}

static void place(const struct finder *f, struct mention *m)
{
    uint32_t at = nearest(f, m, ATTR_PLACE, NEAR_PLACE, COST_FINDING);
    m->place_at = at;
    if (!at) return;
    uint32_t from = at - 1, to = at - 1;
    const struct scan_attr *x = f->d->attr;
    for (uint32_t k = from; k > f->s->a0 && x[k - 1].kind == ATTR_PLACE; k--) {
        if (!chained(f, &x[k - 1], &x[k])) break;
        from = k - 1;
    }
    for (uint32_t k = to + 1; k < f->s->a1 && x[k].kind == ATTR_PLACE; k++) {
        if (!chained(f, &x[k - 1], &x[k])) break;
        to = k;
    }
    for (uint32_t k = from; k <= to; k++) {
        m->sides |= (uint8_t)x[k].a;
        m->zones |= x[k].b;
    }
}

static void levels(const struct finder *f, struct mention *m)
{
    for (uint32_t k = f->s->a0; k < f->s->a1; k++) {
        const struct scan_attr *x = &f->d->attr[k];
        if (x->kind != ATTR_LEVEL) continue;
        m->levels |= (uint64_t)1 << x->a;
        if (!m->level_at) m->level_at = k + 1;
    }
}

static void site(const struct finder *f, struct mention *m)
{
    uint32_t least = NEAR_SITE;
    for (uint32_t k = f->s->h0; k < f->s->h1; k++) {
        const struct scan_hit *x = &f->d->h[k];
        if (!scan_is(x, LEX_ANATOMY)) continue;
        uint32_t cost = distance(f->d, x->w0, x->w1, m->w0, m->w1);
        if (cost >= least) continue;
        least = cost;
        m->site = f->l->part_mask[f->l->anatomy[role(f, x, LEX_ANATOMY)->a].part];
    }
}

static void attributes(const struct finder *f, struct mention *m)
{
    const struct scan_attr *x = f->d->attr;
    polarity(f, m);
    place(f, m);
    levels(f, m);
    site(f, m);
    m->severity_at = nearest(f, m, ATTR_SEVERITY, NEAR_SEVERITY, NEAR_SEVERITY);
    if (m->severity_at) m->severity = (uint8_t)x[m->severity_at - 1].a;
    m->time_at = nearest(f, m, ATTR_TIME, NEAR_TIME, COST_FINDING);
    if (m->time_at) m->time = (uint8_t)x[m->time_at - 1].a;
    uint16_t old = lex_composed(f->l, LEX_WHAT_FINDING | m->concept, LEX_PRED_OLD);
    if (m->time == TIME_OLD && old != UINT16_MAX) m->concept = old;
    m->size_at = nearest(f, m, ATTR_SIZE, NEAR_SIZE, NEAR_SIZE);
    if (m->size_at) {
        m->size = x[m->size_at - 1].v;
        m->size_unit = (uint8_t)x[m->size_at - 1].a;
    }
}

static void drop_moot(struct finder *f)
{
    uint32_t n = f->first;
    for (uint32_t k = f->first; k < f->out->n; k++)
        if (!f->out->v[k].moot) f->out->v[n++] = f->out->v[k];
    f->out->n = n;
}

bool find_mentions(const struct lex *l, const struct scan *d, struct arena *a, struct mentions *out,
                   struct err *e)
{
    size_t room = 2u * ANATOMIES * (size_t)d->nh + 1;
    struct finder f = {.l = l, .d = d, .out = out};
    out->n = 0;
    out->v = arena_alloc(a, (room < FIND_MAX ? room : FIND_MAX) * sizeof *out->v, e);
    if (!out->v) return false;
    for (uint32_t i = 0; i < d->ns; i++) {
        f.s = &d->s[i];
        f.first = out->n;
        name_findings(&f);
        for (uint32_t k = f.first; k < out->n; k++)
            attributes(&f, &out->v[k]);
        drop_moot(&f);
    }
    return true;
}
