#include "evaluate/facts_pair.h"

struct candidate {
    uint32_t i, j;
    uint32_t cost; /* 0: the same in all */
    uint32_t order;
};

#define COST_NONE UINT32_MAX

bool flags_put(struct flag_list *l, struct facts_flag f, struct err *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct facts_flag *v = arena_alloc(l->a, cap * sizeof *v, e);
        if (!v) return false;
        if (l->n) memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = f;
    return true;
}

struct facts_span facts_words(const struct facts_text *t, uint32_t w0, uint32_t w1)
{
    return (struct facts_span){t->scan.w[w0].from, t->scan.w[w1 - 1].to};
}

/* Groups of changes that may stand for each other: new and acute, stable and old. */
bool facts_time_differs(uint32_t x, uint32_t y)
{
    static const uint8_t group[] = {[TIME_NEW] = 1,    [TIME_ACUTE] = 1, [TIME_WORSE] = 2,
                                    [TIME_STABLE] = 3, [TIME_OLD] = 3,   [TIME_BETTER] = 4};
    return x && y && group[x] != group[y];
}

bool facts_size_differs(double x, double y)
{
    double d = x > y ? x - y : y - x, larger = x > y ? x : y;
    return d > 0.05 * larger && d > 0.05;
}

static bool apart_sides(uint8_t x, uint8_t y)
{
    return x && y && !(x & y);
}

static bool apart_zones(uint32_t x, uint32_t y)
{
    return x && y && !(x & y);
}

static bool same_family(const struct lex *l, uint16_t x, uint16_t y)
{
    return l->concepts[x].family == l->concepts[y].family;
}

/* "No new nodule" leaves old ones alone. */
static bool denies_only_new(const struct mention *x, const struct mention *y)
{
    return x->negated && !y->negated && x->time == TIME_NEW && y->time != TIME_NEW;
}

/* How unlike two statements are. A difference in any attribute costs something, so that the copy of
 * a statement is always its cheapest partner. */
static uint32_t unlike(const struct lex *l, const struct mention *x, const struct mention *y)
{
    uint32_t cost = 0;
    if (x->concept != y->concept) {
        if (!same_family(l, x->concept, y->concept) || x->negated != y->negated) return COST_NONE;
        cost += 200;
    }
    if (denies_only_new(x, y) || denies_only_new(y, x)) return COST_NONE;
    if (x->negated != y->negated) cost += x->normal || y->normal ? 900 : 600;
    if (apart_sides(x->sides, y->sides))
        cost += 120;
    else if (x->sides != y->sides)
        cost += 15;
    if (apart_zones(x->zones, y->zones))
        cost += 60;
    else if (x->zones != y->zones)
        cost += 8;
    if (x->site && y->site && !(x->site & y->site)) cost += 60;
    if (x->levels != y->levels) cost += x->levels && y->levels ? 50 : 10;
    if (x->severity != y->severity) cost += 6;
    if (x->time != y->time) cost += 5;
    if (x->size_unit != y->size_unit || facts_size_differs(x->size, y->size)) cost += 7;
    if (x->unsure != y->unsure) cost += 3;
    if (x->normal != y->normal) cost += 2;
    return cost;
}

static uint32_t count_candidates(const struct lex *l, const struct facts_text *x,
                                 const struct facts_text *y, struct candidate *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->m.n; i++)
        for (uint32_t j = 0; j < y->m.n; j++) {
            const struct mention *p = &x->m.v[i], *q = &y->m.v[j];
            if (!same_family(l, p->concept, q->concept)) continue;
            uint32_t cost = unlike(l, p, q);
            if (cost == COST_NONE) continue;
            if (out) {
                uint64_t d = (uint64_t)i * y->m.n, f = (uint64_t)j * x->m.n;
                uint32_t order = (uint32_t)((d > f ? d - f : f - d) & UINT32_MAX);
                out[n] = (struct candidate){i, j, cost, order};
            }
            n++;
        }
    return n;
}

