#include "evaluate/facts_scan.h"

#include "evaluate/facts_scan_impl.h"

/* A line shorter than this is an item of its own; a longer one was wrapped. */
#define SHORT_LINE 50u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '%';
}

/* Length of a letter at `at`: ASCII, or a UTF-8 letter; general punctuation, the no-break space and
 * the multiplication sign are none. Stray bytes are taken one by one. */
static size_t letter(struct str t, size_t at)
{
    uint32_t cp;
    if (is_letter(t.p[at])) return 1;
    if ((unsigned char)t.p[at] < 0x80) return 0;
    size_t n = str_utf8_at(t, at, &cp);
    if (n == 0) return 0;
    bool mark = cp <= 0xbf || cp == 0xd7 || (cp >= 0x2000 && cp <= 0x206f) || cp == 0xfffd;
    return mark ? 0 : n;
}

/* End of the number that starts at `at`: digits, one decimal point or comma groups of three. */
static size_t number_end(struct str t, size_t at, struct scan_word *w)
{
    double scale = 1;
    size_t digits = 0;
    w->value = 0;
    w->whole = true;
    for (; at < t.n; at++) {
        char c = t.p[at];
        bool more = at + 1 < t.n && is_digit(t.p[at + 1]);
        if (is_digit(c)) {
            if (++digits > 15) continue;
            w->value = w->value * 10 + (c - '0');
            if (!w->whole) scale *= 10;
        } else if (c == '.' && w->whole && more) {
            w->whole = false;
        } else if (!(c == ',' && w->whole && digits <= 3 && at + 3 < t.n && more &&
                     is_digit(t.p[at + 2]) && is_digit(t.p[at + 3]) &&
                     !(at + 4 < t.n && is_digit(t.p[at + 4])))) {
            break;
        }
    }
    w->value /= scale;
    return at;
}

static bool add_word(struct scanner *s, struct str t, size_t from, size_t to, struct err *e)
{
    struct scan *d = s->out;
    if (d->nw >= s->max_words)
        return err_set(e, ERR_LIMIT, "a text has more than %u words", s->max_words);
    struct scan_word *w = &d->w[d->nw++];
    w->from = (uint32_t)from;
    w->to = (uint32_t)to;
    w->hash = lex_hash(s->l, str_sub(t, from, to));
    w->id = lex_word_of(s->l, w->hash);
    return true;
}

static bool cut_words(struct scanner *s, struct str t, struct err *e)
{
    struct scan *d = s->out;
    for (size_t i = 0; i < t.n;) {
        size_t from = i, n;
        bool point = t.p[i] == '.' && i + 1 < t.n && is_digit(t.p[i + 1]) &&
                     (i == 0 || t.p[i - 1] == ' ' || t.p[i - 1] == '(');
        if (is_digit(t.p[i]) || point) {
            struct scan_word number = {0};
            i = number_end(t, i, &number);
            if (!add_word(s, t, from, i, e)) return false;
            d->w[d->nw - 1].kind = WORD_NUMBER;
            d->w[d->nw - 1].value = number.value;
            d->w[d->nw - 1].whole = number.whole;
        } else if (letter(t, i)) {
            while (i < t.n && (n = letter(t, i)) > 0)
                i += n;
            if (!add_word(s, t, from, i, e)) return false;
        } else {
            i++;
        }
    }
    return true;
}

/* Does the line that ends at `at` end an item? An empty line or a short one does. */
static bool line_ends(struct str t, size_t at, size_t to)
{
    size_t start = at;
    for (size_t i = at + 1; i < to; i++) {
        if (t.p[i] == '\n') return true;
        if (t.p[i] == '*' || t.p[i] == '-') return true;
    }
    while (start > 0 && t.p[start - 1] != '\n')
        start--;
    return at - start < SHORT_LINE;
}

static enum scan_gap gap_of(char c)
{
    static const struct {
        char c;
        enum scan_gap gap;
    } rows[] = {{'?', GAP_STOP},  {'!', GAP_STOP},  {';', GAP_SEMI},   {':', GAP_COLON},
                {',', GAP_COMMA}, {'(', GAP_PAREN}, {')', GAP_PAREN},  {'[', GAP_PAREN},
                {']', GAP_PAREN}, {'/', GAP_SLASH}, {'-', GAP_HYPHEN}, {'\xe2', GAP_HYPHEN},
                {'\'', GAP_NONE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].c == c) return rows[i].gap;
    return GAP_SPACE;
}

