/*
 * A plain text file a report. Ids come from the name: by the source's `names`, a pattern of the
 * last parts of the path such as "{patient}/{study}.txt" or "{patient}_{study}.txt"; without one
 * the study is the file's name without its last extension, and the patient is unknown.
 */
#include "ingest/charset.h"
#include "ingest/format.h"

static bool owns(struct str name, struct str last)
{
    (void)name;
    return format_ends(last, ".txt") || format_ends(last, ".text") || format_ends(last, ".rpt");
}

/* Text has no control characters but white space. */
static bool looks(struct str head)
{
    size_t odd = 0;

    for (size_t i = 0; i < head.n; i++) {
        uint8_t c = (uint8_t)head.p[i];
        odd += c < 0x20 && (c < '\t' || c > '\r') && c != 0x1C;
    }
    return head.n > 0 && odd * 50 < head.n;
}

/* Match one part of a path: text around placeholders that take the shortest piece that fits. */
static bool match_part(struct str pattern, struct str part, struct str *patient, struct str *study)
{
    while (pattern.n > 0 && pattern.p[0] != '{') {
        if (part.n == 0 || part.p[0] != pattern.p[0]) return false;
        pattern = str_sub(pattern, 1, pattern.n);
        part = str_sub(part, 1, part.n);
    }
    if (pattern.n > 0) {
        size_t close = str_find(pattern, STR("}"), 0), end;
        struct str key = str_sub(pattern, 1, close), rest = str_sub(pattern, close + 1, pattern.n);
        struct str fixed = rest;
        while (fixed.n && memchr(fixed.p, '{', fixed.n))
            fixed.n--;
        if (rest.n == fixed.n) {
            if (!str_ends(part, fixed)) return false;
            end = part.n - fixed.n;
        } else {
            end = fixed.n ? str_find(part, fixed, 1) : SIZE_MAX;
        }
        if (end == SIZE_MAX || end == 0) return false;
        if (str_eqz(key, "patient")) *patient = str_sub(part, 0, end);
        if (str_eqz(key, "study")) *study = str_sub(part, 0, end);
        return match_part(rest, str_sub(part, end, part.n), patient, study);
    }
    return part.n == 0;
}

/* The pattern's parts against as many of the name's, from the end. */
static bool match_name(struct str pattern, struct str name, struct str *patient, struct str *study)
{
    for (;;) {
        struct str p = format_last(pattern), n = format_last(name);
        if (!match_part(p, n, patient, study)) return false;
        if (p.n == pattern.n) return true;
        if (n.n == name.n) return false;
        pattern = str_sub(pattern, 0, pattern.n - p.n - 1);
        name = str_sub(name, 0, name.n - n.n - 1);
    }
}

static bool ids(const struct ingest_source_opts *source, struct str name, struct str *patient,
                struct str *study)
{
    struct str last = format_last(name);
    size_t dot = last.n;

    *patient = *study = (struct str){"", 0};
    if (source->names && *source->names)
        return match_name(str_of(source->names), name, patient, study);
    while (dot > 0 && last.p[dot - 1] != '.')
        dot--;
    *study = dot > 1 ? str_sub(last, 0, dot - 1) : last;
    return true;
}

static bool one(struct format_scratch *s, const struct ingest_source_opts *source, struct str name,
                struct str text, struct format_item *out, struct err *e)
{
    struct charset d;
    bool over;

    *out = (struct format_item){.kind = ITEM_REPORT};
    out->in.split = -1;
    out->in.table = true;
    if (!ids(source, name, &out->in.patient, &out->in.study)) {
        *out = (struct format_item){.kind = ITEM_REJECT, .reason = REJECT_NO_NAME};
        return true;
    }
    sbuf_clear(&s->text);
    charset_init(&d, bytes_of(&text), (enum charset_as)source->encoding);
    if (!bytes_all(charset_bytes(&d), s->text.max_bytes, &s->text, &over, e)) return false;
    out->in.text = s->text.n ? sbuf_str(&s->text) : STR("");
    if (over) *out = (struct format_item){.kind = ITEM_REJECT, .reason = REJECT_TOO_LARGE};
    return true;
}

const struct format format_text = {.owns = owns, .looks = looks, .one = one, .ids = ids};
