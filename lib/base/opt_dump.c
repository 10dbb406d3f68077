/* From options back to text: the dumped run.yaml, --help, and what differs between two dumps. */
#include <stdio.h>

#include "base/opt_impl.h"

/* ---- scalars */

static bool is_word_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/' || c == '-' || c == '+';
}

/* May s stand without quotes, anywhere, and still be read as text? */
static bool is_word(struct str s)
{
    struct opt_node as_plain = {.kind = OPT_SCALAR, .scalar = s};
    bool alnum = false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_word_char(s.p[i])) return false;
        if (!strchr("_./-+", s.p[i])) alnum = true;
    }
    bool sign = s.n > 1 && (s.p[0] == '-' || s.p[0] == '+') && strchr("_/-+", s.p[1]);
    return alnum && !sign && !opt_node_is_null(&as_plain);
}

/* What YAML may hold raw inside double quotes: printable ASCII, and U+00A0 and up but for the line
 * separators U+2028 and U+2029, the byte order mark, and U+FFFE and U+FFFF. */
static bool is_raw(uint32_t c)
{
    if (c < 0x7f) return c >= 0x20 && c != '"' && c != '\\';
    return c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static bool put_escaped(struct sbuf *b, uint32_t c, struct err *e)
{
    if (c == '"' || c == '\\') return sbuf_printf(b, e, "\\%c", (int)c);
    if (c == '\n') return sbuf_put(b, STR("\\n"), e);
    return sbuf_printf(b, e, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
}

/* `value`: the reader expands ${NAME} in it, but not in a key. */
static bool put_quoted(struct sbuf *b, struct str s, bool value, struct err *e)
{
    size_t done = 0; /* [done, i) is still to be copied as it is */
    if (!sbuf_putc(b, '"', e)) return false;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t c;
        len = str_utf8_at(s, i, &c);
        if (len == 0) return err_set(e, ERR_FORMAT, "text that is not UTF-8");
        bool variable = value && c == '$' && i + 1 < s.n && s.p[i + 1] == '{';
        if (is_raw(c) && !variable) continue;
        if (!sbuf_put(b, str_sub(s, done, i), e)) return false;
        if (variable ? !sbuf_put(b, STR("$$"), e) : !put_escaped(b, c, e)) return false;
        done = i + len;
    }
    return sbuf_put(b, str_sub(s, done, s.n), e) && sbuf_putc(b, '"', e);
}

static bool put_key_text(struct sbuf *b, struct str s, struct err *e)
{
    return is_word(s) ? sbuf_put(b, s, e) : put_quoted(b, s, false, e);
}

static bool put_text(struct sbuf *b, struct str s, struct err *e)
{
    return is_word(s) ? sbuf_put(b, s, e) : put_quoted(b, s, true, e);
}

static bool put_strs(struct sbuf *b, const struct opt_strs *s, struct err *e)
{
    if (!sbuf_putc(b, '[', e)) return false;
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0 && !sbuf_put(b, STR(", "), e)) return false;
        if (!put_text(b, str_of(s->v[i]), e)) return false;
    }
    return sbuf_putc(b, ']', e);
}

static bool put_every(struct sbuf *b, const struct opt_every *v, struct err *e)
{
    static const char *const units[] = {"", " steps", " epoch", " min"};
    if (v->unit == OPT_NEVER) return sbuf_put(b, STR("never"), e);
    return sbuf_put_f64(b, v->n, e) && sbuf_put(b, str_of(units[v->unit]), e);
}

/* In flow style, on one line. */
static bool put_node(struct sbuf *b, const struct opt_node *n, struct err *e)
{
    if (!n) return sbuf_put(b, STR("null"), e);
    if (n->kind == OPT_SCALAR) {
        if (opt_node_is_null(n)) return sbuf_put(b, STR("null"), e);
        return n->quoted ? put_quoted(b, n->scalar, true, e) : put_text(b, n->scalar, e);
    }
    bool map = n->kind == OPT_MAPPING;
    if (!sbuf_putc(b, map ? '{' : '[', e)) return false;
    for (size_t i = 0; i < n->n; i++) { /* depth: the parser's */
        if (i > 0 && !sbuf_put(b, STR(", "), e)) return false;
        if (map && (!put_key_text(b, str_of(n->keys[i]), e) || !sbuf_put(b, STR(": "), e)))
            return false;
        if (!put_node(b, n->items[i], e)) return false;
    }
    return sbuf_putc(b, map ? '}' : ']', e);
}

