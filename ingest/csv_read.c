#include "ingest/csv_read.h"

#include <csv.h>

#include "base/arena.h"
#include "base/mem.h"
#include "text/utf8.h"

/* Reading broken rows again may cost this much, or a hostile file would never end. */
enum { MARK_BYTES = 3, CHUNK = 64 << 10, MAX_REREAD_BYTES = 1 << 30 };
enum encoding { ENC_UTF8, ENC_UTF16LE, ENC_UTF16BE };

/*
 * raw:  | ... | row ........ fed | fed ..... end |
 * What stands before `row` is done with. Lines are given to libcsv one by one, so that a row ends
 * with a line and its place is known; a broken row is read again from its second line.
 */
struct csv_reader {
    csv_fill_fn fill;
    void *ctx;
    struct csv_limits limits;
    struct csv_parser parser;
    bool parsing, eof;
    char delimiter;
    enum encoding encoding;
    char odd[4]; /* UTF-16 bytes left over from the last chunk */
    size_t nodd;

    char *raw;
    size_t raw_cap, row, fed, end;
    uint64_t offset; /* of raw[row] in the stream */
    uint64_t line;   /* of raw[row] */
    uint64_t reread_bytes;

    /* The row being built by libcsv's callbacks. */
    struct sbuf text;
    size_t *ends; /* end of each cell in text */
    size_t ends_cap, ncells;
    bool row_done, failed;
    struct err failure;
    struct str *cells; /* what next() gives out */
    size_t cells_cap;

    struct str *header;
    size_t nheader;
    struct arena arena;
};

/* ---- libcsv's memory and callbacks */
static void *grow(void *p, size_t n)
{
    struct err e = {0};
    return mem_realloc(p, n, &e);
}

static void on_cell(void *p, size_t n, void *ctx)
{
    struct csv_reader *r = ctx;
    struct str s = {p ? p : "", p ? n : 0};

    if (r->failed) return;
    r->failed =
        !mem_grow((void **)&r->ends, &r->ends_cap, r->ncells + 1, sizeof *r->ends, &r->failure) ||
        (s.n > 0 && !sbuf_put(&r->text, s, &r->failure));
    if (!r->failed) r->ends[r->ncells++] = r->text.n;
}

static void on_row(int c, void *ctx)
{
    struct csv_reader *r = ctx;
    (void)c;
    r->row_done = true;
}

static bool start_parser(struct csv_reader *r, struct err *e)
{
    if (r->parsing) csv_free(&r->parser);
    r->parsing = csv_init(&r->parser, 0) == 0;
    if (!r->parsing) return err_set(e, ERR_NOMEM, "libcsv cannot start");
    csv_set_realloc_func(&r->parser, grow);
    csv_set_free_func(&r->parser, mem_free);
    csv_set_delim(&r->parser, (unsigned char)r->delimiter);
    return true;
}

/* ---- bytes in */
static bool put_utf16(struct csv_reader *r, const uint8_t *p, size_t n, struct err *e)
{
    int hi = r->encoding == ENC_UTF16LE ? 1 : 0;
    size_t at = 0;

    /* At most 3 bytes of UTF-8 come from 2 of UTF-16. */
    if (!mem_grow((void **)&r->raw, &r->raw_cap, r->end + n / 2 * 3 + 4, 1, e)) return false;
    while (n - at >= 2) {
        uint32_t c = (uint32_t)p[at + hi] << 8 | p[at + 1 - hi];
        size_t used = 2;
        if (c >= 0xD800 && c < 0xDC00) {
            uint32_t low;
            if (n - at < 4) break; /* the rest comes with the next chunk */
            low = (uint32_t)p[at + 2 + hi] << 8 | p[at + 3 - hi];
            if (low >= 0xDC00 && low < 0xE000) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                used = 4;
            }
        }
        if (c >= 0xD800 && c < 0xE000) c = UTF8_REPLACEMENT;
        r->end += utf8_encode(c, r->raw + r->end);
        at += used;
    }
    r->nodd = n - at;
    memcpy(r->odd, p + at, r->nodd);
    return true;
}

