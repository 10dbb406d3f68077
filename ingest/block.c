#include "ingest/block.h"

#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ingest/block_impl.h"

void block_work_free(struct block_work *w)
{
    mem_free(w->list.facts);
    mem_free(w->list.keys);
    record_writer_close(w->writer);
    report_builder_close(w->builder);
    zip_reader_close(w->zip);
    format_scratch_free(&w->scratch);
    memset(w, 0, sizeof *w);
}

bool block_builder(const struct source_set *set, struct block_work *w, struct err *e)
{
    if (w->builder) return true;
    w->max_entry = set->o->max_entry;
    format_scratch_init(&w->scratch, set->o->max_entry);
    return report_builder_open(set->o->max_entry, &w->builder, e);
}

/* ---- names */
static void name_prefix(uint32_t number, uint64_t block, char out[BLOCK_NAME_BYTES])
{
    (void)snprintf(out, BLOCK_NAME_BYTES, "b%04u-%06llu-", number, (unsigned long long)block);
}

static void block_name(const struct source_file *f, uint64_t block, char out[BLOCK_NAME_BYTES])
{
    char key[13];

    hash_hex(f->config, 6, key);
    name_prefix(f->number, block, out);
    (void)snprintf(out + strlen(out), BLOCK_NAME_BYTES - strlen(out), "%s.h5", key);
}

/* ---- facts */
/* An addendum that is not the whole report again does not stand in its place. */
static uint8_t status_rank(const struct record *r)
{
    static const uint8_t rank[STATUS_COUNT] = {
        [STATUS_PRELIMINARY] = 0, [STATUS_UNKNOWN] = 1,   [STATUS_FINAL] = 1,
        [STATUS_ADDENDUM] = 2,    [STATUS_CORRECTED] = 2, [STATUS_CANCELLED] = BLOCK_VOID,
    };
    const uint32_t part = RECORD_NO_FINDINGS | RECORD_NO_IMPRESSION;

    if (r->status == STATUS_ADDENDUM && r->flags & part) return 0;
    return rank[r->status];
}

/* first and last look at time and place alone; a withdrawn report stays withdrawn. */
static void set_versions(struct block_key *k, int versions)
{
    static const uint64_t latest = UINT64_C(99991231235959);

    if (versions == VERSIONS_BEST) return;
    if (versions == VERSIONS_ALL) k->study = (struct hash128){0, 0};
    if (k->status != BLOCK_VOID) k->status = 0;
    k->first = versions == VERSIONS_FIRST;
    if (k->first && k->time && k->time < latest) k->time = latest - k->time;
}

struct block_key block_key_of(struct block_place at, const struct record *r)
{
    const uint32_t none = RECORD_NO_FINDINGS | RECORD_NO_IMPRESSION;
    struct block_key k = {.status = status_rank(r), .split = r->split, .time = r->time};
    bool shared = at.site && *at.site;
    uint64_t place = shared ? hash_xxh64(at.site, strlen(at.site), 2)
                            : hash_xxh64(at.source, strlen(at.source), 1);

    k.pair = (r->flags & none) == 0;
    if ((r->flags & none) != none) k.norm = r->hash_norm;
    if (r->patient.n > 0) k.patient = hash_xxh64(r->patient.p, r->patient.n, place) | 1;
    if (r->study.n > 0) {
        k.study = hash_xxh128(r->study.p, r->study.n);
        k.study.lo ^= place;
    }
    set_versions(&k, at.versions);
    return k;
}

static void count_record(struct block_fact *f, const struct record *r)
{
    const uint32_t unfit = RECORD_NO_FINDINGS | RECORD_NO_IMPRESSION;

    f->records++;
    f->text_bytes += r->text.n;
    f->modality[r->modality]++;
    f->split[r->split]++;
    f->pairs += (r->flags & unfit) == 0;
    for (int bit = 0; bit < RECORD_FLAGS; bit++)
        f->flags[bit] += r->flags >> bit & 1;
}

