#include "generate/gen_stop.h"

#include <string.h>

enum { HEADER_MIN = 3, HEADER_MAX = 40 };

static bool is_header(struct str line)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ /&-";
    size_t n = 0;
    while (n < line.n && n <= HEADER_MAX && strchr(allowed, line.p[n]) && line.p[n])
        n++;
    return n >= HEADER_MIN && n <= HEADER_MAX && n < line.n && line.p[n] == ':' &&
           line.p[0] != ' ' && line.p[0] != '-';
}

static size_t first_header(struct str text)
{
    bool words = false; /* something stands before */
    for (size_t i = 0, end; i < text.n; i = end + 1) {
        for (end = i; end < text.n && text.p[end] != '\n';)
            end++;
        if (words && is_header((struct str){text.p + i, end - i})) return i;
        words |= str_trim((struct str){text.p + i, end - i}).n > 0;
    }
    return text.n;
}

size_t gen_stop_at(const struct gen_stop *s, struct str text)
{
    size_t end = s->at_header ? first_header(text) : text.n;
    for (size_t i = 0; i < s->strings.n; i++) {
        struct str want = str_of(s->strings.v[i]);
        size_t at = want.n ? str_find((struct str){text.p, end}, want, 0) : SIZE_MAX;
        if (at < end) end = at;
    }
    return end;
}

bool gen_stop_any(const struct gen_stop *s)
{
    return s->at_header || s->strings.n > 0;
}
