#include "evaluate/facts.h"

#include <math.h>

#include "base/mem.h"
#include "evaluate/facts_pair.h"

const char *const facts_kind_names[FACTS_KINDS + 1] = {
    "negation", "laterality", "level",   "number",         "measurement", "severity",
    "temporal", "added",      "missing", "recommendation", NULL};
const char *const facts_significance_names[FACTS_URGENT + 2] = {"benign", "minor", "actionable",
                                                                "urgent", NULL};

struct facts {
    struct lex *l;
    char signature[64];
};

/* What a finding counts by its significance, and an attribute that is wrong. */
static const double weights[] = {0.0, 0.25, 0.5, 1.0};
#define ATTRIBUTE_LOSS 0.5
#define NORMAL_WEIGHT  0.5
#define MISSING_LOSS   0.75

struct check {
    const struct facts *f;
    struct facts_text g, r, s;
    struct arena *a;
    bool of_source; /* there is no reference: r is the source */
    struct flag_list flags;
    double correct, wrong, missing, total;
};

bool facts_open(const char *dir, struct facts **out, struct err *e)
{
    *out = NULL;
    struct facts *f = mem_calloc(1, sizeof *f, e);
    if (!f) return false;
    if (!lex_open(dir, &f->l, e)) {
        facts_close(f);
        return false;
    }
    static const char prefix[] = "facts|lexicon:", suffix[] = "|v:2";
    memcpy(f->signature, prefix, sizeof prefix - 1);
    memcpy(f->signature + sizeof prefix - 1, f->l->digest, 12);
    memcpy(f->signature + sizeof prefix - 1 + 12, suffix, sizeof suffix);
    *out = f;
    return true;
}

void facts_close(struct facts *f)
{
    if (!f) return;
    lex_close(f->l);
    mem_free(f);
}

const char *facts_digest(const struct facts *f)
{
    return f->l->digest;
}

const char *facts_signature(const struct facts *f)
{
    return f->signature;
}

bool facts_source(struct str findings, struct str clinical, struct sbuf *b, struct str *out,
                  struct err *e)
{
    *out = findings;
    if (clinical.n == 0) return true;
    sbuf_clear(b);
    if (!sbuf_put(b, findings, e) || !sbuf_putc(b, '\n', e) || !sbuf_put(b, clinical, e))
        return false;
    *out = sbuf_str(b);
    return true;
}

bool facts_in_clinical(struct str findings, struct facts_span *s)
{
    uint32_t before = (uint32_t)findings.n + 1;
    if (s->to == 0 || s->from < before) return false;
    *s = (struct facts_span){s->from - before, s->to - before};
    return true;
}

