#include "ingest/sections.h"

#include "base/mem.h"
#include "ingest/section_names.h"
#include "text/clean.h"
#include "text/utf8.h"

void section_list_free(struct section_list *l)
{
    mem_free(l->v);
    memset(l, 0, sizeof *l);
}

bool section_list_put(struct section_list *l, struct section s, struct err *e)
{
    if (!mem_grow((void **)&l->v, &l->cap, l->n + 1, sizeof *l->v, e)) return false;
    l->v[l->n++] = s;
    return true;
}

const struct section *section_first(const struct section_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++) {
        if (str_eqz(l->v[i].name, name)) return &l->v[i];
    }
    return NULL;
}

const struct section *section_last(const struct section_list *l, const char *name)
{
    for (size_t i = l->n; i-- > 0;) {
        if (str_eqz(l->v[i].name, name)) return &l->v[i];
    }
    return NULL;
}

/* ---- headers */
struct header {
    size_t newline; /* where the header line's newline stands */
    struct str name;
    size_t text; /* first byte behind the white space that ends the header */
};

static bool is_header_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c && strchr(" ()/,-", c));
}

static bool header_at(struct str text, size_t newline, struct header *out)
{
    size_t at = newline + 2, len;

    if (at > text.n || text.p[newline + 1] != ' ') return false;
    while (at < text.n && is_header_char(text.p[at]))
        at++;
    if (at == newline + 2 || at + 1 >= text.n || text.p[at] != ':') return false;
    if (!clean_is_space(utf8_decode(str_sub(text, at + 1, text.n), &len))) return false;
    *out = (struct header){newline, str_sub(text, newline + 2, at), at + 1 + len};
    return true;
}

static size_t find_newline(struct str text, size_t from)
{
    const char *p = from < text.n ? memchr(text.p + from, '\n', text.n - from) : NULL;
    return p ? (size_t)(p - text.p) : SIZE_MAX;
}

static bool find_header(struct str text, size_t from, struct header *out)
{
    for (size_t at = find_newline(text, from); at != SIZE_MAX; at = find_newline(text, at + 1)) {
        if (header_at(text, at, out)) return true;
    }
    return false;
}

static bool name_of(struct str raw, struct arena *a, struct str *out, struct err *e)
{
    char *lower;

    raw = clean_strip(raw);
    lower = arena_alloc(a, raw.n + 1, e);
    if (!lower) return false;
    for (size_t i = 0; i < raw.n; i++)
        lower[i] = raw.p[i] >= 'A' && raw.p[i] <= 'Z' ? (char)(raw.p[i] | 0x20) : raw.p[i];
    *out = section_name_published((struct str){lower, raw.n});
    return true;
}

static bool split_text(struct str text, struct arena *a, struct section_list *l, struct err *e)
{
    struct header h, next;
    bool more = find_header(text, 0, &h);

    if (!more) return section_list_put(l, (struct section){STR("full report"), 0, text.n, 0, 0}, e);
    if (!section_list_put(l, (struct section){STR("preamble"), 0, h.newline + 2, 0, 0}, e))
        return false;
    while (more) {
        struct section s = {.begin = h.text, .start = h.text};
        if (!name_of(h.name, a, &s.name, e)) return false;
        /* A header directly behind one whose own newline was taken is swallowed: as published. */
        more = find_header(text, h.text, &next);
        s.end = more ? next.newline : text.n;
        if (!section_list_put(l, s, e)) return false;
        h = next;
    }
    return true;
}

static bool is_core(struct str name)
{
    return str_eqz(name, "findings") || str_eqz(name, "impression");
}

static void drop_empty(struct str text, struct section_list *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++) {
        struct section s = l->v[i];
        if (is_core(s.name) && clean_strip(str_sub(text, s.begin, s.end)).n == 0) continue;
        l->v[kept++] = s;
    }
    l->n = kept;
}

/* Neither findings nor impression: what stands behind the last section's first blank line. */
static bool cut_last_paragraph(struct str text, struct section_list *l, struct err *e)
{
    struct section *last = &l->v[l->n - 1], rest;
    size_t at = str_find(str_sub(text, 0, last->end), STR("\n \n"), last->begin);

    if (at == SIZE_MAX) return true;
    rest = (struct section){STR("last_paragraph"), at + 3, last->end,
                            last->start + (at - last->begin), 0};
    last->end = at;
    return section_list_put(l, rest, e);
}

bool sections_published(struct str text, struct arena *a, struct section_list *l, struct err *e)
{
    l->n = 0;
    if (!split_text(text, a, l, e)) return false;
    drop_empty(text, l);
    if (l->n == 0 || section_first(l, "findings") || section_first(l, "impression")) return true;
    return cut_last_paragraph(text, l, e);
}

struct record_span section_span(struct str text, size_t begin, size_t end)
{
    struct str s = clean_strip(str_sub(text, begin, end));

    if (s.n == 0) return (struct record_span){0, 0};
    return (struct record_span){(uint32_t)(s.p - text.p), (uint32_t)s.n};
}

void sections_to_spans(struct str text, const struct section_list *l, enum record_mode mode,
                       struct record_span out[SEC_COUNT])
{
    static const struct {
        enum record_section id;
        const char *name;
    } wanted[] = {
        {SEC_FINDINGS, "findings"},       {SEC_IMPRESSION, "impression"},
        {SEC_CLINICAL, "history"},        {SEC_CLINICAL, "indication"}, /* wins when there */
        {SEC_EXAMINATION, "examination"}, {SEC_TECHNIQUE, "technique"},
        {SEC_COMPARISON, "comparison"},
    };

    memset(out, 0, SEC_COUNT * sizeof *out);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct section *s = mode == MODE_MITLCP ? section_last(l, wanted[i].name)
                                                      : section_first(l, wanted[i].name);
        struct record_span span;
        if (!s) continue;
        span = section_span(text, s->begin, s->end);
        if (span.length > 0) out[wanted[i].id] = span;
        if (wanted[i].id == SEC_FINDINGS && mode == MODE_MEDIQA)
            out[SEC_BACKGROUND] = (struct record_span){0, (uint32_t)s->begin};
    }
}
