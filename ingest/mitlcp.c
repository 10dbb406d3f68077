#include "ingest/mitlcp.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "ingest/csv_read.h"
#include "text/utf8.h"

enum { MAX_LIST_BYTES = 16 << 20, MAX_ROW = 64 << 10, MAX_ID = 64 };

struct rule {
    struct str study;    /* digits */
    struct str section;  /* empty: a slice */
    uint64_t begin, end; /* code points */
};
struct mitlcp_rules {
    struct rule *v;
    size_t n, cap;
    struct arena arena;
    uint8_t digest[32];
};

static bool fill_from_text(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct str *rest = ctx;
    (void)e;
    *got = rest->n < cap ? rest->n : cap;
    memcpy(buf, rest->p, *got);
    *rest = str_sub(*rest, *got, rest->n);
    return true;
}

static struct str digits(struct str id)
{
    return id.n > 1 && id.p[0] == 's' ? str_sub(id, 1, id.n) : id;
}

/* Columns in the order study, rule, section, start, end. */
static bool put_rule(struct mitlcp_rules *r, const struct csv_row *row, struct err *e)
{
    struct rule out = {0};
    bool slice = str_eqz(row->cells[1], "slice");

    if (row->cells[0].n == 0 || row->cells[0].n > MAX_ID ||
        (!slice && !str_eqz(row->cells[1], "last_section")))
        return err_set(e, ERR_FORMAT, "line %llu: the rule is neither last_section nor slice",
                       (unsigned long long)row->line);
    if (!arena_str(&r->arena, digits(row->cells[0]), &out.study, e)) return false;
    if (slice) {
        if (!parse_u64(row->cells[3], &out.begin, e) || !parse_u64(row->cells[4], &out.end, e))
            return err_wrap(e, "line %llu", (unsigned long long)row->line);
    } else if (!arena_str(&r->arena, row->cells[2], &out.section, e)) {
        return false;
    }
    if (!mem_grow((void **)&r->v, &r->cap, r->n + 1, sizeof *r->v, e)) return false;
    r->v[r->n++] = out;
    return true;
}

static bool read_rules(struct mitlcp_rules *r, struct str text, struct err *e)
{
    struct csv_limits limits = {MAX_ROW, 16};
    struct csv_reader *csv = NULL;
    size_t n;
    bool more, ok = false;

    if (!csv_reader_open(fill_from_text, &text, &limits, &csv, e)) goto out;
    csv_reader_header(csv, &n);
    if (n != 5) {
        err_set(e, ERR_FORMAT, "expected the columns study, rule, section, start, end");
        goto out;
    }
    for (;;) {
        struct csv_row row;
        if (!csv_reader_next(csv, &row, &more, e)) goto out;
        if (!more) break;
        if (row.fault != CSV_ROW_WHOLE) {
            err_set(e, ERR_FORMAT, "line %llu: not 5 cells", (unsigned long long)row.line);
            goto out;
        }
        if (!put_rule(r, &row, e)) goto out;
    }
    ok = true;
out:
    csv_reader_close(csv);
    return ok;
}

bool mitlcp_rules_open(const char *path, struct mitlcp_rules **out, struct err *e)
{
    struct mitlcp_rules *r = mem_calloc(1, sizeof *r, e);
    struct str text;
    bool ok = false;

    *out = NULL;
    if (!r) return false;
    arena_init(&r->arena, (size_t)4 * MAX_LIST_BYTES);
    if (!fs_read_file(path, MAX_LIST_BYTES, &r->arena, &text, e)) goto out;
    sha256_of(text, r->digest);
    ok = read_rules(r, text, e) || err_wrap(e, "%s", path);
out:
    if (ok)
        *out = r;
    else
        mitlcp_rules_close(r);
    return ok;
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

static struct record_span conclusion(const struct rule *rule, struct str text,
                                     const struct section_list *l)
{
    size_t begin = 0, end = 0;

    if (rule->section.n == 0)
        return section_span(text, code_point_offset(text, rule->begin),
                            code_point_offset(text, rule->end));
    for (size_t k = 0; k < l->n; k++) {
        if (!str_eq(l->v[k].name, rule->section)) continue;
        begin = l->v[k].begin;
        end = l->v[k].end;
    }
    return section_span(text, begin, end);
}

bool mitlcp_override(const struct mitlcp_rules *r, struct str study, struct str text,
                     const struct section_list *l, struct record_span spans[SEC_COUNT])
{
    for (size_t i = 0; r && i < r->n; i++) {
        if (!str_eq(r->v[i].study, study)) continue;
        spans[SEC_FINDINGS] = (struct record_span){0, 0};
        spans[SEC_IMPRESSION] = conclusion(&r->v[i], text, l);
        return true;
    }
    return false;
}

void mitlcp_rules_close(struct mitlcp_rules *r)
{
    if (!r) return;
    mem_free(r->v);
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
