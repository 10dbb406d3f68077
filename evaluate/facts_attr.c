/* Numbers, levels, sizes and the words of class place, time, ...; see facts_scan.h. */
#include "evaluate/facts_scan_impl.h"

bool scan_abbrev(const struct scanner *s, const struct scan_word *w)
{
    uint32_t node = lex_step(s->l, 0, w->id);
    return node && lex_role_of(s->l, s->l->node_role[node], LEX_ABBREV);
}

static void put(struct scan *d, struct scan_attr x)
{
    d->attr[d->nattr++] = x;
}

static const struct lex_role *role_of_word(const struct scanner *s, uint32_t i, enum lex_class cls)
{
    uint32_t node = lex_step(s->l, 0, s->out->w[i].id);
    return node ? lex_role_of(s->l, s->l->node_role[node], cls) : NULL;
}

static void ignore(struct scan *d, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (d->w[i].kind == WORD_NUMBER) d->w[i].kind = WORD_IGNORED;
}

/* Number i is tied to number i + 1 by one of these marks, without a blank. */
static bool tied(struct str t, const struct scan *d, uint32_t i, const char *marks)
{
    if (i + 1 >= d->nw || d->w[i].kind != WORD_NUMBER || d->w[i + 1].kind != WORD_NUMBER)
        return false;
    return d->w[i + 1].from == d->w[i].to + 1 && strchr(marks, t.p[d->w[i].to]) != NULL;
}

static bool is_year(const struct scan_word *w)
{
    return w->kind == WORD_NUMBER && w->whole && w->value >= 1900 && w->value < 2200 &&
           w->to - w->from == 4;
}

/* Dates 3/14/2001, 3-14-01, 2001-03-14, 3/2001; times 10:30; years; numbers beside a month. */
static void ignore_dates(struct scanner *s, struct str t)
{
    struct scan *d = s->out;
    for (uint32_t i = 0; i < d->nw; i++) {
        if (tied(t, d, i, "/-") && tied(t, d, i + 1, "/-"))
            ignore(d, i, i + 3);
        else if (tied(t, d, i, ":") || (tied(t, d, i, "/") && is_year(&d->w[i + 1])))
            ignore(d, i, i + 2);
        else if (is_year(&d->w[i]))
            ignore(d, i, i + 1);
        else if (role_of_word(s, i, LEX_MONTH))
            ignore(d, i > 0 ? i - 1 : i, i + 3 < d->nw ? i + 3 : d->nw);
    }
}

/* "image 45", "series 3", "72-year-old". */
static void ignore_images(struct scanner *s)
{
    struct scan *d = s->out;
    for (uint32_t i = 0; i + 1 < d->nw; i++) {
        const struct lex_role *period = role_of_word(s, i + 1, LEX_PERIOD);
        if (role_of_word(s, i, LEX_IMAGE) && d->w[i + 1].gap < GAP_COMMA)
            ignore(d, i + 1, i + 2);
        else if (period && i + 2 < d->nw && d->w[i + 1].gap <= GAP_HYPHEN &&
                 role_of_word(s, i + 2, LEX_TIME) && d->w[i + 2].gap == GAP_HYPHEN)
            ignore(d, i, i + 1);
    }
}

/* Code of vertebra `letter` `n`, or UINT32_MAX. */
static uint32_t vertebra(char letter, double n)
{
    static const struct {
        char letter;
        uint8_t first, count;
    } rows[] = {{'c', 0, 8}, {'t', 8, 13}, {'l', 21, 6}, {'s', 27, 5}};
    for (size_t i = 0; i < 4; i++)
        if ((letter | 0x20) == rows[i].letter && n >= 1 && n <= rows[i].count)
            return rows[i].first + (uint32_t)n - 1;
    return UINT32_MAX;
}

/* T1 and T2 are sequences when "weighted", "signal", ... follow. */
static bool is_sequence(const struct scanner *s, uint32_t number)
{
    const struct scan *d = s->out;
    const struct scan_word *w = &d->w[number - 1];
    if ((s->text.p[w->from] | 0x20) != 't' || d->w[number].value > 2) return false;
    if (number + 1 >= d->nw || d->w[number + 1].gap == GAP_STOP) return false;
    return role_of_word(s, number + 1, LEX_SEQUENCE) != NULL;
}

/* "T12", "L4-L5", "C3-4": every vertebra is an attribute of its own. */
static uint32_t read_level(struct scanner *s, uint32_t i)
{
    struct scan *d = s->out;
    const struct scan_word *w = &d->w[i];
    if (w->to - w->from != 1 || i + 1 >= d->nw) return i;
    const struct scan_word *n = &d->w[i + 1];
    if (n->kind != WORD_NUMBER || n->gap != GAP_NONE || !n->whole) return i;
    uint32_t code = vertebra(s->text.p[w->from], n->value);
    if (code == UINT32_MAX || is_sequence(s, i + 1)) return i;
    put(d, (struct scan_attr){.kind = ATTR_LEVEL, .w0 = i, .w1 = i + 2, .a = code});
    d->w[i + 1].kind = WORD_IGNORED;
    uint32_t k = i + 2;
    if (k < d->nw && d->w[k].kind == WORD_NUMBER && d->w[k].whole &&
        (d->w[k].gap == GAP_HYPHEN || d->w[k].gap == GAP_SLASH)) {
        code = vertebra(s->text.p[w->from], d->w[k].value);
        if (code == UINT32_MAX) return k;
        put(d, (struct scan_attr){.kind = ATTR_LEVEL, .w0 = k, .w1 = k + 1, .a = code});
        d->w[k++].kind = WORD_IGNORED;
    }
    return k;
}

