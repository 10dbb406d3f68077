/* csv_reader on any bytes: it ends, lines grow, whole rows have the header's cells; and how the
 * stream is cut into pieces changes nothing. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ingest/csv_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct stream {
    struct str rest;
    size_t piece;
};

static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct stream *s = ctx;
    (void)e;
    *got = s->piece < cap ? s->piece : cap;
    if (*got > s->rest.n) *got = s->rest.n;
    memcpy(buf, s->rest.p, *got);
    s->rest = str_sub(s->rest, *got, s->rest.n);
    return true;
}

static uint64_t read_rows(struct stream s)
{
    struct csv_limits limits = {3000, 50};
    struct csv_reader *r;
    struct csv_row row;
    struct err e = {0};
    uint64_t sum = 1, line = 0;
    size_t n;
    bool more = true;
    if (!csv_reader_open(fill, &s, &limits, &r, &e)) return 0;
    (void)csv_reader_header(r, &n);
    while (csv_reader_next(r, &row, &more, &e) && more) {
        if (row.line <= line) abort();
        line = row.line;
        if (row.fault == CSV_ROW_WHOLE && row.n != n) abort();
        sum = hash_xxh64(&row.line, sizeof row.line, sum + row.fault);
        for (size_t i = 0; i < row.n; i++)
            sum = hash_xxh64(row.cells[i].p, row.cells[i].n, sum);
    }
    if (more && !e.text[0]) abort();
    csv_reader_close(r);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    uint64_t whole = read_rows((struct stream){text, 1 << 20});
    if (size < 20000 && read_rows((struct stream){text, 3}) != whole) abort();
    if (mem_live_blocks() != 0) abort();
    return 0;
}
