#include "ingest/csv_read.h"

#include <csv.h>

#include "base/arena.h"
#include "base/mem.h"
#include "ingest/roles.h"

/* Reading broken rows again may cost this much, or a hostile file would never end. */
enum { CHUNK = 64 << 10, MAX_REREAD_BYTES = 1 << 30 };

/*
 * raw:  | ... | row ........ fed | fed ..... end |
 * What stands before `row` is done with. Lines are given to libcsv one by one, so that a row ends
 * with a line and its place is known; a broken row is read again from its second line.
 */
struct csv_reader {
    struct charset charset;
    struct bytes in; /* decoded */
    struct csv_limits limits;
    struct csv_parser parser;
    bool parsing, eof;
    char delimiter, forced;

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
/* A chunk more behind raw[end]; what stands before raw[row] makes room. */
static bool fill_raw(struct csv_reader *r, struct err *e)
{
    size_t got;

    memmove(r->raw, r->raw + r->row, r->end - r->row);
    r->fed -= r->row;
    r->end -= r->row;
    r->row = 0;
    if (!mem_grow((void **)&r->raw, &r->raw_cap, r->end + CHUNK + 1, 1, e)) return false;
    if (!r->in.read(r->in.ctx, r->raw + r->end, CHUNK, &got, e)) return false;
    r->eof = got == 0;
    r->end += got;
    return true;
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

/* Excel's own way to say it: a first line "sep=;". */
static bool excel_says(struct csv_reader *r)
{
    struct str s = {r->raw + r->row, r->end - r->row};
    size_t n = 5;

    if (s.n < 6 || !str_starts(s, STR("sep="))) return false;
    n += s.p[5] == '\r';
    if (n == s.n || s.p[n] != '\n') return false;
    if (!r->forced) r->delimiter = s.p[4];
    r->row = r->fed = n + 1;
    r->offset = n + 1;
    r->line = 2;
    return true;
}

static bool find_delimiter(struct csv_reader *r, struct err *e)
{
    char best = 0;

    while (!r->eof && r->end < 8) {
        if (!fill_raw(r, e)) return false;
    }
    if (excel_says(r)) return true;
    while (!sniff(r, &best) && !r->eof && r->end - r->row < r->limits.max_row) {
        if (!fill_raw(r, e)) return false;
    }
    if (!r->forced) r->delimiter = best;
    return true;
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

/* Lines that end in raw[from, to): LF, CR LF, or a lone CR. */
static uint64_t count_lines(const struct csv_reader *r, size_t from, size_t to)
{
    const char *end = r->raw + to;
    uint64_t n = 0;

    for (const char *p = r->raw + from; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        n++;
    for (const char *p = r->raw + from; (p = memchr(p, '\r', (size_t)(end - p))); p++)
        n += p + 1 >= r->raw + r->end || p[1] != '\n';
    return n;
}

/* Skip to raw[at]; the row begins there. */
static void advance(struct csv_reader *r, size_t at)
{
    r->line += count_lines(r, r->row, at);
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

/* ---- the common row, without libcsv */
/* End of the quoted cell whose text begins at `at`: its closing quote. NULL: not here. */
static const char *quoted_end(const struct csv_reader *r, const char *at, bool *doubled)
{
    const char *end = r->raw + r->end;

    while ((at = memchr(at, '"', (size_t)(end - at))) && at + 1 < end && at[1] == '"') {
        *doubled = true;
        at += 2;
    }
    return at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* End of the plain cell at `at`: delimiter or line end. NULL: a quote in it, or blanks at its ends,
 * which libcsv knows what to do with. */
static const char *plain_end(const struct csv_reader *r, const char *at)
{
    const char *end = r->raw + r->end, *p = at;

    while (p < end && *p != r->delimiter && *p != '\n' && *p != '\r' && *p != '"')
        p++;
    if (p == end || *p == '"') return NULL;
    return p > at && (is_blank(*at) || is_blank(p[-1])) ? NULL : p;
}

static void undouble(struct str *s, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        to[n++] = s->p[i];
        if (s->p[i] == '"') i++;
    }
    *s = (struct str){to, n};
}

/* Doubled quotes in a row of `bytes`: the cells get a copy without. */
static bool undouble_all(struct csv_reader *r, size_t bytes, struct err *e)
{
    const char *row = r->raw + r->row;

    sbuf_clear(&r->text);
    if (!sbuf_put(&r->text, (struct str){row, bytes}, e)) return false;
    for (size_t i = 0; i < r->nheader; i++)
        undouble(&r->cells[i], r->text.p + (r->cells[i].p - row));
    return true;
}

/*
 * A row as any program writes it: as many cells as the header, each plain or wholly in quotes, all
 * of it in the buffer. Nearly every row is one; libcsv, byte by byte with a call a cell, costs four
 * times as much. Whatever is in doubt is not *taken, and libcsv sees the row from its beginning:
 * both ways give the same cells.
 */
static bool take_common(struct csv_reader *r, bool *taken, struct err *e)
{
    const char *at = r->raw + r->row, *end = r->raw + r->end;
    bool doubled = false;
    size_t bytes;

    *taken = false;
    if (at == end || *at == '\n' || *at == '\r') return true;
    if (!mem_grow((void **)&r->cells, &r->cells_cap, r->nheader + 1, sizeof *r->cells, e))
        return false;
    for (size_t i = 0; i < r->nheader; i++) {
        bool quoted = at < end && *at == '"';
        const char *begin = at + quoted;
        const char *stop = quoted ? quoted_end(r, begin, &doubled) : plain_end(r, begin);
        if (!stop) return true;
        r->cells[i] = (struct str){begin, (size_t)(stop - begin)};
        at = stop + quoted;
        if (at == end) return true;
        if (i + 1 < r->nheader && *at++ != r->delimiter) return true;
    }
    if (*at == '\r' && at + 1 < end) at++;
    if (*at != '\n') return true;
    bytes = (size_t)(at + 1 - (r->raw + r->row));
    if (bytes > r->limits.max_row || (doubled && !undouble_all(r, bytes, e))) return !e->code;
    r->fed = r->row + bytes;
    r->row_done = *taken = true;
    return true;
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

/* Is the row, as far as it was read, one line? */
static bool is_one_line(const struct csv_reader *r)
{
    const char *row = r->raw + r->row;
    size_t n = r->fed - r->row;

    while (n > 0 && (row[n - 1] == '\n' || row[n - 1] == '\r'))
        n--;
    return !memchr(row, '\n', n) && !memchr(row, '\r', n);
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
    bool quotes, common = false;

    memset(out, 0, sizeof *out);
    *more = true;
    if (r->row_done) advance(r, r->fed);
    if (r->nheader > 0 && r->fed == r->row && !take_common(r, &common, e)) return false;
    if (common) {
        *out = (struct csv_row){
            .cells = r->cells, .n = r->nheader, .line = r->line, .offset = r->offset};
        return true;
    }
    if (!feed_row(r, &quotes, more, e)) return false;
    if (!*more) return true;
    out->line = r->line;
    out->offset = r->offset;
    bool over = r->fed - r->row > r->limits.max_row;
    quotes = quotes || over || is_doubtful(r);
    if (!quotes && (r->nheader == 0 || r->ncells == r->nheader)) return give_cells(r, out, e);
    out->fault = over && is_one_line(r) ? CSV_ROW_LONG : quotes ? CSV_ROW_QUOTES : CSV_ROW_CELLS;
    return resync(r, e);
}

static bool read_header(struct csv_reader *r, struct err *e)
{
    struct csv_row row;
    bool more;

    if (!csv_reader_next(r, &row, &more, e)) return false;
    if (!more) return err_set(e, ERR_FORMAT, "no header row: the table is empty");
    if (row.fault == CSV_ROW_LONG)
        return err_set(e, ERR_LIMIT, "line %llu: the header row has more than %zu bytes",
                       (unsigned long long)row.line, r->limits.max_row);
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
    return csv_reader_open_as((struct bytes){fill, ctx}, limits, (struct csv_dialect){0}, out, e);
}

bool csv_reader_open_as(struct bytes in, const struct csv_limits *limits,
                        struct csv_dialect dialect, struct csv_reader **out, struct err *e)
{
    struct csv_reader *r = mem_calloc(1, sizeof *r, e);
    bool ok = false;

    *out = NULL;
    if (!r) return false;
    charset_init(&r->charset, in, dialect.encoding);
    r->in = charset_bytes(&r->charset);
    r->delimiter = r->forced = dialect.delimiter;
    r->limits = *limits;
    r->line = 1;
    sbuf_init(&r->text, limits->max_row + CHUNK);
    arena_init(&r->arena, limits->max_row + CHUNK);
    if (!mem_grow((void **)&r->raw, &r->raw_cap, CHUNK, 1, e)) goto out;
    if (!find_delimiter(r, e)) goto out;
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

size_t csv_column(const struct str *header, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        if (role_same_name(header[i], name)) return i;
    }
    return SIZE_MAX;
}
