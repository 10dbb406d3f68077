/*
 * HL7 v2 ORU^R01: batches, single messages, MLLP frames; segments end with CR, LF or CR LF.
 *
 * Delimiters are those that MSH declares. A report is an OBR with the OBX that follow it; their
 * text comes line by line, as one FT, or in coded sections (LOINC, or a suffix such as &IMP).
 * Uncoded text is the report's text, coded text its sections; an addendum and a recommendation
 * join the text under a header. An OBX that is deleted or wrong is left out. An OBR without text
 * of its own in a message that has some is ignored: one report covers several exams. Lines that
 * begin with no segment name belong to the segment before: some senders break lines in OBX-5.
 */
#include <ctype.h>

#include "base/mem.h"
#include "ingest/charset.h"
#include "ingest/format.h"
#include "ingest/markup.h"
#include "ingest/roles.h"
#include "ingest/when.h"

enum { MAX_MESSAGE = 32, MIN_MSH = 8, VT = 0x0B, FS = 0x1C };

struct delimiters {
    char field, component, repeat, escape, sub;
};
struct hl7_reader {
    struct charset charset;
    struct bytes_window w;
    size_t max_bytes;
    /* The message in the window. */
    struct str *seg;
    size_t nseg, seg_cap, next; /* next: where the report after this one begins */
    size_t message;             /* its bytes, done with at the next one */
    struct delimiters d;
    struct str patient;
    uint64_t time, line, offset;
    bool any_text;            /* a report of this message had some */
    bool unread;              /* this one has a document that we do not read */
    enum record_status lines; /* what the OBX of this one say */
    /* The report. */
    struct sbuf text, notes, section[SEC_COUNT], description, raw;
};

static bool owns(struct str name, struct str last)
{
    (void)name;
    return format_ends(last, ".hl7") || format_ends(last, ".oru") || format_ends(last, ".txt") ||
           format_ends(last, ".msg") || format_ends(last, ".dat");
}

static bool looks(struct str head)
{
    while (head.n > 0 && (isspace((unsigned char)head.p[0]) || head.p[0] == VT))
        head = str_sub(head, 1, head.n);
    return head.n > MIN_MSH &&
           (str_starts(head, STR("MSH")) || str_starts(head, STR("FHS")) ||
            str_starts(head, STR("BHS"))) &&
           ispunct((unsigned char)head.p[3]);
}

/* ---- messages in the stream */
static bool is_end(char c)
{
    return c == '\r' || c == '\n';
}

/* Does a segment of this name begin here? */
static bool is_segment(struct str s, const char *name)
{
    return s.n > 3 && memcmp(s.p, name, 3) == 0 && ispunct((unsigned char)s.p[3]);
}

static bool ends_message(struct str s)
{
    return s.p[0] == VT || is_segment(s, "MSH") || is_segment(s, "FHS") || is_segment(s, "BHS") ||
           is_segment(s, "BTS") || is_segment(s, "FTS");
}

/* At least n bytes in the window, if there are as many. */
static bool have(struct bytes_window *w, size_t n, struct err *e)
{
    while (w->end - w->at < n && !w->eof) {
        if (!bytes_window_fill(w, e)) return false;
    }
    return true;
}

/* Behind the next line end, from `at` + from; at most max bytes are looked at. */
static bool line_end(struct bytes_window *w, size_t from, size_t max, size_t *out, struct err *e)
{
    for (*out = from;; (*out)++) {
        if (!have(w, *out + 2, e)) return false;
        if (w->at + *out >= w->end || *out > max) return true;
        if (!is_end(w->p[w->at + *out])) continue;
        *out += 1 + (w->p[w->at + *out] == '\r' && w->at + *out + 1 < w->end &&
                     w->p[w->at + *out + 1] == '\n');
        return true;
    }
}

/* To the next MSH. What stands between is frames, batch headers, or nothing of ours: *odd if the
 * latter. */