/* ---- dump */

static bool put_scalar(struct sbuf *b, const struct opt *o, const void *p, struct err *e)
{
    switch (o->type) {
    case OPT_T_BOOL:
        return sbuf_put(b, *(const bool *)p ? STR("true") : STR("false"), e);
    case OPT_T_U32:
        return sbuf_printf(b, e, "%u", *(const uint32_t *)p);
    case OPT_T_U64:
        return sbuf_printf(b, e, "%llu", (unsigned long long)*(const uint64_t *)p);
    case OPT_T_F64:
        return sbuf_put_f64(b, *(const double *)p, e);
    case OPT_T_STR:
    case OPT_T_PATH: {
        const char *s = *(const char *const *)p;
        return s ? put_text(b, str_of(s), e) : sbuf_put(b, STR("null"), e);
    }
    case OPT_T_ENUM:
        return put_text(b, str_of(o->names[*(const int *)p]), e);
    case OPT_T_STRS:
        return put_strs(b, p, e);
    case OPT_T_EVERY:
        return put_every(b, p, e);
    case OPT_T_NODE:
        return put_node(b, *(const struct opt_node *const *)p, e);
    default:
        UNREACHABLE();
    }
}

/* One line a key, `indent` blanks in; in a list element the first begins with "- ". */
static bool dump_table(struct sbuf *b, const struct opt *table, const char *base, int indent,
                       bool dash, struct err *e)
{
    for (const struct opt *o = table; o->type != OPT_T_END; o++) {
        const char *p = base + o->offset;
        if (!sbuf_printf(b, e, "%*s%s%s:", dash ? indent - 2 : indent, "", dash ? "- " : "",
                         o->key))
            return false;
        dash = false;
        if (o->type == OPT_T_MAP) {
            if (!sbuf_putc(b, '\n', e) || !dump_table(b, o->sub, p, indent + 2, false, e))
                return false;
            continue;
        }
        if (o->type != OPT_T_LIST) {
            if (!sbuf_putc(b, ' ', e) || !put_scalar(b, o, p, e) || !sbuf_putc(b, '\n', e))
                return false;
            continue;
        }
        const struct opt_list *list = (const void *)p;
        if (!sbuf_put(b, list->n ? STR("\n") : STR(" []\n"), e)) return false;
        for (size_t i = 0; i < list->n; i++)
            if (!dump_table(b, o->sub, (const char *)list->items + i * o->sub_size, indent + 4,
                            true, e))
                return false;
    }
    return true;
}

bool opt_dump(const char *section, const struct opt *table, const void *opts, struct sbuf *b,
              struct err *e)
{
    return sbuf_printf(b, e, "%s:\n", section) && dump_table(b, table, opts, 2, false, e);
}

/* ---- help */

static bool put_kind(struct sbuf *b, const struct opt *o, struct err *e)
{
    static const char *const kinds[] = {
        [OPT_T_BOOL] = "true or false",
        [OPT_T_STR] = "text",
        [OPT_T_PATH] = "path",
        [OPT_T_STRS] = "list of words",
        [OPT_T_EVERY] = "'500 steps', '0.25 epoch', '10 min' or 'never'",
        [OPT_T_LIST] = "list, each element with:",
        [OPT_T_MAP] = "with:",
        [OPT_T_NODE] = "values",
    };
    switch (o->type) {
    case OPT_T_U32:
    case OPT_T_U64:
        return sbuf_printf(b, e, "whole number, %.0f to %.0f", o->min, o->max);
    case OPT_T_F64:
        return sbuf_printf(b, e, "number, %g to %g", o->min, o->max);
    case OPT_T_ENUM:
        for (size_t i = 0; o->names[i]; i++)
            if (!sbuf_printf(b, e, "%s%s", i ? " | " : "", o->names[i])) return false;
        return true;
    default:
        return sbuf_put(b, str_of(kinds[o->type]), e);
    }
}

