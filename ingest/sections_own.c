#include "ingest/sections_own.h"

#include <ctype.h>

#include "ingest/header_own.h"
#include "text/clean.h"

enum { MIN_WORDS = 5 }; /* a paragraph of fewer words is no findings */

/* ---- from headers to sections */
static bool is_blank(struct str text, size_t begin, size_t end)
{
    return clean_strip(str_sub(text, begin, end)).n == 0;
}

/* Sub-headings and repeated headers belong to the section they stand in. */
static bool continues(const struct section *now, enum own_kind next)
{
    bool findings = now->kind == OWN_FINDINGS || now->kind == OWN_VIEW;

    if (next == OWN_OTHER)
        return findings || now->kind == OWN_IMPRESSION || now->kind == OWN_COMBINED;
    if (next == OWN_VIEW) return findings || now->kind == OWN_IMPRESSION;
    return next == OWN_FINDINGS && now->kind == OWN_FINDINGS;
}

/* "CLINICAL HISTORY: INDICATION: cough": a cell that had a header in it was put behind another. The
 * second is text, unless an empty line makes the first an empty section. */
static bool is_text_of(struct str text, const struct section *now, enum own_kind next, size_t at)
{
    size_t lines = 0;

    if (now->kind != OWN_CLINICAL || next != OWN_CLINICAL || !is_blank(text, now->begin, at))
        return false;
    for (size_t i = now->begin; i < at; i++)
        lines += text.p[i] == '\n';
    return lines <= 1;
}

/* A header of this kind at `at`, its text from `text_at` on. */
static bool begin_section(struct str text, struct section_list *l, enum own_kind kind, size_t at,
                          size_t text_at, struct err *e)
{
    struct section *now = &l->v[l->n - 1];

    if (is_text_of(text, now, kind, at)) return true;
    if (continues(now, kind)) {
        /* "FINDINGS:" and at once "CHEST, TWO VIEWS:": the second is no text of the first. */
        if (kind != OWN_OTHER && is_blank(text, now->begin, at)) now->begin = text_at;
        return true;
    }
    now->end = at;
    return section_list_put(
        l, (struct section){str_of(own_kind_names[kind]), text_at, text.n, text_at, (int)kind}, e);
}

static bool scan_line(const struct own_names *site, struct str text, size_t at, struct str line,
                      struct section_list *l, struct err *e)
{
    struct own_header h = own_header_at_start(site, line);
    size_t from = h.kind == OWN_NONE ? 0 : h.text;

    if (h.kind != OWN_NONE && !begin_section(text, l, h.kind, at + h.begin, at + h.text, e))
        return false;
    for (;;) {
        h = own_header_within(site, line, from);
        if (h.kind == OWN_NONE) return true;
        if (!begin_section(text, l, h.kind, at + h.begin, at + h.text, e)) return false;
        from = h.text;
    }
}

static size_t line_end(struct str text, size_t at)
{
    const char *p = text.p + at;
    const char *lf = memchr(p, '\n', text.n - at);
    size_t n = lf ? (size_t)(lf - p) : text.n - at;
    const char *cr = memchr(p, '\r', n);

    return at + (cr ? (size_t)(cr - p) : n);
}

static bool scan(const struct own_names *site, struct str text, struct section_list *l,
                 struct err *e)
{
    struct section body = {str_of(own_kind_names[OWN_BODY]), 0, text.n, 0, OWN_BODY};

    l->n = 0;
    if (!section_list_put(l, body, e)) return false;
    for (size_t at = 0; at < text.n;) {
        size_t end = line_end(text, at);
        if (!scan_line(site, text, at, str_sub(text, at, end), l, e)) return false;
        at = end + 1;
    }
    return true;
}

/* ---- the report itself */
static bool is_core(int kind)
{
    return kind == OWN_FINDINGS || kind == OWN_VIEW || kind == OWN_IMPRESSION ||
           kind == OWN_COMBINED;
}

/* Sections from the last FINAL REPORT on, else from the last rule on, else all: wet reads and
 * addenda stand in front of the report. */
