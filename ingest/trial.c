#include "ingest/trial.h"

#include "ingest/archive.h"
#include "ingest/table.h"

static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    return archive_stream_read(ctx, buf, cap, got, e);
}

static bool count_rows(const struct ingest_opts *o, struct archive_stream *in, uint64_t *n,
                       struct err *e)
{
    struct csv_limits limits = {o->max_entry, TABLE_MAX_CELLS};
    struct csv_reader *csv = NULL;
    struct csv_row row;
    bool more = true, ok;

    ok = csv_reader_open(fill, in, &limits, &csv, e);
    while (ok && more) {
        ok = csv_reader_next(csv, &row, &more, e);
        *n += ok && more && row.fault == CSV_ROW_WHOLE;
    }
    csv_reader_close(csv);
    return ok;
}

static bool count_stream(const struct ingest_opts *o, const struct source *s,
                         const struct source_file *f, uint64_t *n, struct err *e)
{
    struct archive_limits limits = {o->max_total, o->max_entries, o->max_ratio};
    struct archive_stream *in = NULL;
    struct archive_member m;
    struct str patient, study;
    bool more = true, ok;

    ok = archive_stream_open(f->path, &limits, &in, e);
    while (ok && (ok = archive_stream_next(in, &m, &more, e)) && more) {
        if (!m.named) continue;
        if (s->o->format == FORMAT_MIMIC_CXR)
            *n += report_member(m.name, &patient, &study);
        else if (table_member(&m))
            ok = count_rows(o, in, n, e);
    }
    archive_stream_close(in);
    return ok || err_wrap(e, "source %s, %s", s->o->name, f->path);
}

static uint64_t count_zip(const struct source_file *f)
{
    struct str patient, study;
    uint64_t n = 0;

    for (size_t i = 0; i < f->dir.n; i++)
        n += report_member(f->dir.v[i].name, &patient, &study);
    return n;
}

bool trial_set(struct source_set *set, struct comm *c, uint64_t *total, struct err *e)
{
    size_t turn = 0;
    bool ok = true;

    *total = 0;
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < set->v[i].nfiles; k++, turn++) {
            const struct source_file *f = &set->v[i].files[k];
            if (!ok || turn % (size_t)comm_size(c) != (size_t)comm_rank(c)) continue;
            if (f->zip)
                *total += count_zip(f);
            else
                ok = count_stream(set->o, &set->v[i], f, total, e);
        }
    }
    if (!comm_agree(c, ok, e)) return false;
    comm_sum_u64(c, total, 1);
    source_set_limit(set, set->o->limit, *total);
    return true;
}