static bool help_table(struct sbuf *b, const char *prefix, const struct opt *table, int indent,
                       struct err *e)
{
    for (const struct opt *o = table; o->type != OPT_T_END; o++) {
        bool nested = o->type == OPT_T_LIST || o->type == OPT_T_MAP;
        if (!sbuf_printf(b, e, "%*s%s%s%s: ", indent, "", prefix, prefix[0] ? "." : "", o->key))
            return false;
        if (!put_kind(b, o, e)) return false;
        if (!nested && o->def && !sbuf_printf(b, e, " (default: %s)", o->def[0] ? o->def : "''"))
            return false;
        if (!sbuf_printf(b, e, "\n%*s    %s\n", indent, "", o->help ? o->help : "")) return false;
        if (nested && !help_table(b, "", o->sub, indent + 4, e)) return false;
    }
    return true;
}

bool opt_help(const char *section, const struct opt *table, struct sbuf *b, struct err *e)
{
    return help_table(b, section, table, 0, e);
}

/* ---- differences */

static bool same(const struct opt_node *a, const struct opt_node *b)
{
    if (a->kind != b->kind || a->n != b->n) return false;
    if (a->kind == OPT_SCALAR)
        return str_eq(a->scalar, b->scalar) && opt_node_is_null(a) == opt_node_is_null(b);
    for (size_t i = 0; i < a->n; i++) {
        const struct opt_node *other =
            a->kind == OPT_MAPPING ? opt_node_get(b, a->keys[i]) : b->items[i];
        if (!other || !same(a->items[i], other)) return false;
    }
    return true;
}

static bool put_key(struct sbuf *b, const char *key, struct err *e)
{
    return sbuf_printf(b, e, "%s%s", b->n ? ", " : "", key);
}

static bool diff(const struct opt_node *x, const struct opt_node *y, const char *prefix,
                 struct sbuf *b, struct err *e);

/* Element i of two lists, or key of two mappings; either may be NULL. */
static bool diff_item(const struct opt_node *x, const struct opt_node *y, const char *path,
                      struct sbuf *b, struct err *e)
{
    if (x && y) return diff(x, y, path, b, e);
    return put_key(b, path, e);
}

static bool diff(const struct opt_node *x, const struct opt_node *y, const char *prefix,
                 struct sbuf *b, struct err *e)
{
    char path[OPT_KEY_MAX * 4];
    if (same(x, y)) return true;
    bool lists = x->kind == OPT_SEQ && y->kind == OPT_SEQ && x->n == y->n;
    if (!lists && (x->kind != OPT_MAPPING || y->kind != OPT_MAPPING)) return put_key(b, prefix, e);
    for (size_t i = 0; i < x->n; i++) {
        if (lists)
            snprintf(path, sizeof path, "%s[%zu]", prefix, i);
        else
            snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] ? "." : "", x->keys[i]);
        if (!diff_item(x->items[i], lists ? y->items[i] : opt_node_get(y, x->keys[i]), path, b, e))
            return false;
    }
    for (size_t i = 0; !lists && i < y->n; i++) {
        if (opt_node_get(x, y->keys[i])) continue;
        snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] ? "." : "", y->keys[i]);
        if (!put_key(b, path, e)) return false;
    }
    return true;
}

bool opt_diff(struct str dump_a, struct str dump_b, struct arena *a, struct sbuf *b, struct err *e)
{
    struct opt_load l = {.a = a};
    struct opt_node *x, *y;
    size_t before = b->n;
    if (!opt_yaml_parse(&l, dump_a, "first", &x, e)) return false;
    if (!opt_yaml_parse(&l, dump_b, "second", &y, e)) return false;
    CHECK(before == 0); /* the separator goes by what is in b */
    if (!x || !y) return x == y || put_key(b, "everything", e);
    return diff(x, y, "", b, e);
}
