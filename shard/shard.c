#include "shard/shard.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/stop.h"
#include "shard/corpus_scan.h"
#include "shard/shard_groups.h"
#include "shard/shard_manifest.h"

#define RUN_ARENA_BYTES ((size_t)4 << 30)
enum { FILE_NAME_BYTES = 80, KEY_BYTES = 6, MANY_DUMPS = 64 };

/* Shard `number` of a modality in a source: candidates [from, to) of the modality, in corpus
 * order. */
struct task {
    enum record_modality modality;
    uint64_t source, number, from, to;
    size_t first_block; /* where candidate `from` stands */
    uint64_t skip;      /* candidates of that block in front of it */
    int rank;
};

struct run {
    const struct shard_opts *o;
    struct comm *c;
    struct arena arena;
    struct record_corpus corpus;
    struct builder *builder;
    struct corpus_scan scan;
    struct task *tasks;
    size_t ntasks, cap;
    struct shard_fact *facts; /* by task; zero but on the rank that did it, then summed */
    struct progress progress;
    uint64_t done;
    int lock;
    bool locked;
};

/* ---- what to make */
static bool choose_modalities(struct run *r, struct err *e)
{
    const struct opt_strs *m = &r->o->modality;

    for (int i = 0; i < MOD_COUNT; i++)
        r->scan.wanted[i] = m->n == 0;
    for (size_t i = 0; i < m->n; i++) {
        int code = record_modality_of(str_of(m->v[i]));
        if (code < 0 && strcmp(m->v[i], record_modality_names[MOD_UNKNOWN]) == 0)
            code = MOD_UNKNOWN;
        if (code < 0)
            return err_set(e, ERR_CONFIG,
                           "shards.modality: '%s' is none of CR CT MR US NM PT XA MG "
                           "RF OT unknown",
                           m->v[i]);
        r->scan.wanted[code] = true;
    }
    return true;
}

static bool add_task(struct run *r, struct task t, struct err *e)
{
    void *tasks = r->tasks;
    bool ok = mem_grow(&tasks, &r->cap, r->ntasks + 1, sizeof *r->tasks, e);

    r->tasks = tasks;
    if (ok) r->tasks[r->ntasks++] = t;
    return ok;
}

/*
 * Does a run end behind this block? It does where its archive or dump does, so that what comes
 * later makes new shards and leaves the old ones alone. A source of very many dumps would fall into
 * crumbs: behind its first MANY_DUMPS a run takes in further ones until it is worth a file. All
 * this looks back only; what is appended never changes it.
 */
static bool ends_run(const struct run *r, size_t b, uint64_t dumps, uint64_t held)
{
    const struct record_block *v = r->corpus.blocks;

    if (b + 1 == r->corpus.nblocks || v[b].source_index != v[b + 1].source_index) return true;
    return r->scan.ends[b] && (dumps < MANY_DUMPS || held >= r->o->shard_size / 16);
}

/* Cut a modality's candidates into runs of at most shard_size. */
static bool plan_modality(struct run *r, enum record_modality m, struct err *e)
{
    uint64_t before = 0, dumps = 0;
    struct task t = {.modality = m};

    for (size_t b = 0; b < r->corpus.nblocks; b++) {
        uint64_t end = before + r->scan.taken[b * MOD_COUNT + m];
        if (t.source != r->corpus.blocks[b].source_index) {
            t.source = r->corpus.blocks[b].source_index;
            t.number = dumps = 0;
        }
        while (t.to < end) {
            if (t.from == t.to) { /* a run begins in this block */
                t.first_block = b;
                t.skip = t.from - before;
            }
            t.to = end - t.from < r->o->shard_size ? end : t.from + r->o->shard_size;
            if (t.to - t.from < r->o->shard_size) break;
            if (!add_task(r, t, e)) return false;
            t.from = t.to;
            t.number++;
        }
        before = end;
        dumps += r->scan.ends[b];
        if (t.from == t.to || !ends_run(r, b, dumps, t.to - t.from)) continue;
        if (!add_task(r, t, e)) return false;
        t.from = t.to;
        t.number++;
    }
    return true;
}

