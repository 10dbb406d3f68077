/* Rewrites that leave the facts alone; see perturb.h. */
#include "evaluate/perturb_impl.h"

/* Phrases that may stand for each other, as whole words, in any case. */
struct phrase {
    const char *was, *now;
};
static const struct phrase negations[] = {{"there is no evidence of", "there is no"},
                                          {"no evidence of", "negative for"},
                                          {"without evidence of", "without"},
                                          {"there is no", "no"},
                                          {"there are no", "no"},
                                          {NULL, NULL}};
static const struct phrase synonyms[] = {{"cardiomegaly", "enlarged heart"},
                                         {"pleural effusion", "pleural fluid"},
                                         {"hemorrhage", "haemorrhage"},
                                         {"edema", "oedema"},
                                         {"tumor", "tumour"},
                                         {"is identified", "is seen"},
                                         {"is noted", "is seen"},
                                         {"is seen", "is present"},
                                         {"are seen", "are present"},
                                         {"are noted", "are seen"},
                                         {"within normal limits", "normal"},
                                         {"demonstrates", "shows"},
                                         {"unremarkable", "normal"},
                                         {"unchanged", "stable"},
                                         {"calculi", "stones"},
                                         {"lymphadenopathy", "adenopathy"},
                                         {"airspace disease", "air space disease"},
                                         {NULL, NULL}};

static char lower(char c)
{
    return (char)(c | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool stands_at(struct str t, size_t at, const char *phrase)
{
    size_t n = strlen(phrase);
    if (n > t.n - at || (at > 0 && is_letter(t.p[at - 1]))) return false;
    if (at + n < t.n && is_letter(t.p[at + n])) return false;
    for (size_t i = 0; i < n; i++)
        if (lower(t.p[at + i]) != phrase[i]) return false;
    return true;
}

static bool find_phrases(struct maker *m, const struct phrase *table)
{
    for (; table->was; table++)
        for (size_t at = 0; at < m->text.n; at++) {
            if (!stands_at(m->text, at, table->was)) continue;
            struct edit x = {.from = at, .to = at + strlen(table->was)};
            if (!perturb_like(m, str_sub(m->text, x.from, x.to), table->now, &x.with)) return false;
            perturb_add(m, x);
        }
    return true;
}

static bool is_word(const struct maker *m, uint32_t w, const char *z)
{
    struct str s = perturb_word(m, w);
    return s.n == strlen(z) && stands_at(m->text, m->scan.w[w].from, z);
}

/* "12 mm" to "1.2 cm" and back; not within "3 x 4 cm". */
static bool find_units(struct maker *m)
{
    for (uint32_t k = 0; k < m->scan.nattr; k++) {
        const struct scan_attr *x = &m->scan.attr[k];
        bool after = k > 0 && m->scan.attr[k - 1].kind == ATTR_SIZE && x->w0 > 0 &&
                     x->w0 - m->scan.attr[k - 1].w1 <= 1;
        if (x->kind != ATTR_SIZE || x->w1 - x->w0 != 2 || after) continue;
        bool mm = is_word(m, x->w0 + 1, "mm");
        if (!mm && !is_word(m, x->w0 + 1, "cm")) continue;
        struct edit y = {.from = m->scan.w[x->w0].from, .to = m->scan.w[x->w1 - 1].to};
        struct sbuf b;
        double v = m->scan.w[x->w0].value;
        sbuf_init(&b, 64);
        bool ok = sbuf_printf(&b, m->e, "%.10g %s", mm ? v / 10 : v * 10, mm ? "cm" : "mm") &&
                  arena_str(m->a, sbuf_str(&b), &y.with, m->e);
        sbuf_free(&b);
        if (!ok) return false;
        perturb_add(m, y);
    }
    return true;
}

bool perturb_phrases(struct maker *m, enum perturb_rewrite rewrite)
{
    if (rewrite == REWRITE_UNIT) return find_units(m);
    return find_phrases(m, rewrite == REWRITE_NEGATION ? negations : synonyms);
}

/* A sentence as it stands, without its numeral. */
static struct str sentence(const struct maker *m, uint32_t s)
{
    const struct scan_sentence *x = &m->scan.s[s];
    uint32_t w = x->w0 + (m->scan.w[x->w0].kind == WORD_LIST);
    size_t to = s + 1 < m->scan.ns ? m->scan.w[m->scan.s[s + 1].w0].from : m->text.n;
    if (w >= x->w1) return (struct str){"", 0};
    return str_trim(str_sub(m->text, m->scan.w[w].from, to));
}

/* Sentences that look back ("This may be ...") stay where they are, and so does the whole text. */
static bool may_turn(const struct maker *m)
{
    static const char *const back[] = {"this",  "these",     "it",   "they",    "which",
                                       "other", "otherwise", "also", "the same"};
    for (uint32_t s = 0; s < m->scan.ns; s++) {
        const struct scan_sentence *x = &m->scan.s[s];
        uint32_t w = x->w0 + (m->scan.w[x->w0].kind == WORD_LIST);
        if (w >= x->w1 || m->scan.w[w].kind != WORD_PLAIN) return false;
        for (size_t i = 0; i < sizeof back / sizeof *back; i++)
            if (stands_at(m->text, m->scan.w[w].from, back[i])) return false;
    }
    return m->scan.ns > 1;
}

static bool turn(struct maker *m, struct sbuf *b)
{
    uint32_t n = m->scan.ns, first = 1 + (uint32_t)perturb_below(m, n - 1);
    for (uint32_t i = 0; i < n; i++) {
        struct str s = sentence(m, (first + i) % n);
        bool end = s.n && strchr(".?!", s.p[s.n - 1]);
        if (!sbuf_printf(b, m->e, "%s%u. %.*s%s", i ? " " : "", i + 1, STR_ARG(s), end ? "" : "."))
            return false;
    }
    return true;
}

bool perturb_whole(struct maker *m, enum perturb_rewrite rewrite, struct str *out)
{
    struct sbuf b;
    bool ok = true;
    *out = (struct str){"", 0};
    if (rewrite == REWRITE_CASE) {
        if (!arena_str(m->a, m->text, out, m->e)) return false;
        char *p = (char *)out->p;
        for (size_t i = 0; i < out->n; i++)
            if (p[i] >= 'a' && p[i] <= 'z') p[i] = (char)(p[i] - 0x20);
        return true;
    }
    if (!may_turn(m)) return true;
    sbuf_init(&b, 4 * FACTS_MAX_BYTES);
    ok = turn(m, &b) && arena_str(m->a, sbuf_str(&b), out, m->e);
    sbuf_free(&b);
    return ok;
}