void block_count(const struct record_reader *r, struct block_fact *f)
{
    struct record rec;
    struct record_rejected rej;

    f->first_entry = record_reader_info(r)->first_entry;
    f->entries = record_reader_info(r)->entries;
    f->ignored = record_reader_info(r)->ignored;
    f->records = f->text_bytes = f->pairs = 0;
    memset(f->rejected, 0, sizeof f->rejected);
    memset(f->modality, 0, sizeof f->modality);
    memset(f->split, 0, sizeof f->split);
    memset(f->flags, 0, sizeof f->flags);
    for (size_t i = 0; i < record_reader_rejects(r); i++) {
        record_reader_rejected(r, i, &rej);
        f->rejected[rej.reason]++;
    }
    for (size_t i = 0; i < record_reader_count(r); i++) {
        record_reader_get(r, i, &rec);
        count_record(f, &rec);
    }
    record_reader_sha256(r, f->sha256);
}

bool block_put_fact(struct block_list *l, const struct block_fact *f, struct err *e)
{
    if (!mem_grow((void **)&l->facts, &l->cap, l->n + 1, sizeof *l->facts, e)) return false;
    l->facts[l->n++] = *f;
    return true;
}

bool block_put_key(struct block_list *l, const struct block_key *k, struct err *e)
{
    if (!mem_grow((void **)&l->keys, &l->keys_cap, l->nkeys + 1, sizeof *l->keys, e)) return false;
    l->keys[l->nkeys++] = *k;
    return true;
}

static bool put_key(struct block_list *l, const struct source *s, const struct record *r,
                    struct err *e)
{
    struct block_key k =
        block_key_of((struct block_place){s->o->name, s->o->site, s->o->versions}, r);
    return block_put_key(l, &k, e);
}

static bool put_keys(struct block_list *l, const struct source *s, const struct record_reader *r,
                     struct err *e)
{
    struct record rec;

    for (size_t i = 0; i < record_reader_count(r); i++) {
        record_reader_get(r, i, &rec);
        if (!put_key(l, s, &rec, e)) return false;
    }
    return true;
}

static struct block_fact new_fact(const struct source *s, size_t file, uint64_t block)
{
    return (struct block_fact){
        .source = s->index, .file = s->files[file].number, .block = (uint32_t)block};
}

