#include "ingest/markup.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "ingest/charset.h"
#include "text/utf8.h"

static bool same(struct str s, const char *z)
{
    return s.n == strlen(z) && strncasecmp(s.p, z, s.n) == 0;
}

/* ---- base64 (RFC 4648, both alphabets) */
static int digit64(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool markup_base64(struct str in, struct sbuf *out, bool *ok, struct err *e)
{
    uint32_t bits = 0;
    unsigned n = 0;

    *ok = true;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        int d = digit64(c);
        if (isspace((unsigned char)c)) continue;
        if (c == '=') break;
        if (d < 0) {
            *ok = false;
            return true;
        }
        bits = bits << 6 | (uint32_t)d;
        n += 6;
        if (n >= 8) {
            n -= 8;
            if (!sbuf_putc(out, (char)(bits >> n & 0xFF), e)) return false;
        }
    }
    return true;
}

/* ---- HTML */
/* What an entity says; *n: its bytes with & and ;, 0: none. */
static uint32_t entity(struct str s, size_t *n)
{
    static const struct {
        const char *name;
        uint32_t c;
    } named[] = {{"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},
                 {"apos", '\''},     {"nbsp", 0xA0},    {"deg", 0xB0},     {"plusmn", 0xB1},
                 {"micro", 0xB5},    {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},
                 {"rsquo", 0x2019},  {"ldquo", 0x201C}, {"rdquo", 0x201D}, {"bull", 0x2022},
                 {"hellip", 0x2026}, {"times", 0xD7},   {"frac12", 0xBD},  {"le", 0x2264},
                 {"ge", 0x2265},     {"sup2", 0xB2},    {"sup3", 0xB3},    {"copy", 0xA9}};
    size_t semi = str_find(str_sub(s, 0, 12), STR(";"), 0);
    struct str name = str_sub(s, 1, semi);
    uint32_t c = 0;

    *n = 0;
    if (semi == SIZE_MAX || name.n == 0) return 0;
    *n = semi + 1;
    if (name.p[0] == '#') {
        bool hex = name.n > 1 && (name.p[1] | 0x20) == 'x';
        for (size_t i = hex ? 2 : 1; i < name.n && c < 0x110000; i++) {
            int d =
                isdigit((unsigned char)name.p[i]) ? name.p[i] - '0' : (name.p[i] | 0x20) - 'a' + 10;
            if (d < 0 || d >= (hex ? 16 : 10)) *n = 0;
            c = c * (hex ? 16 : 10) + (uint32_t)d;
        }
        if (c >= 0x80 && c < 0xA0) c = charset_windows((uint8_t)c); /* as every browser has it */
        if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) *n = 0;
        return c;
    }
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (str_eqz(name, named[i].name)) return named[i].c;
    }
    *n = 0;
    return 0;
}

/* Blanks at the end of a line are of the source's layout. */
static bool break_line(struct sbuf *out, struct err *e)
{
    while (out->n > 0 && out->p[out->n - 1] == ' ')
        out->p[--out->n] = 0;
    return sbuf_putc(out, '\n', e);
}

static bool is_block(struct str tag)
{
    static const char *const names[] = {"p",  "div", "tr", "li", "h1", "h2",    "h3",
                                        "h4", "h5",  "h6", "ul", "ol", "table", "pre"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (same(tag, names[i])) return true;
    }
    return false;
}

/* Behind the end of an element whose content is no text, or of a comment. */
static size_t skip_element(struct str in, size_t at, struct str tag)
{
    static const char *const hidden[] = {"script", "style", "head", "title"};

    for (size_t k = 0; k < sizeof hidden / sizeof *hidden; k++) {
        if (!same(tag, hidden[k])) continue;
        for (size_t i = at; i + tag.n + 2 < in.n; i++) {
            if (in.p[i] == '<' && in.p[i + 1] == '/' &&
                same(str_sub(in, i + 2, i + 2 + tag.n), hidden[k]))
                return i;
        }
        return in.n;
    }
    return at;
}

/* The tag at in.p[at]: what it does to the text; *at moves behind it. */
static bool take_tag(struct str in, size_t *at, struct sbuf *out, struct err *e)
{
    bool comment = str_starts(str_sub(in, *at, in.n), STR("<!--"));
    size_t end = comment ? str_find(in, STR("-->"), *at) : str_find(in, STR(">"), *at), n = *at + 1;
    struct str tag;
    bool closing = n < in.n && in.p[n] == '/';

    if (end == SIZE_MAX) end = in.n - 1;
    n += closing;
    tag = (struct str){in.p + n, 0};
    while (n + tag.n < end && isalnum((unsigned char)tag.p[tag.n]))
        tag.n++;
    *at = end + (comment ? 3 : 1);
    if (*at > in.n) *at = in.n;
    if (comment) return true;
    if (!closing) *at = skip_element(in, *at, tag);
    if (same(tag, "br")) return break_line(out, e);
    if (is_block(tag) && out->n > 0 && out->p[out->n - 1] != '\n') return break_line(out, e);
    if ((same(tag, "td") || same(tag, "th")) && closing) return sbuf_putc(out, ' ', e);
    return true;
}