static bool before(const struct candidate *x, const struct candidate *y)
{
    if (x->cost != y->cost) return x->cost < y->cost;
    if (x->order != y->order) return x->order < y->order;
    return x->i + x->j != y->i + y->j ? x->i + x->j < y->i + y->j : x->i < y->i;
}

/* Heap sort: the worst case is bounded, whatever the text. */
static void sift(struct candidate *v, size_t i, size_t n)
{
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && before(&v[k], &v[k + 1])) k++;
        if (!before(&v[i], &v[k])) return;
        struct candidate t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

static void sort(struct candidate *v, size_t n)
{
    for (size_t i = n / 2; i > 0; i--)
        sift(v, i - 1, n);
    for (size_t k = n; k > 1; k--) {
        struct candidate t = v[0];
        v[0] = v[k - 1];
        v[k - 1] = t;
        sift(v, 0, k - 1);
    }
}

/* Does the sentence of statement i speak of its family where the other text does too? */
static bool elaborates(const struct lex *l, const struct facts_text *x, uint32_t i)
{
    const struct mention *m = &x->m.v[i];
    for (uint32_t k = 0; k < x->m.n; k++)
        if (x->m.v[k].sentence == m->sentence && x->partner[k] && !x->m.v[k].negated &&
            same_family(l, x->m.v[k].concept, m->concept))
            return true;
    return false;
}

/* A leftover is covered by a statement of the same finding that is not elsewhere, or one of the
 * family when its own sentence already speaks of that ("opacity ... consistent with pneumonia").
 * L3-L4 does not cover L4-L5: that they share a vertebra makes them no one place. */
static uint32_t covered(const struct lex *l, const struct facts_text *x, uint32_t i,
                        const struct facts_text *y)
{
    const struct mention *m = &x->m.v[i];
    bool more = elaborates(l, x, i);
    uint32_t found = 0;
    for (uint32_t j = 0; j < y->m.n; j++) {
        const struct mention *q = &y->m.v[j];
        if (q->negated != m->negated || !same_family(l, m->concept, q->concept)) continue;
        if (m->sides && !(m->sides & q->sides)) continue;
        if (apart_zones(m->zones, q->zones) || (m->levels & ~q->levels)) continue;
        if (m->concept == q->concept) return j + 1;
        if (more) found = j + 1;
    }
    return found;
}

static void mark_twice(const struct facts_text *x)
{
    for (uint32_t i = 0; i < x->m.n; i++)
        for (uint32_t k = 0; k < i && !x->twice[i]; k++) {
            const struct mention *p = &x->m.v[k], *q = &x->m.v[i];
            x->twice[i] = p->concept == q->concept && p->negated == q->negated &&
                          !apart_sides(p->sides, q->sides) && !apart_zones(p->zones, q->zones) &&
                          (p->levels == q->levels || !p->levels || !q->levels) &&
                          !(p->site && q->site && !(p->site & q->site));
        }
}

static bool room(struct facts_text *x, struct arena *a, struct err *e)
{
    x->partner = arena_alloc(a, (x->m.n + 1) * sizeof *x->partner, e);
    x->cover = x->partner ? arena_alloc(a, (x->m.n + 1) * sizeof *x->cover, e) : NULL;
    x->twice = x->cover ? arena_alloc(a, (x->m.n + 1) * sizeof *x->twice, e) : NULL;
    return x->twice != NULL;
}

bool pair_mentions(const struct lex *l, struct facts_text *x, struct facts_text *y, struct arena *a,
                   struct err *e)
{
    if (!room(x, a, e) || !room(y, a, e)) return false;
    uint32_t n = count_candidates(l, x, y, NULL);
    struct candidate *c = arena_alloc(a, (n + 1) * sizeof *c, e);
    if (!c) return false;
    count_candidates(l, x, y, c);
    sort(c, n);
    for (uint32_t k = 0; k < n; k++) {
        if (x->partner[c[k].i] || y->partner[c[k].j]) continue;
        x->partner[c[k].i] = c[k].j + 1;
        y->partner[c[k].j] = c[k].i + 1;
    }
    mark_twice(x);
    mark_twice(y);
    for (uint32_t i = 0; i < x->m.n; i++)
        if (!x->partner[i]) x->cover[i] = covered(l, x, i, y);
    for (uint32_t j = 0; j < y->m.n; j++)
        if (!y->partner[j]) y->cover[j] = covered(l, y, j, x);
    return true;
}