static int by_size(const void *a, const void *b)
{
    const struct task *x = *(const struct task *const *)a, *y = *(const struct task *const *)b;
    uint64_t nx = x->to - x->from, ny = y->to - y->from;

    if (nx != ny) return nx < ny ? 1 : -1;
    return (x > y) - (x < y);
}

/* Longest first, each to the rank with the least so far. Every rank computes the same. */
static bool deal_tasks(struct run *r, struct err *e)
{
    size_t nranks = (size_t)comm_size(r->c);
    uint64_t *load = arena_alloc(&r->arena, nranks * sizeof *load, e);
    struct task **order;

    if (!load) return false;
    order = arena_alloc(&r->arena, (r->ntasks + 1) * sizeof(struct task *), e);
    if (!order) return false;
    for (size_t i = 0; i < r->ntasks; i++)
        order[i] = &r->tasks[i];
    qsort(order, r->ntasks, sizeof(struct task *), by_size);
    for (size_t i = 0; i < r->ntasks; i++) {
        size_t least = 0;
        for (size_t k = 1; k < nranks; k++)
            if (load[k] < load[least]) least = k;
        load[least] += order[i]->to - order[i]->from;
        order[i]->rank = (int)least;
    }
    return true;
}

/* ---- one shard */
/* Of the blocks the run touches, how far, and which of their records late flags leave out. */
static void digest_inputs(const struct run *r, const struct task *t, uint8_t out[32])
{
    uint64_t left = t->to - t->from, skip = t->skip;
    struct sha256 h;

    sha256_init(&h);
    for (size_t b = t->first_block; left > 0; b++) {
        const struct record_block *block = &r->corpus.blocks[b];
        uint64_t here = r->scan.taken[b * MOD_COUNT + t->modality] - skip;
        uint64_t take = here < left ? here : left;
        uint64_t late = r->scan.late[b * MOD_COUNT + t->modality];
        uint64_t place[5] = {skip, take, block->source_index, block->block_index, late};
        skip = 0;
        if (take == 0) continue;
        left -= take;
        sha256_put(&h, block->sha256, 32);
        sha256_put(&h, place, sizeof place);
        sha256_put(&h, block->source, strlen(block->source) + 1);
    }
    sha256_end(&h, out);
}

static void task_head(const struct run *r, const struct task *t, struct shard_head *h)
{
    const char *name = record_modality_names[t->modality];

    *h = *builder_head(r->builder);
    memcpy(h->modality, name, strlen(name));
    h->source = t->source;
    h->number = t->number;
    digest_inputs(r, t, h->inputs_sha256);
}

/* "CT/s00-00003-0123456789ab.h5": the key says all that the file was made from. */
static void task_name(const struct shard_head *h, char out[FILE_NAME_BYTES])
{
    uint8_t digest[32];
    char key[2 * KEY_BYTES + 1];
    struct sha256 s;

    sha256_init(&s);
    sha256_put(&s, SHARD_SCHEMA, sizeof SHARD_SCHEMA);
    sha256_put(&s, h->modality, sizeof h->modality);
    sha256_put(&s, &h->source, sizeof h->source);
    sha256_put(&s, &h->number, sizeof h->number);
    sha256_put(&s, h->inputs_sha256, 32);
    sha256_put(&s, h->config_sha256, 32);
    sha256_put(&s, h->tokenizer_sha256, 32);
    sha256_put(&s, h->template_sha256, 32);
    sha256_end(&s, digest);
    hash_hex(digest, KEY_BYTES, key);
    snprintf(out, FILE_NAME_BYTES, "%s/s%02llu-%05llu-%s.h5", h->modality,
             (unsigned long long)h->source, (unsigned long long)h->number, key);
}