bool markup_html(struct str in, struct sbuf *out, struct err *e)
{
    for (size_t i = 0; i < in.n;) {
        char c = in.p[i];
        bool starts = i + 1 < in.n && (isalpha((unsigned char)in.p[i + 1]) || in.p[i + 1] == '/' ||
                                       in.p[i + 1] == '!' || in.p[i + 1] == '?');
        size_t n = 0;
        uint32_t code = c == '&' ? entity(str_sub(in, i, in.n), &n) : 0;
        bool ok = true;
        if (c == '<' && starts) {
            if (!take_tag(in, &i, out, e)) return false;
            continue;
        }
        if (n > 0) {
            ok = utf8_put(out, code == 0xA0 ? ' ' : code, e);
        } else if (isspace((unsigned char)c)) {
            /* Layout of the source: one blank, none at the beginning of a line. */
            char last = out->n > 0 ? out->p[out->n - 1] : '\n';
            if (last != ' ' && last != '\n') ok = sbuf_putc(out, ' ', e);
        } else {
            ok = sbuf_putc(out, c, e);
        }
        if (!ok) return false;
        i += n > 0 ? n : 1;
    }
    return true;
}

/* ---- RTF */
enum { RTF_DEPTH = 64 };
struct rtf {
    struct str in;
    size_t at;
    unsigned depth;
    bool hidden[RTF_DEPTH + 1]; /* is a group's text left out? */
    unsigned skip;              /* characters that stand in for a \u before */
};

static bool is_hidden_destination(struct str word)
{
    static const char *const names[] = {"fonttbl",
                                        "colortbl",
                                        "stylesheet",
                                        "info",
                                        "pict",
                                        "object",
                                        "header",
                                        "footer",
                                        "themedata",
                                        "listtable",
                                        "listoverridetable",
                                        "generator",
                                        "xmlnstbl"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eqz(word, names[i])) return true;
    }
    return false;
}

static bool put_rtf(struct rtf *r, uint32_t c, struct sbuf *out, struct err *e)
{
    if (r->skip > 0) {
        r->skip--;
        return true;
    }
    return r->hidden[r->depth] || c == 0 || utf8_put(out, c, e);
}

static bool control_word(struct rtf *r, struct str word, long value, struct sbuf *out,
                         struct err *e)
{
    if (str_eqz(word, "par") || str_eqz(word, "line") || str_eqz(word, "sect") ||
        str_eqz(word, "row"))
        return put_rtf(r, '\n', out, e);
    if (str_eqz(word, "tab") || str_eqz(word, "cell")) return put_rtf(r, ' ', out, e);
    if (str_eqz(word, "u")) {
        uint32_t c = (uint32_t)(value < 0 ? value + 65536 : value) & 0xFFFF;
        bool ok = put_rtf(r, c >= 0xD800 && c < 0xE000 ? UTF8_REPLACEMENT : c, out, e);
        r->skip = 1;
        return ok;
    }
    if (str_eqz(word, "emdash")) return put_rtf(r, 0x2014, out, e);
    if (str_eqz(word, "endash")) return put_rtf(r, 0x2013, out, e);
    if (str_eqz(word, "bullet")) return put_rtf(r, 0x2022, out, e);
    if (str_eqz(word, "lquote") || str_eqz(word, "rquote")) return put_rtf(r, '\'', out, e);
    if (str_eqz(word, "ldblquote") || str_eqz(word, "rdblquote")) return put_rtf(r, '"', out, e);
    if (is_hidden_destination(word)) r->hidden[r->depth] = true;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind the backslash at in.p[at]. */
static bool control(struct rtf *r, struct sbuf *out, struct err *e)
{
    struct str rest = str_sub(r->in, r->at + 1, r->in.n);
    size_t n = 0, digits;
    long value = 0;

    if (rest.n == 0 || !isalpha((unsigned char)rest.p[0])) {
        char c = rest.n ? rest.p[0] : ' ';
        r->at += rest.n ? 2 : 1;
        if (c == '\'' && rest.n >= 3 && hex_digit(rest.p[1]) >= 0 && hex_digit(rest.p[2]) >= 0) {
            r->at += 2;
            return put_rtf(
                r, charset_windows((uint8_t)(hex_digit(rest.p[1]) * 16 + hex_digit(rest.p[2]))),
                out, e);
        }
        if (c == '*') r->hidden[r->depth] = true; /* a destination that one may not know */
        if (c == '~') return put_rtf(r, ' ', out, e);
        if (c == '\n' || c == '\r') return put_rtf(r, '\n', out, e);
        return c == '\\' || c == '{' || c == '}' ? put_rtf(r, (uint8_t)c, out, e) : true;
    }
    while (n < rest.n && n < 32 && isalpha((unsigned char)rest.p[n]))
        n++;
    digits = n + (n < rest.n && rest.p[n] == '-');
    while (digits < rest.n && digits < n + 8 && isdigit((unsigned char)rest.p[digits]))
        value = value * 10 + (rest.p[digits++] - '0');
    if (n < rest.n && rest.p[n] == '-') value = -value;
    r->at += 1 + digits + (digits < rest.n && rest.p[digits] == ' ');
    return control_word(r, str_sub(rest, 0, n), value, out, e);
}

bool markup_rtf(struct str in, struct sbuf *out, struct err *e)
{
    struct rtf r = {.in = in};

    while (r.at < in.n) {
        char c = in.p[r.at];
        bool ok = true;
        if (c == '\\') {
            if (!control(&r, out, e)) return false;
            continue;
        }
        if (c == '{' && r.depth < RTF_DEPTH) {
            r.depth++;
            r.hidden[r.depth] = r.hidden[r.depth - 1];
        } else if (c == '}' && r.depth > 0) {
            r.depth--;
        } else if (c != '{' && c != '}' && c != '\n' && c != '\r') {
            ok = put_rtf(&r, (uint8_t)c < 0x80 ? (uint32_t)c : charset_windows((uint8_t)c), out, e);
        }
        if (!ok) return false;
        r.at++;
    }
    return true;
}
