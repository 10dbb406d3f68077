/* The ten kinds of error; see perturb.h. */
#include "evaluate/perturb_impl.h"

struct swap {
    const char *word, *with;
};
static const struct swap sides[] = {
    {"left", "right"}, {"right", "left"},     {"lt", "rt"},
    {"rt", "lt"},      {"bilateral", "left"}, {"bilaterally", "on the right"},
    {"lul", "rul"},    {"rul", "lul"},        {"lll", "rll"},
    {"rll", "lll"},    {NULL, NULL}};
static const struct swap zones[] = {{"upper", "lower"},
                                    {"lower", "upper"},
                                    {"middle", "lower"},
                                    {"apical", "basilar"},
                                    {"basilar", "apical"},
                                    {"apex", "base"},
                                    {"base", "apex"},
                                    {"anterior", "posterior"},
                                    {"posterior", "anterior"},
                                    {"proximal", "distal"},
                                    {"distal", "proximal"},
                                    {"superior", "inferior"},
                                    {"inferior", "superior"},
                                    {"frontal", "occipital"},
                                    {"occipital", "frontal"},
                                    {"parietal", "frontal"},
                                    {"thalamic", "cerebellar"},
                                    {"cerebellar", "thalamic"},
                                    {NULL, NULL}};
static const struct swap degrees[] = {
    {"mild", "severe"},        {"mildly", "severely"},      {"minimal", "marked"},
    {"minimally", "markedly"}, {"small", "large"},          {"slight", "marked"},
    {"slightly", "markedly"},  {"tiny", "large"},           {"trace", "large"},
    {"moderate", "minimal"},   {"moderately", "minimally"}, {"severe", "mild"},
    {"severely", "mildly"},    {"marked", "minimal"},       {"markedly", "minimally"},
    {"large", "small"},        {"massive", "small"},        {"extensive", "minimal"},
    {"advanced", "mild"},      {"borderline", "severe"},    {NULL, NULL}};
static const struct swap times[] = {{"stable", "worsening"},
                                    {"unchanged", "worsened"},
                                    {"new", "unchanged"},
                                    {"worsening", "improving"},
                                    {"worse", "better"},
                                    {"worsened", "improved"},
                                    {"improved", "worsened"},
                                    {"improving", "worsening"},
                                    {"increasing", "unchanged"},
                                    {"decreasing", "increasing"},
                                    {"persistent", "new"},
                                    {"progressive", "improving"},
                                    {"enlarging", "stable"},
                                    {"resolving", "worsening"},
                                    {"chronic", "acute"},
                                    {"acute", "chronic"},
                                    {"old", "new"},
                                    {NULL, NULL}};
static const struct swap modalities[] = {
    {"ct", "ultrasound"},  {"mri", "CT"},          {"mr", "CT"},
    {"ultrasound", "MRI"}, {"radiograph", "MRI"},  {"radiographs", "MRI"},
    {"sonography", "MRI"}, {"pet", "ultrasound"},  {"biopsy", "radiographs"},
    {"mammogram", "MRI"},  {"mammography", "MRI"}, {NULL, NULL}};

static bool equal_folded(struct str s, const char *z)
{
    for (size_t i = 0; i < s.n; i++)
        if (z[i] == 0 || (s.p[i] | (s.p[i] >= 'A' && s.p[i] <= 'Z' ? 0x20 : 0)) != z[i])
            return false;
    return z[s.n] == 0;
}

/* keep_case: the new word as the old one was written; otherwise as the table has it. */
static bool swap_word(struct maker *m, uint32_t w, const struct swap *table, bool keep_case)
{
    struct str old = perturb_word(m, w);
    while (table->word && !equal_folded(old, table->word))
        table++;
    if (!table->word) return true;
    struct edit x = {.from = m->scan.w[w].from, .to = m->scan.w[w].to};
    x.significance = perturb_significance(m, w);
    x.with = str_of(table->with);
    if (keep_case && !perturb_like(m, old, table->with, &x.with)) return false;
    perturb_add(m, x);
    return true;
}

/* Words of the table within attributes of a kind, of sentences that deny nothing: there a side or a
 * degree says little. */
