#include "ingest/ingest.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/stop.h"
#include "ingest/block.h"
#include "ingest/dedup.h"
#include "ingest/feed.h"
#include "ingest/manifest.h"
#include "ingest/phi.h"
#include "ingest/trial.h"

/* A unit of work: one block of a zip, or one whole stream. Streams that would keep one rank busy
 * while the others wait are fed to all (ingest/feed), in front of the rest. */
struct task {
    uint32_t source, file;
    uint64_t block;
};
struct task_list {
    struct task *v;
    uint64_t *cost;
    size_t n, cap, cost_cap;
};
struct run {
    const struct ingest_opts *o;
    struct comm *c;
    struct source_set set;
    struct task_list tasks, fed;
    struct block_work work;
    struct block_order order;
    struct late late;
    uint64_t total; /* reports that the sources have; only counted for a trial */
};

/* ---- tasks */
static bool put_task(struct task_list *l, struct task t, uint64_t cost, struct err *e)
{
    if (!mem_grow((void **)&l->v, &l->cap, l->n + 1, sizeof *l->v, e)) return false;
    if (!mem_grow((void **)&l->cost, &l->cost_cap, l->n + 1, sizeof *l->cost, e)) return false;
    l->v[l->n] = t;
    l->cost[l->n++] = cost;
    return true;
}

/* Reading costs by the packed byte, and something by the entry. */
static uint64_t zip_cost(const struct source_file *f, uint64_t block)
{
    uint64_t begin = block * RECORD_BLOCK_ENTRIES, end = begin + RECORD_BLOCK_ENTRIES;
    uint64_t cost = 0;

    if (end > f->dir.n) end = f->dir.n;
    for (uint64_t i = begin; i < end; i++) {
        uint64_t packed = f->dir.v[i].packed_bytes;
        cost += 64 + (packed < f->bytes ? packed : f->bytes);
    }
    return cost;
}

static bool put_file_tasks(struct task_list *l, const struct source *s, uint32_t file,
                           struct err *e)
{
    const struct source_file *f = &s->files[file];

    if (!f->zip) return put_task(l, (struct task){s->index, file, 0}, f->bytes + 1, e);
    for (uint64_t b = 0; b < f->blocks; b++) {
        if (!put_task(l, (struct task){s->index, file, b}, zip_cost(f, b), e)) return false;
    }
    return true;
}

static bool plan_tasks(struct run *r, struct err *e)
{
    for (size_t i = 0; i < r->set.n; i++) {
        for (size_t k = 0; k < r->set.v[i].nfiles; k++) {
            if (!put_file_tasks(&r->tasks, &r->set.v[i], (uint32_t)k, e)) return false;
        }
    }
    return true;
}

/* The share of the rank that has most of these tasks. */
static uint64_t longest_share(const struct run *r, const struct task_list *l)
{
    uint64_t most = 0;

    for (int rank = 0; rank < comm_size(r->c); rank++) {
        struct comm_range share = comm_share_cost_of(rank, comm_size(r->c), l->cost, l->n, NULL);
        uint64_t sum = 0;
        for (uint64_t i = share.begin; i < share.end; i++)
            sum += l->cost[i];
        if (sum > most) most = sum;
    }
    return most;
}

static size_t largest_stream(const struct run *r, const struct task_list *l)
{
    size_t found = SIZE_MAX;

    for (size_t i = 0; i < l->n; i++) {
        if (r->set.v[l->v[i].source].files[l->v[i].file].zip || l->cost[i] < feed_least) continue;
        if (found == SIZE_MAX || l->cost[i] > l->cost[found]) found = i;
    }
    return found;
}

/* Feed the largest stream, and the next, as long as that ends sooner. Whole numbers, the same on
 * every rank. */
static bool choose_fed(struct run *r, struct err *e)
{
    uint64_t size = (uint64_t)comm_size(r->c);
    struct task_list *l = &r->tasks;

    while (size > 1) {
        size_t i = largest_stream(r, l);
        uint64_t alone = longest_share(r, l), cost, fed;
        struct task t;
        if (i == SIZE_MAX) return true;
        t = l->v[i];
        cost = l->cost[i];
        fed = cost / 100 * FEED_DECODER;
        if (fed < cost / size) fed = cost / size;
        memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof *l->v);
        memmove(&l->cost[i], &l->cost[i + 1], (l->n - i - 1) * sizeof *l->cost);
        l->n--;
        if (fed + longest_share(r, l) < alone) {
            if (!put_task(&r->fed, t, cost, e)) return false;
            continue;
        }
        memmove(&l->v[i + 1], &l->v[i], (l->n - i) * sizeof *l->v);
        memmove(&l->cost[i + 1], &l->cost[i], (l->n - i) * sizeof *l->cost);
        l->v[i] = t;
        l->cost[i] = cost;
        l->n++;
        return true;
    }
    return true;
}

