/*
 * ingest/csv_read - rows of a table, by libcsv: the only file that includes it.
 *
 * Quoted cells with line breaks and doubled quotes are whole; the delimiter (comma, semicolon, tab,
 * bar) is the one the first line has most of, unless it is given or Excel's first line "sep=;" says
 * it. The first row is the header. Marks and encodings are those of ingest/charset.h.
 *
 * The main idea is to stay whole after a broken row: a row with another number of cells than the
 * header, or whose quotes never close, is given back as bad with its line, and reading goes on at
 * the line after it. Its text is not lost silently: whoever reads counts it.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "ingest/charset.h"

enum csv_fault {
    CSV_ROW_WHOLE,
    CSV_ROW_CELLS,
    CSV_ROW_QUOTES,
    CSV_ROW_LONG, /* one line of more than max_row bytes */
};
struct csv_row {
    const struct str *cells; /* n of them; borrowed until the next row; none in a bad row */
    size_t n;
    uint64_t line;   /* where it begins, from 1 */
    uint64_t offset; /* byte where it begins, in the decoded text */
    enum csv_fault fault;
};
struct csv_limits {
    size_t max_row; /* bytes of a row: over several lines, longer means that a quote never closed */
    size_t max_cells; /* of the header */
};
struct csv_dialect {
    char delimiter; /* 0: found out */
    enum charset_as encoding;
};
/* Up to cap bytes of the stream; *got 0 at its end. */
typedef bool (*csv_fill_fn)(void *ctx, char *buf, size_t cap, size_t *got, struct err *e);

struct csv_reader;
/* Reads the header row. ctx is borrowed until close. An empty stream is ERR_FORMAT. */
MUST_CHECK bool csv_reader_open(csv_fill_fn fill, void *ctx, const struct csv_limits *limits,
                                struct csv_reader **out, struct err *e);
MUST_CHECK bool csv_reader_open_as(struct bytes in, const struct csv_limits *limits,
                                   struct csv_dialect dialect, struct csv_reader **out,
                                   struct err *e);
/* Cells of the header row, valid until close. */
const struct str *csv_reader_header(const struct csv_reader *r, size_t *n);
/* Next row; *more false at the end. Empty lines are no rows. */
MUST_CHECK bool csv_reader_next(struct csv_reader *r, struct csv_row *out, bool *more,
                                struct err *e);
void csv_reader_close(struct csv_reader *r);
/* Index of a column by name (letter case and "_", "-", " " aside), or SIZE_MAX. */
size_t csv_column(const struct str *header, size_t n, struct str name);
