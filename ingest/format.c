#include "ingest/format.h"

#include <strings.h>

#include "ingest/charset.h"

static const struct format *const table[] = {
    [FORMAT_MIMIC_CXR] = &format_mimic, [FORMAT_CSV] = &format_csv,   [FORMAT_TSV] = &format_tsv,
    [FORMAT_JSONL] = &format_jsonl,     [FORMAT_HL7] = &format_hl7,   [FORMAT_FHIR] = &format_fhir,
    [FORMAT_OPENI_XML] = &format_openi, [FORMAT_TEXT] = &format_text, [FORMAT_AUTO] = NULL,
};

const struct format *format_of(int ingest_format)
{
    return table[ingest_format];
}

void format_scratch_init(struct format_scratch *s, uint64_t max_entry)
{
    sbuf_init(&s->text, 3 * max_entry + 64); /* one byte of Windows-1252 becomes three */
    sbuf_init(&s->raw, max_entry + 64);
    sbuf_init(&s->ids, 64 << 10);
}

void format_scratch_free(struct format_scratch *s)
{
    sbuf_free(&s->text);
    sbuf_free(&s->raw);
    sbuf_free(&s->ids);
}

struct str format_last(struct str name)
{
    for (size_t i = name.n; i > 0; i--) {
        if (name.p[i - 1] == '/' || name.p[i - 1] == '\\') return str_sub(name, i, name.n);
    }
    return name;
}

bool format_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);

    return s.n >= n && strncasecmp(s.p + s.n - n, suffix, n) == 0;
}

bool format_is_litter(struct str name)
{
    static const char *const names[] = {"thumbs.db",   "desktop.ini", "md5sums",   "sha256sums.txt",
                                        "license.txt", "readme.txt",  "readme.md", "readme"};
    struct str last = format_last(name);

    if (last.n == 0 || last.p[0] == '.') return true;
    if (str_starts(name, STR("__MACOSX/")) || str_find(name, STR("/__MACOSX/"), 0) != SIZE_MAX)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == last.n && strncasecmp(last.p, names[i], last.n) == 0) return true;
    }
    return false;
}

const struct format *format_by_name(struct str name)
{
    struct str last = format_last(name), patient, study;

    if (report_member(name, &patient, &study)) return &format_mimic;
    if (format_ends(last, ".xml")) return &format_openi;
    return NULL;
}

/* In this order: what begins most unlike anything else comes first, plain text last. */
const struct format *format_guess(const struct ingest_source_opts *source, struct str name,
                                  struct str head)
{
    static const struct format *const order[] = {&format_hl7, &format_openi, &format_fhir,
                                                 &format_jsonl};
    char buf[3 * BYTES_HEAD];
    struct str last = format_last(name);
    const struct format *f = format_by_name(name);

    if (f && f != &format_openi) return f;
    head = charset_head(head, (enum charset_as)source->encoding, buf, sizeof buf);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (order[i]->looks(head)) return order[i];
    }
    if (format_ends(last, ".tsv")) return &format_tsv;
    if (format_ends(last, ".csv")) return &format_csv;
    if (format_csv.looks(head)) return &format_csv;
    return format_text.looks(head) ? &format_text : NULL;
}

enum record_status format_status_hl7(struct str code)
{
    code = str_trim(code);
    if (code.n != 1) return STATUS_UNKNOWN;
    switch (code.p[0]) {
    case 'P': /* preliminary */
    case 'R': /* stored, not verified */
    case 'A': /* some of it */
    case 'S':
    case 'I':
    case 'O':
        return STATUS_PRELIMINARY;
    case 'F':
    case 'U': /* final without retransmission */
        return STATUS_FINAL;
    case 'C':
        return STATUS_CORRECTED;
    case 'X': /* cannot be obtained, order cancelled */
    case 'D':
    case 'W': /* posted as wrong */
        return STATUS_CANCELLED;
    default:
        return STATUS_UNKNOWN;
    }
}
