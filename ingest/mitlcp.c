#include "ingest/mitlcp.h"

#include "base/hash.h"
#include "base/mem.h"
#include "ingest/csv_list.h"
#include "ingest/mitlcp_table.h"
#include "ingest/split.h"
#include "text/clean.h"
#include "text/utf8.h"

enum { ARENA_BYTES = 64 << 20, MAX_ID = 64 };

struct mitlcp_rules {
    const struct mitlcp_rule *v;
    struct mitlcp_rule *own; /* read from a file */
    size_t n, cap;
    struct arena arena;
    uint8_t digest[32];
};

/* Columns study, rule, section, start, end. */
static bool put_rule(void *ctx, const struct str *cells, uint64_t line, struct err *e)
{
    struct mitlcp_rules *r = ctx;
    struct mitlcp_rule out = {0};
    bool slice = str_eqz(cells[1], "slice");

    (void)line;
    if (cells[0].n == 0 || cells[0].n > MAX_ID || (!slice && !str_eqz(cells[1], "last_section")))
        return err_set(e, ERR_FORMAT, "the rule is neither last_section nor slice");
    if (!arena_str(&r->arena, split_digits(cells[0], 's'), &out.study, e)) return false;
    if (slice) {
        if (!parse_u64(cells[3], &out.begin, e) || !parse_u64(cells[4], &out.end, e)) return false;
    } else if (!arena_str(&r->arena, cells[2], &out.section, e)) {
        return false;
    }
    if (!mem_grow((void **)&r->own, &r->cap, r->n + 1, sizeof *r->own, e)) return false;
    r->own[r->n++] = out;
    r->v = r->own;
    return true;
}

static bool read_rules(const char *path, struct mitlcp_rules *r, struct err *e)
{
    static const struct csv_list_column columns[] = {
        {"study", NULL, false}, {"rule", NULL, false}, {"section", NULL, false},
        {"start", NULL, false}, {"end", NULL, false},
    };
    return sha256_file(path, r->digest, e) && csv_list_read(path, columns, 5, put_rule, r, e);
}

bool mitlcp_rules_open(const char *path, struct mitlcp_rules **out, struct err *e)
{
    struct mitlcp_rules *r = mem_calloc(1, sizeof *r, e);

    *out = NULL;
    if (!r) return false;
    arena_init(&r->arena, ARENA_BYTES);
    if (!path) {
        r->v = mitlcp_published;
        r->n = mitlcp_published_count;
    } else if (!read_rules(path, r, e)) {
        mitlcp_rules_close(r);
        return false;
    }
    *out = r;
    return true;
}

void mitlcp_rules_digest(const struct mitlcp_rules *r, uint8_t out[32])
{
    memcpy(out, r->digest, 32);
}

/* Byte where code point number n begins; the text's end when it has fewer. */
static size_t code_point_offset(struct str text, uint64_t n)
{
    size_t at = 0, len;

    for (; n > 0 && at < text.n; n--) {
        utf8_decode(str_sub(text, at, text.n), &len);
        at += len;
    }
    return at;
}

static struct str conclusion(const struct mitlcp_rule *rule, struct str text,
                             const struct section_list *l)
{
    struct str last = {"", 0};

    if (rule->section.n == 0) /* not stripped: as the script has it */
        return str_sub(text, code_point_offset(text, rule->begin),
                       code_point_offset(text, rule->end));
    for (size_t k = 0; k < l->n; k++) {
        if (str_eq(l->v[k].name, rule->section))
            last = clean_strip(str_sub(text, l->v[k].begin, l->v[k].end));
    }
    return last;
}

bool mitlcp_conclusion(const struct mitlcp_rules *r, struct str study, struct str text,
                       const struct section_list *l, struct str *out)
{
    for (size_t i = 0; r && i < r->n; i++) {
        if (!str_eq(r->v[i].study, study)) continue;
        *out = conclusion(&r->v[i], text, l);
        return true;
    }
    return false;
}

bool mitlcp_override(const struct mitlcp_rules *r, struct str study, struct str text,
                     const struct section_list *l, struct record_span spans[SEC_COUNT])
{
    struct str c;

    if (!mitlcp_conclusion(r, study, text, l, &c)) return false;
    spans[SEC_FINDINGS] = spans[SEC_IMPRESSION] = (struct record_span){0, 0};
    if (c.n > 0) {
        size_t begin = (size_t)(c.p - text.p);
        spans[SEC_IMPRESSION] = section_span(text, begin, begin + c.n);
    }
    return true;
}

void mitlcp_rules_close(struct mitlcp_rules *r)
{
    if (!r) return;
    mem_free(r->own);
    arena_free(&r->arena);
    mem_free(r);
}

bool mitlcp_newlines(struct str text, struct sbuf *out, struct err *e)
{
    while (text.n > 0) {
        const char *cr = memchr(text.p, '\r', text.n);
        size_t n = cr ? (size_t)(cr - text.p) : text.n;
        if (!sbuf_put(out, str_sub(text, 0, n), e)) return false;
        if (!cr) break;
        if (!sbuf_putc(out, '\n', e)) return false;
        n += n + 1 < text.n && text.p[n + 1] == '\n' ? 2 : 1;
        text = str_sub(text, n, text.n);
    }
    return true;
}