/* A chunk more behind raw[end]; what stands before raw[row] makes room. */
static bool fill_raw(struct csv_reader *r, struct err *e)
{
    char buf[CHUNK + sizeof r->odd];
    size_t got;

    memmove(r->raw, r->raw + r->row, r->end - r->row);
    r->fed -= r->row;
    r->end -= r->row;
    r->row = 0;
    memcpy(buf, r->odd, r->nodd);
    if (!r->fill(r->ctx, buf + r->nodd, CHUNK, &got, e)) return false;
    r->eof = got == 0;
    if (r->encoding != ENC_UTF8) return put_utf16(r, (const uint8_t *)buf, got + r->nodd, e);
    if (!mem_grow((void **)&r->raw, &r->raw_cap, r->end + got + 1, 1, e)) return false;
    memcpy(r->raw + r->end, buf, got);
    r->end += got;
    return true;
}

/* Byte order mark: dropped, and UTF-16 decoded from here on. */
static bool read_mark(struct csv_reader *r, struct err *e)
{
    struct str s = {r->raw, r->end};
    char first[CHUNK + 8];

    if (str_starts(s, STR("\xEF\xBB\xBF"))) {
        r->row = r->fed = 3;
        r->offset = 3;
        return true;
    }
    if (str_starts(s, STR("\xFF\xFE")))
        r->encoding = ENC_UTF16LE;
    else if (str_starts(s, STR("\xFE\xFF")))
        r->encoding = ENC_UTF16BE;
    else
        return true;
    CHECK(r->end <= sizeof first);
    memcpy(first, r->raw, r->end);
    s = (struct str){first + 2, r->end - 2};
    r->end = 0;
    return put_utf16(r, (const uint8_t *)s.p, s.n, e);
}

/* The delimiter is what the header line has most of, outside quotes. False: that line is not all
 * there yet. */
static bool sniff(const struct csv_reader *r, char *out)
{
    static const char candidates[] = ",;\t|";
    size_t count[4] = {0}, best = 0;
    bool quoted = false, seen = false, whole = false;

    for (size_t i = r->row; i < r->end && i - r->row < r->limits.max_row && !whole; i++) {
        char c = r->raw[i];
        const char *hit = c ? strchr(candidates, c) : NULL;
        bool end = !quoted && (c == '\n' || c == '\r');
        if (c == '"') quoted = !quoted;
        whole = end && seen;
        seen = seen || !end;
        if (!quoted && hit) count[hit - candidates]++;
    }
    for (size_t i = 1; i < 4; i++) {
        if (count[i] > count[best]) best = i;
    }
    *out = candidates[best];
    return whole;
}

/* ---- rows out */
/* Bytes to give to libcsv next: up to and with the next line end. A lone CR ends a line too. */
static size_t next_piece(const struct csv_reader *r)
{
    const char *p = r->raw + r->fed;
    size_t n = r->end - r->fed;
    const char *lf = memchr(p, '\n', n);
    size_t to_lf = lf ? (size_t)(lf - p) + 1 : n;
    const char *cr = memchr(p, '\r', to_lf);
    size_t to_cr = cr ? (size_t)(cr - p) + 1 : to_lf;

    if (!cr || (to_cr < n && p[to_cr] == '\n')) return to_lf;
    return to_cr;
}

/* Skip to raw[at]; the row begins there. */
static void advance(struct csv_reader *r, size_t at)
{
    for (size_t i = r->row; i < at; i++) {
        bool lf = r->raw[i] == '\n';
        bool cr = r->raw[i] == '\r' && (i + 1 >= r->end || r->raw[i + 1] != '\n');
        r->line += lf || cr;
    }
    r->offset += at - r->row;
    r->row = at;
    r->fed = at;
    r->ncells = 0;
    r->row_done = false;
    sbuf_clear(&r->text);
}

/* Was what libcsv was just given, n bytes, a whole row of nothing but blanks? */
static bool is_empty_line(const struct csv_reader *r, size_t n)
{
    char last = r->raw[r->fed - 1];
    bool whole = last == '\n' || last == '\r' || (r->eof && r->fed == r->end);

    return whole && r->fed - r->row == n && n <= r->limits.max_row &&
           str_trim((struct str){r->raw + r->row, n}).n == 0;
}

