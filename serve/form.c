#include "serve/form.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool unescape(struct str s, bool form, struct arena *a, struct str *out, struct err *e)
{
    char *p = arena_alloc(a, s.n + 1, e);
    size_t n = 0;

    if (!p) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = form && s.p[i] == '+' ? ' ' : s.p[i];
        if (c == '%') {
            bool whole = i + 2 < s.n;
            int hi = whole ? digit(s.p[i + 1]) : -1, lo = whole ? digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) return err_set(e, ERR_FORMAT, "a %% escape is broken");
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (!form || c != '\r') p[n++] = c;
    }
    *out = (struct str){p, n};
    return str_is_utf8(*out) || err_set(e, ERR_FORMAT, "a field is not UTF-8");
}

bool form_path(struct str part, struct arena *a, struct str *out, struct err *e)
{
    return unescape(part, false, a, out, e);
}

bool form_parse(struct str body, struct arena *a, struct form *out, struct err *e)
{
    struct str rest = body, piece;

    out->n = 0;
    while (str_split(&rest, '&', &piece)) {
        size_t eq = str_find(piece, STR("="), 0);
        if (piece.n == 0) continue;
        if (out->n == FORM_FIELDS_MAX)
            return err_set(e, ERR_LIMIT, "more than %d fields", FORM_FIELDS_MAX);
        if (eq == SIZE_MAX) eq = piece.n;
        if (!unescape(str_sub(piece, 0, eq), true, a, &out->field[out->n].name, e) ||
            !unescape(str_sub(piece, eq + 1, piece.n), true, a, &out->field[out->n].value, e))
            return false;
        out->n++;
    }
    return true;
}

struct str form_get(const struct form *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_eqz(f->field[i].name, name)) return f->field[i].value;
    return (struct str){"", 0};
}
