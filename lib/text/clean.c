#include "text/clean.h"

#include <utf8proc.h>

#include "text/utf8.h"

bool clean_is_space(uint32_t cp)
{
    if (cp <= 0x20) return cp == 0x20 || (cp >= 0x09 && cp <= 0x0D) || cp >= 0x1C;
    if (cp == 0x85 || cp == 0xA0 || cp == 0x1680) return true;
    return (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

/* Bytes of the white-space character s begins with, or 0. */
static size_t space_len(struct str s)
{
    size_t len;

    if (s.n == 0) return 0;
    return clean_is_space(utf8_decode(s, &len)) ? len : 0;
}

/* Bytes of the white-space run s begins with. */
static size_t space_run(struct str s)
{
    size_t i = 0, len;

    while ((len = space_len(str_sub(s, i, s.n))) > 0)
        i += len;
    return i;
}

static struct str strip_left(struct str s)
{
    return str_sub(s, space_run(s), s.n);
}

static struct str strip_right(struct str s)
{
    size_t len;

    while (s.n > 0 && clean_is_space(utf8_decode_last(s, &len)))
        s.n -= len;
    return s;
}

struct str clean_strip(struct str s)
{
    return strip_right(strip_left(s));
}

/* All texts come here first: the functions below decode without looking back. */
static bool check_utf8(struct str s, struct err *e)
{
    size_t at = utf8_valid_prefix(s);

    return at == s.n || err_set(e, ERR_FORMAT, "text is not UTF-8 at byte %zu", at);
}

/* ---- MEDIQA: each step is one statement of the published script */
static bool drop_newlines(struct str s, struct sbuf *out, struct err *e)
{
    struct str piece;

    while (str_split(&s, '\n', &piece))
        if (!sbuf_put(out, piece, e)) return false;
    return true;
}

/* Runs of two and more white-space characters become one blank; a single one stays what it is. */
static bool collapse(struct str s, struct sbuf *out, struct err *e)
{
    size_t from = 0, len;

    for (size_t i = 0; i < s.n;) {
        size_t run = space_run(str_sub(s, i, s.n));
        if (run == 0) {
            utf8_decode(str_sub(s, i, s.n), &len);
            i += len;
            continue;
        }
        utf8_decode(str_sub(s, i, s.n), &len);
        if (run > len) {
            if (!sbuf_put(out, str_sub(s, from, i), e) || !sbuf_putc(out, ' ', e)) return false;
            from = i + run;
        }
        i += run;
    }
    return sbuf_put(out, str_sub(s, from, s.n), e);
}

/* Python's \d: any decimal digit. */
static size_t digit_len(struct str s)
{
    size_t len;

    if (s.n == 0) return 0;
    uint32_t cp = utf8_decode(s, &len);
    if (cp < 0x80) return cp >= '0' && cp <= '9';
    return utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_ND ? len : 0;
}

/* Bytes of one digit, a full stop and white space at the front of s, or 0. */
static size_t bullet(struct str s)
{
    size_t n = digit_len(s);

    if (n == 0 || n >= s.n || s.p[n] != '.') return 0;
    size_t run = space_run(str_sub(s, n + 1, s.n));
    return run ? n + 1 + run : 0;
}

static bool drop_bullets(struct str s, struct sbuf *out, struct err *e)
{
    size_t len, skip = bullet(s), from = skip;

    for (size_t i = skip; i < s.n; i += len) {
        size_t gap = space_len(str_sub(s, i, s.n));
        size_t n = gap ? bullet(str_sub(s, i + gap, s.n)) : 0;
        if (n == 0) {
            utf8_decode(str_sub(s, i, s.n), &len);
            continue;
        }
        if (!sbuf_put(out, str_sub(s, from, i), e) || !sbuf_putc(out, ' ', e)) return false;
        from = i + (len = gap + n);
    }
    return sbuf_put(out, str_sub(s, from, s.n), e);
}

bool clean_mediqa_findings(struct str s, struct sbuf *out, struct err *e)
{
    struct sbuf joined;
    bool ok;

    sbuf_clear(out);
    if (!check_utf8(s, e)) return false;
    sbuf_init(&joined, out->max_bytes);
    ok = drop_newlines(clean_strip(s), &joined, e) && collapse(sbuf_str(&joined), out, e);
    sbuf_free(&joined);
    return ok;
}

bool clean_mediqa_impression(struct str s, struct sbuf *out, struct err *e)
{
    struct sbuf joined, plain;
    bool ok;

    sbuf_clear(out);
    if (!check_utf8(s, e)) return false;
    sbuf_init(&joined, out->max_bytes);
    sbuf_init(&plain, out->max_bytes);
    ok = drop_newlines(clean_strip(s), &joined, e) && drop_bullets(sbuf_str(&joined), &plain, e) &&
         collapse(sbuf_str(&plain), out, e);
    sbuf_free(&joined);
    sbuf_free(&plain);
    return ok;
}

/* "... TWO VIEWS:" loses its last word with the colon, and only that. */
static struct str cut_last_header(struct str s)
{
    if (s.n == 0 || s.p[s.n - 1] != ':') return s;
    size_t at = s.n;
    while (at > 0 && s.p[at - 1] != ' ')
        at--;
    return strip_right(str_sub(s, 0, at > 0 ? at - 1 : s.n - 1));
}

bool clean_mediqa_background(struct str s, struct sbuf *out, struct err *e)
{
    struct sbuf one;
    bool ok;

    sbuf_clear(out);
    if (!check_utf8(s, e)) return false;
    s = clean_strip(s);
    if (str_starts(s, STR("FINAL REPORT"))) s = strip_left(str_sub(s, 12, s.n));
    s = cut_last_header(s);
    sbuf_init(&one, out->max_bytes);
    ok = collapse(s, &one, e) && drop_newlines(clean_strip(sbuf_str(&one)), out, e);
    sbuf_free(&one);
    return ok;
}

/* ---- radmill's own */
static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80);
}