/* Is there the word "rib" within five words of i, in its sentence? */
static bool near_rib(const struct scanner *s, uint32_t i)
{
    const struct scan *d = s->out;
    const struct scan_sentence *x = &d->s[d->w[i].sentence];
    uint32_t from = i >= x->w0 + 5 ? i - 5 : x->w0, to = i + 6 < x->w1 ? i + 6 : x->w1;
    for (uint32_t k = from; k < to; k++)
        if (role_of_word(s, k, LEX_RIB)) return true;
    return false;
}

static const struct lex_role *unit_after(const struct scanner *s, uint32_t i, uint32_t *end)
{
    const struct scan *d = s->out;
    uint32_t node = 0;
    const struct lex_role *found = NULL;
    for (uint32_t k = i; k < d->nw && k < i + 3 && d->w[k].gap <= GAP_SLASH; k++) {
        node = lex_step(s->l, node, d->w[k].id);
        if (!node) break;
        const struct lex_role *r = lex_role_of(s->l, s->l->node_role[node], LEX_UNIT);
        if (!r) continue;
        found = r;
        *end = k + 1;
    }
    return found;
}

/* Is word i one that joins the sizes of one thing: x, by, to, -, and? */
static bool joins_sizes(const struct scanner *s, uint32_t i)
{
    static const char *const words[] = {"x", "by", "to", "and", "or"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (s->out->w[i].hash == lex_hash(s->l, str_of(words[k]))) return true;
    return false;
}

/* Sizes from number i: "8 mm", "1.2 x 3 cm", "3 to 4 mm", "2 cm x 3 cm". A number without a unit
 * takes that of the next one. The word after the last one; i when no unit follows. */
static uint32_t read_sizes(struct scanner *s, uint32_t i)
{
    struct scan *d = s->out;
    uint32_t number[4], n = 0, k = i, end = i;
    const struct lex_role *unit = NULL;
    while (n < 4 && k < d->nw && d->w[k].kind == WORD_NUMBER &&
           d->w[k].sentence == d->w[i].sentence) {
        number[n++] = k++;
        unit = unit_after(s, k, &end);
        if (unit) break;
        end = k;
        if (k < d->nw && joins_sizes(s, k)) k++;
    }
    if (!unit) return i;
    for (uint32_t j = 0; j < n; j++) {
        struct scan_attr x = {
            .kind = ATTR_SIZE, .w0 = number[j], .w1 = j + 1 == n ? end : number[j] + 1};
        x.a = unit->a;
        x.v = d->w[number[j]].value * unit->f;
        d->w[number[j]].kind = WORD_IGNORED;
        put(d, x);
    }
    return end;
}

static uint32_t read_number(struct scanner *s, uint32_t i)
{
    struct scan *d = s->out;
    struct scan_attr x = {.kind = ATTR_NUMBER, .w0 = i, .w1 = i + 1, .v = d->w[i].value};
    if (d->w[i].whole && x.v >= 1 && x.v <= 12 && near_rib(s, i)) {
        x.kind = ATTR_LEVEL;
        x.a = 32 + (uint32_t)x.v - 1;
    } else {
        uint32_t end = read_sizes(s, i);
        if (end > i) return end;
        const struct lex_role *period = i + 1 < d->nw && d->w[i + 1].gap <= GAP_HYPHEN
                                            ? role_of_word(s, i + 1, LEX_PERIOD)
                                            : NULL;
        if (period && period->a == 0) return i + 2;
        if (period) {
            x.kind = ATTR_PERIOD;
            x.v *= period->a;
            x.w1 = i + 2;
        }
    }
    d->w[i].kind = WORD_IGNORED;
    put(d, x);
    return x.w1;
}

/* Attributes that are terms of the lexicon. */
static void attr_of_hit(struct scanner *s, const struct scan_hit *h)
{
    static const struct {
        enum lex_class cls;
        enum attr_kind kind;
    } rows[] = {
        {LEX_PLACE, ATTR_PLACE},       {LEX_SEVERITY, ATTR_SEVERITY},
        {LEX_TIME, ATTR_TIME},         {LEX_NEG_PRE, ATTR_NEG},
        {LEX_NEG_POST, ATTR_NEG},      {LEX_RECOMMEND, ATTR_RECOMMEND},
        {LEX_MODALITY, ATTR_MODALITY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct lex_role *r = lex_role_of(s->l, h->role, rows[i].cls);
        if (!r) continue;
        put(s->out, (struct scan_attr){
                        .kind = rows[i].kind, .w0 = h->w0, .w1 = h->w1, .a = r->a, .b = r->b});
    }
    const struct lex_role *r = lex_role_of(s->l, h->role, LEX_NUMERAL);
    if (!r) return;
    bool rib = r->a <= 12 && near_rib(s, h->w0);
    put(s->out, (struct scan_attr){.kind = rib ? ATTR_LEVEL : ATTR_NUMBER,
                                   .w0 = h->w0,
                                   .w1 = h->w1,
                                   .a = rib ? 31u + r->a : 0,
                                   .v = r->a});
}

static void sentence_attrs(struct scanner *s, struct scan_sentence *x)
{
    struct scan *d = s->out;
    uint32_t h = x->h0;
    x->a0 = d->nattr;
    for (uint32_t i = x->w0; i < x->w1;) {
        uint32_t next = read_level(s, i);
        if (next == i && d->w[i].kind == WORD_NUMBER) next = read_number(s, i);
        if (next == i) next = i + 1;
        for (; h < x->h1 && d->h[h].w0 < next; h++)
            if (d->h[h].w0 >= i) attr_of_hit(s, &d->h[h]);
        i = next;
    }
    x->a1 = d->nattr;
}

/* Does something new begin behind the comma before word i: a statement of its own, a change, a
 * degree? "or" and "nor" further on say that the list goes on. */
static bool comma_breaks(const struct scanner *s, const struct scan_sentence *x, uint32_t i)
{
    const struct scan *d = s->out;
    if (role_of_word(s, i, LEX_JOIN)) return false;
    for (uint32_t k = i; k < x->w1; k++) {
        struct str w = str_sub(s->text, d->w[k].from, d->w[k].to);
        if (w.n == 2 && (w.p[0] | 0x20) == 'o' && (w.p[1] | 0x20) == 'r') return false;
    }
    for (uint32_t k = i; k < x->w1; k++) {
        if (k > i && d->w[k].gap >= GAP_COMMA) break;
        if (k == i && (role_of_word(s, k, LEX_TIME) || role_of_word(s, k, LEX_SEVERITY)))
            return true;
        if (role_of_word(s, k, LEX_VERB)) return true;
    }
    return false;
}

static void mark_scopes(struct scanner *s, const struct scan_sentence *x)
{
    struct scan *d = s->out;
    uint32_t scope = 0, commas = 0, h = x->h0;
    for (uint32_t i = x->w0; i < x->w1; i++) {
        while (h < x->h1 && d->h[h].w1 <= i)
            h++;
        bool starts = h < x->h1 && d->h[h].w0 == i;
        if (starts && scan_is(&d->h[h], LEX_STOP)) scope++;
        if (i > x->w0 && d->w[i].gap == GAP_SEMI) scope++;
        if (i > x->w0 && d->w[i].gap == GAP_COMMA) {
            commas++;
            scope += comma_breaks(s, x, i);
        }
        d->w[i].scope = scope;
        d->w[i].commas = commas;
    }
}

/* Words that say what a sentence is about: no fillers, no attributes, no numbers. */
static void mark_content(struct scanner *s, const struct scan_sentence *x)
{
    const uint32_t about = 1u << LEX_FINDING | 1u << LEX_ANATOMY | 1u << LEX_PRED |
                           1u << LEX_NORMAL | 1u << LEX_SEQUENCE | 1u << LEX_RIB;
    const uint32_t not_about = 1u << LEX_FILLER | 1u << LEX_JOIN;
    struct scan *d = s->out;
    for (uint32_t i = x->w0; i < x->w1; i++)
        d->w[i].content = d->w[i].kind == WORD_PLAIN;
    for (uint32_t h = x->h0; h < x->h1; h++) {
        bool keep = (d->h[h].cls & about) && !(d->h[h].cls & not_about);
        for (uint32_t i = d->h[h].w0; i < d->h[h].w1 && !keep; i++)
            d->w[i].content = false;
    }
    for (uint32_t k = x->a0; k < x->a1; k++)
        for (uint32_t i = d->attr[k].w0; i < d->attr[k].w1; i++)
            d->w[i].content = false;
}

bool scan_attrs(struct scanner *s, struct str text, struct arena *a, struct err *e)
{
    struct scan *d = s->out;
    s->text = text;
    /* One a word, and at most one a row of attr_of_hit and a numeral for a term. */
    d->attr = arena_alloc(a, (d->nw + 8u * (size_t)d->nh + 1) * sizeof *d->attr, e);
    if (!d->attr) return false;
    ignore_dates(s, text);
    ignore_images(s);
    for (uint32_t i = 0; i < d->ns; i++) {
        sentence_attrs(s, &d->s[i]);
        mark_scopes(s, &d->s[i]);
        mark_content(s, &d->s[i]);
    }
    return true;
}
