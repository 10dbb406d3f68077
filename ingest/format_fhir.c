/*
 * FHIR R4 DiagnosticReport, as NDJSON of a bulk export, or in a Bundle (ingest/json_stream.h).
 *
 * Taken: DiagnosticReports of category RAD (v2-0074, or one of its imaging sections), LOINC
 * LP29684-5, or without a category. Other resources and categories are ignored. Text: the first
 * presentedForm that is text/plain, else text/html, else RTF, else the narrative (text.div); a PDF
 * or an address alone is rejected as no-text. conclusion is the impression where the
 * text has none.
 */
#include "base/mem.h"
#include "ingest/format.h"
#include "ingest/json_stream.h"
#include "ingest/markup.h"
#include "ingest/when.h"

enum { MAX_VALUE = 32 };

struct fhir_reader {
    struct json_stream *json;
    struct json_item item;
    const json_t *bundle; /* entries of a Bundle, from `next` on */
    size_t next;
    struct sbuf raw, text;
};

static bool owns(struct str name, struct str last)
{
    (void)name;
    return format_ends(last, ".ndjson") || format_ends(last, ".json") ||
           format_ends(last, ".jsonl");
}

static bool looks(struct str head)
{
    size_t at = str_find(head, STR("\"resourceType\""), 0);

    return format_jsonl.looks(head) && at != SIZE_MAX;
}

/* ---- reading the tree */
/* A string; anything else is empty. */
static struct str member(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    if (!json_is_string(v)) return STR("");
    return (struct str){json_string_value(v), json_string_length(v)};
}

static const json_t *list(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_array(v) ? v : NULL;
}

/* The last part of a code system's address. */
static bool is_system(const json_t *coding, const char *name)
{
    return str_ends(member(coding, "system"), str_of(name));
}

static bool has_code(const json_t *concept, const char *code)
{
    const json_t *codings = list(concept, "coding");
    json_t *c;
    size_t i;

    json_array_foreach(codings, i, c)
    {
        if (str_eqz(member(c, "code"), code)) return true;
    }
    return false;
}

/* Sections of HL7 table 0074 that are imaging. */
static bool is_imaging(struct str code)
{
    static const char *const codes[] = {"RAD", "RX",  "CT",  "NMR", "NMS", "RUS",
                                        "OUS", "VUS", "CUS", "RT",  "XRC", "LP29684-5"};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (str_eqz(code, codes[i])) return true;
    }
    return false;
}

/* Is it a radiology report, and of which section? */
static bool is_radiology(const json_t *report, struct str *section)
{
    const json_t *categories = list(report, "category");
    json_t *concept, *coding;
    size_t i, k;
    bool any = false, imaging = false;

    json_array_foreach(categories, i, concept)
    {
        json_array_foreach(list(concept, "coding"), k, coding)
        {
            struct str code = member(coding, "code");
            any = any || code.n > 0;
            if (!is_imaging(code)) continue;
            imaging = true;
            if (!str_eqz(code, "RAD") && !str_eqz(code, "LP29684-5")) *section = code;
        }
    }
    return imaging || !any;
}

static struct str accession(const json_t *report)
{
    const json_t *ids = list(report, "identifier");
    struct str first = STR("");
    json_t *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        struct str value = member(id, "value");
        if (has_code(json_object_get(id, "type"), "ACSN") ||
            str_find(member(id, "system"), STR("ccession"), 0) != SIZE_MAX)
            return value;
        if (first.n == 0) first = value;
    }
    return first.n ? first : member(report, "id");
}

/* "Patient/123", "https://host/fhir/Patient/123", "urn:uuid:..." */
static struct str patient(const json_t *report)
{
    const json_t *subject = json_object_get(report, "subject");
    struct str reference = member(subject, "reference");

    if (reference.n > 0) return format_last(reference);
    return member(json_object_get(subject, "identifier"), "value");
}

static enum record_status status(struct str s)
{
    static const struct {
        const char *name;
        enum record_status status;
    } names[] = {
        {"registered", STATUS_PRELIMINARY},     {"partial", STATUS_PRELIMINARY},
        {"preliminary", STATUS_PRELIMINARY},    {"final", STATUS_FINAL},
        {"amended", STATUS_CORRECTED},          {"corrected", STATUS_CORRECTED},
        {"appended", STATUS_ADDENDUM},          {"cancelled", STATUS_CANCELLED},
        {"entered-in-error", STATUS_CANCELLED},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eqz(s, names[i].name)) return names[i].status;
    }
    return STATUS_UNKNOWN;
}

static uint64_t time_of(const json_t *report)
{
    uint64_t t = when_of(member(report, "issued"));

    if (!t) t = when_of(member(json_object_get(report, "meta"), "lastUpdated"));
    if (!t) t = when_of(member(report, "effectiveDateTime"));
    return t ? t : when_of(member(json_object_get(report, "effectivePeriod"), "start"));
}

/* A CPT code if there is one, else the first; and the words. */
static void procedure(const json_t *report, struct report_input *in)
{
    const json_t *code = json_object_get(report, "code");
    json_t *coding;
    size_t i;

    in->description = member(code, "text");
    json_array_foreach(list(code, "coding"), i, coding)
    {
        if (in->code.n == 0 || is_system(coding, "/cpt")) in->code = member(coding, "code");
        if (in->description.n == 0) in->description = member(coding, "display");
    }
}