static bool swap_attrs(struct maker *m, enum attr_kind kind, const struct swap *table)
{
    for (uint32_t s = 0; s < m->scan.ns; s++) {
        const struct scan_sentence *x = &m->scan.s[s];
        bool denies = false;
        for (uint32_t k = x->a0; k < x->a1; k++)
            denies |= m->scan.attr[k].kind == ATTR_NEG;
        for (uint32_t k = x->a0; k < x->a1 && !denies; k++) {
            const struct scan_attr *y = &m->scan.attr[k];
            if (kind == ATTR_SEVERITY && y->w1 - y->w0 > 1) continue; /* "mild to moderate" */
            for (uint32_t w = y->w0; y->kind == kind && w < y->w1; w++)
                if (!swap_word(m, w, table, true)) return false;
        }
    }
    return true;
}

static bool put_number(struct maker *m, uint32_t w, double value)
{
    struct sbuf b;
    struct edit x = {.from = m->scan.w[w].from, .to = m->scan.w[w].to};
    x.significance = perturb_significance(m, w);
    sbuf_init(&b, 64);
    bool ok = sbuf_printf(&b, m->e, "%.4g", value) && arena_str(m->a, sbuf_str(&b), &x.with, m->e);
    sbuf_free(&b);
    if (ok) perturb_add(m, x);
    return ok;
}

/* The word of an attribute that is a number in digits, or UINT32_MAX. */
static uint32_t digits_of(const struct maker *m, const struct scan_attr *x)
{
    for (uint32_t w = x->w0; w < x->w1; w++) {
        struct str s = perturb_word(m, w);
        if (s.n && s.p[0] >= '0' && s.p[0] <= '9') return w;
    }
    return UINT32_MAX;
}

static bool recommends(const struct maker *m, uint32_t s)
{
    for (uint32_t k = m->scan.s[s].a0; k < m->scan.s[s].a1; k++)
        if (m->scan.attr[k].kind == ATTR_RECOMMEND) return true;
    return false;
}

static bool change_numbers(struct maker *m, enum attr_kind kind)
{
    static const double factors[] = {0.4, 0.5, 2, 2.5, 3};
    for (uint32_t k = 0; k < m->scan.nattr; k++) {
        const struct scan_attr *x = &m->scan.attr[k];
        uint32_t w = x->kind == kind ? digits_of(m, x) : UINT32_MAX;
        if (w == UINT32_MAX) continue;
        if (kind == ATTR_PERIOD && !recommends(m, m->scan.w[w].sentence)) continue;
        double v = m->scan.w[w].value;
        if (kind == ATTR_SIZE)
            v *= factors[perturb_below(m, 5)];
        else if (kind == ATTR_PERIOD)
            v = v >= 6 ? v / 2 : v * 3;
        else
            v += v > 2 ? -1 : 1;
        if (!put_number(m, w, v)) return false;
    }
    return true;
}

static void first_letter(struct maker *m, size_t from, size_t at, bool capital, struct edit *x)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char c = (char)(m->text.p[at] | 0x20);
    *x = (struct edit){.from = from, .to = at + 1, .with = {m->text.p + at, 1}};
    if (c >= 'a' && c <= 'z') x->with = (struct str){letters + (c - 'a') + (capital ? 26 : 0), 1};
}

static bool denied_behind(const struct maker *m, uint32_t w)
{
    for (uint32_t i = 0; i < m->found.n; i++) {
        const struct mention *x = &m->found.v[i];
        if (x->negated && !x->normal && x->w0 >= w && x->sentence == m->scan.w[w].sentence)
            return true;
    }
    return false;
}

/* "No effusion" to "Effusion", "without" to "with", "negative for" to "positive for". */
static bool drop_negations(struct maker *m)
{
    static const struct swap words[] = {
        {"without", "with"}, {"negative", "positive"}, {NULL, NULL}};
    for (uint32_t h = 0; h < m->scan.nh; h++) {
        const struct scan_hit *x = &m->scan.h[h];
        if (!scan_is(x, LEX_NEG_PRE) || x->w1 >= m->scan.nw) continue;
        if (m->scan.w[x->w1].sentence != m->scan.w[x->w0].sentence) continue;
        if (!denied_behind(m, x->w1)) continue;
        struct str word = perturb_word(m, x->w0);
        if (!equal_folded(word, "no")) {
            if (!swap_word(m, x->w0, words, true)) return false;
            continue;
        }
        struct edit y;
        bool capital = word.p[0] == 'N';
        first_letter(m, m->scan.w[x->w0].from, m->scan.w[x->w0 + 1].from, capital, &y);
        y.significance = FACTS_URGENT;
        perturb_add(m, y);
    }
    return true;
}