/* ---- blocks */
static bool do_task(struct run *r, const struct task *t, struct err *e)
{
    const struct source *s = &r->set.v[t->source];

    if (stop_requested())
        return err_set(e, ERR_STOPPED, "stopped as asked; finished blocks are kept");
    if (s->files[t->file].zip) return block_of_zip(&r->set, s, t->file, t->block, &r->work, e);
    return block_of_stream(&r->set, s, t->file, &r->work, e);
}

/* Each by another decoder: their maps are spread. Collective. */
static bool feed_streams(struct run *r, struct progress *p, struct err *e)
{
    for (size_t i = 0; i < r->fed.n; i++) {
        const struct task *t = &r->fed.v[i];
        int decoder = (int)(i % (size_t)comm_size(r->c));
        if (!feed_stream(r->c, &r->set, &r->set.v[t->source], t->file, decoder, &r->work, e))
            return false;
        progress_update(p, i + 1, NULL);
    }
    return true;
}

static bool do_share(struct run *r, struct progress *p, struct err *e)
{
    struct comm_range share = comm_share_cost_of(comm_rank(r->c), comm_size(r->c), r->tasks.cost,
                                                 r->tasks.n, r->set.done);
    uint64_t mine = share.end - share.begin;

    for (uint64_t i = 0; i < mine; i++) {
        if (!do_task(r, &r->tasks.v[share.begin + i], e)) return false;
        progress_update(p, r->fed.n + (i + 1) * r->tasks.n / mine, NULL);
    }
    return true;
}

/* Progress is rank 0's, shown as a share of the whole: the ranks' shares cost about the same. One
 * that has none of few blocks still ends with all of them done. Collective. */
static bool make_blocks(struct run *r, struct err *e)
{
    uint64_t total = r->fed.n + r->tasks.n;
    struct progress p;
    bool ok;

    progress_start(&p, comm_rank(r->c), "ingest", "blocks", total, r->o->dir);
    progress_update(&p, 0, NULL);
    ok = feed_streams(r, &p, e) && comm_agree(r->c, do_share(r, &p, e), e);
    if (ok) progress_update(&p, total, NULL);
    progress_end(&p, ok ? "done" : e->code == ERR_STOPPED ? "stopped" : "failed");
    return ok;
}

/* Patients do not cross splits. Collective. */
static bool audit_splits(struct run *r, struct err *e)
{
    uint64_t crossing;

    if (!dedup_crossing(r->c, &r->work.list, &crossing, e)) return false;
    if (crossing == 0) return true;
    return err_set(e, ERR_CONFIG,
                   "%llu patients stand in two splits: a split column, or two sources of one site "
                   "with different splits, tears them apart",
                   (unsigned long long)crossing);
}

/* ---- the corpus */
static bool read_rejects(struct run *r, struct manifest_reject **out, size_t *n, struct err *e)
{
    size_t cap = 0;

    for (size_t i = 0; i < r->work.list.n; i++) {
        const struct block_fact *f = &r->work.list.facts[i];
        struct record_reader *reader;
        struct record_rejected rej;
        char path[PATH_MAX];
        bool ok = true;
        uint64_t count = f->entries - f->ignored - f->records;
        if (count == 0) continue;
        (void)snprintf(path, sizeof path, "%s/%s", r->set.v[f->source].dir, f->name);
        if (!record_reader_open(path, &reader, e)) return false;
        for (size_t k = 0; ok && k < record_reader_rejects(reader); k++) {
            record_reader_rejected(reader, k, &rej);
            ok = mem_grow((void **)out, &cap, *n + 1, sizeof **out, e);
            if (ok)
                (*out)[(*n)++] = (struct manifest_reject){
                    f->source, f->file, rej.entry, rej.offset, (uint32_t)rej.reason, 0};
        }
        record_reader_close(reader);
        if (!ok) return false;
    }
    return true;
}

static int compare_rejects(const void *a, const void *b)
{
    const struct manifest_reject *x = a, *y = b;

    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->entry > y->entry) - (x->entry < y->entry);
}

/* Rank 0 writes what was left out, in corpus order. Collective. */
static bool list_rejects(struct run *r, struct err *e)
{
    struct manifest_reject *mine = NULL;
    void *all = NULL;
    size_t n = 0, bytes;
    bool ok = comm_agree(r->c, read_rejects(r, &mine, &n, e), e) &&
              comm_allgatherv(r->c, mine, n * sizeof *mine, &all, &bytes, NULL, e);

    if (ok && comm_rank(r->c) == 0) {
        n = bytes / sizeof *mine;
        if (n) qsort(all, n, sizeof *mine, compare_rejects);
        ok = manifest_quarantine(&r->set, all, n, e);
    }
    mem_free(all);
    mem_free(mine);
    return comm_agree(r->c, ok, e);
}

