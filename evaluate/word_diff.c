#include "evaluate/word_diff.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool next_word(struct str *rest, struct str *word)
{
    size_t i = 0, from;
    while (i < rest->n && is_blank(rest->p[i]))
        i++;
    from = i;
    while (i < rest->n && !is_blank(rest->p[i]))
        i++;
    *word = str_sub(*rest, from, i);
    *rest = str_sub(*rest, i, rest->n);
    return word->n > 0;
}

static bool split(struct str text, struct arena *arena, struct diff_side *out, struct err *e)
{
    struct str rest = text, word;
    size_t n = 0;

    while (next_word(&rest, &word))
        n++;
    *out = (struct diff_side){.v = arena_alloc(arena, (n + 1) * sizeof *out->v, e)};
    rest = text;
    while (out->v && next_word(&rest, &word))
        out->v[out->n++].text = word;
    return out->v != NULL;
}

static unsigned char folded(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_mark(char c)
{
    unsigned char u = folded(c);
    return u < 0x80 && !(u >= 'a' && u <= 'z') && !(u >= '0' && u <= '9');
}

/* Without marks at the ends, unless it is nothing else. */
static struct str core(struct str s)
{
    size_t from = 0, to = s.n;
    while (from < to && is_mark(s.p[from]))
        from++;
    while (to > from && is_mark(s.p[to - 1]))
        to--;
    return from < to ? str_sub(s, from, to) : s;
}

static bool same(struct str a, struct str b)
{
    a = core(a);
    b = core(b);
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (folded(a.p[i]) != folded(b.p[i])) return false;
    return true;
}

bool word_diff(struct str a, struct str b, struct arena *arena, struct diff_side *left,
               struct diff_side *right, struct err *e)
{
    if (!split(a, arena, left, e) || !split(b, arena, right, e)) return false;
    size_t n = left->n < WORD_DIFF_MAX ? left->n : WORD_DIFF_MAX;
    size_t m = right->n < WORD_DIFF_MAX ? right->n : WORD_DIFF_MAX;
    struct arena_mark mark = arena_mark(arena);
    /* t[i][j]: longest common subsequence of the words from i and from j on */
    uint16_t *t = arena_alloc(arena, (n + 1) * (m + 1) * sizeof *t, e);
    if (!t) return false;
    for (size_t i = n; i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            uint16_t down = t[(i + 1) * (m + 1) + j], over = t[i * (m + 1) + j + 1];
            uint16_t both = (uint16_t)(t[(i + 1) * (m + 1) + j + 1] + 1);
            t[i * (m + 1) + j] = same(left->v[i].text, right->v[j].text) ? both
                                 : down > over                           ? down
                                                                         : over;
        }
    for (size_t i = 0, j = 0; i < n && j < m;) {
        if (same(left->v[i].text, right->v[j].text)) {
            left->v[i++].common = true;
            right->v[j++].common = true;
        } else if (t[(i + 1) * (m + 1) + j] >= t[i * (m + 1) + j + 1])
            i++;
        else
            j++;
    }
    arena_reset(arena, mark);
    return true;
}