/* Is the file there, whole, and made from the same? Then its numbers go to fact. */
static bool task_kept(const char *path, const struct shard_head *want, struct shard_fact *fact)
{
    struct shard_file f;
    struct err e = {0};
    bool same;

    if (!fs_exists(path)) return false;
    if (!shard_file_open(path, true, &f, &e)) {
        log_warn("shard_remade", "reason=\"%s\"", e.text);
        return false;
    }
    same = memcmp(f.head.inputs_sha256, want->inputs_sha256, 32) == 0 &&
           memcmp(f.head.config_sha256, want->config_sha256, 32) == 0 &&
           memcmp(f.head.tokenizer_sha256, want->tokenizer_sha256, 32) == 0 &&
           memcmp(f.head.template_sha256, want->template_sha256, 32) == 0;
    if (same) shard_file_fact(&f, fact);
    shard_file_close(&f);
    return same;
}

/* Candidates of one block: skip some, take at most *left. */
static bool put_block(struct run *r, const struct task *t, const struct record_block *block,
                      uint64_t skip, uint64_t *left, struct err *e)
{
    struct builder_place at = {block->source, block->source_index, block->block_index, 0};
    struct record_reader *in = NULL;
    struct record rec;
    bool ok = record_block_open(block, &in, e);

    for (size_t i = 0; ok && *left > 0 && i < record_reader_count(in); i++) {
        int reason;
        record_reader_get(in, i, &rec);
        if (rec.modality != t->modality || builder_screen(r->builder, &rec) != BUILDER_TAKEN)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        --*left;
        r->done++;
        if (builder_screen_late(r->builder, &rec) != BUILDER_TAKEN) continue;
        at.row = (uint32_t)i;
        ok = builder_put(r->builder, &rec, at, &reason, e);
        if (!ok) err_wrap(e, "source %s, entry %llu", block->source, (unsigned long long)rec.entry);
    }
    record_reader_close(in);
    return ok;
}

static bool task_build(struct run *r, const struct task *t, const char *path,
                       struct shard_head *head, struct shard_fact *fact, struct err *e)
{
    const struct shard_data *data = NULL;
    uint64_t left = t->to - t->from;
    bool ok = true;

    builder_reset(r->builder);
    for (size_t b = t->first_block; ok && left > 0; b++) {
        if (stop_requested())
            return err_set(e, ERR_STOPPED, "stopped; finished shards are kept, run it again");
        if (r->scan.taken[b * MOD_COUNT + t->modality] == 0) continue;
        ok = put_block(r, t, &r->corpus.blocks[b], b == t->first_block ? t->skip : 0, &left, e);
        progress_update(&r->progress, r->done, NULL);
    }
    if (!ok || !builder_join(r->builder, &data, head, fact, e)) return false;
    fact->made = data != NULL;
    return !data || shard_writer_write(path, head, data, fact, e);
}

static bool do_task(struct run *r, const struct task *t, struct shard_fact *fact, struct err *e)
{
    char name[FILE_NAME_BYTES];
    struct arena_mark mark = arena_mark(&r->arena);
    struct shard_head head;
    const char *path;
    bool ok = false;

    task_head(r, t, &head);
    task_name(&head, name);
    if (fs_join(&r->arena, r->o->dir, name, &path, e)) {
        ok = task_kept(path, &head, fact);
        if (ok)
            r->done += t->to - t->from;
        else
            ok = task_build(r, t, path, &head, fact, e);
        progress_update(&r->progress, r->done, NULL);
    }
    arena_reset(&r->arena, mark);
    return ok || err_wrap(e, "shard %s %llu-%llu", head.modality, (unsigned long long)t->source,
                          (unsigned long long)t->number);
}

static bool do_tasks(struct run *r, struct err *e)
{
    uint64_t total = 0;
    bool ok = true;

    for (size_t i = 0; i < r->ntasks; i++)
        if (r->tasks[i].rank == comm_rank(r->c)) total += r->tasks[i].to - r->tasks[i].from;
    progress_start(&r->progress, comm_rank(r->c), "shard", "reports", total, r->o->dir);
    progress_update(&r->progress, 0, NULL);
    for (size_t i = 0; ok && i < r->ntasks; i++)
        if (r->tasks[i].rank == comm_rank(r->c)) ok = do_task(r, &r->tasks[i], &r->facts[i], e);
    progress_end(&r->progress, ok ? "done" : e->code == ERR_STOPPED ? "stopped" : "failed");
    return ok;
}