static bool find_message(struct hl7_reader *r, bool *more, bool *odd, struct err *e)
{
    struct bytes_window *w = &r->w;

    *odd = false;
    for (;;) {
        struct str s;
        size_t n;
        if (!have(w, 4, e)) return false;
        s = (struct str){w->p + w->at, w->end - w->at};
        *more = s.n > 0;
        if (s.n == 0 || is_segment(s, "MSH")) return true;
        if (isspace((unsigned char)s.p[0]) || s.p[0] == FS) { /* VT is white space to C */
            bytes_window_advance(w, 1);
            continue;
        }
        *odd = !ends_message(s);
        if (*odd) {
            r->line = bytes_window_line(w);
            r->offset = w->offset;
        }
        if (!line_end(w, 0, r->max_bytes, &n, e)) return false;
        bytes_window_advance(w, n);
        if (*odd) return true;
    }
}

/* Bytes of the message in the window. */
static bool find_end(struct hl7_reader *r, size_t *n, bool *over, struct err *e)
{
    struct bytes_window *w = &r->w;

    for (*n = 0;;) {
        if (!line_end(w, *n, r->max_bytes, n, e)) return false;
        *over = *n > r->max_bytes;
        if (*over) return true;
        if (!have(w, *n + 4, e)) return false;
        if (w->at + *n >= w->end) return true;
        if (w->p[w->at + *n] == FS) return true;
        if (ends_message((struct str){w->p + w->at + *n, w->end - w->at - *n})) return true;
    }
}

/* ---- segments and fields */
static bool begins_segment(struct str line, char field)
{
    return line.n >= 3 && isupper((unsigned char)line.p[0]) &&
           (isupper((unsigned char)line.p[1]) || isdigit((unsigned char)line.p[1])) &&
           (isupper((unsigned char)line.p[2]) || isdigit((unsigned char)line.p[2])) &&
           (line.n == 3 || line.p[3] == field);
}

static bool split_segments(struct hl7_reader *r, struct str message, struct err *e)
{
    r->nseg = 0;
    for (size_t at = 0; at < message.n;) {
        size_t end = at;
        struct str line;
        while (end < message.n && !is_end(message.p[end]))
            end++;
        line = str_sub(message, at, end);
        if (begins_segment(line, r->d.field)) {
            if (!mem_grow((void **)&r->seg, &r->seg_cap, r->nseg + 1, sizeof *r->seg, e))
                return false;
            r->seg[r->nseg++] = line;
        } else if (r->nseg > 0 && str_trim(line).n > 0) {
            struct str *last = &r->seg[r->nseg - 1];
            last->n = (size_t)(line.p + line.n - last->p);
        }
        at = end + 1;
    }
    return true;
}

static struct str piece(struct str s, char sep, size_t k)
{
    struct str out;

    for (size_t i = 0; str_split(&s, sep, &out); i++) {
        if (i == k) return out;
    }
    return STR("");
}

/* Field k as the standard counts; MSH-1 is the delimiter itself. */
static struct str field(const struct hl7_reader *r, struct str seg, size_t k)
{
    return piece(seg, r->d.field, str_starts(seg, STR("MSH")) ? k - 1 : k);
}

static struct str component(const struct hl7_reader *r, struct str seg, size_t k, size_t c)
{
    return piece(piece(field(r, seg, k), r->d.repeat, 0), r->d.component, c - 1);
}

static bool seg_is(struct str seg, const char *name)
{
    return seg.n >= 3 && memcmp(seg.p, name, 3) == 0;
}

static bool is_text(struct str s, const char *z)
{
    return str_eqz(str_trim(s), z);
}

/* ---- escapes */
static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool put_escape(const struct hl7_reader *r, struct str code, struct sbuf *out, struct err *e)
{
    const struct delimiters *d = &r->d;

    if (code.n == 1) {
        const char from[] = "FSTRE";
        const char to[] = {d->field, d->component, d->sub, d->repeat, d->escape};
        const char *hit = memchr(from, code.p[0], 5);
        return !hit || sbuf_putc(out, to[hit - from], e); /* H, N: highlighting */
    }
    if (str_starts(code, STR(".br")) || str_starts(code, STR(".sp")) ||
        str_starts(code, STR(".ce")) || str_starts(code, STR(".fi")))
        return sbuf_putc(out, '\n', e);
    if (str_starts(code, STR(".ti")) || str_starts(code, STR(".in")) ||
        str_starts(code, STR(".sk")))
        return sbuf_putc(out, ' ', e);
    if (code.p[0] != 'X') return true;
    for (size_t i = 1; i + 1 < code.n; i += 2) {
        int c = hex(code.p[i]) * 16 + hex(code.p[i + 1]);
        if (hex(code.p[i]) < 0 || hex(code.p[i + 1]) < 0) break;
        if (c == '\r') c = '\n';
        if (c > 0 && !sbuf_putc(out, (char)c, e)) return false;
    }
    return true;
}

