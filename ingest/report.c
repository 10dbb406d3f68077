#include "ingest/report.h"

#include <ctype.h>
#include <strings.h>

#include "base/mem.h"
#include "ingest/cell.h"
#include "ingest/header_own.h"
#include "ingest/phi.h"
#include "ingest/sections.h"
#include "ingest/sections_own.h"
#include "text/clean.h"
#include "text/utf8.h"

struct report_builder {
    struct sbuf text;  /* decoded, when the input could not be taken as it is */
    struct sbuf lines; /* mitlcp: with line ends translated */
    struct sbuf cells; /* a table's text and sections put together */
    struct sbuf norm;
    struct sbuf masked;
    struct arena scratch;
    struct section_list sections;
    struct arena_mark empty;
    uint8_t fold[256];
};

enum { PIECE = 512 };

/* What becomes of a byte in a text that is to be compared: lower case, '0' for a digit, one kind of
 * blank; 0: it takes a closer look. */
static void fold_table(uint8_t table[256])
{
    memset(table, 0, 256);
    for (int c = '!'; c <= '~'; c++)
        table[c] = (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c >= '0' && c <= '9' ? '0' : c);
    table[' '] = table['\n'] = ' ';
}

bool report_builder_open(uint64_t max_entry, struct report_builder **out, struct err *e)
{
    struct report_builder *b = mem_calloc(1, sizeof *b, e);

    *out = b;
    if (!b) return false;
    sbuf_init(&b->text, 3 * max_entry + 64); /* one bad byte becomes three */
    sbuf_init(&b->cells, 4 * max_entry + 64);
    sbuf_init(&b->lines, 3 * max_entry + 64);
    sbuf_init(&b->norm, 4 * max_entry + 64);
    sbuf_init(&b->masked, 4 * max_entry + 64);
    arena_init(&b->scratch, 16 * max_entry + (1 << 20));
    b->empty = arena_mark(&b->scratch);
    fold_table(b->fold);
    return true;
}

void report_builder_close(struct report_builder *b)
{
    if (!b) return;
    sbuf_free(&b->text);
    sbuf_free(&b->cells);
    sbuf_free(&b->lines);
    sbuf_free(&b->norm);
    sbuf_free(&b->masked);
    arena_free(&b->scratch);
    section_list_free(&b->sections);
    mem_free(b);
}

/* ---- names */
static bool id_between(struct str name, char letter, struct str *out)
{
    *out = split_digits(name, letter);
    return out->n + 1 == name.n && out->n <= 32;
}

bool report_member(struct str name, struct str *patient, struct str *study)
{
    struct str part, last = {"", 0}, before = {"", 0};

    while (str_split(&name, '/', &part)) {
        before = last;
        last = part;
    }
    if (!str_ends(last, STR(".txt"))) return false;
    return id_between(str_sub(last, 0, last.n - 4), 's', study) && id_between(before, 'p', patient);
}

enum record_status report_status(struct str cell)
{
    static const struct {
        const char *prefix;
        enum record_status status;
    } words[] = {
        {"prelim", STATUS_PRELIMINARY}, {"draft", STATUS_PRELIMINARY}, {"addend", STATUS_ADDENDUM},
        {"amend", STATUS_CORRECTED},    {"correct", STATUS_CORRECTED}, {"final", STATUS_FINAL},
    };

    cell = str_trim(cell);
    if (cell.n == 1) {
        switch (cell.p[0] | 0x20) {
        case 'p':
            return STATUS_PRELIMINARY;
        case 'f':
            return STATUS_FINAL;
        case 'a':
            return STATUS_ADDENDUM;
        case 'c':
            return STATUS_CORRECTED;
        default:
            return STATUS_UNKNOWN;
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].prefix);
        if (cell.n >= n && strncasecmp(cell.p, words[i].prefix, n) == 0) return words[i].status;
    }
    return STATUS_UNKNOWN;
}

