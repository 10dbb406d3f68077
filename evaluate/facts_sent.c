/* Sentences that are alike but for one word; see facts_pair.h. */
#include "evaluate/facts_pair.h"

/* Jaccard index of the content words from which two sentences count as one. */
#define ALIKE 0.7
/* In texts of more sentences than this only the first are compared with each other. */
#define SENTENCES_MAX 256u
#define ATTRS_MAX     16u

struct bag {
    uint64_t *v; /* sorted hashes of content words */
    uint32_t n;
    uint32_t s; /* sentence */
};

static bool make_bags(const struct facts_text *t, struct bag **out, uint32_t *n, struct arena *a,
                      struct err *e)
{
    uint64_t *words = arena_alloc(a, (t->scan.nw + 1) * sizeof *words, e);
    if (!words) return false;
    *out = arena_alloc(a, (t->scan.ns + 1) * sizeof **out, e);
    if (!*out) return false;
    *n = 0;
    for (uint32_t s = 0; s < t->scan.ns && *n < SENTENCES_MAX; s++) {
        struct bag b = {.v = words, .s = s};
        for (uint32_t i = t->scan.s[s].w0; i < t->scan.s[s].w1; i++) {
            if (!t->scan.w[i].content) continue;
            uint32_t k = b.n++;
            for (; k > 0 && b.v[k - 1] > t->scan.w[i].hash; k--)
                b.v[k] = b.v[k - 1];
            b.v[k] = t->scan.w[i].hash;
        }
        words += b.n;
        if (b.n) (*out)[(*n)++] = b;
    }
    return true;
}

static double likeness(const struct bag *x, const struct bag *y)
{
    uint32_t i = 0, j = 0, both = 0;
    while (i < x->n && j < y->n) {
        both += x->v[i] == y->v[j];
        if (x->v[i] < y->v[j])
            i++;
        else if (x->v[i] > y->v[j])
            j++;
        else
            i++, j++;
    }
    return (double)both / (x->n + y->n - both);
}

/* The k-th attribute of a kind in a sentence, or NULL; of very many only the first count. */
static const struct scan_attr *attr(const struct facts_text *t, uint32_t s, enum attr_kind kind,
                                    uint32_t k)
{
    for (uint32_t i = t->scan.s[s].a0; i < t->scan.s[s].a1 && k < ATTRS_MAX; i++)
        if (t->scan.attr[i].kind == kind && k-- == 0) return &t->scan.attr[i];
    return NULL;
}

static uint32_t count(const struct facts_text *t, uint32_t s, enum attr_kind kind)
{
    uint32_t n = 0;
    while (attr(t, s, kind, n))
        n++;
    return n;
}

static bool differ(enum facts_kind flag, const struct scan_attr *x, const struct scan_attr *y)
{
    switch (x->kind) {
    case ATTR_PLACE:
        if (flag == FACTS_LEVEL) return x->b && y->b && !(x->b & y->b);
        return x->a != y->a && x->a && y->a;
    case ATTR_SEVERITY:
        return x->a + 1 < y->a || y->a + 1 < x->a;
    case ATTR_TIME:
        return facts_time_differs(x->a, y->a);
    case ATTR_SIZE:
        return x->a == y->a && facts_size_differs(x->v, y->v);
    case ATTR_NUMBER:
        return x->v > y->v || x->v < y->v;
    default:
        return x->a != y->a;
    }
}

/* Has the attribute an equal in the other sentence? Then the order was changed, no more. */
static bool has_equal(const struct facts_text *t, uint32_t s, enum facts_kind flag,
                      const struct scan_attr *x)
{
    for (uint32_t i = t->scan.s[s].a0; i < t->scan.s[s].a1; i++)
        if (t->scan.attr[i].kind == x->kind && !differ(flag, x, &t->scan.attr[i]) &&
            x->a == t->scan.attr[i].a && x->b == t->scan.attr[i].b)
            return true;
    return false;
}

struct sentences {
    const struct facts_text *x, *y;
    uint32_t sx, sy;
    bool of_source;
    struct flag_list *flags;
};

static bool within(struct facts_span s, const struct facts_text *t, uint32_t sentence)
{
    struct facts_span all = facts_words(t, t->scan.s[sentence].w0, t->scan.s[sentence].w1);
    return s.to && s.from >= all.from && s.to <= all.to;
}

/* A statement of these sentences already showed a difference of this kind. */
static bool known(const struct sentences *p, enum facts_kind kind)
{
    for (size_t i = 0; i < p->flags->n; i++) {
        const struct facts_flag *f = &p->flags->v[i];
        struct facts_span other = p->of_source ? f->source : f->reference;
        if (f->kind == kind && (within(f->generated, p->x, p->sx) || within(other, p->y, p->sy)))
            return true;
    }
    return false;
}