/* ---- its text */
enum kind { KIND_PLAIN, KIND_HTML, KIND_RTF, KIND_OTHER };

static enum kind kind_of(struct str type)
{
    static const struct {
        const char *type;
        enum kind kind;
    } types[] = {{"text/plain", KIND_PLAIN},           {"text/html", KIND_HTML},
                 {"application/xhtml+xml", KIND_HTML}, {"text/rtf", KIND_RTF},
                 {"application/rtf", KIND_RTF},        {"text/xhtml", KIND_HTML}};

    type = str_trim(str_sub(type, 0, str_find(type, STR(";"), 0)));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (type.n == strlen(types[i].type) && format_ends(type, types[i].type))
            return types[i].kind;
    }
    return KIND_OTHER;
}

/* *unread: there is a form whose text we do not have. */
static bool presented(struct fhir_reader *r, const json_t *report, bool *unread, struct err *e)
{
    const json_t *best = NULL;
    enum kind kind = KIND_OTHER;
    json_t *form;
    size_t i;
    bool ok;

    json_array_foreach(list(report, "presentedForm"), i, form)
    {
        enum kind k = kind_of(member(form, "contentType"));
        bool inside = member(form, "data").n > 0;
        *unread = *unread || k == KIND_OTHER || !inside;
        if (!inside || k >= kind) continue;
        best = form;
        kind = k;
    }
    if (!best) return true;
    if (!markup_base64(member(best, "data"), &r->raw, &ok, e)) return false;
    *unread = *unread || !ok;
    if (!ok || r->raw.n == 0) return true;
    if (kind == KIND_HTML) return markup_html(sbuf_str(&r->raw), &r->text, e);
    if (kind == KIND_RTF) return markup_rtf(sbuf_str(&r->raw), &r->text, e);
    return sbuf_put(&r->text, sbuf_str(&r->raw), e);
}

static bool take_report(struct fhir_reader *r, const json_t *report, struct format_item *out,
                        struct err *e)
{
    struct report_input *in = &out->in;
    bool unread = false;

    if (!str_eqz(member(report, "resourceType"), "DiagnosticReport") ||
        !is_radiology(report, &in->column)) {
        out->kind = ITEM_IGNORE;
        return true;
    }
    sbuf_clear(&r->raw);
    sbuf_clear(&r->text);
    if (!presented(r, report, &unread, e)) return false;
    if (r->text.n == 0 && !markup_html(member(json_object_get(report, "text"), "div"), &r->text, e))
        return false;
    in->text = r->text.n ? sbuf_str(&r->text) : STR("");
    in->section[SEC_IMPRESSION] = member(report, "conclusion");
    in->patient = str_trim(patient(report));
    in->study = str_trim(accession(report));
    in->status = status(member(report, "status"));
    in->time = time_of(report);
    in->reader = member(json_array_get(list(report, "resultsInterpreter"), 0), "display");
    procedure(report, in);
    in->section[SEC_EXAMINATION] = in->description;
    in->table = true;
    in->split = -1;
    if (unread && str_trim(in->text).n == 0 && in->section[SEC_IMPRESSION].n == 0) {
        out->kind = ITEM_REJECT;
        out->reason = REJECT_NO_TEXT;
    }
    return true;
}

/* ---- the format */
static void shut(void *reader)
{
    struct fhir_reader *r = reader;

    if (!r) return;
    sbuf_free(&r->raw);
    sbuf_free(&r->text);
    json_stream_close(r->json);
    mem_free(r);
}

static bool open_fhir(const struct format_input *in, void **out, struct err *e)
{
    struct fhir_reader *r = mem_calloc(1, sizeof *r, e);
    size_t max = (size_t)MAX_VALUE * in->max_entry + (64 << 10);

    *out = NULL;
    if (!r) return false;
    sbuf_init(&r->raw, max);
    sbuf_init(&r->text, 3 * max);
    if (!json_stream_open(in->in, (enum charset_as)in->source->encoding, max, &r->json, e)) {
        shut(r);
        return false;
    }
    *out = r;
    return true;
}

static bool next(void *reader, struct format_item *out, bool *more, struct err *e)
{
    struct fhir_reader *r = reader;
    const json_t *resource;

    *more = true;
    if (!r->bundle || r->next >= json_array_size(r->bundle)) {
        r->bundle = NULL;
        if (!json_stream_next(r->json, &r->item, more, e)) return false;
        r->bundle = *more && r->item.root ? list(r->item.root, "entry") : NULL;
        r->next = 0;
    }
    *out = (struct format_item){.kind = ITEM_REPORT, .line = r->item.line};
    out->in.offset = r->item.offset;
    if (!*more) return true;
    if (!r->item.root) {
        out->kind = ITEM_REJECT;
        out->reason = r->item.too_long ? REJECT_TOO_LARGE
                      : r->item.cut    ? REJECT_TRUNCATED
                                       : REJECT_FORMAT;
        return true;
    }
    resource = r->item.root;
    if (r->bundle && r->next < json_array_size(r->bundle))
        resource = json_object_get(json_array_get(r->bundle, r->next++), "resource");
    return take_report(r, resource, out, e);
}

const struct format format_fhir = {
    .owns = owns, .looks = looks, .open = open_fhir, .next = next, .close = shut};