/* ---- text */
/* Well-formed UTF-8: borrowed; else repaired into buf. */
static bool decode(struct str in, bool table, struct sbuf *buf, struct str *out, uint32_t *flags,
                   struct err *e)
{
    uint64_t bad = 0;
    size_t at = buf->n;

    if (table) return cell_text(in, buf, out, flags, e);
    *out = in;
    if (utf8_valid(in)) return true;
    if (!utf8_repair(in, buf, &bad, e)) return false;
    *out = str_sub(sbuf_str(buf), at, buf->n);
    *flags |= RECORD_REPAIRED_UTF8;
    return true;
}

/* What looks like an identifier is flagged, and masked if asked. */
static bool screen(struct report_builder *b, const struct report_rules *rules, struct str *text,
                   uint32_t *flags, struct err *e)
{
    uint32_t found = rules->phi == INGEST_PHI_OFF ? 0 : phi_flags(*text);

    *flags |= found;
    if (!found || rules->phi != INGEST_PHI_MASK) return true;
    sbuf_clear(&b->masked);
    if (!phi_mask(*text, &b->masked, e)) return false;
    *text = sbuf_str(&b->masked);
    return true;
}

static bool find_sections(struct report_builder *b, const struct report_rules *rules,
                          struct str study, struct record *r, struct err *e)
{
    bool guessed = false;

    if (rules->mode == MODE_OWN) {
        if (!sections_own(rules->headers, r->text, &b->sections, r->section, &guessed, e))
            return false;
        if (guessed) r->flags |= RECORD_GUESSED;
        return true;
    }
    if (!sections_published(r->text, &b->scratch, &b->sections, e)) return false;
    sections_to_spans(r->text, &b->sections, rules->mode, r->section);
    if (rules->mode == MODE_MITLCP)
        (void)mitlcp_override(rules->custom, study, r->text, &b->sections, r->section);
    return true;
}

static bool has_cells(const struct report_input *in)
{
    for (int i = 0; i < SEC_COUNT; i++) {
        if (in->section[i].n > 0) return true;
    }
    return false;
}

/* "FINDINGS: ..." in the cell of the findings: the header is not its text, and alone it is none. A
 * clinical cell stays as it came: "INDICATION:" within a history says what it is. */
static struct str without_header(const struct report_rules *rules, enum record_section s,
                                 struct str cell)
{
    enum own_kind kind = s == SEC_FINDINGS ? OWN_FINDINGS : OWN_IMPRESSION;
    const char *lf = memchr(cell.p, '\n', cell.n);
    struct own_header h;

    if (rules->mode != MODE_OWN || (s != SEC_FINDINGS && s != SEC_IMPRESSION)) return cell;
    h = own_header_at_start(rules->headers, str_sub(cell, 0, lf ? (size_t)(lf - cell.p) : cell.n));
    if (h.kind != kind || h.text == 0 || cell.p[h.text - 1] != ':') return cell;
    return str_sub(cell, h.text, cell.n);
}

/* Cells of sections stand behind the text, one a line, where the text has no such section. */
static bool add_cells(struct report_builder *b, const struct report_rules *rules,
                      const struct report_input *in, struct record *r, struct err *e)
{
    struct record_span found[SEC_COUNT];

    sbuf_clear(&b->cells);
    if (!sbuf_put(&b->cells, r->text, e)) return false;
    memcpy(found, r->section, sizeof found);
    for (int i = 0; i < SEC_COUNT; i++) {
        struct str cell;
        size_t begin;
        if (in->section[i].n == 0 || found[i].length > 0) continue;
        if (b->cells.n > 0 && !sbuf_putc(&b->cells, '\n', e)) return false;
        sbuf_clear(&b->text);
        if (!decode(in->section[i], true, &b->text, &cell, &r->flags, e)) return false;
        if (!screen(b, rules, &cell, &r->flags, e)) return false;
        cell = without_header(rules, (enum record_section)i, cell);
        begin = b->cells.n;
        if (!sbuf_put(&b->cells, cell, e)) return false;
        found[i] = section_span(sbuf_str(&b->cells), begin, b->cells.n);
    }
    r->text = sbuf_str(&b->cells);
    memcpy(r->section, found, sizeof found);
    return true;
}