/* ---- the manifest; rank 0 */
/* Does the fact name a file? (A run may have lost all its records to filters.) */
static bool has_file(const struct shard_fact *f)
{
    return f->bytes > 0;
}

static bool list_sources(struct run *r, struct shard_manifest *m, struct err *e)
{
    const char **names, **terms;

    for (size_t i = 0; i < r->corpus.nblocks; i++)
        if (r->corpus.blocks[i].source_index >= m->nsources)
            m->nsources = r->corpus.blocks[i].source_index + 1;
    m->sources = names = arena_alloc(&r->arena, 2 * (m->nsources + 1) * sizeof *names, e);
    if (!names) return false;
    m->terms = terms = names + m->nsources + 1;
    for (size_t i = 0; i < m->nsources; i++)
        names[i] = terms[i] = "";
    for (size_t i = 0; i < r->corpus.nblocks; i++) {
        const struct record_block *b = &r->corpus.blocks[i];
        names[b->source_index] = b->source;
        terms[b->source_index] = b->terms;
    }
    return true;
}

static bool add_modality(struct run *r, struct shard_manifest *m, enum record_modality code,
                         struct err *e)
{
    struct shard_manifest_modality *out = &m->modalities[m->nmodalities++];
    char name[FILE_NAME_BYTES];

    out->name = record_modality_names[code];
    out->options = builder_options(r->builder);
    out->records = r->scan.records[code];
    memcpy(out->config_sha256, builder_head(r->builder)->config_sha256, 32);
    memcpy(out->corpus_sha256, r->corpus.digest, 32);
    memcpy(out->dropped, r->scan.dropped[code], sizeof out->dropped);
    for (size_t i = 0; i < r->ntasks; i++) {
        const struct task *t = &r->tasks[i];
        struct shard_head head;
        struct str copy;
        if (t->modality != code) continue;
        for (int d = 0; d < SHARD_DROPS; d++)
            out->dropped[d] += r->facts[i].dropped[d];
        out->cut += r->facts[i].cut;
        out->cut_tokens += r->facts[i].cut_tokens;
        out->unknown += r->facts[i].unknown;
        if (!has_file(&r->facts[i])) continue;
        task_head(r, t, &head);
        task_name(&head, name);
        if (!arena_str(&r->arena, str_of(name), &copy, e)) return false;
        m->files[m->nfiles++] =
            (struct shard_manifest_file){copy.p, out->name, t->source, t->number, r->facts[i]};
    }
    return true;
}

/* The files of a modality that this run leaves alone. */
static void keep_modality(struct run *r, const struct shard_manifest *old, struct shard_manifest *m,
                          size_t k)
{
    const char *name = old->modalities[k].name;

    m->modalities[m->nmodalities++] = old->modalities[k];
    for (size_t i = 0; i < old->nfiles; i++)
        if (strcmp(old->files[i].modality, name) == 0) m->files[m->nfiles++] = old->files[i];
    if (memcmp(old->modalities[k].corpus_sha256, r->corpus.digest, 32) != 0)
        log_warn("shard_stale", "modality=%s note=\"its shards are of an older corpus\"", name);
}

/* Shards of other modalities can stay only beside their like. */
static bool check_old(const struct run *r, const struct shard_manifest *old,
                      const struct shard_manifest *m, struct err *e)
{
    bool same = memcmp(old->info.tokenizer_digest, m->info.tokenizer_digest, 32) == 0 &&
                memcmp(old->info.template_digest, m->info.template_digest, 32) == 0 &&
                old->info.layout == m->info.layout && old->info.max_tokens == m->info.max_tokens &&
                old->info.max_input_tokens == m->info.max_input_tokens &&
                old->nsources <= m->nsources;

    for (size_t i = 0; same && i < old->nsources; i++) /* new sources come behind */
        same = strcmp(old->sources[i], m->sources[i]) == 0;
    return same || err_set(e, ERR_CONFIG,
                           "%s has shards of other modalities, made with another tokenizer, "
                           "template, input, layout, max_tokens or other sources: leave "
                           "shards.modality out to make "
                           "all anew, or give another shards.dir",
                           r->o->dir);
}