/* Feed lines until a row ends. *quotes: it never does. *more false: nothing is left. */
static bool feed_row(struct csv_reader *r, bool *quotes, bool *more, struct err *e)
{
    *quotes = false;
    *more = true;
    while (!r->row_done) {
        size_t n;
        /* A CR at the very end may be half of a CR LF. */
        while (!r->eof && (next_piece(r) == r->end - r->fed)) {
            if (r->end - r->row > r->limits.max_row) break;
            if (!fill_raw(r, e)) return false;
        }
        n = next_piece(r);
        if (n == 0) {
            /* libcsv tells an open quote only in strict mode, which would refuse 5'10". */
            (void)csv_set_opts(&r->parser, CSV_STRICT | CSV_STRICT_FINI);
            *quotes = csv_fini(&r->parser, on_cell, on_row, r) != 0;
            *more = r->row_done || *quotes;
            break;
        }
        if (csv_parse(&r->parser, r->raw + r->fed, n, on_cell, on_row, r) != n)
            return err_set(e, ERR_NOMEM, "libcsv: %s", csv_strerror(csv_error(&r->parser)));
        r->fed += n;
        if (is_empty_line(r, n)) advance(r, r->fed);
        if (!r->row_done && r->fed - r->row > r->limits.max_row) {
            *quotes = true;
            break;
        }
    }
    if (r->failed) {
        *e = r->failure;
        return false;
    }
    return true;
}

/* Behind a quote: does the cell end here? */
static bool cell_ends(const struct csv_reader *r, size_t at)
{
    while (at < r->fed && r->raw[at] == ' ')
        at++;
    return at == r->fed || r->raw[at] == r->delimiter || r->raw[at] == '\n' || r->raw[at] == '\r';
}

/* A row over several lines with a quote inside a quoted cell that is not doubled: more likely an
 * open quote of its first line that a later row's quote closed. Within one line it is let pass. */
static bool is_doubtful(const struct csv_reader *r)
{
    bool quoted = false, start = true, lines = false, stray = false;

    for (size_t i = r->row; i < r->fed; i++) {
        char c = r->raw[i];
        lines = lines || (quoted && c == '\n');
        if (!quoted) {
            quoted = start && c == '"';
            start = c == r->delimiter || (start && c == ' ');
        } else if (c == '"' && i + 1 < r->fed && r->raw[i + 1] == '"') {
            i++;
        } else if (c == '"') {
            quoted = !cell_ends(r, i + 1);
            stray = stray || quoted;
        }
    }
    return lines && stray;
}

static bool give_cells(struct csv_reader *r, struct csv_row *out, struct err *e)
{
    size_t begin = 0;

    if (!mem_grow((void **)&r->cells, &r->cells_cap, r->ncells + 1, sizeof *r->cells, e))
        return false;
    for (size_t i = 0; i < r->ncells; i++) {
        r->cells[i] = (struct str){r->text.p ? r->text.p + begin : "", r->ends[i] - begin};
        begin = r->ends[i];
    }
    out->cells = r->cells;
    out->n = r->ncells;
    return true;
}

/* The row at raw[row] is broken: go on at the line after its first, however long that is. */
static bool resync(struct csv_reader *r, struct err *e)
{
    r->reread_bytes += r->fed - r->row;
    if (r->reread_bytes > MAX_REREAD_BYTES)
        return err_set(e, ERR_LIMIT, "too many broken rows up to line %llu: export the table again",
                       (unsigned long long)r->line);
    for (;;) {
        size_t n;
        r->fed = r->row;
        n = next_piece(r);
        if (n < r->end - r->row || r->eof || (n > 0 && r->raw[r->row + n - 1] == '\n')) {
            advance(r, r->row + n);
            return start_parser(r, e);
        }
        /* Half a CR LF stays for the next look. */
        advance(r, r->row + n - (n > 0 && r->raw[r->row + n - 1] == '\r'));
        if (!fill_raw(r, e)) return false;
    }
}