/* Does a sentence state a finding of at least this significance, without doubt or denial? */
static const struct mention *states(const struct maker *m, uint32_t s, unsigned significance)
{
    const struct mention *found = NULL;
    for (uint32_t i = 0; i < m->found.n; i++) {
        const struct mention *x = &m->found.v[i];
        if (x->sentence != s) continue;
        if (x->negated || x->unsure || x->concept >= m->l->nfindings) return NULL;
        if (!found && m->l->concepts[x->concept].significance >= significance) found = x;
    }
    return found;
}

/* Words before the finding that only describe it. */
static bool leads_to(const struct maker *m, uint32_t from, uint32_t to)
{
    for (uint32_t w = from; w < to; w++)
        if (m->scan.w[w].content || m->scan.w[w].gap > GAP_SLASH) return w == from;
    return to - from < 5;
}

static bool is_article(const struct maker *m, uint32_t w)
{
    struct str s = perturb_word(m, w);
    return equal_folded(s, "a") || equal_folded(s, "an") || equal_folded(s, "the");
}

/* "There is a mass" to "There is no mass"; "Left effusion" to "No left effusion". */
static bool put_negations(struct maker *m)
{
    for (uint32_t s = 0; s < m->scan.ns; s++) {
        const struct scan_sentence *x = &m->scan.s[s];
        const struct mention *found = states(m, s, FACTS_MINOR);
        uint32_t w = x->w0 + (m->scan.w[x->w0].kind == WORD_LIST);
        if (!found || w + 3 >= x->w1) continue;
        struct edit y = {.significance = FACTS_URGENT};
        struct str verb = perturb_word(m, w + 1);
        if (equal_folded(perturb_word(m, w), "there") &&
            (equal_folded(verb, "is") || equal_folded(verb, "are"))) {
            bool eats = is_article(m, w + 2);
            y.from = m->scan.w[w + 2].from;
            y.to = eats ? m->scan.w[w + 2].to : y.from;
            y.with = eats ? STR("no") : STR("no ");
            perturb_add(m, y);
        } else if (found->w0 >= w && leads_to(m, w, found->w0)) {
            struct edit first;
            struct str with;
            size_t from = m->scan.w[w].from;
            w += is_article(m, w) && found->w0 > w;
            first_letter(m, from, m->scan.w[w].from, false, &first);
            if (!arena_str(m->a, STR("No ?"), &with, m->e)) return false;
            ((char *)with.p)[3] = first.with.p[0];
            first.with = with;
            first.significance = FACTS_URGENT;
            perturb_add(m, first);
        }
    }
    return true;
}

static struct edit without_sentence(const struct maker *m, uint32_t s)
{
    const struct scan_sentence *x = &m->scan.s[s];
    struct edit y = {.from = m->scan.w[x->w0].from, .to = m->text.n, .with = {"", 0}};
    if (s + 1 < m->scan.ns) y.to = m->scan.w[m->scan.s[s + 1].w0].from;
    return y;
}

static bool stated_elsewhere(const struct maker *m, const struct mention *x)
{
    for (uint32_t i = 0; i < m->found.n; i++)
        if (m->found.v[i].sentence != x->sentence && !m->found.v[i].negated &&
            m->l->concepts[m->found.v[i].concept].family == m->l->concepts[x->concept].family)
            return true;
    return false;
}

static void leave_out(struct maker *m)
{
    for (uint32_t s = 0; s < m->scan.ns && m->scan.ns > 1; s++) {
        const struct mention *x = states(m, s, FACTS_ACTIONABLE);
        if (!x || stated_elsewhere(m, x)) continue;
        struct edit y = without_sentence(m, s);
        y.significance = m->l->concepts[x->concept].significance;
        perturb_add(m, y);
    }
}

/* A sentence before a sentence of the text, or at its end. */
static bool put_sentence(struct maker *m, struct str sentence, enum facts_significance weight)
{
    uint64_t s = perturb_below(m, m->scan.ns + 1u);
    struct sbuf b;
    struct edit x = {.from = m->text.n, .significance = weight};
    bool last = s >= m->scan.ns;
    if (!last) x.from = m->scan.w[m->scan.s[s].w0].from;
    x.to = x.from;
    sbuf_init(&b, 4096);
    bool ok = (!last || sbuf_put(&b, STR(" "), m->e)) && sbuf_put(&b, sentence, m->e) &&
              (last || sbuf_put(&b, STR(" "), m->e)) &&
              arena_str(m->a, sbuf_str(&b), &x.with, m->e);
    sbuf_free(&b);
    if (ok) perturb_add(m, x);
    return ok;
}