static bool read_text(const struct check *c, struct str text, struct facts_text *t, struct err *e)
{
    if (text.n > FACTS_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a text has more than %zu bytes", FACTS_MAX_BYTES);
    t->text = text;
    return scan_text(c->f->l, text, FACTS_MAX_WORDS, c->a, &t->scan, e) &&
           find_mentions(c->f->l, &t->scan, c->a, &t->m, e);
}

static const struct lex_concept *concept_of(const struct check *c, const struct mention *m)
{
    return &c->f->l->concepts[m->concept];
}

static struct facts_span span(const struct facts_text *t, uint32_t i)
{
    return facts_words(t, t->m.v[i].w0, t->m.v[i].w1);
}

static bool has_source(const struct check *c)
{
    return !c->of_source && c->s.text.n > 0;
}

static void other_span(const struct check *c, struct facts_flag *f, struct facts_span s)
{
    *(c->of_source ? &f->source : &f->reference) = s;
}

/* What the source says of statement i of the generated text. */
static void ask_source(const struct check *c, uint32_t i, struct facts_flag *f)
{
    if (!has_source(c)) return;
    uint32_t j = pair_best(c->f->l, &c->g, i, &c->s);
    if (!j) j = pair_denied(c->f->l, &c->g, i, &c->s);
    if (!j) return;
    f->source = span(&c->s, j - 1);
    const struct mention *m = &c->s.m.v[j - 1];
    uint32_t bits = pair_differs(&c->g, i, &c->s, j - 1);
    uint32_t mine =
        f->kind == FACTS_ADDED ? 1u << FACTS_NEGATION | 1u << FACTS_LATERALITY : 1u << f->kind;
    f->supported = m->concept < c->f->l->nfindings && !(bits & mine);
}

/* Differences of statement i of the generated text and its partner. */
static bool flag_pair(struct check *c, uint32_t i, uint32_t j, uint32_t bits, struct err *e)
{
    const struct lex_concept *k = concept_of(c, &c->g.m.v[i]);
    for (uint32_t kind = 0; kind < FACTS_KINDS; kind++) {
        if (!(bits >> kind & 1)) continue;
        struct facts_flag f = {.kind = kind,
                               .significance = pair_significance(kind, k->significance),
                               .generated = span(&c->g, i),
                               .concept = k->id.p};
        other_span(c, &f, span(&c->r, j));
        ask_source(c, i, &f);
        if (!flags_put(&c->flags, f, e)) return false;
    }
    return true;
}

/* A generic statement ("abnormal:lung") is no finding to count or to miss. */
static bool counts(const struct check *c, const struct mention *m)
{
    return !m->negated && m->concept < c->f->l->nfindings;
}

static bool flag_added(struct check *c, uint32_t i, struct err *e)
{
    const struct lex_concept *k = concept_of(c, &c->g.m.v[i]);
    struct facts_flag f = {.kind = FACTS_ADDED,
                           .significance = k->significance,
                           .generated = span(&c->g, i),
                           .concept = k->id.p};
    uint32_t j = pair_denied(c->f->l, &c->g, i, &c->r);
    if (j) other_span(c, &f, span(&c->r, j - 1));
    ask_source(c, i, &f);
    if (!f.supported) c->wrong += weights[k->significance];
    return flags_put(&c->flags, f, e);
}

static bool flag_missing(struct check *c, uint32_t j, struct err *e)
{
    const struct lex_concept *k = concept_of(c, &c->r.m.v[j]);
    struct facts_flag f = {
        .kind = FACTS_MISSING, .significance = k->significance, .concept = k->id.p};
    uint32_t i = pair_denied(c->f->l, &c->r, j, &c->g);
    if (i) f.generated = span(&c->g, i - 1);
    other_span(c, &f, span(&c->r, j));
    return k->significance < FACTS_ACTIONABLE || flags_put(&c->flags, f, e);
}

static uint32_t bits_set(uint32_t x)
{
    uint32_t n = 0;
    for (; x; x &= x - 1)
        n++;
    return n;
}

static bool check_generated(struct check *c, struct err *e)
{
    for (uint32_t i = 0; i < c->g.m.n; i++) {
        const struct mention *m = &c->g.m.v[i];
        uint32_t j = c->g.partner[i];
        if (j) {
            uint32_t bits = pair_differs(&c->g, i, &c->r, j - 1);
            if (!flag_pair(c, i, j - 1, bits, e)) return false;
            double w = weights[concept_of(c, &c->r.m.v[j - 1])->significance];
            if (bits & 1u << FACTS_NEGATION)
                *(counts(c, m) ? &c->wrong : &c->missing) += w;
            else if (!m->negated && !c->r.twice[j - 1])
                c->correct += w / (1 + ATTRIBUTE_LOSS * bits_set(bits));
            continue;
        }
        if (!counts(c, m) || c->g.cover[i] || c->g.twice[i]) continue;
        if (!flag_added(c, i, e)) return false;
    }
    return true;
}

static bool check_missing(struct check *c, struct err *e)
{
    for (uint32_t j = 0; j < c->r.m.n; j++) {
        const struct mention *m = &c->r.m.v[j];
        if (!counts(c, m) || c->r.twice[j]) continue;
        double w = weights[concept_of(c, m)->significance];
        c->total += w;
        if (c->r.partner[j]) continue;
        if (c->r.cover[j])
            c->correct += w;
        else if (!flag_missing(c, j, e))
            return false;
        else
            c->missing += w;
    }
    return true;
}

/* Statements of which the reference says nothing and the source the opposite. */
static bool check_source(struct check *c, struct err *e)
{
    for (uint32_t i = 0; has_source(c) && i < c->g.m.n; i++) {
        if (c->g.partner[i] || c->g.cover[i] || c->g.m.v[i].normal) continue;
        uint32_t j = pair_best(c->f->l, &c->g, i, &c->s);
        if (!j || c->s.m.v[j - 1].concept != c->g.m.v[i].concept) continue;
        uint32_t bits = pair_differs(&c->g, i, &c->s, j - 1);
        const struct lex_concept *k = concept_of(c, &c->g.m.v[i]);
        for (uint32_t kind = FACTS_NEGATION; kind <= FACTS_MEASUREMENT; kind++) {
            struct facts_flag f = {.kind = kind,
                                   .significance = pair_significance(kind, k->significance),
                                   .generated = span(&c->g, i),
                                   .source = span(&c->s, j - 1),
                                   .concept = k->id.p};
            if ((bits >> kind & 1) && !flags_put(&c->flags, f, e)) return false;
        }
    }
    return true;
}

/* Part of the statements the source supports, among the positive and those it speaks of. */
static double support(const struct check *c, const struct facts_text *s)
{
    uint32_t n = 0, good = 0;
    if (s->text.n == 0) return (double)NAN;
    for (uint32_t i = 0; i < c->g.m.n; i++) {
        const struct mention *m = &c->g.m.v[i];
        if (m->normal || m->concept >= c->f->l->nfindings) continue;
        uint32_t j = pair_best(c->f->l, &c->g, i, s);
        if (!j && m->negated) continue;
        uint32_t bits = j ? pair_differs(&c->g, i, s, j - 1) : 0;
        n++;
        good += j && !(bits & (1u << FACTS_NEGATION | 1u << FACTS_LATERALITY));
    }
    return n ? (double)good / n : (double)NAN;
}

/* 50 (1 + S): see facts.h. */
static double score(const struct check *c)
{
    double s = (c->correct + NORMAL_WEIGHT - c->wrong - MISSING_LOSS * c->missing) /
               (c->total + NORMAL_WEIGHT);
    if (s < 0) s = s / (1 - s);
    if (s > 1) s = 1;
    return 50 * (1 + s);
}

/* By place in the generated text; what is missing there, last, by place in the other. */
static bool later(const struct facts_flag *x, const struct facts_flag *y)
{
    uint32_t a = x->generated.to ? x->generated.from : UINT32_MAX;
    uint32_t b = y->generated.to ? y->generated.from : UINT32_MAX;
    if (a != b) return a > b;
    a = x->reference.to ? x->reference.from : x->source.from;
    b = y->reference.to ? y->reference.from : y->source.from;
    return a != b ? a > b : x->kind > y->kind;
}

static void put_in_order(struct flag_list *l)
{
    for (size_t i = 1; i < l->n; i++) {
        struct facts_flag f = l->v[i];
        size_t k = i;
        for (; k > 0 && later(&l->v[k - 1], &f); k--)
            l->v[k] = l->v[k - 1];
        l->v[k] = f;
    }
}

static void give(struct check *c, struct facts_result *out)
{
    put_in_order(&c->flags);
    out->score = score(c);
    out->support = support(c, c->of_source ? &c->r : &c->s);
    out->correct = c->correct;
    out->wrong = c->wrong;
    out->missing = c->missing;
    out->flags = c->flags.v;
    out->nflags = c->flags.n;
    out->ngenerated = c->g.m.n;
    out->nreference = c->of_source ? 0 : c->r.m.n;
    out->nsource = c->of_source ? c->r.m.n : c->s.m.n;
    for (size_t i = 0; i < c->flags.n; i++) {
        out->by_kind[c->flags.v[i].kind]++;
        out->nadded_unsupported += c->flags.v[i].kind == FACTS_ADDED && !c->flags.v[i].supported;
    }
}

bool facts_check(const struct facts *f, struct str generated, struct str reference,
                 struct str source, struct arena *a, struct facts_result *out, struct err *e)
{
    struct check c = {.f = f, .a = a, .flags = {.a = a}, .of_source = reference.n == 0};
    *out = (struct facts_result){0};
    if (!read_text(&c, generated, &c.g, e)) return err_wrap(e, "generated");
    if (!read_text(&c, c.of_source ? source : reference, &c.r, e)) return err_wrap(e, "reference");
    if (!c.of_source && !read_text(&c, source, &c.s, e)) return err_wrap(e, "source");
    if (!pair_mentions(f->l, &c.g, &c.r, a, e)) return false;
    if (!check_generated(&c, e) || !check_missing(&c, e) || !check_source(&c, e)) return false;
    if (!pair_sentences(&c.g, &c.r, c.of_source, a, &c.flags, e)) return false;
    /* Findings recommend nothing: without a reference there is nothing to compare. */
    if (!c.of_source && !pair_recommendations(&c.g, &c.r, &c.flags, e)) return false;
    give(&c, out);
    return true;
}
