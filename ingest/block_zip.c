#include "ingest/block_impl.h"

/* One entry of the zip into the block. */
static bool take_entry(const struct source *s, const struct source_file *f, uint64_t i,
                       struct zip_reader *zip, struct report_builder *builder,
                       struct block_maker *m, struct block_list *l, struct err *e)
{
    const struct zip_entry *z = &f->dir.v[i];
    struct report_input in = {.entry = i, .offset = z->local_offset, .split = -1};
    enum record_reject reason = REJECT_DUPLICATE;
    struct record r;
    bool rejected = f->shadowed[i];

    if (!report_member(z->name, &in.patient, &in.study)) {
        block_maker_ignore(m, 1);
        return true;
    }
    if (!rejected && !zip_reader_get(zip, i, &in.text, &rejected, &reason, e)) return false;
    if (rejected) return block_maker_reject(m, i, z->local_offset, reason, e);
    if (!report_build(builder, &s->rules, &in, &r, e))
        return err_wrap(e, "entry %llu", (unsigned long long)i);
    return block_maker_put(m, l, &r, e);
}

static bool make_block(const struct source_set *set, const struct source *s, size_t file,
                       uint64_t block, struct block_list *l, struct err *e)
{
    const struct source_file *f = &s->files[file];
    struct zip_limits limits = {set->o->max_entry, set->o->max_ratio};
    struct str bytes = {(const char *)f->map.p, f->map.n};
    uint64_t first = block * RECORD_BLOCK_ENTRIES, end = first + RECORD_BLOCK_ENTRIES;
    struct report_builder *builder = NULL;
    struct zip_reader *zip = NULL;
    struct block_maker m = {0};
    bool ok = false;

    if (end > f->dir.n) end = f->dir.n;
    if (!zip_reader_open(bytes, &f->dir, limits, &zip, e)) goto out;
    if (!report_builder_open(limits.max_entry, &builder, e)) goto out;
    if (!block_maker_open(s, file, block, first, &m, e)) goto out;
    for (uint64_t i = first; i < end; i++) {
        if (!take_entry(s, f, i, zip, builder, &m, l, e)) goto out;
    }
    ok = block_maker_commit(&m, end == f->dir.n, l, e);
out:
    block_maker_close(&m);
    report_builder_close(builder);
    zip_reader_close(zip);
    return ok;
}

bool block_of_zip(const struct source_set *set, const struct source *s, size_t file, uint64_t block,
                  struct block_list *l, struct err *e)
{
    bool found, last;

    if (!block_reuse(s, file, block, l, &found, &last, e)) return false;
    if (found || make_block(set, s, file, block, l, e)) return true;
    return err_wrap(e, "source %s, %s", s->o->name, s->files[file].path);
}
