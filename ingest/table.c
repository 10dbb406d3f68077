#include "ingest/table.h"

#include "base/mem.h"
#include "ingest/roles.h"

struct table_map {
    size_t column[ROLE_COUNT][ROLE_MAX_JOINED];
    size_t n[ROLE_COUNT];
    struct sbuf joined[ROLE_COUNT], addendum;
};

static bool taken(const struct table_map *m, size_t column)
{
    for (int r = 0; r < ROLE_COUNT; r++) {
        for (size_t i = 0; i < m->n[r]; i++) {
            if (m->column[r][i] == column) return true;
        }
    }
    return false;
}

static bool take_asked(struct table_map *m, const struct ingest_columns *asked,
                       const struct str *header, size_t n, struct err *e)
{
    for (int r = 0; r < ROLE_COUNT; r++) {
        for (size_t i = 0; i < asked->role[r].n; i++) {
            const char *name = asked->role[r].v[i];
            size_t column = csv_column(header, n, str_of(name));
            if (column == SIZE_MAX)
                return err_set(e, ERR_CONFIG, "none of the %zu columns is named %.64s", n, name);
            if (m->n[r] == ROLE_MAX_JOINED)
                return err_set(e, ERR_CONFIG, "more than %d columns for one part", ROLE_MAX_JOINED);
            m->column[r][m->n[r]++] = column;
        }
    }
    return true;
}

/* The first usual name that is there; of clinical information all. */
static void guess(struct table_map *m, int role, const struct str *header, size_t n)
{
    for (size_t i = 0; role_name((enum ingest_role)role, i); i++) {
        size_t column = csv_column(header, n, str_of(role_name((enum ingest_role)role, i)));
        if (column == SIZE_MAX || taken(m, column) || m->n[role] == ROLE_MAX_JOINED) continue;
        m->column[role][m->n[role]++] = column;
        if (role != ROLE_CLINICAL) return;
    }
}

bool table_map_open(const struct ingest_columns *asked, const struct str *header, size_t n,
                    struct table_map **out, struct err *e)
{
    struct table_map *m = mem_calloc(1, sizeof *m, e);
    bool ok = false, given[ROLE_COUNT];

    *out = NULL;
    if (!m) return false;
    for (int r = 0; r < ROLE_COUNT; r++)
        sbuf_init(&m->joined[r], 64 << 20);
    sbuf_init(&m->addendum, 128 << 20);
    if (!take_asked(m, asked, header, n, e)) goto out;
    for (int r = 0; r < ROLE_COUNT; r++)
        given[r] = m->n[r] > 0;
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (!given[r]) guess(m, r, header, n);
    }
    if (m->n[ROLE_TEXT] + m->n[ROLE_FINDINGS] + m->n[ROLE_IMPRESSION] == 0) {
        /* The names stay out of it: a table without a header has a report in its first line. */
        err_set(e, ERR_CONFIG,
                "none of the %zu columns is known as report text, findings or impression: name "
                "them under columns; the first line must be a header",
                n);
        goto out;
    }
    ok = true;
out:
    if (ok)
        *out = m;
    else
        table_map_close(m);
    return ok;
}

void table_map_close(struct table_map *m)
{
    if (!m) return;
    for (int r = 0; r < ROLE_COUNT; r++)
        sbuf_free(&m->joined[r]);
    sbuf_free(&m->addendum);
    mem_free(m);
}

/* The role's cells, joined by line breaks where several are not empty. */
static bool cell_of(struct table_map *m, int role, const struct csv_row *row, struct str *out,
                    struct err *e)
{
    struct sbuf *b = &m->joined[role];

    *out = (struct str){"", 0};
    if (m->n[role] == 1) {
        *out = row->cells[m->column[role][0]];
        return true;
    }
    sbuf_clear(b);
    for (size_t i = 0; i < m->n[role]; i++) {
        struct str cell = row->cells[m->column[role][i]];
        if (str_trim(cell).n == 0) continue;
        if (b->n > 0 && !sbuf_putc(b, '\n', e)) return false;
        if (!sbuf_put(b, cell, e)) return false;
    }
    if (b->n > 0) *out = sbuf_str(b);
    return true;
}

bool table_row(struct table_map *m, const struct csv_row *row, struct report_input *out,
               struct err *e)
{
    struct str cell[ROLE_COUNT];

    for (int r = 0; r < ROLE_COUNT; r++) {
        if (!cell_of(m, r, row, &cell[r], e)) return false;
    }
    out->offset = row->offset;
    return role_report(cell, &m->addendum, out, e);
}