enum facts_significance pair_significance(enum facts_kind kind, unsigned of_finding)
{
    static const enum facts_significance least[FACTS_KINDS] = {
        [FACTS_NEGATION] = FACTS_URGENT,        [FACTS_LATERALITY] = FACTS_ACTIONABLE,
        [FACTS_LEVEL] = FACTS_ACTIONABLE,       [FACTS_NUMBER] = FACTS_ACTIONABLE,
        [FACTS_MEASUREMENT] = FACTS_ACTIONABLE, [FACTS_SEVERITY] = FACTS_MINOR,
        [FACTS_TEMPORAL] = FACTS_MINOR,
    };
    return of_finding > least[kind] ? (enum facts_significance)of_finding : least[kind];
}

uint32_t pair_best(const struct lex *l, const struct facts_text *x, uint32_t i,
                   const struct facts_text *y)
{
    uint32_t best = 0, least = COST_NONE;
    for (uint32_t j = 0; j < y->m.n; j++) {
        uint32_t cost = unlike(l, &x->m.v[i], &y->m.v[j]);
        if (cost >= least) continue;
        least = cost;
        best = j + 1;
    }
    return best;
}

uint32_t pair_denied(const struct lex *l, const struct facts_text *x, uint32_t i,
                     const struct facts_text *y)
{
    const struct mention *m = &x->m.v[i];
    uint16_t part = l->concepts[m->concept].part;
    uint64_t where = m->site ? m->site : l->part_mask[part];
    for (uint32_t j = 0; j < y->m.n; j++) {
        const struct mention *q = &y->m.v[j];
        if (!q->negated || q->concept < l->nfindings) continue;
        if (apart_sides(m->sides, q->sides)) continue;
        if (l->part_mask[l->concepts[q->concept].part] & (where | (uint64_t)1 << part))
            return j + 1;
    }
    return 0;
}

/* Union of what the statements of one finding say. */
struct said {
    uint64_t levels;
    uint32_t zones;
    uint8_t sides;
};

static struct said said_of(const struct facts_text *t, uint16_t concept)
{
    struct said s = {0};
    for (uint32_t i = 0; i < t->m.n; i++) {
        const struct mention *m = &t->m.v[i];
        if (m->concept != concept || m->negated) continue;
        s.levels |= m->levels;
        s.zones |= m->zones;
        s.sides |= m->sides;
    }
    return s;
}

uint32_t pair_differs(const struct facts_text *x, uint32_t i, const struct facts_text *y,
                      uint32_t j)
{
    const struct mention *p = &x->m.v[i], *q = &y->m.v[j];
    uint32_t bits = 0;
    if (p->negated != q->negated) return 1u << FACTS_NEGATION;
    if (p->negated) return 0;
    struct said s = said_of(x, p->concept), t = said_of(y, q->concept);
    if (p->sides && q->sides && p->sides != q->sides &&
        (s.sides != t.sides || apart_sides(p->sides, q->sides)))
        bits |= 1u << FACTS_LATERALITY;
    if (apart_zones(p->zones, q->zones)) bits |= 1u << FACTS_LEVEL;
    if (p->levels && q->levels && p->levels != q->levels && s.levels != t.levels)
        bits |= 1u << FACTS_NUMBER;
    uint32_t d = p->severity > q->severity ? p->severity - q->severity : q->severity - p->severity;
    if (p->severity && q->severity && d >= 2) bits |= 1u << FACTS_SEVERITY;
    if (facts_time_differs(p->time, q->time)) bits |= 1u << FACTS_TEMPORAL;
    if (p->size > 0 && q->size > 0 && p->size_unit == q->size_unit &&
        facts_size_differs(p->size, q->size))
        bits |= 1u << FACTS_MEASUREMENT;
    return bits;
}