static size_t run_of(struct str s, char c)
{
    size_t n = 0;

    while (n < s.n && s.p[n] == c)
        n++;
    return n;
}

/* <DATE>, <NAME>: two to sixteen capitals and _ in angle brackets. */
static size_t angle_mark(struct str s)
{
    size_t n = 1;

    while (n < s.n && n <= 16 && (is_upper(s.p[n]) || s.p[n] == '_'))
        n++;
    return n >= 3 && n < s.n && s.p[n] == '>' ? n + 1 : 0;
}

/* [**Name 12**], [REDACTED] */
static size_t square_mark(struct str s)
{
    if (str_starts(s, STR("[REDACTED]"))) return 10;
    if (!str_starts(s, STR("[**"))) return 0;
    size_t end = str_find(str_sub(s, 0, 256), STR("**]"), 3);
    return end == SIZE_MAX ? 0 : end + 3;
}

/* Bytes of the de-identification mark that stands at i, or 0. */
static size_t phi_mark(struct str text, size_t i)
{
    struct str s = str_sub(text, i, text.n);
    size_t n;

    switch (s.p[0]) {
    case '_':
        n = run_of(s, '_');
        return n >= 2 ? n : 0;
    case 'X':
        if (i > 0 && is_alnum(text.p[i - 1])) return 0;
        n = run_of(s, 'X');
        return n >= 4 && (n == s.n || !is_alnum(s.p[n])) ? n : 0;
    case '[':
        return square_mark(s);
    case '<':
        return angle_mark(s);
    default:
        return 0;
    }
}

/* A line of nothing but _ - = that parts sections. */
static bool is_rule(struct str line)
{
    return line.n >= 10 && (line.p[0] == '_' || line.p[0] == '-' || line.p[0] == '=') &&
           run_of(line, line.p[0]) == line.n;
}

static bool is_invisible(uint32_t cp)
{
    if (clean_is_space(cp)) return false;
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x200B || cp == 0xFEFF;
}

/* Bytes from i on that stay as they are and begin no mark: most of every report. */
static size_t plain_run(struct str s, size_t i)
{
    size_t from = i;

    while (i < s.n && s.p[i] >= ' ' && s.p[i] < 0x7F && s.p[i] != '_' && s.p[i] != 'X' &&
           s.p[i] != '[' && s.p[i] != '<')
        i++;
    return i - from;
}

