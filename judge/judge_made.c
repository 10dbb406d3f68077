#include "judge/judge_made.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/perturb.h"
#include "generate/pairs.h"

enum { MOST_ERRORS = 3, TRIES = 6, LINE_MAX_BYTES = 4 << 20 };

/* What the fact check calls a kind, in the label file's words. */
static const int type_of[FACTS_KINDS] = {
    [FACTS_NEGATION] = FACTLABEL_NEGATION,       [FACTS_LATERALITY] = FACTLABEL_LOCATION,
    [FACTS_LEVEL] = FACTLABEL_LOCATION,          [FACTS_NUMBER] = FACTLABEL_LOCATION,
    [FACTS_MEASUREMENT] = FACTLABEL_MEASUREMENT, [FACTS_SEVERITY] = FACTLABEL_SEVERITY,
    [FACTS_TEMPORAL] = FACTLABEL_TEMPORAL,       [FACTS_ADDED] = FACTLABEL_FALSE_ADDED,
    [FACTS_MISSING] = FACTLABEL_MISSING,         [FACTS_RECOMMENDATION] = FACTLABEL_RECOMMENDATION,
};
/* An error in how much or since when of a finding weighs less than one in whether or where. */
static int significance_of(enum facts_kind kind, enum facts_significance finding)
{
    bool degree = kind == FACTS_MEASUREMENT || kind == FACTS_SEVERITY || kind == FACTS_TEMPORAL ||
                  kind == FACTS_RECOMMENDATION;

    if (finding == FACTS_BENIGN) return FACTLABEL_MINOR;
    if (finding == FACTS_MINOR || degree) return FACTLABEL_MINOR;
    return finding == FACTS_URGENT ? FACTLABEL_URGENT : FACTLABEL_ACTIONABLE;
}

int judge_made_grade(const struct factlabel_error *v, size_t n, bool reworded)
{
    size_t of[FACTLABEL_SIGNIFICANCES] = {0};

    for (size_t i = 0; i < n; i++)
        of[v[i].significance]++;
    if (of[FACTLABEL_URGENT] > 0 || of[FACTLABEL_ACTIONABLE] > 1) return 1;
    if (of[FACTLABEL_ACTIONABLE] == 1) return 2;
    if (of[FACTLABEL_MINOR] > 0) return 3;
    return reworded ? 4 : 5;
}

struct maker {
    const struct judge_made_opts *o;
    struct perturb *perturb;
    struct arena *a;
    uint64_t index; /* of the judgement */
    uint64_t drawn;
};

static uint64_t below(struct maker *m, uint64_t n)
{
    return rng_below(rng_key(m->o->seed, RNG_JUDGE, m->index + 3), m->drawn++, n);
}

/* Rewording moves words: places noted before it would be wrong, so errors come after it. */
static bool reword(struct maker *m, struct factlabel *l, bool *done, struct err *e)
{
    for (int i = 0; i < TRIES && !*done; i++) {
        enum perturb_rewrite kind = (enum perturb_rewrite)below(m, REWRITE_KINDS);
        struct perturbed p;
        if (!perturb_harmless(m->perturb, l->generated, kind, m->o->seed, m->index, m->a, done, &p,
                              e))
            return false;
        if (*done) l->generated = p.text;
    }
    return true;
}

static void note_error(struct factlabel *l, enum facts_kind kind, const struct perturbed *p)
{
    struct factlabel_error *x = &l->errors[l->nerrors++];

    /* a later change of length would move the places of earlier ones: only the last is kept */
    for (size_t i = 0; i + 1 < l->nerrors; i++)
        l->errors[i].gen.given = false;
    *x = (struct factlabel_error){.type = type_of[kind],
                                  .significance = significance_of(kind, p->significance),
                                  .support =
                                      kind == FACTS_ADDED ? FACTLABEL_NOWHERE : FACTLABEL_UNSAID};
    if (p->now.to > 0) x->gen = (struct factlabel_span){true, p->now.from, p->now.to};
    l->generated = p->text;
}