/* What the bytes between a word and `to` say. 0xe2 begins the dashes of UTF-8. */
static enum scan_gap gap_between(struct scanner *s, struct str t, const struct scan_word *before,
                                 size_t to)
{
    enum scan_gap gap = GAP_NONE;
    for (size_t i = before->to; i < to; i++) {
        enum scan_gap g = gap_of(t.p[i]);
        bool stop = t.p[i] == '.' && !scan_abbrev(s, before);
        if (stop || (t.p[i] == '\n' && line_ends(t, i, to))) g = GAP_STOP;
        if (g > gap) gap = g;
    }
    return gap;
}

/* "1." and "2)" at the start of a sentence; "2)" also inside a line. */
static bool is_list_numeral(struct str t, const struct scan_word *w, bool start)
{
    if (w->kind != WORD_NUMBER || !w->whole || w->value > 40 || w->to >= t.n) return false;
    bool end = w->to + 1 >= t.n || t.p[w->to + 1] == ' ' || t.p[w->to + 1] == '\n';
    if (t.p[w->to] == '.') return start;
    if (t.p[w->to] != ')') return false;
    return start || (end && w->from > 0 && t.p[w->from - 1] == ' ');
}

static void mark_gaps(struct scanner *s, struct str t)
{
    struct scan *d = s->out;
    for (uint32_t i = 0; i < d->nw; i++) {
        struct scan_word *w = &d->w[i];
        w->gap = i == 0 ? GAP_STOP : (uint8_t)gap_between(s, t, w - 1, w->from);
        if (i > 0 && w[-1].kind == WORD_LIST) w->gap = GAP_STOP;
        if (is_list_numeral(t, w, w->gap == GAP_STOP)) {
            w->kind = WORD_LIST;
            w->gap = GAP_STOP;
        }
    }
}

/* Cuts sentences that never end: what follows compares words of a sentence with each other. */
static bool is_start(const struct scan *d, uint32_t i)
{
    return d->w[i].gap == GAP_STOP || i - d->s[d->ns - 1].w0 >= SCAN_SENTENCE_MAX;
}

static bool cut_sentences(struct scanner *s, struct arena *a, struct err *e)
{
    struct scan *d = s->out;
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->nw; i++)
        n += d->w[i].gap == GAP_STOP;
    d->s = arena_alloc(a, (n + d->nw / SCAN_SENTENCE_MAX + 1) * sizeof *d->s, e);
    if (!d->s) return false;
    for (uint32_t i = 0; i < d->nw; i++) {
        if (is_start(d, i)) d->s[d->ns++].w0 = i;
        d->w[i].sentence = d->ns - 1;
        d->s[d->ns - 1].w1 = i + 1;
    }
    return true;
}

static uint32_t classes(const struct lex *l, uint32_t role)
{
    uint32_t bits = 0;
    for (; role; role = l->roles[role].next)
        bits |= (uint32_t)1 << l->roles[role].cls;
    return bits;
}

/* The longest term from word i; the word after it, or i. */
static uint32_t longest(const struct lex *l, const struct scan *d, uint32_t i, uint32_t *role)
{
    uint32_t node = 0, end = i;
    for (uint32_t k = i; k < d->nw; k++) {
        const struct scan_word *w = &d->w[k];
        if (w->kind == WORD_LIST || (k > i && w->gap > GAP_SLASH)) break;
        node = lex_step(l, node, w->id);
        if (!node) break;
        if (!l->node_role[node]) continue;
        *role = l->node_role[node];
        end = k + 1;
    }
    return end;
}

static bool find_hits(struct scanner *s, struct arena *a, struct err *e)
{
    struct scan *d = s->out;
    d->h = arena_alloc(a, (d->nw + 1) * sizeof *d->h, e);
    if (!d->h) return false;
    for (uint32_t k = 0; k < d->ns; k++) {
        struct scan_sentence *x = &d->s[k];
        x->h0 = d->nh;
        for (uint32_t i = x->w0; i < x->w1;) {
            uint32_t role = 0, end = longest(s->l, d, i, &role);
            if (role) d->h[d->nh++] = (struct scan_hit){i, end, role, classes(s->l, role)};
            i = role ? end : i + 1;
        }
        x->h1 = d->nh;
    }
    return true;
}

bool scan_text(const struct lex *l, struct str text, uint32_t max_words, struct arena *a,
               struct scan *out, struct err *e)
{
    struct scanner s = {.l = l, .out = out, .max_words = max_words};
    size_t room = text.n + 1 < max_words ? text.n + 1 : max_words;
    *out = (struct scan){0};
    out->w = arena_alloc(a, room * sizeof *out->w, e);
    if (!out->w) return false;
    if (!cut_words(&s, text, e)) return false;
    mark_gaps(&s, text);
    return cut_sentences(&s, a, e) && find_hits(&s, a, e) && scan_attrs(&s, text, a, e);
}