static bool make_text(struct report_builder *b, const struct report_rules *rules,
                      const struct report_input *in, struct record *r, struct err *e)
{
    sbuf_clear(&b->text);
    if (!decode(in->text, in->table, &b->text, &r->text, &r->flags, e)) return false;
    if (!screen(b, rules, &r->text, &r->flags, e)) return false;
    if (rules->mode == MODE_MITLCP && memchr(r->text.p, '\r', r->text.n)) {
        sbuf_clear(&b->lines);
        if (!mitlcp_newlines(r->text, &b->lines, e)) return false;
        r->text = sbuf_str(&b->lines);
    }
    if (r->text.n > 0 && !find_sections(b, rules, in->study, r, e)) return false;
    return !has_cells(in) || add_cells(b, rules, in, r, e);
}

/* The name of the examination is its section where the report has none. */
static struct report_input with_examination(const struct report_input *in)
{
    struct report_input out = *in;

    if (out.section[SEC_EXAMINATION].n == 0) out.section[SEC_EXAMINATION] = in->description;
    return out;
}

/* ---- hashes */
/* A character beyond ASCII, or a control character, at s: 1 to 4 bytes to `to`, a blank for white
 * space. Returns its bytes; *n: those written. */
static size_t fold_rare(struct str s, char *to, size_t *n)
{
    size_t len;
    uint32_t c = utf8_decode(s, &len);

    *n = 1;
    if (clean_is_space(c))
        *to = ' ';
    else
        *n = utf8_encode(utf8_lower(c), to);
    return len;
}

#define EACH(c) (UINT64_C(0x0101010101010101) * (c))

/* Up to eight bytes at once, as fold_table has them, into to[8]: the bytes taken, 0 if one of the
 * eight is no printable ASCII and no line feed; *wrote: those written. It stops behind a blank that
 * follows another, which is dropped. last: the byte in front. Every sum stays within its byte. */
static size_t fold_eight(const char *p, char last, char *to, size_t *wrote)
{
    const uint64_t high = EACH(0x80);
    uint64_t x, feeds, blanks, capitals, digits, behind = (uint64_t)(last == ' ') << 7;

    memcpy(&x, p, sizeof x);
    if (x & high) return 0;
    feeds = ~((x ^ EACH('\n')) + EACH(0x7F)) & high;
    x ^= (feeds >> 7) * ('\n' ^ ' ');
    if (((x + EACH(0x80 - ' ')) & ~(x + EACH(1)) & high) != high) return 0;
    blanks = ~((x ^ EACH(' ')) + EACH(0x7F)) & high;
    blanks &= blanks << 8 | behind;
    capitals = (x + EACH(0x80 - 'A')) & ~(x + EACH(0x7F - 'Z')) & high;
    x |= capitals >> 2;
    digits = (x + EACH(0x80 - '0')) & ~(x + EACH(0x7F - '9')) & high;
    digits = (digits >> 7) * 0xFF;
    x = (x & ~digits) | (EACH('0') & digits);
    memcpy(to, &x, sizeof x);
    *wrote = blanks ? (size_t)__builtin_ctzll(blanks) / 8 : 8;
    return blanks ? *wrote + 1 : 8;
}

/* Lower case, runs of white space as one blank, every digit as 0. This sees every byte of every
 * report, so words and blanks take the same way: a blank behind a blank is overwritten. s has no
 * white space at its ends. */