/* A backslash that begins no escape of HL7 is one. */
static bool is_escape(struct str code)
{
    if (code.n == 1) return memchr("FSTREHN", code.p[0], 7) != NULL;
    if (code.n < 2 || code.n > 64) return false;
    return code.p[0] == '.' || code.p[0] == 'X' || code.p[0] == 'C' || code.p[0] == 'M' ||
           code.p[0] == 'Z';
}

static bool unescape(const struct hl7_reader *r, struct str s, struct sbuf *out, struct err *e)
{
    while (s.n > 0) {
        const char *p = memchr(s.p, r->d.escape, s.n);
        size_t n = p ? (size_t)(p - s.p) : s.n, close;
        struct str code;
        if (n > 0 && !sbuf_put(out, str_sub(s, 0, n), e)) return false;
        s = str_sub(s, n, s.n);
        if (s.n == 0) break;
        close = str_find(s, (struct str){&r->d.escape, 1}, 1);
        code = str_sub(s, 1, close);
        if (close != SIZE_MAX && is_escape(code)) {
            if (!put_escape(r, code, out, e)) return false;
            s = str_sub(s, close + 1, s.n);
        } else {
            if (!sbuf_putc(out, r->d.escape, e)) return false;
            s = str_sub(s, 1, s.n);
        }
    }
    return true;
}

/* ---- OBX */
enum place { PLACE_TEXT = SEC_COUNT, PLACE_ADDENDUM, PLACE_RECOMMENDATION };

static int place_of(const struct hl7_reader *r, struct str obx)
{
    static const struct {
        const char *code;
        int place;
    } codes[] = {
        {"59776-5", SEC_FINDINGS},
        {"18782-3", SEC_FINDINGS},
        {"19005-8", SEC_IMPRESSION},
        {"55752-0", SEC_CLINICAL},
        {"11329-0", SEC_CLINICAL},
        {"18785-6", SEC_CLINICAL},
        {"18834-2", SEC_COMPARISON},
        {"55111-9", SEC_TECHNIQUE},
        {"18783-1", PLACE_RECOMMENDATION},
        {"55107-7", PLACE_ADDENDUM},
        {"GDT", SEC_FINDINGS},
        {"FND", SEC_FINDINGS},
        {"IMP", SEC_IMPRESSION},
        {"HIS", SEC_CLINICAL},
        {"IND", SEC_CLINICAL},
        {"CMP", SEC_COMPARISON},
        {"TEC", SEC_TECHNIQUE},
        {"PRC", SEC_TECHNIQUE},
        {"ADT", PLACE_ADDENDUM},
        {"REC", PLACE_RECOMMENDATION},
    };
    static const struct {
        enum ingest_role role;
        int place;
    } words[] = {{ROLE_FINDINGS, SEC_FINDINGS},     {ROLE_IMPRESSION, SEC_IMPRESSION},
                 {ROLE_CLINICAL, SEC_CLINICAL},     {ROLE_TECHNIQUE, SEC_TECHNIQUE},
                 {ROLE_COMPARISON, SEC_COMPARISON}, {ROLE_ADDENDUM, PLACE_ADDENDUM}};
    struct str id = component(r, obx, 3, 1), suffix = piece(id, r->d.sub, 1);
    struct str name = component(r, obx, 3, 2);

    if (suffix.n == 0) suffix = id;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (is_text(suffix, codes[i].code)) return codes[i].place;
    }
    for (size_t i = 0; name.n > 0 && i < sizeof words / sizeof *words; i++) {
        if (role_usual(words[i].role, name) >= 0) return words[i].place;
    }
    return PLACE_TEXT;
}

