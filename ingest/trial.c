#include "ingest/trial.h"

#include "ingest/walk.h"

static bool count_item(void *ctx, struct format_item *item, struct err *e)
{
    uint64_t *n = ctx;
    (void)e;
    *n += item->kind == ITEM_REPORT;
    return true;
}

static uint64_t count_zip(const struct source_file *f)
{
    uint64_t n = 0;

    for (size_t i = 0; i < f->dir.n; i++) {
        struct str name = zip_dir_name(&f->dir, i);
        n += !format_is_litter(name) && f->format->owns(name, format_last(name));
    }
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
                ok = walk_file(set->o, &set->v[i], k, count_item, total, e) ||
                     err_wrap(e, "source %s, %s", set->v[i].o->name, f->path);
        }
    }
    if (!comm_agree(c, ok, e)) return false;
    comm_sum_u64(c, total, 1);
    source_set_limit(set, set->o->limit, *total);
    return true;
}