/* The commonest reason of a source's rejections. */
static const char *main_reason(const struct run *r, size_t source)
{
    uint64_t count[REJECT_COUNT] = {0};
    size_t most = 0;
    for (size_t k = 0; k < r->order.n; k++)
        for (size_t j = 0; j < REJECT_COUNT; j++)
            if (r->order.facts[k].source == source) count[j] += r->order.facts[k].rejected[j];
    count[REJECT_DUPLICATE] = 0;
    for (size_t j = 1; j < REJECT_NO_PATIENT; j++)
        if (count[j] > count[most]) most = j;
    return record_reject_names[most];
}

/* Nothing is wrong with these: the source's options leave them out, or the archive was added to and
 * holds what stood there before. */
static uint64_t left_out(const struct block_fact *f)
{
    return f->rejected[REJECT_NO_PATIENT] + f->rejected[REJECT_NO_STUDY] +
           f->rejected[REJECT_UNLISTED] + f->rejected[REJECT_DUPLICATE];
}

static bool check_bad(const struct run *r, struct err *e)
{
    for (size_t i = 0; i < r->set.n; i++) {
        uint64_t good = 0, bad = 0;
        for (size_t k = 0; k < r->order.n; k++) {
            const struct block_fact *f = &r->order.facts[k];
            if (f->source != i) continue;
            good += f->records;
            bad += f->entries - f->ignored - f->records - left_out(f);
        }
        if ((double)bad > r->o->max_bad * (double)(good + bad))
            return err_set(e, ERR_LIMIT,
                           "source %s: %llu of %llu reports cannot be read (mostly: %s), more "
                           "than corpus.max_bad = %g; see %s/quarantine/%s.jsonl",
                           r->set.v[i].o->name, (unsigned long long)bad,
                           (unsigned long long)(good + bad), main_reason(r, i), r->o->max_bad,
                           r->o->dir, r->set.v[i].o->name);
    }
    return true;
}

/* corpus.phi: refuse. */
static bool check_phi(const struct run *r, struct err *e)
{
    for (size_t k = 0; r->o->phi == INGEST_PHI_REFUSE && k < r->order.n; k++) {
        const struct block_fact *f = &r->order.facts[k];
        for (int i = 0; i < PHI_KINDS; i++) {
            uint64_t n = f->flags[PHI_FIRST_FLAG + i];
            if (n > 0)
                return err_set(e, ERR_LIMIT,
                               "source %s, block %s: %s in %llu reports, and corpus.phi is refuse",
                               r->set.v[f->source].o->name, f->name, phi_kind_names[i],
                               (unsigned long long)n);
        }
    }
    return true;
}

static void sum_up(const struct run *r, struct ingest_summary *s)
{
    for (size_t k = 0; k < r->order.n; k++) {
        const struct block_fact *f = &r->order.facts[k];
        s->reports += f->records;
        s->entries += f->entries;
        s->ignored += f->ignored;
        s->pairs += f->pairs;
        s->text_bytes += f->text_bytes;
        s->blocks_made += f->made;
        for (int i = 0; i < REJECT_COUNT; i++)
            s->rejected[i] += f->rejected[i];
        for (int i = 0; i < SPLIT_COUNT; i++)
            s->split[i] += f->split[i];
        for (int i = 0; i < MOD_COUNT; i++)
            s->modality[i] += f->modality[i];
        for (int i = 0; i < RECORD_FLAGS; i++)
            s->flags[i] += f->flags[i];
    }
    s->blocks = r->order.n;
    for (size_t i = 0; i < r->set.n; i++) {
        for (size_t k = 0; k < r->set.v[i].nfiles; k++)
            s->source_bytes += r->set.v[i].files[k].bytes;
    }
}

/* A source that yields nothing at all: a pattern that meets other files, a format or columns that
 * do not fit. No error, as an export may be empty, but said. */
static void find_empty(const struct run *r, struct ingest_summary *s)
{
    for (size_t i = 0; r->o->limit == 0 && i < r->set.n; i++) {
        struct ingest_empty x = {.name = r->set.v[i].o->name, .files = r->set.v[i].nfiles};
        uint64_t records = 0;
        for (size_t k = 0; k < r->order.n; k++) {
            const struct block_fact *f = &r->order.facts[k];
            if (f->source != i) continue;
            records += f->records;
            x.entries += f->entries;
            x.ignored += f->ignored;
            for (int j = 0; j < REJECT_COUNT; j++)
                x.rejected += f->rejected[j];
        }
        if (records > 0) continue;
        if (s->nempty < INGEST_EMPTY_MAX) s->empty[s->nempty] = x;
        s->nempty++;
        log_warn("no-report", "source=%s files=%llu entries=%llu ignored=%llu rejected=%llu",
                 x.name, (unsigned long long)x.files, (unsigned long long)x.entries,
                 (unsigned long long)x.ignored, (unsigned long long)x.rejected);
    }
}