/* ---- found from an earlier run */
static size_t first_name(const struct source *s, struct str prefix)
{
    size_t low = 0, high = s->nfound;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (str_cmp(s->found[mid], prefix) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_of(const struct record_reader *r, const struct source *s,
                  const struct source_file *f)
{
    const struct record_block_info *info = record_reader_info(r);

    return memcmp(info->config_sha256, f->config, sizeof f->config) == 0 &&
           strcmp(info->source, s->o->name) == 0;
}

/* Whoever was forgotten after the block was made: it is made again. */
static bool has_forgotten(const struct record_reader *r, const struct source *s)
{
    struct record rec;

    for (size_t i = 0; s->forgotten && i < record_reader_count(r); i++) {
        record_reader_get(r, i, &rec);
        if (forget_list_has(s->forgotten, rec.patient)) return true;
    }
    return false;
}

/* *out NULL: there is none that is whole. A damaged block is not an error: it is made again. */
static bool find_block(const struct source *s, size_t file, uint64_t block,
                       struct record_reader **out, struct block_fact *fact, struct err *e)
{
    char prefix[BLOCK_NAME_BYTES], path[PATH_MAX];

    *out = NULL;
    name_prefix(s->files[file].number, block, prefix);
    for (size_t i = first_name(s, str_of(prefix)); i < s->nfound; i++) {
        struct str name = s->found[i];
        struct err damaged = {0};
        if (!str_starts(name, str_of(prefix))) break;
        if (name.n >= BLOCK_NAME_BYTES || strlen(s->dir) + name.n + 2 > sizeof path) continue;
        (void)snprintf(path, sizeof path, "%s/%s", s->dir, name.p);
        if (!record_reader_open(path, out, &damaged)) {
            if (damaged.code != ERR_NOMEM) continue;
            *e = damaged;
            return false;
        }
        if (is_of(*out, s, &s->files[file]) && !has_forgotten(*out, s)) {
            memcpy(fact->name, name.p, name.n + 1);
            return true;
        }
        record_reader_close(*out);
        *out = NULL;
    }
    return true;
}

bool block_reuse(const struct source *s, size_t file, uint64_t block, struct block_list *l,
                 bool *found, bool *last, struct err *e)
{
    struct block_fact fact = new_fact(s, file, block);
    struct record_reader *r;
    bool ok;

    if (!find_block(s, file, block, &r, &fact, e)) return false;
    *found = r != NULL;
    if (!r) return true;
    *last = record_reader_info(r)->last;
    block_count(r, &fact);
    ok = put_keys(l, s, r, e) && block_put_fact(l, &fact, e);
    record_reader_close(r);
    return ok;
}

/* ---- making one */
bool block_maker_begin(const struct source *s, size_t file, uint64_t block, uint64_t first_entry,
                       struct block_work *w, struct block_maker *m, struct err *e)
{
    const struct source_file *f = &s->files[file];
    const char *path;
    struct arena a;
    bool ok;

    memset(m, 0, sizeof *m);
    m->source = s;
    m->file = file;
    m->work = w;
    m->fact = new_fact(s, file, block);
    m->fact.made = 1;
    m->fact.first_entry = first_entry;
    block_name(f, block, m->fact.name);
    arena_init(&a, 64 << 10);
    ok = fs_join(&a, s->dir, m->fact.name, &path, e);
    if (ok && w->writer)
        ok = record_writer_restart(w->writer, path, s->o->name, first_entry, f->config, e);
    else if (ok)
        ok = record_writer_open(path, s->o->name, first_entry, f->config, &w->writer, e);
    arena_free(&a);
    return ok;
}

bool block_maker_put(struct block_maker *m, const struct record *raw, struct err *e)
{
    char patient[IDS_TEXT], study[IDS_TEXT];
    struct record r = *raw;

    r.patient = ids_of(m->source->ids, IDS_PATIENT, raw->patient, patient);
    r.study = ids_of(m->source->ids, IDS_STUDY, raw->study, study);
    if (!record_writer_put(m->work->writer, &r, e)) return false;
    m->fact.entries++;
    count_record(&m->fact, &r);
    return put_key(&m->work->list, m->source, &r, e);
}

bool block_maker_reject(struct block_maker *m, uint64_t entry, uint64_t offset,
                        enum record_reject reason, struct err *e)
{
    m->fact.entries++;
    m->fact.rejected[reason]++;
    return record_writer_reject(m->work->writer, entry, offset, reason, e);
}

void block_maker_ignore(struct block_maker *m, uint64_t entries)
{
    m->fact.entries += entries;
    m->fact.ignored += entries;
    record_writer_ignore(m->work->writer, entries);
}

static uint64_t text_bytes(const struct report_input *in)
{
    uint64_t n = in->text.n;

    for (int i = 0; i < SEC_COUNT; i++)
        n += in->section[i].n;
    return n;
}

/* What the source says about reports without ids; the names made up live in `made`. */
struct made_up {
    char patient[40], study[160];
    bool patient_is;
};

/* A patient for this report alone; the same whenever the file is read. */
static void own_patient(const struct block_maker *m, struct report_input *in, struct made_up *made)
{
    struct sha256 h;
    uint8_t digest[32];

    sha256_init(&h);
    sha256_put(&h, m->source->files[m->file].sha256, 32);
    sha256_put(&h, &in->entry, sizeof in->entry);
    sha256_end(&h, digest);
    memcpy(made->patient, "own-", 4);
    hash_hex(digest, 16, made->patient + 4);
    in->patient = str_of(made->patient);
    made->patient_is = true;
}

/* False: the report is not taken, for this reason. */
static bool mend_ids(const struct block_maker *m, struct report_input *in, struct made_up *made,
                     enum record_reject *why)
{
    const struct ingest_source_opts *o = m->source->o;

    if (in->study.n == 0 && o->no_study == NO_STUDY_DROP) {
        *why = REJECT_NO_STUDY;
        return false;
    }
    if (in->patient.n == 0 && o->no_patient == NO_PATIENT_DROP) {
        *why = REJECT_NO_PATIENT;
        return false;
    }
    if (in->study.n == 0 && o->no_study == NO_STUDY_DERIVE && in->patient.n > 0 && in->time > 0 &&
        in->patient.n < sizeof made->study - 32) {
        int n = snprintf(made->study, sizeof made->study, "%.*s@%llu", STR_ARG(in->patient),
                         (unsigned long long)in->time);
        in->study = (struct str){made->study, (size_t)n};
    }
    if (in->patient.n == 0 && (o->no_patient == NO_PATIENT_OWN || in->study.n == 0))
        own_patient(m, in, made);
    return true;
}

bool block_maker_item(struct block_maker *m, struct format_item *item, struct err *e)
{
    struct report_input *in = &item->in;
    struct made_up made = {.patient_is = false};
    struct record r;

    if (item->kind == ITEM_REPORT && text_bytes(in) > m->work->max_entry) {
        item->kind = ITEM_REJECT;
        item->reason = REJECT_TOO_LARGE;
    }
    if (item->kind == ITEM_REPORT && !mend_ids(m, in, &made, &item->reason))
        item->kind = ITEM_REJECT;
    if (item->kind == ITEM_REJECT)
        return block_maker_reject(m, in->entry, in->offset, item->reason, e);
    if (item->kind == ITEM_IGNORE || !source_wants(m->source, in->patient, in->study)) {
        block_maker_ignore(m, 1);
        return true;
    }
    double start = clock_mono_s();
    if (!report_build(m->work->builder, &m->source->rules, in, &r, e))
        return err_wrap(e, "entry %llu", (unsigned long long)in->entry);
    if (m->source->o->unlisted == UNLISTED_DROP && r.split == SPLIT_NONE)
        return block_maker_reject(m, in->entry, in->offset, REJECT_UNLISTED, e);
    if (made.patient_is && in->split < 0 && !source_is_one_split(m->source))
        r.flags |= RECORD_SPLIT_WEAK;
    if (!block_maker_put(m, &r, e)) return false;
    m->work->report_s += clock_mono_s() - start;
    return true;
}

bool block_maker_commit(struct block_maker *m, bool last, struct err *e)
{
    if (last) record_writer_last(m->work->writer);
    if (!record_writer_commit(m->work->writer, e)) return false;
    record_writer_sha256(m->work->writer, m->fact.sha256);
    return block_put_fact(&m->work->list, &m->fact, e);
}

/* ---- records that go */
bool block_copy(const struct record_reader *r, const char *path, const uint8_t *drop, struct err *e)
{
    const struct record_block_info *info = record_reader_info(r);
    struct record_writer *w = NULL;
    struct record rec;
    struct record_rejected rej;
    uint64_t dropped = 0;
    bool ok = false;

    if (!record_writer_open(path, info->source, info->first_entry, info->config_sha256, &w, e))
        goto out;
    for (size_t i = 0; i < record_reader_count(r); i++) {
        if (drop[i]) {
            dropped++;
            continue;
        }
        record_reader_get(r, i, &rec);
        if (!record_writer_put(w, &rec, e)) goto out;
    }
    for (size_t i = 0; i < record_reader_rejects(r); i++) {
        record_reader_rejected(r, i, &rej);
        if (!record_writer_reject(w, rej.entry, rej.offset, rej.reason, e)) goto out;
    }
    record_writer_ignore(w, info->ignored + dropped);
    if (info->last) record_writer_last(w);
    ok = record_writer_commit(w, e);
out:
    record_writer_close(w);
    return ok;
}