/* ED: source ^ type ^ subtype ^ encoding ^ data. */
static bool put_document(struct hl7_reader *r, struct str value, struct sbuf *out, struct err *e)
{
    struct str type = piece(value, r->d.component, 1), sub = piece(value, r->d.component, 2);
    struct str data = piece(value, r->d.component, 4);
    bool rtf = format_ends(sub, "rtf"), html = format_ends(sub, "html"), ok = true;

    r->unread = !rtf && !html && !format_ends(type, "text") && !format_ends(sub, "plain");
    if (r->unread) return true;
    sbuf_clear(&r->raw);
    if (!format_ends(piece(value, r->d.component, 3), "base64"))
        ok = unescape(r, data, &r->raw, e);
    else if (!markup_base64(data, &r->raw, &ok, e))
        return false;
    else if (!ok)
        return true;
    if (!ok || r->raw.n == 0) return ok;
    data = sbuf_str(&r->raw);
    if (rtf) return markup_rtf(data, out, e);
    return html ? markup_html(data, out, e) : sbuf_put(out, data, e);
}

static bool put_value(struct hl7_reader *r, struct str obx, struct sbuf *out, struct err *e)
{
    struct str type = field(r, obx, 2), value = field(r, obx, 5), one;
    bool first = true, coded = is_text(type, "CE") || is_text(type, "CWE") || is_text(type, "CNE");

    if (is_text(type, "ED")) return put_document(r, value, out, e);
    if (is_text(type, "RP")) r->unread = true;
    if (is_text(type, "RP") || is_text(type, "NM") || is_text(type, "DT")) return true;
    while (str_split(&value, r->d.repeat, &one)) {
        if (!first && !sbuf_putc(out, '\n', e)) return false;
        first = false;
        if (coded) {
            struct str words = piece(one, r->d.component, 1);
            one = words.n ? words : piece(one, r->d.component, 0);
        }
        if (!unescape(r, one, out, e)) return false;
    }
    return true;
}

/* What the lines say of themselves: one preliminary line makes a preliminary report, else one
 * corrected line a corrected one. */
static void note_status(struct hl7_reader *r, enum record_status line)
{
    if (line == STATUS_UNKNOWN || r->lines == STATUS_PRELIMINARY) return;
    if (line == STATUS_PRELIMINARY || r->lines == STATUS_UNKNOWN || line == STATUS_CORRECTED)
        r->lines = line;
}

static bool take_obx(struct hl7_reader *r, struct str obx, struct err *e)
{
    int place = place_of(r, obx);
    struct sbuf *out = place < SEC_COUNT ? &r->section[place] : &r->text;
    struct str status = str_trim(field(r, obx, 11));

    if (format_status_hl7(status) == STATUS_CANCELLED) return true;
    note_status(r, format_status_hl7(status));
    if (place == PLACE_ADDENDUM && !sbuf_put(out, STR("\n\nADDENDUM:"), e)) return false;
    if (place == PLACE_RECOMMENDATION && !sbuf_put(out, STR("\n\nRECOMMENDATION:"), e))
        return false;
    if (out->n > 0 && !sbuf_putc(out, '\n', e)) return false;
    return put_value(r, obx, out, e);
}

/* ---- a report */
static struct str patient_id(const struct hl7_reader *r, struct str pid)
{
    struct str all = field(r, pid, 3), one, first = STR("");

    for (bool any = false; str_split(&all, r->d.repeat, &one); any = true) {
        if (!any) first = piece(one, r->d.component, 0);
        if (is_text(piece(one, r->d.component, 4), "MR")) return piece(one, r->d.component, 0);
    }
    return first.n ? first : component(r, pid, 2, 1);
}

/* Sections of table 0074 that are no imaging. */
static bool is_other_service(struct str code)
{
    static const char *const codes[] = {"LAB", "HM", "CH", "MB", "BLB", "IMM", "MCB", "MYC",
                                        "SP",  "TX", "VR", "CG", "CP",  "URN", "EC",  "EN",
                                        "PHR", "PF", "PT", "RC", "SR",  "NRS"};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (is_text(code, codes[i])) return true;
    }
    return false;
}

