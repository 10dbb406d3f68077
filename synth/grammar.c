#include "synth/grammar.h"

enum { GRAM_DEPTH = 6, GRAM_ALTERNATIVES = 32, GRAM_MAX_BYTES = 4096 };

uint64_t gram_below(struct gram_rng *r, uint64_t n)
{
    return rng_below(r->key, r->next++, n);
}

bool gram_chance(struct gram_rng *r, double p)
{
    return rng_unit(r->key, r->next++) < p;
}

struct str gram_pick(struct gram_rng *r, const char *list)
{
    struct str s = str_of(list);
    size_t n = 1, from = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '|';
    for (size_t k = n > 1 ? gram_below(r, n) : 0; k > 0; k--)
        from = str_find(s, STR("|"), from) + 1;
    size_t to = str_find(s, STR("|"), from);
    return str_sub(s, from, to == SIZE_MAX ? s.n : to);
}

static const struct gram_slot *slot_find(const struct gram *g, struct str name)
{
    const struct gram_slot *s = g->slots;
    while (s->name && !str_eqz(name, s->name))
        s++;
    CHECK(s->name != NULL);
    return s;
}

/* The alternatives of the choice opening at t[at]; returns the position behind its ']'. */
static size_t split_choice(struct str t, size_t at, struct str alt[GRAM_ALTERNATIVES], size_t *n)
{
    int depth = 0;
    size_t from = at + 1;

    *n = 0;
    for (size_t i = at + 1; i < t.n; i++) {
        if (t.p[i] == '[') depth++;
        if (depth == 0 && (t.p[i] == '|' || t.p[i] == ']')) {
            CHECK(*n < GRAM_ALTERNATIVES);
            alt[(*n)++] = str_sub(t, from, i);
            from = i + 1;
            if (t.p[i] == ']') return i + 1;
        } else if (t.p[i] == ']') {
            depth--;
        }
    }
    UNREACHABLE();
}

static size_t choose(const struct gram *g, size_t n)
{
    if (g->first > 0 && gram_chance(g->rng, g->first)) return 0;
    return gram_below(g->rng, n);
}

static bool expand(const struct gram *g, struct str t, int depth, struct sbuf *out, struct err *e)
{
    struct str alt[GRAM_ALTERNATIVES];
    size_t n;

    CHECK(depth < GRAM_DEPTH);
    for (size_t i = 0; i < t.n;) {
        if (t.p[i] == '[') {
            i = split_choice(t, i, alt, &n);
            if (!expand(g, alt[choose(g, n)], depth + 1, out, e)) return false;
        } else if (t.p[i] == '{') {
            size_t end = str_find(t, STR("}"), i);
            CHECK(end != SIZE_MAX);
            struct str value = slot_find(g, str_sub(t, i + 1, end))->value;
            if (!expand(g, value, depth + 1, out, e)) return false;
            i = end + 1;
        } else {
            if (!sbuf_putc(out, t.p[i++], e)) return false;
        }
    }
    return true;
}

/* Does a word begin here that asks for "an"? */
static bool takes_an(struct str s, size_t i)
{
    struct str w = str_sub(s, i, s.n);
    if (str_starts(w, STR("uni")) || str_starts(w, STR("use")) || str_starts(w, STR("ure")))
        return false;
    if (str_starts(w, STR("one"))) return false;
    if (str_starts(w, STR("8")) || str_starts(w, STR("11 ")) || str_starts(w, STR("18 ")))
        return true;
    return w.n > 0 && strchr("aeiouAEIOU", w.p[0]) != NULL;
}

/* Is s[i] the article "a" with a word behind it that asks for "an"? */
static bool is_wrong_article(struct str s, size_t i)
{
    size_t next = i + 1;

    if ((s.p[i] != 'a' && s.p[i] != 'A') || (i > 0 && s.p[i - 1] != ' ')) return false;
    if (next == s.n || s.p[next] != ' ') return false;
    while (next < s.n && s.p[next] == ' ')
        next++;
    return takes_an(s, next);
}

/* Squeeze blanks, mend articles, capitalise sentences. */
static bool tidy(struct str s, struct sbuf *out, struct err *e)
{
    bool start = true, blank = false, first = true;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == ' ') {
            blank = true;
            continue;
        }
        if (blank && !first && !strchr(".,;:", c) && !sbuf_putc(out, ' ', e)) return false;
        if (start && c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
        if (!sbuf_putc(out, c, e)) return false;
        if (is_wrong_article(s, i) && !sbuf_putc(out, 'n', e)) return false;
        start = c == '.' && i + 1 < s.n && s.p[i + 1] == ' ';
        blank = first = false;
    }
    return true;
}

bool gram_put(const struct gram *g, const char *template, struct sbuf *out, struct err *e)
{
    struct sbuf raw;
    bool ok;

    sbuf_init(&raw, GRAM_MAX_BYTES);
    ok = expand(g, str_of(template), 0, &raw, e) && tidy(sbuf_str(&raw), out, e);
    sbuf_free(&raw);
    return ok;
}
