#include "stats/stat_phrase.h"

enum { WORDS_MIN = 2, WORDS_MAX = 14, BYTES_MIN = 6, BYTES_MAX = 200, HEADER_MAX = 48 };

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return c >= '0' && c <= '9' ? '#' : c;
}

static bool ends_phrase(char c)
{
    return c == '.' || c == ';' || c == '?' || c == '!' || c == ':';
}

/* Does a blank line begin at the blank text[i]? */
static bool blank_line(struct str s, size_t i)
{
    int lines = 0;

    for (; i < s.n && is_blank(s.p[i]); i++)
        lines += s.p[i] == '\n';
    return lines > 1;
}

static bool hand_over(struct sbuf *b, unsigned words, stat_phrase_fn fn, void *ctx, struct err *e)
{
    struct str s = sbuf_str(b);
    bool fits = words >= WORDS_MIN && words <= WORDS_MAX && s.n >= BYTES_MIN && s.n <= BYTES_MAX;

    if (fits && !fn(ctx, s, e)) return false;
    sbuf_clear(b);
    return true;
}

/* The word text[from, to) without the marks at its end; *ends: the phrase is over. */
static struct str trim_word(struct str text, size_t from, size_t to, bool *ends)
{
    *ends = false;
    while (to > from && (ends_phrase(text.p[to - 1]) || text.p[to - 1] == ','))
        *ends |= ends_phrase(text.p[--to]);
    return str_sub(text, from, to);
}

/* "1." at the beginning of a phrase is a list's number. */
static bool is_list_number(struct str word)
{
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < '0' || word.p[i] > '9') return false;
    return word.n > 0 && word.n <= 2;
}

bool stat_phrases(struct str text, struct sbuf *buf, stat_phrase_fn fn, void *ctx, struct err *e)
{
    unsigned words = 0;

    sbuf_clear(buf);
    for (size_t i = 0, to; i < text.n; i = to) {
        bool ends;
        to = i;
        if (is_blank(text.p[i])) {
            if (blank_line(text, i)) {
                if (!hand_over(buf, words, fn, ctx, e)) return false;
                words = 0;
            }
            while (to < text.n && is_blank(text.p[to]))
                to++;
            continue;
        }
        while (to < text.n && !is_blank(text.p[to]))
            to++;
        struct str word = trim_word(text, i, to, &ends);
        if (!(words == 0 && ends && is_list_number(word)) && word.n > 0) {
            if (words++ > 0 && !sbuf_putc(buf, ' ', e)) return false;
            for (size_t k = 0; k < word.n; k++)
                if (!sbuf_putc(buf, fold(word.p[k]), e)) return false;
        }
        if (!ends) continue;
        if (!hand_over(buf, words, fn, ctx, e)) return false;
        words = 0;
    }
    return hand_over(buf, words, fn, ctx, e);
}

/* Capitals, digits, blanks and a few marks; three capitals at least, no small letter. */
static bool is_header(struct str s)
{
    size_t capitals = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool capital = c >= 'A' && c <= 'Z';
        capitals += capital;
        if (!capital && !(c >= '0' && c <= '9') && !is_blank(c) && !strchr("/(),&-'.", c))
            return false;
    }
    return capitals >= 3;
}

bool stat_headers(struct str text, struct sbuf *buf, stat_phrase_fn fn, void *ctx, struct err *e)
{
    for (struct str line; str_split(&text, '\n', &line);) {
        line = str_trim(line);
        size_t colon = str_find(line, STR(":"), 0);
        if (colon == SIZE_MAX || colon > HEADER_MAX) continue;
        struct str name = str_trim(str_sub(line, 0, colon));
        if (!is_header(name)) continue;
        sbuf_clear(buf);
        for (size_t i = 0; i < name.n; i++) {
            char c = name.p[i];
            if (is_blank(c) && i > 0 && is_blank(name.p[i - 1])) continue;
            c = is_blank(c) ? ' ' : c >= '0' && c <= '9' ? '#' : c;
            if (!sbuf_putc(buf, c, e)) return false;
        }
        if (!fn(ctx, sbuf_str(buf), e)) return false;
    }
    return true;
}
