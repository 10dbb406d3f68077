#include "base/log.h"
#include "base/mem.h"
#include "ingest/archive.h"
#include "ingest/block_impl.h"
#include "ingest/table.h"

/* Entries come one after the other; every 4,096 a block is full. */
struct stream {
    const struct source_set *set;
    const struct source *source;
    size_t file;
    struct archive_stream *in;
    struct block_work *work;
    struct block_maker maker;
    uint64_t block, entry;
    char *buf; /* one report of a tar, max_entry + 1 bytes */
};

static bool open_block(struct stream *s, struct err *e)
{
    return block_maker_begin(s->source, s->file, s->block, s->entry, s->work, &s->maker, e);
}

/* Room for one entry more. */
static bool next_entry(struct stream *s, struct err *e)
{
    if (s->maker.fact.entries == RECORD_BLOCK_ENTRIES) {
        if (!block_maker_commit(&s->maker, false, e)) return false;
        s->block++;
        if (!open_block(s, e)) return false;
    }
    s->entry++;
    return true;
}

static bool reject(struct stream *s, uint64_t offset, enum record_reject why, struct err *e)
{
    if (!next_entry(s, e)) return false;
    return block_maker_reject(&s->maker, s->entry - 1, offset, why, e);
}

static bool ignore(struct stream *s, struct err *e)
{
    if (!next_entry(s, e)) return false;
    block_maker_ignore(&s->maker, 1);
    return true;
}

static bool take(struct stream *s, struct report_input *in, struct err *e)
{
    struct record r;

    if (!next_entry(s, e)) return false;
    in->entry = s->entry - 1;
    if (!report_build(s->work->builder, &s->source->rules, in, &r, e))
        return err_wrap(e, "entry %llu", (unsigned long long)in->entry);
    return block_maker_put(&s->maker, &r, e);
}

/* ---- reports in a tar or 7z */
static bool take_member(struct stream *s, const struct archive_member *m, struct err *e)
{
    struct report_input in = {.split = -1};
    size_t n = 0, got, max = s->set->o->max_entry;

    if (!m->named) return reject(s, 0, REJECT_NO_NAME, e);
    if (!report_member(m->name, &in.patient, &in.study)) return ignore(s, e);
    if (!source_wants(s->source, in.patient, in.study)) return ignore(s, e);
    do {
        if (!archive_stream_read(s->in, s->buf + n, max + 1 - n, &got, e)) return false;
        n += got;
    } while (got > 0 && n <= max);
    if (n > max) return reject(s, 0, REJECT_TOO_LARGE, e);
    in.text = (struct str){s->buf, n};
    return take(s, &in, e);
}

/* ---- tables */
static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    return archive_stream_read(ctx, buf, cap, got, e);
}

static bool take_rows(struct stream *s, struct csv_reader *csv, struct table_map *map,
                      struct err *e)
{
    for (;;) {
        struct report_input in = {.split = -1};
        struct csv_row row;
        bool more;
        if (!csv_reader_next(csv, &row, &more, e)) return false;
        if (!more) return true;
        if (row.fault != CSV_ROW_WHOLE) {
            enum record_reject why =
                row.fault == CSV_ROW_CELLS ? REJECT_ROW_FIELDS : REJECT_ROW_QUOTES;
            log_warn("bad-row", "source=%s file=%zu line=%llu reason=%s", s->source->o->name,
                     s->file, (unsigned long long)row.line, record_reject_names[why]);
            if (!reject(s, row.offset, why, e)) return false;
            continue;
        }
        if (!table_row(map, &row, &in, e)) return false;
        if (!source_wants(s->source, in.patient, in.study)) {
            if (!ignore(s, e)) return false;
        } else if (!take(s, &in, e)) {
            return false;
        }
    }
}

static bool take_table(struct stream *s, const struct archive_member *m, struct err *e)
{
    struct csv_limits limits = {s->set->o->max_entry, TABLE_MAX_CELLS};
    struct csv_reader *csv = NULL;
    struct table_map *map = NULL;
    const struct str *header;
    size_t n;
    bool ok = false;

    if (!m->named) return reject(s, 0, REJECT_NO_NAME, e);
    if (!table_member(m)) return ignore(s, e);
    if (!csv_reader_open(fill, s->in, &limits, &csv, e)) goto out;
    header = csv_reader_header(csv, &n);
    if (!table_map_open(&s->source->o->columns, header, n, &map, e)) goto out;
    ok = take_rows(s, csv, map, e);
out:
    table_map_close(map);
    csv_reader_close(csv);
    return ok;
}

/* ---- the stream */
static bool make_blocks(struct stream *s, struct err *e)
{
    struct archive_member m;
    bool more;

    if (!open_block(s, e)) return false;
    for (;;) {
        if (!archive_stream_next(s->in, &m, &more, e)) return false;
        if (!more) break;
        if (s->source->o->format == FORMAT_CSV) {
            if (!take_table(s, &m, e)) return false;
        } else if (!take_member(s, &m, e)) {
            return false;
        }
    }
    return block_maker_commit(&s->maker, true, e);
}

/* All blocks from an earlier run, up to the one that says it is the last; else l is as it was. */
static bool reuse_all(const struct source *s, size_t file, struct block_list *l, bool *found,
                      struct err *e)
{
    size_t n = l->n, nkeys = l->nkeys;
    bool last = false;

    *found = true;
    for (uint64_t block = 0; *found && !last; block++) {
        if (!block_reuse(s, file, block, l, found, &last, e)) return false;
    }
    if (!*found) {
        l->n = n;
        l->nkeys = nkeys;
    }
    return true;
}

bool block_of_stream(const struct source_set *set, const struct source *s, size_t file,
                     struct block_work *w, struct err *e)
{
    const struct ingest_opts *o = set->o;
    struct archive_limits limits = {o->max_total, o->max_entries, o->max_ratio};
    struct stream st = {.set = set, .source = s, .file = file, .work = w};
    bool found, ok = false;

    if (!reuse_all(s, file, &w->list, &found, e)) return false;
    if (found) return true;
    st.buf = mem_alloc(o->max_entry + 1, e);
    if (!st.buf) goto out;
    if (!block_builder(set, w, e)) goto out;
    if (!archive_stream_open(s->files[file].path, &limits, &st.in, e)) goto out;
    ok = make_blocks(&st, e);
out:
    archive_stream_close(st.in);
    mem_free(st.buf);
    if (!ok) err_wrap(e, "source %s, %s", s->o->name, s->files[file].path);
    return ok;
}