/* Parts the text speaks of; those of the chest when it speaks of none. */
static uint64_t parts_of(const struct maker *m)
{
    uint64_t parts = 0;
    for (uint32_t i = 0; i < m->found.n; i++)
        parts |= (uint64_t)1 << m->l->concepts[m->found.v[i].concept].part;
    for (uint16_t i = 0; i < m->l->parts.n && !parts; i++)
        if (str_eqz(m->l->parts.v[i], "chest")) parts = m->l->part_mask[i];
    return parts;
}

static bool new_to(const struct maker *m, uint16_t concept)
{
    for (uint32_t i = 0; i < m->found.n; i++)
        if (m->l->concepts[m->found.v[i].concept].family == m->l->concepts[concept].family)
            return false;
    return true;
}

static bool put_in(struct maker *m)
{
    static const char *const heads[] = {"There is evidence of ", "New ",
                                        "Findings consistent with "};
    static const char *const which[] = {"", "left ", "right "};
    static const char *const paired[] = {"lung", "pleura", "kidney", "adrenal", "ovary", "joint"};
    uint64_t parts = parts_of(m), n = 0, pick, side = 0;
    for (uint16_t i = 0; i < m->l->nfindings; i++)
        n += m->l->concepts[i].significance >= FACTS_ACTIONABLE && new_to(m, i) &&
             (parts >> m->l->concepts[i].part & 1);
    if (n == 0) return true;
    pick = perturb_below(m, n);
    uint16_t i = 0;
    for (;; i++)
        if (m->l->concepts[i].significance >= FACTS_ACTIONABLE && new_to(m, i) &&
            (parts >> m->l->concepts[i].part & 1) && pick-- == 0)
            break;
    const struct lex_concept *c = &m->l->concepts[i];
    for (size_t k = 0; k < sizeof paired / sizeof *paired; k++)
        if (str_eqz(m->l->parts.v[c->part], paired[k])) side = 1 + perturb_below(m, 2);
    struct sbuf b;
    sbuf_init(&b, 1024);
    bool ok = sbuf_printf(&b, m->e, "%s%s%.*s.", heads[perturb_below(m, 3)], which[side],
                          STR_ARG(c->name)) &&
              put_sentence(m, sbuf_str(&b), c->significance);
    sbuf_free(&b);
    return ok;
}

/* Another interval, another examination, one less, or where there is none, one more. */
static bool change_recommendation(struct maker *m)
{
    bool any = false;
    for (uint32_t s = 0; s < m->scan.ns; s++) {
        const struct scan_sentence *x = &m->scan.s[s];
        if (!recommends(m, s)) continue;
        any = true;
        for (uint32_t w = x->w0; w < x->w1; w++)
            if (!swap_word(m, w, modalities, false)) return false;
        if (m->scan.ns < 2) continue;
        struct edit y = without_sentence(m, s);
        y.significance = FACTS_ACTIONABLE;
        perturb_add(m, y);
    }
    if (!change_numbers(m, ATTR_PERIOD)) return false;
    return any || put_sentence(m, STR("Recommend follow-up CT in 3 months."), FACTS_ACTIONABLE);
}

bool perturb_edits(struct maker *m, enum facts_kind kind)
{
    switch (kind) {
    case FACTS_NEGATION:
        return drop_negations(m) && put_negations(m);
    case FACTS_LATERALITY:
        return swap_attrs(m, ATTR_PLACE, sides);
    case FACTS_LEVEL:
        return swap_attrs(m, ATTR_PLACE, zones);
    case FACTS_NUMBER:
        return change_numbers(m, ATTR_LEVEL) && change_numbers(m, ATTR_NUMBER);
    case FACTS_MEASUREMENT:
        return change_numbers(m, ATTR_SIZE);
    case FACTS_SEVERITY:
        return swap_attrs(m, ATTR_SEVERITY, degrees);
    case FACTS_TEMPORAL:
        return swap_attrs(m, ATTR_TIME, times);
    case FACTS_ADDED:
        return put_in(m);
    case FACTS_MISSING:
        leave_out(m);
        return true;
    case FACTS_RECOMMENDATION:
        return change_recommendation(m);
    default:
        return true;
    }
}