static size_t main_part(const struct section_list *l)
{
    size_t first = 0;
    bool titled = false, core = false;

    for (size_t i = 0; i < l->n; i++) {
        bool title = l->v[i].kind == OWN_TITLE;
        if (title || (l->v[i].kind == OWN_BREAK && !titled)) first = i;
        titled = titled || title;
    }
    for (size_t i = first; i < l->n; i++)
        core = core || is_core(l->v[i].kind);
    return core || titled ? first : 0;
}

/* First section of the kind that has text. */
static const struct section *pick(struct str text, const struct section_list *l, size_t from,
                                  enum own_kind kind)
{
    for (size_t i = from; i < l->n; i++) {
        const struct section *s = &l->v[i];
        if (s->kind == (int)kind && !is_blank(text, s->begin, s->end)) return s;
    }
    return NULL;
}

static size_t count_words(struct str s)
{
    size_t n = 0;
    bool in = false;

    for (size_t i = 0; i < s.n; i++) {
        bool space = isspace((unsigned char)s.p[i]) != 0;
        n += !space && !in;
        in = !space;
    }
    return n;
}

/* Where the next paragraph of [at, end) begins: behind a blank line behind text; end if none. */
static size_t next_paragraph(struct str text, size_t at, size_t end)
{
    bool seen = false, blank = false;

    while (at < end) {
        size_t stop = line_end(text, at);
        if (stop > end) stop = end;
        if (is_blank(text, at, stop)) {
            /* The LF of a CR LF is no line of its own. */
            blank = blank || (seen && !(stop == at && at > 0 && text.p[at - 1] == '\r'));
        } else {
            if (seen && blank) return at;
            seen = true;
        }
        at = stop + 1;
    }
    return end;
}

static bool is_leading(int kind)
{
    return kind == OWN_CLINICAL || kind == OWN_EXAMINATION || kind == OWN_TECHNIQUE ||
           kind == OWN_COMPARISON || kind == OWN_OTHER;
}

/* Findings without a header: paragraphs behind the first of the last leading section, or a body
 * that has no header at all. */
static struct record_span unheaded(struct str text, const struct section_list *l, size_t from)
{
    struct record_span none = {0, 0}, span;

    for (size_t i = l->n; i-- > from;) {
        const struct section *s = &l->v[i];
        size_t begin = s->begin;
        if (s->kind == OWN_TAIL || s->kind == OWN_IMPRESSION || s->kind == OWN_COMBINED ||
            s->kind == OWN_VIEW)
            continue;
        if (is_leading(s->kind)) begin = next_paragraph(text, s->begin, s->end);
        span = section_span(text, begin, s->end);
        if (count_words(str_sub(text, span.offset, span.offset + span.length)) >= MIN_WORDS)
            return span;
    }
    return none;
}

/* Does a numbered list begin at `at`: "1. " or "1) ", behind a sentence and a line's end or two
 * blanks? "LEVEL 1. " within a sentence is none. */
static bool list_begins(struct str text, size_t begin, size_t at)
{
    size_t before = at, blanks = 0;
    bool newline = false;

    if (text.p[at] != '1' || at + 2 >= text.n || !strchr(".)", text.p[at + 1]) ||
        !isspace((unsigned char)text.p[at + 2]))
        return false;
    for (; before > begin && isspace((unsigned char)text.p[before - 1]); before--) {
        newline = newline || text.p[before - 1] == '\n' || text.p[before - 1] == '\r';
        blanks++;
    }
    return before > begin && strchr(".:", text.p[before - 1]) && (newline || blanks >= 2);
}

/* FINDINGS AND IMPRESSION in one: a numbered list behind some prose is the impression. */
static void split_combined(struct str text, const struct section *s,
                           struct record_span out[SEC_COUNT])
{
    size_t at = s->begin;

    while (at < s->end && !list_begins(text, s->begin, at))
        at++;
    if (at < s->end && count_words(str_sub(text, s->begin, at)) >= MIN_WORDS) {
        if (out[SEC_FINDINGS].length == 0) out[SEC_FINDINGS] = section_span(text, s->begin, at);
        out[SEC_IMPRESSION] = section_span(text, at, s->end);
    } else {
        out[SEC_IMPRESSION] = section_span(text, s->begin, s->end);
    }
}