static int kept_index(const struct run *r, const struct shard_manifest *old, int code)
{
    if (r->scan.wanted[code]) return -1;
    for (size_t k = 0; k < old->nmodalities; k++)
        if (strcmp(old->modalities[k].name, record_modality_names[code]) == 0) return (int)k;
    return -1;
}

static bool read_old(struct run *r, struct shard_manifest *old, struct err *e)
{
    const char *path;

    *old = (struct shard_manifest){0};
    if (r->o->modality.n == 0) return true; /* everything is made by this run */
    if (!fs_join(&r->arena, r->o->dir, "manifest.json", &path, e)) return false;
    return !fs_exists(path) || shard_manifest_read(r->o->dir, &r->arena, old, e);
}

static void fill_info(const struct run *r, struct shard_info *i)
{
    const struct shard_head *h = builder_head(r->builder);

    memcpy(i->tokenizer_digest, h->tokenizer_sha256, 32);
    memcpy(i->template_digest, h->template_sha256, 32);
    i->template_name = h->template_name;
    i->inputs = h->inputs;
    i->vocab_size = h->vocab_size;
    i->layout = (enum shard_layout)h->layout;
    i->max_tokens = h->max_tokens;
    i->max_input_tokens = h->max_input_tokens;
    i->max_target_tokens = h->max_target_tokens;
    i->bos = h->bos;
    i->eos = h->eos;
    i->pad = h->pad;
}

static void summarise(const struct run *r, struct shard_summary *s)
{
    s->patients = r->scan.patients;
    s->shared_ids = r->scan.shared_ids;
    memcpy(s->seen, r->scan.seen, sizeof s->seen);
    memcpy(s->near_seen, r->scan.near_seen, sizeof s->near_seen);
    for (size_t i = 0; i < r->corpus.nnear; i++)
        s->near_texts += r->scan.near[i];
    for (int m = 0; m < MOD_COUNT; m++) {
        s->records += r->scan.records[m];
        for (int d = 0; d < SHARD_DROPS; d++)
            s->dropped[d] += r->scan.dropped[m][d];
    }
    for (size_t i = 0; i < r->ntasks; i++) {
        const struct shard_fact *f = &r->facts[i];
        s->files += has_file(f);
        s->files_made += f->made;
        s->bytes += f->bytes;
        s->cut += f->cut;
        s->cut_tokens += f->cut_tokens;
        s->unknown += f->unknown;
        for (int d = 0; d < SHARD_DROPS; d++)
            s->dropped[d] += f->dropped[d];
        for (int k = 0; k < SHARD_SPLITS; k++) {
            s->samples[k] += f->samples[k];
            s->tokens[k] += f->tokens[k];
            s->targets[k] += f->targets[k];
        }
    }
}

/* Which reports there were, and why each was left out. */
static bool no_sample(const struct run *r, struct err *e)
{
    struct shard_summary s = {0};
    char why[512] = "";
    size_t at = 0;

    summarise(r, &s);
    if (s.records == 0)
        return err_set(
            e, ERR_CONFIG,
            "the corpus has no report of the chosen modalities (shards.modality); radmill "
            "ingest and stats say which there are");
    for (int d = 0; d < SHARD_DROPS && at < sizeof why; d++) {
        if (s.dropped[d] == 0) continue;
        at += (size_t)snprintf(why + at, sizeof why - at, "%s %s %llu", at ? "," : ":",
                               shard_drop_names[d], (unsigned long long)s.dropped[d]);
    }
    return err_set(e, ERR_CONFIG,
                   "none of the %llu reports of the chosen modalities gave a sample%s",
                   (unsigned long long)s.records, why);
}