bool csv_reader_next(struct csv_reader *r, struct csv_row *out, bool *more, struct err *e)
{
    bool quotes;

    memset(out, 0, sizeof *out);
    if (r->row_done) advance(r, r->fed);
    if (!feed_row(r, &quotes, more, e)) return false;
    if (!*more) return true;
    out->line = r->line;
    out->offset = r->offset;
    quotes = quotes || r->fed - r->row > r->limits.max_row || is_doubtful(r);
    if (!quotes && (r->nheader == 0 || r->ncells == r->nheader)) return give_cells(r, out, e);
    out->fault = quotes ? CSV_ROW_QUOTES : CSV_ROW_CELLS;
    return resync(r, e);
}

static bool read_header(struct csv_reader *r, struct err *e)
{
    struct csv_row row;
    bool more;

    if (!csv_reader_next(r, &row, &more, e)) return false;
    if (!more) return err_set(e, ERR_FORMAT, "no header row: the table is empty");
    if (row.fault != CSV_ROW_WHOLE)
        return err_set(e, ERR_FORMAT, "line %llu: the quotes of the header row never close",
                       (unsigned long long)row.line);
    if (row.n > r->limits.max_cells)
        return err_set(e, ERR_LIMIT, "line %llu: the header row has %zu cells, more than %zu",
                       (unsigned long long)row.line, row.n, r->limits.max_cells);
    r->header = arena_alloc(&r->arena, row.n * sizeof *r->header, e);
    if (!r->header) return false;
    for (size_t i = 0; i < row.n; i++) {
        if (!arena_str(&r->arena, str_trim(row.cells[i]), &r->header[i], e)) return false;
    }
    r->nheader = row.n;
    return true;
}

bool csv_reader_open(csv_fill_fn fill, void *ctx, const struct csv_limits *limits,
                     struct csv_reader **out, struct err *e)
{
    struct csv_reader *r = mem_calloc(1, sizeof *r, e);
    bool ok = false;

    *out = NULL;
    if (!r) return false;
    r->fill = fill;
    r->ctx = ctx;
    r->limits = *limits;
    r->line = 1;
    sbuf_init(&r->text, limits->max_row + CHUNK);
    arena_init(&r->arena, limits->max_row + CHUNK);
    if (!mem_grow((void **)&r->raw, &r->raw_cap, CHUNK, 1, e)) goto out;
    while (!r->eof && r->end < MARK_BYTES) {
        if (!fill_raw(r, e)) goto out;
    }
    if (!read_mark(r, e)) goto out;
    while (!sniff(r, &r->delimiter) && !r->eof && r->end - r->row < r->limits.max_row) {
        if (!fill_raw(r, e)) goto out;
    }
    if (!start_parser(r, e)) goto out;
    ok = read_header(r, e);
out:
    if (ok)
        *out = r;
    else
        csv_reader_close(r);
    return ok;
}

const struct str *csv_reader_header(const struct csv_reader *r, size_t *n)
{
    *n = r->nheader;
    return r->header;
}

void csv_reader_close(struct csv_reader *r)
{
    if (!r) return;
    if (r->parsing) csv_free(&r->parser);
    sbuf_free(&r->text);
    arena_free(&r->arena);
    mem_free(r->raw);
    mem_free(r->ends);
    mem_free(r->cells);
    mem_free(r);
}

static bool skipped(char c)
{
    return c == '_' || c == '-' || c == ' ' || c == '.' || c == '#';
}

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_name(struct str a, struct str b)
{
    size_t i = 0, j = 0;

    for (;;) {
        while (i < a.n && skipped(a.p[i]))
            i++;
        while (j < b.n && skipped(b.p[j]))
            j++;
        if (i == a.n || j == b.n) return i == a.n && j == b.n;
        if (folded(a.p[i++]) != folded(b.p[j++])) return false;
    }
}

size_t csv_column(const struct str *header, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        if (same_name(header[i], name)) return i;
    }
    return SIZE_MAX;
}