static bool put(const struct sentences *p, enum facts_kind kind, struct facts_span x,
                struct facts_span y, struct err *e)
{
    if (known(p, kind)) return true;
    struct facts_flag f = {.kind = kind,
                           .significance = pair_significance(kind, FACTS_BENIGN),
                           .generated = x,
                           .concept = ""};
    *(p->of_source ? &f.source : &f.reference) = y;
    return flags_put(p->flags, f, e);
}

static bool has_statement(const struct facts_text *t, uint32_t s)
{
    for (uint32_t i = 0; i < t->m.n; i++)
        if (t->m.v[i].sentence == s) return true;
    return false;
}

/* "Right" for "bilateral": of a finding its statements decide, the left one may stand elsewhere. */
static bool part_of(const struct sentences *p, const struct scan_attr *x, const struct scan_attr *y)
{
    return x->kind == ATTR_PLACE && (x->a & y->a) && has_statement(p->x, p->sx);
}

static bool compare(const struct sentences *p, enum attr_kind kind, enum facts_kind flag,
                    struct err *e)
{
    uint32_t n = count(p->x, p->sx, kind);
    if (n != count(p->y, p->sy, kind)) return true;
    for (uint32_t k = 0; k < n; k++) {
        const struct scan_attr *x = attr(p->x, p->sx, kind, k), *y = attr(p->y, p->sy, kind, k);
        if (!differ(flag, x, y) || (flag == FACTS_LATERALITY && part_of(p, x, y))) continue;
        if (n > 1 && has_equal(p->y, p->sy, flag, x) && has_equal(p->x, p->sx, flag, y)) continue;
        return put(p, flag, facts_words(p->x, x->w0, x->w1), facts_words(p->y, y->w0, y->w1), e);
    }
    return true;
}

/* One of the sentences denies and the other does not. */
static bool compare_negation(const struct sentences *p, struct err *e)
{
    uint32_t n = count(p->x, p->sx, ATTR_NEG), m = count(p->y, p->sy, ATTR_NEG);
    if ((n == 0) == (m == 0)) return true;
    const struct scan_sentence *x = &p->x->scan.s[p->sx], *y = &p->y->scan.s[p->sy];
    return put(p, FACTS_NEGATION, facts_words(p->x, x->w0, x->w1), facts_words(p->y, y->w0, y->w1),
               e);
}

static bool compare_all(const struct sentences *p, struct err *e)
{
    static const struct {
        enum attr_kind kind;
        enum facts_kind flag;
    } rows[] = {
        {ATTR_PLACE, FACTS_LATERALITY},  {ATTR_PLACE, FACTS_LEVEL},
        {ATTR_SEVERITY, FACTS_SEVERITY}, {ATTR_TIME, FACTS_TEMPORAL},
        {ATTR_SIZE, FACTS_MEASUREMENT},  {ATTR_LEVEL, FACTS_NUMBER},
        {ATTR_NUMBER, FACTS_NUMBER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!compare(p, rows[i].kind, rows[i].flag, e)) return false;
    return compare_negation(p, e);
}

/* How many attributes of the sentences differ: decides between sentences equally alike. */
static uint32_t differences(const struct facts_text *x, uint32_t sx, const struct facts_text *y,
                            uint32_t sy)
{
    uint32_t n = 0;
    for (uint32_t kind = 0; kind < ATTR_KINDS; kind++)
        for (uint32_t k = 0;; k++) {
            const struct scan_attr *p = attr(x, sx, kind, k), *q = attr(y, sy, kind, k);
            if (!p && !q) break;
            n += !p || !q || differ(FACTS_LATERALITY, p, q) || differ(FACTS_LEVEL, p, q);
        }
    return n;
}

static const struct bag *partner(const struct facts_text *x, const struct bag *b,
                                 const struct facts_text *y, const struct bag *v, uint32_t n)
{
    const struct bag *best = NULL;
    double most = ALIKE;
    uint32_t least = 0;
    for (uint32_t j = 0; j < n; j++) {
        double like = likeness(b, &v[j]);
        if (like < most) continue;
        uint32_t d = differences(x, b->s, y, v[j].s);
        if (best && like == most && d >= least) continue;
        most = like;
        least = d;
        best = &v[j];
    }
    return best;
}

bool pair_sentences(const struct facts_text *x, const struct facts_text *y, bool of_source,
                    struct arena *a, struct flag_list *flags, struct err *e)
{
    struct bag *bx, *by;
    uint32_t nx, ny;
    if (!make_bags(x, &bx, &nx, a, e) || !make_bags(y, &by, &ny, a, e)) return false;
    for (uint32_t i = 0; i < nx; i++) {
        const struct bag *b = partner(x, &bx[i], y, by, ny);
        if (!b) continue;
        struct sentences p = {x, y, bx[i].s, b->s, of_source, flags};
        if (!compare_all(&p, e)) return false;
    }
    return true;
}