/* Marks become ___, controls go, CR and CR LF become LF, lines that only part sections go. */
static bool unify(struct str s, struct sbuf *out, struct err *e)
{
    size_t len;

    for (size_t i = 0; i < s.n; i += len) {
        bool starts = i == 0 || s.p[i - 1] == '\n' || s.p[i - 1] == '\r';
        if (starts && (s.p[i] == '_' || s.p[i] == '-' || s.p[i] == '=')) {
            len = run_of(str_sub(s, i, s.n), s.p[i]);
            bool alone = i + len == s.n || s.p[i + len] == '\n' || s.p[i + len] == '\r';
            if (alone && is_rule(str_sub(s, i, i + len))) continue;
        }
        len = plain_run(s, i);
        if (len > 0) {
            if (!sbuf_put(out, str_sub(s, i, i + len), e)) return false;
            continue;
        }
        len = phi_mark(s, i);
        if (len > 0) {
            if (!sbuf_put(out, STR("___"), e)) return false;
            continue;
        }
        uint32_t cp = utf8_decode(str_sub(s, i, s.n), &len);
        if (cp == '\r') {
            if (i + 1 < s.n && s.p[i + 1] == '\n') continue;
            cp = '\n';
        }
        if (!is_invisible(cp) && !utf8_put(out, cp, e)) return false;
    }
    return true;
}

/* "12." or "12)" -> 12; 0 when the word is no list number. */
static uint32_t list_number(struct str word)
{
    uint32_t v = 0;

    if (word.n < 2 || word.n > 3 || word.p[0] == '0') return 0;
    if (word.p[word.n - 1] != '.' && word.p[word.n - 1] != ')') return 0;
    for (size_t i = 0; i + 1 < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '9') return 0;
        v = 10 * v + (uint32_t)(word.p[i] - '0');
    }
    return v;
}

static bool is_dash(struct str word)
{
    return str_eqz(word, "-") || str_eqz(word, "*") || str_eqz(word, "\xE2\x80\xA2");
}

struct flow {
    uint32_t item;   /* number of the last list mark taken away */
    bool line_start; /* the next word is its line's first */
    bool fresh;      /* nothing, or an empty line, came before this line */
};

static bool ends_sentence(struct str s)
{
    char c = s.n > 0 ? s.p[s.n - 1] : ' ';

    return c == '.' || c == ':' || c == ';' || c == '!' || c == '?';
}

/* Is this word a list mark? A wrapped line may begin with the number that ends a sentence ("rib" /
 * "6. No"), so a number counts only where something ended before it or where it goes on counting.
 * */
static bool is_list_mark(const struct flow *f, struct str word, struct str before)
{
    uint32_t n = list_number(word);
    bool next = n > 0 && f->item > 0 && n == f->item + 1;

    if (f->line_start && is_dash(word)) return true;
    if (n == 0) return false;
    if (f->line_start) return f->fresh || before.n == 0 || ends_sentence(before) || next;
    return next && ends_sentence(before);
}

static bool flow_line(struct flow *f, struct str line, struct sbuf *out, struct err *e)
{
    f->line_start = true;
    while (line.n > 0) {
        size_t n = 0, len;
        while (n < line.n) {
            if (line.p[n] > ' ' && line.p[n] < 0x7F) { /* neither blank nor longer than a byte */
                n++;
                continue;
            }
            if (space_len(str_sub(line, n, line.n)) > 0) break;
            utf8_decode(str_sub(line, n, line.n), &len);
            n += len;
        }
        struct str word = str_sub(line, 0, n);
        line = strip_left(str_sub(line, n, line.n));
        if ((line.n > 0 || f->line_start) && is_list_mark(f, word, sbuf_str(out))) {
            f->item = list_number(word);
        } else {
            if (out->n > 0 && !sbuf_putc(out, ' ', e)) return false;
            if (!sbuf_put(out, word, e)) return false;
        }
        f->line_start = false;
    }
    return true;
}

bool clean_own(struct str s, struct sbuf *out, struct err *e)
{
    struct flow f = {.fresh = true};
    struct sbuf text;
    struct str rest, line;
    bool ok = false;

    sbuf_clear(out);
    if (!check_utf8(s, e)) return false;
    sbuf_init(&text, out->max_bytes);
    if (!unify(s, &text, e)) goto out;
    rest = sbuf_str(&text);
    while (str_split(&rest, '\n', &line)) {
        line = clean_strip(line);
        if (!flow_line(&f, line, out, e)) goto out;
        f.fresh = line.n == 0;
    }
    ok = true;
out:
    sbuf_free(&text);
    return ok;
}
