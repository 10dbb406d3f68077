#include "ingest/csv_list.h"

#include "base/check.h"
#include "ingest/archive.h"
#include "ingest/csv_read.h"

enum { MAX_ROW = 64 << 10, MAX_HEADER = 256, MAX_RATIO = 1000 };
static const uint64_t max_list_bytes = UINT64_C(1) << 30;

static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    return archive_stream_read(ctx, buf, cap, got, e);
}

static bool find_columns(const struct csv_reader *csv, const struct csv_list_column *columns,
                         size_t n, size_t at[CSV_LIST_MAX_COLUMNS], struct err *e)
{
    size_t cells;
    const struct str *header = csv_reader_header(csv, &cells);

    for (size_t i = 0; i < n; i++) {
        at[i] = csv_column(header, cells, str_of(columns[i].name));
        if (at[i] == SIZE_MAX && columns[i].other)
            at[i] = csv_column(header, cells, str_of(columns[i].other));
        if (at[i] == SIZE_MAX && !columns[i].optional)
            return err_set(e, ERR_FORMAT, "the header must name a column %s", columns[i].name);
    }
    return true;
}

static bool read_rows(struct csv_reader *csv, const struct csv_list_column *columns, size_t n,
                      csv_list_fn fn, void *ctx, struct err *e)
{
    size_t at[CSV_LIST_MAX_COLUMNS];
    struct str cells[CSV_LIST_MAX_COLUMNS];
    struct csv_row row;
    bool more;

    if (!find_columns(csv, columns, n, at, e)) return false;
    for (;;) {
        if (!csv_reader_next(csv, &row, &more, e)) return false;
        if (!more) return true;
        if (row.fault != CSV_ROW_WHOLE)
            return err_set(e, ERR_FORMAT,
                           "line %llu: not as many cells as the header, or open quotes",
                           (unsigned long long)row.line);
        for (size_t i = 0; i < n; i++)
            cells[i] = at[i] == SIZE_MAX ? (struct str){"", 0} : str_trim(row.cells[at[i]]);
        if (!fn(ctx, cells, row.line, e))
            return err_wrap(e, "line %llu", (unsigned long long)row.line);
    }
}

bool csv_list_read(const char *path, const struct csv_list_column *columns, size_t n,
                   csv_list_fn fn, void *ctx, struct err *e)
{
    struct archive_limits limits = {max_list_bytes, 1, MAX_RATIO};
    struct csv_limits rows = {MAX_ROW, MAX_HEADER};
    struct archive_stream *in = NULL;
    struct csv_reader *csv = NULL;
    struct archive_member member;
    bool more, ok = false;

    CHECK(n <= CSV_LIST_MAX_COLUMNS);
    if (!archive_stream_open(path, &limits, &in, e)) goto out;
    if (!archive_stream_next(in, &member, &more, e)) goto out;
    if (!more) {
        err_set(e, ERR_FORMAT, "the list is empty");
        goto out;
    }
    ok = csv_reader_open(fill, in, &rows, &csv, e) && read_rows(csv, columns, n, fn, ctx, e);
out:
    csv_reader_close(csv);
    archive_stream_close(in);
    return ok || err_wrap(e, "%s", path);
}
