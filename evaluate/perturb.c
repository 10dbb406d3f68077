#include "evaluate/perturb.h"

#include "base/mem.h"
#include "base/rng.h"
#include "evaluate/perturb_impl.h"

const char *const perturb_rewrite_names[REWRITE_KINDS + 1] = {"case", "order",   "negation",
                                                              "unit", "synonym", NULL};

struct perturb {
    struct lex *l;
};

bool perturb_open(const char *dir, struct perturb **out, struct err *e)
{
    *out = NULL;
    struct perturb *p = mem_calloc(1, sizeof *p, e);
    if (!p) return false;
    if (!lex_open(dir, &p->l, e)) {
        perturb_close(p);
        return false;
    }
    *out = p;
    return true;
}

void perturb_close(struct perturb *p)
{
    if (!p) return;
    lex_close(p->l);
    mem_free(p);
}

uint64_t perturb_below(struct maker *m, uint64_t n)
{
    return rng_below(m->key, m->drawn++, n);
}

struct str perturb_word(const struct maker *m, uint32_t w)
{
    return str_sub(m->text, m->scan.w[w].from, m->scan.w[w].to);
}

void perturb_add(struct maker *m, struct edit x)
{
    if (m->n < PERTURB_EDITS) m->edits[m->n++] = x;
}

/* Of the finding a change at word w concerns: the nearest one in its sentence. */
enum facts_significance perturb_significance(const struct maker *m, uint32_t w)
{
    uint32_t least = UINT32_MAX;
    enum facts_significance found = FACTS_MINOR;
    for (uint32_t i = 0; i < m->found.n; i++) {
        const struct mention *x = &m->found.v[i];
        uint32_t d = x->w0 > w ? x->w0 - w : w - x->w0;
        if (x->sentence != m->scan.w[w].sentence || d >= least) continue;
        least = d;
        found = m->l->concepts[x->concept].significance;
    }
    return found;
}

/* The new word in the case of the old one: "Left", "left", "LEFT". */
bool perturb_like(struct maker *m, struct str old, const char *word, struct str *out)
{
    if (!arena_str(m->a, str_of(word), out, m->e)) return false;
    char *p = (char *)out->p;
    bool first = old.n > 0 && old.p[0] >= 'A' && old.p[0] <= 'Z';
    bool all = first && old.n > 1 && old.p[1] >= 'A' && old.p[1] <= 'Z';
    for (size_t i = 0; i < out->n && (all || (first && i == 0)); i++)
        if (p[i] >= 'a' && p[i] <= 'z') p[i] = (char)(p[i] - 0x20);
    return true;
}

static bool apply(struct maker *m, const struct edit *x, struct perturbed *out)
{
    struct sbuf b;
    sbuf_init(&b, 2 * FACTS_MAX_BYTES);
    bool ok = sbuf_put(&b, str_sub(m->text, 0, x->from), m->e) && sbuf_put(&b, x->with, m->e) &&
              sbuf_put(&b, str_sub(m->text, x->to, m->text.n), m->e) &&
              arena_str(m->a, sbuf_str(&b), &out->text, m->e);
    sbuf_free(&b);
    out->significance = x->significance;
    if (x->with.n)
        out->now = (struct facts_span){(uint32_t)x->from, (uint32_t)(x->from + x->with.n)};
    if (x->to > x->from) out->was = (struct facts_span){(uint32_t)x->from, (uint32_t)x->to};
    return ok;
}

static bool read_text(struct maker *m)
{
    if (m->text.n > FACTS_MAX_BYTES)
        return err_set(m->e, ERR_LIMIT, "a text has more than %zu bytes", FACTS_MAX_BYTES);
    return scan_text(m->l, m->text, FACTS_MAX_WORDS, m->a, &m->scan, m->e) &&
           find_mentions(m->l, &m->scan, m->a, &m->found, m->e);
}

bool perturb_error(const struct perturb *p, struct str text, enum facts_kind kind, uint64_t seed,
                   uint64_t index, struct arena *a, bool *done, struct perturbed *out,
                   struct err *e)
{
    struct maker m = {.l = p->l, .text = text, .a = a, .e = e};
    m.key = rng_key(seed, RNG_PERTURB, index * FACTS_KINDS + kind);
    *done = false;
    *out = (struct perturbed){0};
    if (!read_text(&m) || !perturb_edits(&m, kind)) return false;
    if (m.n == 0) return true;
    if (!apply(&m, &m.edits[perturb_below(&m, m.n)], out)) return false;
    *done = !str_eq(out->text, text);
    return true;
}

bool perturb_harmless(const struct perturb *p, struct str text, enum perturb_rewrite rewrite,
                      uint64_t seed, uint64_t index, struct arena *a, bool *done,
                      struct perturbed *out, struct err *e)
{
    struct maker m = {.l = p->l, .text = text, .a = a, .e = e};
    m.key = rng_key(seed, RNG_PERTURB, index * REWRITE_KINDS + rewrite);
    *done = false;
    *out = (struct perturbed){0};
    if (!read_text(&m)) return false;
    if (rewrite == REWRITE_CASE || rewrite == REWRITE_ORDER) {
        if (!perturb_whole(&m, rewrite, &out->text)) return false;
    } else {
        if (!perturb_phrases(&m, rewrite)) return false;
        if (m.n && !apply(&m, &m.edits[perturb_below(&m, m.n)], out)) return false;
    }
    out->now = out->was = (struct facts_span){0};
    out->significance = FACTS_BENIGN;
    *done = out->text.n > 0 && !str_eq(out->text, text);
    return true;
}