static bool put_folded(const uint8_t table[256], struct sbuf *out, struct str s, struct err *e)
{
    char piece[PIECE + 8], last = ' ';
    size_t n = 0, wrote;

    for (size_t at = 0; at < s.n;) {
        size_t taken = s.n - at < 8 ? 0 : fold_eight(s.p + at, last, piece + n, &wrote);
        if (taken > 0) {
            at += taken;
            n += wrote;
            last = taken > wrote ? ' ' : piece[n - 1];
        } else {
            char c = (char)table[(uint8_t)s.p[at]];
            if (c) {
                piece[n] = c;
                wrote = 1;
                at++;
            } else {
                at += fold_rare(str_sub(s, at, s.n), piece + n, &wrote);
                c = piece[n];
            }
            n += c == ' ' && last == ' ' ? 0 : wrote;
            last = c;
        }
        if (n > PIECE) {
            if (!sbuf_put(out, (struct str){piece, n}, e)) return false;
            n = 0;
        }
    }
    return n == 0 || sbuf_put(out, (struct str){piece, n}, e);
}

static struct str span_text(const struct record *r, enum record_section s)
{
    return (struct str){r->text.p + r->section[s].offset, r->section[s].length};
}

static bool make_hashes(struct report_builder *b, struct record *r, struct err *e)
{
    sbuf_clear(&b->norm);
    if (!put_folded(b->fold, &b->norm, span_text(r, SEC_FINDINGS), e)) return false;
    if (!sbuf_putc(&b->norm, '\n', e)) return false;
    if (!put_folded(b->fold, &b->norm, span_text(r, SEC_IMPRESSION), e)) return false;
    r->hash_raw = hash_xxh128(r->text.p, r->text.n);
    r->hash_norm = hash_xxh128(b->norm.p, b->norm.n);
    return true;
}

/* ---- all of it */
static void set_split(const struct report_rules *rules, const struct report_input *in,
                      struct record *r)
{
    bool weak = false;

    if (in->split >= 0)
        r->split = (uint8_t)in->split;
    else
        r->split = (uint8_t)split_of(rules->split, in->patient, in->study, &weak);
    if (weak) r->flags |= RECORD_SPLIT_WEAK;
}

static void set_modality(const struct report_rules *rules, const struct report_input *in,
                         struct record *r)
{
    struct modality_input m = {
        .column = in->column,
        .code = in->code,
        .description = in->description,
        .examination = span_text(r, SEC_EXAMINATION),
        .technique = span_text(r, SEC_TECHNIQUE),
        .head = str_sub(r->text, 0, in->text.n ? modality_head(r->text, r->section) : 0),
        .text = r->text,
        .fallback = rules->modality ? rules->modality : in->fallback,
    };
    struct modality_answer a = modality_of(rules->map, &m);

    r->modality = (uint8_t)a.code;
    r->origin = (uint8_t)a.origin;
}

/* The same name gives the same number in every source, whatever its case and blanks. */
static uint64_t reader_hash(struct str name)
{
    uint64_t h = 0;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 0x20) : name.p[i];
        if (isalnum((unsigned char)c) || (uint8_t)c >= 0x80) h = hash_xxh64(&c, 1, h + 1);
    }
    return h;
}

bool report_build(struct report_builder *b, const struct report_rules *rules,
                  const struct report_input *in, struct record *out, struct err *e)
{
    struct report_input whole = with_examination(in);

    memset(out, 0, sizeof *out);
    arena_reset(&b->scratch, b->empty);
    out->patient = in->patient;
    out->study = in->study;
    out->entry = in->entry;
    out->offset = in->offset;
    out->member = in->member;
    out->time = in->time;
    out->reader = reader_hash(in->reader);
    out->mode = (uint8_t)rules->mode;
    out->status = (uint8_t)in->status;
    if (!make_text(b, rules, &whole, out, e)) return false;
    if (out->section[SEC_FINDINGS].length == 0) out->flags |= RECORD_NO_FINDINGS;
    if (out->section[SEC_IMPRESSION].length == 0) out->flags |= RECORD_NO_IMPRESSION;
    if (!make_hashes(b, out, e)) return false;
    set_modality(rules, in, out);
    set_split(rules, in, out);
    return true;
}
