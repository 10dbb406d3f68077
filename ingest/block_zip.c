#include "base/clock.h"
#include "ingest/block_impl.h"
#include "ingest/format.h"

/* One entry of the zip into the block. */
static bool take_entry(const struct source *s, const struct source_file *f, uint64_t i,
                       struct block_maker *m, struct err *e)
{
    const struct zip_entry *z = &f->dir.v[i];
    const struct format *format = f->format;
    struct format_item item = {.kind = ITEM_IGNORE};
    struct str name = zip_dir_name(&f->dir, i), text, patient, study;
    bool rejected = f->shadowed[i], named;
    double start;

    if (!format->owns(name, format_last(name)) || format_is_litter(name)) {
        block_maker_ignore(m, 1);
        return true;
    }
    named = format->ids && format->ids(s->o, name, &patient, &study);
    if (named && !source_wants(s, patient, study)) {
        block_maker_ignore(m, 1);
        return true;
    }
    item.reason = REJECT_DUPLICATE;
    start = clock_mono_s();
    if (!rejected && !zip_reader_get(m->work->zip, i, &text, &rejected, &item.reason, e))
        return false;
    if (rejected)
        item.kind = ITEM_REJECT;
    else if (!format->one(&m->work->scratch, s->o, name, text, &item, e))
        return false;
    m->work->report_s += clock_mono_s() - start;
    item.in.entry = item.in.member = i;
    item.in.offset = z->local_offset;
    return block_maker_item(m, &item, e);
}

/* w->zip reads this file after this. */
static bool use_zip(const struct source_set *set, const struct source_file *f, struct block_work *w,
                    struct err *e)
{
    struct zip_limits limits = {set->o->max_entry, set->o->max_ratio};
    struct str bytes = {(const char *)f->map.p, f->map.n};

    if (w->zip && w->zip_of == f) return true;
    zip_reader_close(w->zip);
    w->zip = NULL;
    w->zip_of = f;
    return zip_reader_open(bytes, &f->dir, limits, &w->zip, e);
}

static bool make_block(const struct source_set *set, const struct source *s, size_t file,
                       uint64_t block, struct block_work *w, struct err *e)
{
    const struct source_file *f = &s->files[file];
    uint64_t first = block * RECORD_BLOCK_ENTRIES, end = first + RECORD_BLOCK_ENTRIES;
    struct block_maker m;

    if (end > f->dir.n) end = f->dir.n;
    if (!use_zip(set, f, w, e) || !block_builder(set, w, e)) return false;
    if (!block_maker_begin(s, file, block, first, w, &m, e)) return false;
    for (uint64_t i = first; i < end; i++) {
        if (!take_entry(s, f, i, &m, e)) return false;
    }
    /* Entries lie in the order of the directory, nearly always; the rest is a matter of memory. */
    if (end > first) {
        const struct zip_entry *last = &f->dir.v[end - 1];
        fs_map_drop(&f->map, f->dir.v[first].local_offset, last->local_offset + last->packed_bytes);
    }
    return block_maker_commit(&m, end == f->dir.n, e);
}

bool block_of_zip(const struct source_set *set, const struct source *s, size_t file, uint64_t block,
                  struct block_work *w, struct err *e)
{
    bool found, last;

    if (!block_reuse(s, file, block, &w->list, &found, &last, e)) return false;
    if (found || make_block(set, s, file, block, w, e)) return true;
    return err_wrap(e, "source %s, %s", s->o->name, s->files[file].path);
}