static bool see_corpus(struct run *r, struct late_corpus *out, struct err *e)
{
    const char **names = arena_alloc(&r->set.arena, (2 * r->set.n + 1) * sizeof *names, e);

    if (!names) return false;
    for (size_t i = 0; i < r->set.n; i++) {
        names[i] = r->set.v[i].o->name;
        names[r->set.n + i] = r->set.v[i].dir;
    }
    *out = (struct late_corpus){r->o->dir, names, names + r->set.n, r->o->near_duplicates};
    return true;
}

static bool make_folders(struct run *r, struct err *e)
{
    for (size_t i = 0; i < r->set.n; i++) {
        if (!fs_mkdirs(r->set.v[i].dir, e)) return false;
    }
    return true;
}

/* All steps between the lock and the summary. Collective. */
static bool build(struct run *r, struct err *e)
{
    bool first = comm_rank(r->c) == 0, ok;
    struct late_corpus corpus;

    if (!source_set_open(r->o, r->c, &r->set, e)) return false;
    if (r->o->limit && !trial_set(&r->set, r->c, &r->total, e)) return false;
    ok = see_corpus(r, &corpus, e) && (!first || make_folders(r, e)) && plan_tasks(r, e) &&
         choose_fed(r, e);
    if (!comm_agree(r->c, ok, e)) return false;
    if (!make_blocks(r, e) || !audit_splits(r, e)) return false;
    if (!order_open(r->c, &r->work.list, &r->order, e)) return false;
    if (!late_find(r->c, &corpus, &r->order, &r->work.list, &r->late, e)) return false;
    if (!list_rejects(r, e)) return false;
    if (!check_bad(r, e) || !check_phi(r, e)) return false; /* the same on every rank */
    if (first)
        ok = late_write(&corpus, r->order.facts, r->order.n, &r->late, e) &&
             manifest_write(&r->set, r->order.facts, r->order.n, &r->late, e) &&
             late_sweep(r->o->dir, r->late.name, e) &&
             manifest_sweep(&r->set, r->order.facts, r->order.n, e);
    return comm_agree(r->c, ok, e);
}

/* A trial would take the place of the whole corpus. */
static bool check_trial(const struct ingest_opts *o, struct err *e)
{
    bool whole;

    if (o->limit == 0) return true;
    if (!manifest_is_whole(o->dir, &whole, e)) return false;
    return !whole || err_set(e, ERR_CONFIG,
                             "%s holds a whole corpus: give the trial that corpus.limit asks for a "
                             "folder of its own, with --set corpus.dir=...",
                             o->dir);
}

static bool take_lock(const struct ingest_opts *o, int *handle, struct err *e)
{
    const char *path;
    struct arena a;
    bool ok;

    arena_init(&a, 64 << 10);
    ok = fs_mkdirs(o->dir, e) && fs_join(&a, o->dir, ".ingest.lock", &path, e) &&
         fs_lock(path, handle, e);
    arena_free(&a);
    return ok;
}

bool ingest_run(const struct ingest_opts *o, struct comm *c, struct ingest_summary *out,
                struct err *e)
{
    struct run r = {.o = o, .c = c};
    double start = clock_mono_s();
    bool first = comm_rank(c) == 0, locked = false, ok;
    int lock = -1;

    memset(out, 0, sizeof *out);
    ok = source_check_opts(o, e);
    if (ok && first) ok = (locked = take_lock(o, &lock, e)) && check_trial(o, e);
    ok = comm_agree(c, ok, e) && build(&r, e);
    if (ok) {
        sum_up(&r, out);
        find_empty(&r, out);
        out->total = r.o->limit ? r.total : out->reports;
        out->seconds = clock_mono_s() - start;
        out->near_seconds = r.late.near_s;
        out->report_seconds = r.work.report_s;
        comm_max_f64(c, &out->report_seconds, 1);
        log_info("ingest", "reports=%llu pairs=%llu blocks=%llu made=%llu seconds=%.2f",
                 (unsigned long long)out->reports, (unsigned long long)out->pairs,
                 (unsigned long long)out->blocks, (unsigned long long)out->blocks_made,
                 out->seconds);
    }
    order_close(&r.order);
    late_free(&r.late);
    block_work_free(&r.work);
    mem_free(r.tasks.v);
    mem_free(r.tasks.cost);
    mem_free(r.fed.v);
    mem_free(r.fed.cost);
    source_set_close(&r.set);
    if (locked) fs_unlock(lock);
    return ok;
}