static void set_span(struct str text, const struct section *s, struct record_span *out)
{
    if (s) *out = section_span(text, s->begin, s->end);
}

/* The last paragraph of unheaded findings, if it may be the impression: it has no more words than
 * those before. */
static bool guess_impression(struct str text, struct record_span out[SEC_COUNT])
{
    size_t begin = out[SEC_FINDINGS].offset, end = begin + out[SEC_FINDINGS].length, last = begin;

    for (size_t at = begin; at < end; at = next_paragraph(text, at, end))
        last = at;
    if (last == begin || count_words(str_sub(text, begin, last)) < MIN_WORDS ||
        count_words(str_sub(text, last, end)) > count_words(str_sub(text, begin, last)))
        return false;
    out[SEC_FINDINGS] = section_span(text, begin, last);
    out[SEC_IMPRESSION] = section_span(text, last, end);
    return true;
}

/* "NDICATION" behind the findings: there the missing letters are not those of INDICATION. */
static const struct section *misspelt(struct str text, const struct section_list *l, size_t from,
                                      const struct section *findings)
{
    static const struct str name = STR_INIT("NDICATION");

    for (size_t i = from; findings && i < l->n; i++) {
        const struct section *s = &l->v[i];
        struct str before = str_trim(str_sub(text, findings->begin, s->begin));
        if (s->kind != OWN_CLINICAL || s->begin <= findings->begin || before.n == 0) continue;
        before.n--; /* the colon */
        before = str_trim(before);
        if (before.n > name.n && str_ends(before, name) &&
            !isalpha((unsigned char)before.p[before.n - name.n - 1]))
            return s;
    }
    return NULL;
}

static bool choose(struct str text, const struct section_list *l, struct record_span out[SEC_COUNT])
{
    bool guessed = false;
    size_t from = main_part(l);
    const struct section *findings = pick(text, l, from, OWN_FINDINGS);
    const struct section *impression = pick(text, l, from, OWN_IMPRESSION);
    const struct section *combined = pick(text, l, from, OWN_COMBINED);

    memset(out, 0, SEC_COUNT * sizeof *out);
    if (!findings) findings = pick(text, l, from, OWN_VIEW);
    if (!impression && !combined) impression = misspelt(text, l, from, findings);
    set_span(text, findings, &out[SEC_FINDINGS]);
    set_span(text, impression, &out[SEC_IMPRESSION]);
    if (!impression && combined) split_combined(text, combined, out);
    if (out[SEC_FINDINGS].length == 0 && !combined) {
        out[SEC_FINDINGS] = unheaded(text, l, from);
        guessed = !impression && guess_impression(text, out);
    }
    set_span(text, pick(text, l, from, OWN_CLINICAL), &out[SEC_CLINICAL]);
    set_span(text, pick(text, l, from, OWN_EXAMINATION), &out[SEC_EXAMINATION]);
    set_span(text, pick(text, l, from, OWN_TECHNIQUE), &out[SEC_TECHNIQUE]);
    set_span(text, pick(text, l, from, OWN_COMPARISON), &out[SEC_COMPARISON]);
    return guessed;
}

/* Where unheaded findings were taken from a leading section, that section ends before them. */
static void trim_leading(struct str text, struct record_span out[SEC_COUNT])
{
    static const enum record_section leading[] = {SEC_CLINICAL, SEC_EXAMINATION, SEC_TECHNIQUE,
                                                  SEC_COMPARISON};
    uint32_t cut = out[SEC_FINDINGS].offset;

    for (size_t i = 0; out[SEC_FINDINGS].length > 0 && i < 4; i++) {
        struct record_span *s = &out[leading[i]];
        if (s->offset < cut && s->offset + s->length > cut) *s = section_span(text, s->offset, cut);
    }
}

bool sections_own(const struct own_names *site, struct str text, struct section_list *l,
                  struct record_span out[SEC_COUNT], bool *guessed, struct err *e)
{
    if (!scan(site, text, l, e)) return false;
    *guessed = choose(text, l, out);
    trim_leading(text, out);
    return true;
}
