/* Tables: one row a report (ingest/csv_read.h, ingest/table.h). tsv: parted by tabs, whatever the
 * header looks like. */
#include "base/mem.h"
#include "ingest/format.h"
#include "ingest/roles.h"
#include "ingest/table.h"

struct table_reader {
    struct csv_reader *csv;
    struct table_map *map;
};

static bool owns(struct str name, struct str last)
{
    static const char *const ends[] = {".csv", ".tsv", ".tab", ".txt"};
    (void)name;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (format_ends(last, ends[i])) return true;
    }
    return false;
}

/* A first line of several names, one of them that of a report's text. */
static bool looks(struct str head)
{
    struct str line = str_sub(head, 0, str_find(head, STR("\n"), 0));
    char delimiter = ',';
    struct str name;

    if (str_starts(line, STR("sep="))) return true;
    if (memchr(line.p, '\t', line.n)) delimiter = '\t';
    if (memchr(line.p, ';', line.n)) delimiter = ';';
    while (str_split(&line, delimiter, &name)) {
        static const enum ingest_role text[] = {ROLE_TEXT, ROLE_FINDINGS, ROLE_IMPRESSION};
        name = str_trim(name);
        if (name.n >= 2 && name.p[0] == '"') name = str_sub(name, 1, name.n - 1);
        for (size_t i = 0; i < 3; i++) {
            if (role_usual(text[i], name) >= 0) return true;
        }
    }
    return false;
}

static void shut(void *reader)
{
    struct table_reader *r = reader;

    if (!r) return;
    table_map_close(r->map);
    csv_reader_close(r->csv);
    mem_free(r);
}

static bool open_as(const struct format_input *in, char delimiter, void **out, struct err *e)
{
    struct csv_limits limits = {in->max_entry, TABLE_MAX_CELLS};
    struct csv_dialect dialect = {delimiter, (enum charset_as)in->source->encoding};
    struct table_reader *r = mem_calloc(1, sizeof *r, e);
    const struct str *header;
    size_t n;

    *out = NULL;
    if (!r) return false;
    if (!csv_reader_open_as(in->in, &limits, dialect, &r->csv, e)) goto out;
    header = csv_reader_header(r->csv, &n);
    if (!table_map_open(&in->source->columns, header, n, &r->map, e)) goto out;
    *out = r;
out:
    if (!*out) shut(r);
    return *out != NULL;
}

static bool open_csv(const struct format_input *in, void **out, struct err *e)
{
    return open_as(in, 0, out, e);
}

static bool open_tsv(const struct format_input *in, void **out, struct err *e)
{
    return open_as(in, '\t', out, e);
}

static bool next(void *reader, struct format_item *out, bool *more, struct err *e)
{
    struct table_reader *r = reader;
    struct csv_row row;

    if (!csv_reader_next(r->csv, &row, more, e)) return false;
    *out = (struct format_item){.kind = ITEM_REPORT, .line = row.line};
    out->in.offset = row.offset;
    if (!*more) return true;
    if (row.fault != CSV_ROW_WHOLE) {
        out->kind = ITEM_REJECT;
        out->reason = row.fault == CSV_ROW_CELLS  ? REJECT_ROW_FIELDS
                      : row.fault == CSV_ROW_LONG ? REJECT_TOO_LARGE
                                                  : REJECT_ROW_QUOTES;
        return true;
    }
    return table_row(r->map, &row, &out->in, e);
}

const struct format format_csv = {
    .owns = owns, .looks = looks, .open = open_csv, .next = next, .close = shut};
const struct format format_tsv = {
    .owns = owns, .looks = looks, .open = open_tsv, .next = next, .close = shut};