static bool collect(struct run *r, struct shard_manifest *m, struct err *e)
{
    struct shard_manifest old;
    bool any = false;

    *m = (struct shard_manifest){.patients = r->scan.patients, .shared_ids = r->scan.shared_ids};
    memcpy(m->seen, r->scan.seen, sizeof m->seen);
    fill_info(r, &m->info);
    if (!read_old(r, &old, e) || !list_sources(r, m, e)) return false;
    m->files = arena_alloc(&r->arena, (r->ntasks + old.nfiles + 1) * sizeof *m->files, e);
    if (!m->files) return false;
    m->modalities = arena_alloc(&r->arena, MOD_COUNT * sizeof *m->modalities, e);
    if (!m->modalities) return false;
    for (int code = 0; code < MOD_COUNT; code++) {
        int k = kept_index(r, &old, code);
        if (k >= 0 && !check_old(r, &old, m, e)) return false;
        if (k >= 0) keep_modality(r, &old, m, (size_t)k);
        if (r->scan.wanted[code] && r->scan.records[code] && !add_modality(r, m, code, e))
            return false;
    }
    for (size_t i = 0; i < r->ntasks; i++)
        any |= has_file(&r->facts[i]);
    return any || no_sample(r, e);
}

/* Remove shard files of the modalities just made that the manifest does not name: tokens of a
 * report that was removed must not linger. */
static bool sweep(struct run *r, const struct shard_manifest *m, enum record_modality code,
                  struct err *e)
{
    const char *dir, *path;
    struct str *names;
    size_t n;