static bool describe(struct hl7_reader *r, struct str obr, struct report_input *in, struct err *e)
{
    struct str words = component(r, obr, 4, 2);

    in->code = str_trim(component(r, obr, 4, 1));
    if (str_starts(str_trim(component(r, obr, 4, 6)), STR("C"))) /* CPT, C4 as the alternative */
        in->code = str_trim(component(r, obr, 4, 4));
    if (words.n == 0) words = component(r, obr, 4, 5);
    sbuf_clear(&r->description);
    if (!unescape(r, words, &r->description, e)) return false;
    if (r->description.n > 0) in->description = str_trim(sbuf_str(&r->description));
    in->section[SEC_EXAMINATION] = in->description;
    return true;
}

static void identify(const struct hl7_reader *r, struct str orc, struct str obr,
                     struct report_input *in)
{
    const struct str ids[] = {component(r, obr, 3, 1), component(r, orc, 3, 1),
                              component(r, obr, 18, 1), component(r, obr, 2, 1),
                              component(r, orc, 2, 1)};

    for (size_t i = 0; i < sizeof ids / sizeof *ids && in->study.n == 0; i++)
        in->study = str_trim(ids[i]);
    in->patient = str_trim(r->patient);
    in->time = when_of(component(r, obr, 22, 1));
    if (!in->time) in->time = r->time;
    if (!in->time) in->time = when_of(component(r, obr, 7, 1));
    in->reader = component(r, obr, 32, 1);
    in->status = format_status_hl7(field(r, obr, 25));
    if (in->status == STATUS_UNKNOWN) in->status = r->lines;
    in->column = str_trim(field(r, obr, 24));
}

/* Segments [r->next, end) of one OBR. */
static bool read_segments(struct hl7_reader *r, size_t end, struct str *orc, struct str *obr,
                          struct err *e)
{
    r->unread = false;
    r->lines = STATUS_UNKNOWN;
    sbuf_clear(&r->text);
    sbuf_clear(&r->notes);
    for (int i = 0; i < SEC_COUNT; i++)
        sbuf_clear(&r->section[i]);
    for (; r->next < end; r->next++) {
        struct str seg = r->seg[r->next];
        if (seg_is(seg, "PID")) r->patient = patient_id(r, seg);
        if (seg_is(seg, "ORC")) *orc = seg;
        if (seg_is(seg, "OBR")) *obr = seg;
        if (seg_is(seg, "OBX") && !take_obx(r, seg, e)) return false;
        if (!seg_is(seg, "NTE") || obr->n == 0) continue;
        if (r->notes.n > 0 && !sbuf_putc(&r->notes, '\n', e)) return false;
        if (!unescape(r, field(r, seg, 3), &r->notes, e)) return false;
    }
    return true;
}

/* Where the segments of the next OBR end: at the ORC or OBR after it. */
static size_t group_end(const struct hl7_reader *r)
{
    size_t i = r->next;
    bool seen = false;

    for (; i < r->nseg; i++) {
        bool obr = seg_is(r->seg[i], "OBR");
        if (seen && (obr || seg_is(r->seg[i], "ORC") || seg_is(r->seg[i], "PID"))) break;
        seen = seen || obr;
    }
    return i;
}

static struct str text_of(const struct sbuf *b)
{
    return b->n ? sbuf_str(b) : STR("");
}

static bool take_report(struct hl7_reader *r, struct format_item *out, struct err *e)
{
    struct str orc = STR(""), obr = STR("");
    struct report_input *in = &out->in;
    bool any = false;

    if (!read_segments(r, group_end(r), &orc, &obr, e)) return false;
    identify(r, orc, obr, in);
    if (!describe(r, obr, in, e)) return false;
    in->text = text_of(r->text.n ? &r->text : &r->notes);
    any = str_trim(in->text).n > 0;
    for (int i = 0; i < SEC_COUNT; i++) {
        if (r->section[i].n > 0) in->section[i] = text_of(&r->section[i]);
        any = any || (i != SEC_EXAMINATION && str_trim(in->section[i]).n > 0);
    }
    in->table = true;
    in->split = -1;
    out->kind = ITEM_REPORT;
    if (is_other_service(in->column)) {
        out->kind = ITEM_IGNORE;
    } else if (!any && (r->unread || r->any_text)) {
        out->kind = r->unread ? ITEM_REJECT : ITEM_IGNORE;
        out->reason = REJECT_NO_TEXT;
    } else if (!any && obr.n == 0) { /* no report in it, or cut off */
        out->kind = ITEM_REJECT;
        out->reason = REJECT_FORMAT;
    }
    r->any_text = r->any_text || any;
    return true;
}