/* One more error of a kind that is not there yet. */
static bool put_error(struct maker *m, struct factlabel *l, uint32_t *had, struct err *e)
{
    bool done = false;

    for (int i = 0; i < TRIES && !done; i++) {
        enum facts_kind kind = (enum facts_kind)below(m, FACTS_KINDS);
        struct perturbed p;
        if (*had & 1u << kind) continue;
        if (!perturb_error(m->perturb, l->generated, kind, m->o->seed, m->index, m->a, &done, &p,
                           e))
            return false;
        if (!done) continue;
        *had |= 1u << kind;
        note_error(l, kind, &p);
    }
    return true;
}

/* Half of the judgements are free of errors or have one; as they come, the grades fill up evenly.
 */
static bool make_one(struct maker *m, const struct pair *p, struct factlabel *l, struct err *e)
{
    uint64_t plan = below(m, 8);
    size_t errors = plan < 2 ? 0 : plan < 6 ? 1 : plan < 7 ? 2 : MOST_ERRORS;
    bool reworded = false, wants = plan == 1 || (plan > 1 && below(m, 3) == 0);
    uint32_t had = 0;

    *l = (struct factlabel){.id = p->id,
                            .subject = p->group,
                            .modality = p->modality,
                            .clinical = p->clinical,
                            .findings = p->findings,
                            .reference = p->reference,
                            .generated = p->reference,
                            .system = STR("perturb"),
                            .rater = STR("made"),
                            .order_seed = m->o->seed};
    l->errors = arena_alloc(m->a, MOST_ERRORS * sizeof *l->errors, e);
    if (!l->errors || (wants && !reword(m, l, &reworded, e))) return false;
    for (size_t i = 0; i < errors; i++)
        if (!put_error(m, l, &had, e)) return false;
    l->overall = judge_made_grade(l->errors, l->nerrors, reworded);
    return true;
}

static bool usable(const struct pair *p)
{
    return p->reference.n > 0 && p->id.n > 0 && p->reference.n <= FACTS_MAX_BYTES / 4;
}

/* "id#7": one answer, since a report gives several. */
static bool name_it(struct maker *m, struct factlabel *l, struct err *e)
{
    struct sbuf b;
    bool ok;

    sbuf_init(&b, 1024);
    ok = sbuf_printf(&b, e, "%.*s#%llu", STR_ARG(str_sub(l->id, 0, 128)),
                     (unsigned long long)m->index) &&
         arena_str(m->a, sbuf_str(&b), &l->id, e);
    sbuf_free(&b);
    return ok;
}

static bool make_all(struct maker *m, const struct pair *p, size_t n, struct factlabel *v,
                     size_t *made, struct err *e)
{
    *made = 0;
    for (size_t turn = 0; *made < m->o->count; turn++) {
        size_t before = *made;
        for (size_t i = 0; i < n && *made < m->o->count; i++) {
            if (!usable(&p[i])) continue;
            m->index = *made;
            m->drawn = 0;
            if (!make_one(m, &p[i], &v[*made], e) || !name_it(m, &v[*made], e))
                return err_wrap(e, "pair %zu", i);
            ++*made;
        }
        if (*made == before)
            return err_set(e, ERR_CONFIG, "%s: no pair with id and reference", m->o->reports);
    }
    return true;
}

bool judge_made_labels(const struct judge_made_opts *o, struct arena *a, struct factlabel **out,
                       size_t *n, struct err *e)
{
    struct maker m = {.o = o, .a = a};
    struct pair *p;
    size_t npairs;
    bool ok = false;

    *n = 0;
    *out = arena_alloc(a, ((size_t)o->count + 1) * sizeof **out, e);
    if (!*out || !perturb_open(o->lexicon, &m.perturb, e)) return false;
    ok = pairs_read(o->reports, a, &p, &npairs, e) && make_all(&m, p, npairs, *out, n, e);
    perturb_close(m.perturb);
    return ok;
}

bool judge_made_write(const char *path, const struct factlabel *v, size_t n, struct err *e)
{
    struct fs_writer *w = NULL;
    struct sbuf b;
    bool ok;

    sbuf_init(&b, 2 * (size_t)LINE_MAX_BYTES);
    ok = fs_writer_open(path, &w, e);
    for (size_t i = 0; ok && i < n; i++) {
        sbuf_clear(&b);
        ok = factlabel_put(&b, &v[i], e) && sbuf_putc(&b, '\n', e) && fs_writer_put(w, b.p, b.n, e);
    }
    ok = ok && fs_writer_commit(w, e);
    fs_writer_close(w);
    sbuf_free(&b);
    return ok;
}