    if (!fs_join(&r->arena, r->o->dir, record_modality_names[code], &dir, e)) return false;
    if (!fs_is_dir(dir)) return true;
    if (!fs_gc_tmp(dir, e) || !fs_list(dir, &r->arena, &names, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        bool named = false;
        for (size_t k = 0; k < m->nfiles && !named; k++) {
            const char *slash = strrchr(m->files[k].path, '/');
            named = strcmp(m->files[k].modality, record_modality_names[code]) == 0 && slash &&
                    str_eqz(names[i], slash + 1);
        }
        if (named || !str_ends(names[i], STR(".h5"))) continue;
        if (!fs_join(&r->arena, dir, names[i].p, &path, e) || !fs_remove(path, e)) return false;
    }
    return true;
}

/* The table of texts that are nearly one: of the corpus's those that samples may have. */
static bool write_groups(struct run *r, struct shard_manifest *m, struct err *e)
{
    const struct record_corpus *c = &r->corpus;
    struct record_near *v;
    struct str copy;
    char name[SHARD_GROUPS_NAME];
    size_t n = 0;
    bool ok;

    for (size_t i = 0; i < c->nnear; i++)
        n += r->scan.near[i];
    if (n == 0) return true;
    v = mem_alloc(n * sizeof *v, e);
    if (!v) return false;
    n = 0;
    for (size_t i = 0; i < c->nnear; i++)
        if (r->scan.near[i]) v[n++] = c->near[i];
    ok = shard_groups_write(r->o->dir, v, n, name, m->groups_sha256, e) &&
         arena_str(&r->arena, str_of(name), &copy, e);
    mem_free(v);
    if (!ok) return false;
    m->groups = copy.p;
    m->groups_texts = n;
    memcpy(m->near_seen, r->scan.near_seen, sizeof m->near_seen);
    return true;
}

static bool sweep_groups(struct run *r, const struct shard_manifest *m, struct err *e)
{
    const char *path;
    struct str *names;
    size_t n;

    if (!fs_list(r->o->dir, &r->arena, &names, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        bool ours = str_starts(names[i], STR("groups-")) && str_ends(names[i], STR(".h5"));
        if (!ours || (m->groups && str_eqz(names[i], m->groups))) continue;
        if (!fs_join(&r->arena, r->o->dir, names[i].p, &path, e) || !fs_remove(path, e))
            return false;
    }
    return true;
}

static bool publish(struct run *r, struct shard_manifest *m, struct err *e)
{
    if (!collect(r, m, e) || !write_groups(r, m, e) || !shard_manifest_write(r->o->dir, m, e))
        return false;
    for (int code = 0; code < MOD_COUNT; code++)
        if (r->scan.wanted[code] && !sweep(r, m, code, e)) return false;
    return sweep_groups(r, m, e) && fs_gc_tmp(r->o->dir, e);
}

/* ---- the run */
/* What each rank does on its own before the first exchange. Rank 0 makes and locks the folder. */
static bool prepare(struct run *r, const char *corpus_dir, const char *tokenizer_path,
                    struct err *e)
{
    const char *lock;

    if (!r->o->dir)
        return err_set(e, ERR_CONFIG, "shards.dir is missing: the folder of the shards");
    if (!choose_modalities(r, e)) return false;
    if (!record_corpus_open(corpus_dir, &r->arena, &r->corpus, e)) return false;
    if (!builder_open(r->o, tokenizer_path, &r->builder, e)) return false;
    if (comm_rank(r->c) != 0) return true;
    if (!fs_mkdirs(r->o->dir, e) || !fs_join(&r->arena, r->o->dir, ".lock", &lock, e)) return false;
    r->locked = fs_lock(lock, &r->lock, e);
    return r->locked;
}

/* Folders of the modalities; the same tasks on every rank. */
static bool plan_tasks(struct run *r, struct err *e)
{
    for (int m = 0; m < MOD_COUNT; m++) {
        size_t before = r->ntasks;
        const char *dir;
        if (!r->scan.wanted[m]) continue;
        if (!plan_modality(r, (enum record_modality)m, e)) return false;
        if (comm_rank(r->c) != 0 || r->ntasks == before) continue;
        if (!fs_join(&r->arena, r->o->dir, record_modality_names[m], &dir, e)) return false;
        if (!fs_mkdirs(dir, e)) return false;
    }
    r->facts = mem_calloc(r->ntasks + 1, sizeof *r->facts, e);
    return r->facts && deal_tasks(r, e);
}

static bool run_all(struct run *r, const char *corpus_dir, const char *tokenizer_path,
                    struct shard_summary *out, struct err *e)
{
    struct shard_manifest m = {0};
    bool ok = prepare(r, corpus_dir, tokenizer_path, e);

    if (!comm_agree(r->c, ok, e)) return false;
    if (!corpus_scan_run(&r->scan, &r->corpus, r->builder, r->c, e)) return false;
    if (!comm_agree(r->c, plan_tasks(r, e), e)) return false;
    if (!comm_agree(r->c, do_tasks(r, e), e)) return false;
    comm_sum_u64(r->c, (uint64_t *)r->facts, r->ntasks * (sizeof *r->facts / sizeof(uint64_t)));
    ok = comm_rank(r->c) != 0 || publish(r, &m, e);
    if (!comm_agree(r->c, ok, e)) return false;
    summarise(r, out);
    memcpy(out->dataset_digest, m.info.dataset_digest, 32);
    comm_bcast(r->c, out->dataset_digest, 32, 0);
    return true;
}

bool shard_run(const char *corpus_dir, const struct shard_opts *o, const char *tokenizer_path,
               struct comm *c, struct shard_summary *out, struct err *e)
{
    struct run r = {.o = o, .c = c};
    bool ok;

    _Static_assert(sizeof(struct shard_fact) % sizeof(uint64_t) == 0, "summed as 64-bit numbers");
    *out = (struct shard_summary){0};
    arena_init(&r.arena, RUN_ARENA_BYTES);
    ok = run_all(&r, corpus_dir, tokenizer_path, out, e);
    if (ok)
        log_info("sharded", "files=%llu made=%llu samples=%llu/%llu/%llu bytes=%llu",
                 (unsigned long long)out->files, (unsigned long long)out->files_made,
                 (unsigned long long)out->samples[SHARD_TRAIN],
                 (unsigned long long)out->samples[SHARD_DEV],
                 (unsigned long long)out->samples[SHARD_TEST], (unsigned long long)out->bytes);
    if (r.locked) fs_unlock(r.lock);
    mem_free(r.facts);
    mem_free(r.tasks);
    corpus_scan_free(&r.scan);
    builder_close(r.builder);
    arena_free(&r.arena);
    return ok || err_wrap(e, "shard");
}
