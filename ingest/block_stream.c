#include "base/log.h"
#include "ingest/block_impl.h"
#include "ingest/walk.h"

/* Items come one after the other; every 4,096 a block is full. */
struct stream {
    const struct source *source;
    size_t file;
    struct block_work *work;
    struct block_maker maker;
    uint64_t block, entry;
};

static bool open_block(struct stream *s, struct err *e)
{
    return block_maker_begin(s->source, s->file, s->block, s->entry, s->work, &s->maker, e);
}

static bool take(void *ctx, struct format_item *item, struct err *e)
{
    struct stream *s = ctx;

    if (s->maker.fact.entries == RECORD_BLOCK_ENTRIES) {
        if (!block_maker_commit(&s->maker, false, e)) return false;
        s->block++;
        if (!open_block(s, e)) return false;
    }
    if (item->kind == ITEM_REJECT && item->line > 0)
        log_warn("bad-row", "source=%s file=%u line=%llu reason=%s", s->source->o->name,
                 s->source->files[s->file].number, (unsigned long long)item->line,
                 record_reject_names[item->reason]);
    item->in.entry = s->entry++;
    return block_maker_item(&s->maker, item, e);
}

/* All blocks from an earlier run, up to the one that says it is the last; else l is as it was. */
bool block_reuse_stream(const struct source *s, size_t file, struct block_list *l, bool *found,
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
    struct stream st = {.source = s, .file = file, .work = w};
    bool found, ok;

    if (!block_reuse_stream(s, file, &w->list, &found, e)) return false;
    if (found) return true;
    ok = block_builder(set, w, e) && open_block(&st, e) &&
         walk_file(set->o, s, file, take, &st, e) && block_maker_commit(&st.maker, true, e);
    return ok || err_wrap(e, "source %s, %s", s->o->name, s->files[file].path);
}
