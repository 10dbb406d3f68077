/* What is recommended: an examination, an interval; see facts_pair.h. */
#include "evaluate/facts_pair.h"

/* More sentences with a recommendation than this are not looked at. */
#define RECOMMENDATIONS_MAX 32u

struct recommendation {
    uint32_t modalities; /* bit set */
    double days;         /* 0: no interval */
    uint32_t sentence;
    bool met; /* the other text has it */
};

/* Sentences with a word of recommending and an examination or an interval. */
static uint32_t collect(const struct facts_text *t, struct recommendation *out)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < t->scan.ns && n < RECOMMENDATIONS_MAX; s++) {
        struct recommendation r = {.sentence = s};
        bool recommends = false;
        for (uint32_t k = t->scan.s[s].a0; k < t->scan.s[s].a1; k++) {
            const struct scan_attr *x = &t->scan.attr[k];
            recommends |= x->kind == ATTR_RECOMMEND;
            if (x->kind == ATTR_MODALITY) r.modalities |= 1u << (x->a & 31);
            if (x->kind == ATTR_PERIOD && x->v > r.days) r.days = x->v;
        }
        if (recommends && (r.modalities || r.days > 0)) out[n++] = r;
    }
    return n;
}

/* One that leaves the interval or the examination open agrees with any. */
static bool agree(const struct recommendation *x, const struct recommendation *y)
{
    bool modality = !x->modalities || !y->modalities || (x->modalities & y->modalities);
    bool interval = !(x->days > 0) || !(y->days > 0) || !facts_size_differs(x->days, y->days);
    return modality && interval;
}

static void meet(struct recommendation *v, uint32_t n, const struct recommendation *w, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < m; j++)
            v[i].met |= agree(&v[i], &w[j]);
}

static struct facts_span sentence_span(const struct facts_text *t, uint32_t s)
{
    return facts_words(t, t->scan.s[s].w0, t->scan.s[s].w1);
}

static uint32_t next_unmet(const struct recommendation *v, uint32_t n, uint32_t i)
{
    while (i < n && v[i].met)
        i++;
    return i;
}

bool pair_recommendations(const struct facts_text *x, const struct facts_text *y,
                          struct flag_list *flags, struct err *e)
{
    struct recommendation v[RECOMMENDATIONS_MAX], w[RECOMMENDATIONS_MAX];
    uint32_t n = collect(x, v), m = collect(y, w);
    meet(v, n, w, m);
    meet(w, m, v, n);
    uint32_t i = next_unmet(v, n, 0), j = next_unmet(w, m, 0);
    while (i < n || j < m) {
        struct facts_flag f = {
            .kind = FACTS_RECOMMENDATION, .significance = FACTS_ACTIONABLE, .concept = ""};
        if (i < n) f.generated = sentence_span(x, v[i].sentence);
        if (j < m) f.reference = sentence_span(y, w[j].sentence);
        if (!flags_put(flags, f, e)) return false;
        i = next_unmet(v, n, i < n ? i + 1 : i);
        j = next_unmet(w, m, j < m ? j + 1 : j);
    }
    return true;
}