/* ---- a message */
static bool begin_message(struct hl7_reader *r, struct format_item *out, struct err *e)
{
    struct str message = {r->w.p + r->w.at, r->message}, type;

    r->d = (struct delimiters){message.p[3], '^', '~', '\\', '&'};
    if (message.n > MIN_MSH && message.p[4] != r->d.field) {
        r->d.component = message.p[4];
        r->d.repeat = message.p[5];
        if (message.p[6] != r->d.field) r->d.escape = message.p[6];
        if (message.p[6] != r->d.field && message.p[7] != r->d.field) r->d.sub = message.p[7];
    }
    if (!split_segments(r, message, e)) return false;
    type = r->nseg ? piece(field(r, r->seg[0], 9), r->d.component, 0) : STR("");
    r->next = 1;
    r->any_text = false;
    r->patient = STR("");
    r->time = r->nseg ? when_of(component(r, r->seg[0], 7, 1)) : 0;
    if (r->nseg == 0) {
        out->kind = ITEM_REJECT;
        out->reason = REJECT_FORMAT;
    } else if (type.n > 0 && !str_starts(type, STR("ORU"))) {
        out->kind = ITEM_IGNORE;
        r->next = r->nseg;
    }
    return true;
}

/* The next message into the window and apart; *item: out is what came of it already. */
static bool next_message(struct hl7_reader *r, struct format_item *out, bool *more, bool *item,
                         struct err *e)
{
    bool odd, over;

    *item = true;
    bytes_window_advance(&r->w, r->message);
    r->message = r->nseg = r->next = 0;
    if (!find_message(r, more, &odd, e)) return false;
    if (!*more && !odd) return true;
    *more = true;
    out->kind = ITEM_REJECT;
    out->reason = REJECT_FORMAT;
    if (odd) return true;
    r->line = bytes_window_line(&r->w);
    r->offset = r->w.offset;
    if (!find_end(r, &r->message, &over, e)) return false;
    out->reason = REJECT_TOO_LARGE;
    if (over) return true;
    out->kind = ITEM_REPORT;
    if (!begin_message(r, out, e)) return false;
    *item = out->kind != ITEM_REPORT;
    return true;
}

static bool next(void *reader, struct format_item *out, bool *more, struct err *e)
{
    struct hl7_reader *r = reader;
    bool item = false, ok = true;

    *more = true;
    *out = (struct format_item){.kind = ITEM_REPORT};
    if (r->next >= r->nseg) ok = next_message(r, out, more, &item, e);
    if (ok && *more && !item) ok = take_report(r, out, e);
    out->line = r->line;
    out->in.offset = r->offset;
    return ok;
}

/* ---- the format */
static void shut(void *reader)
{
    struct hl7_reader *r = reader;

    if (!r) return;
    bytes_window_free(&r->w);
    mem_free(r->seg);
    sbuf_free(&r->text);
    sbuf_free(&r->notes);
    sbuf_free(&r->description);
    sbuf_free(&r->raw);
    for (int i = 0; i < SEC_COUNT; i++)
        sbuf_free(&r->section[i]);
    mem_free(r);
}

static bool open_hl7(const struct format_input *in, void **out, struct err *e)
{
    struct hl7_reader *r = mem_calloc(1, sizeof *r, e);

    *out = r;
    if (!r) return false;
    charset_init(&r->charset, in->in, (enum charset_as)in->source->encoding);
    bytes_window_init(&r->w, charset_bytes(&r->charset));
    r->max_bytes = (size_t)MAX_MESSAGE * in->max_entry + (64 << 10);
    sbuf_init(&r->text, 4 * r->max_bytes);
    sbuf_init(&r->notes, 4 * r->max_bytes);
    sbuf_init(&r->description, 4 * r->max_bytes);
    sbuf_init(&r->raw, 4 * r->max_bytes);
    for (int i = 0; i < SEC_COUNT; i++)
        sbuf_init(&r->section[i], 4 * r->max_bytes);
    return true;
}

const struct format format_hl7 = {
    .owns = owns, .looks = looks, .open = open_hl7, .next = next, .close = shut};
