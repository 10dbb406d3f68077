#include "ingest/export_impl.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "ingest/split.h"
#include "text/clean.h"

enum { MAX_TEXT = 64 << 20, MAX_PATHS = 256 << 20 };

/* Where a listed study's record is. */
struct place {
    uint32_t block;
    uint32_t row; /* + 1; 0: not found */
};
struct job {
    struct record_corpus corpus;
    struct split *list;
    const struct split_row *rows;
    size_t nrows;
    struct record_reader **open; /* per block, those of this source */
    struct place *places;        /* per row of the list */
    struct sbuf clean, line;
    uint64_t missing, incomplete, written;
};

/* ---- finding the records */
static bool open_blocks(struct job *j, const char *source, struct err *e)
{
    bool any = false;

    j->open = mem_calloc(j->corpus.nblocks + 1, sizeof(struct record_reader *), e);
    if (!j->open) return false;
    for (size_t i = 0; i < j->corpus.nblocks; i++) {
        if (strcmp(j->corpus.blocks[i].source, source) != 0) continue;
        if (!record_block_open(&j->corpus.blocks[i], &j->open[i], e)) return false;
        any = true;
    }
    return any || err_set(e, ERR_CONFIG, "the corpus has no source %s", source);
}

struct key {
    struct str study, patient;
    struct place place;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int c = str_cmp(x->study, y->study);
    return c ? c : str_cmp(x->patient, y->patient);
}

/* All records of the source, sorted by study and patient. */
static bool list_keys(const struct job *j, struct key **out, size_t *n, struct err *e)
{
    size_t cap = 0;

    for (size_t b = 0; b < j->corpus.nblocks; b++) {
        for (size_t i = 0; j->open[b] && i < record_reader_count(j->open[b]); i++) {
            struct record r;
            record_reader_get(j->open[b], i, &r);
            if (!mem_grow((void **)out, &cap, *n + 1, sizeof **out, e)) return false;
            (*out)[(*n)++] = (struct key){r.study, r.patient, {(uint32_t)b, (uint32_t)i + 1}};
        }
    }
    if (*n) qsort(*out, *n, sizeof **out, compare_keys);
    return true;
}

static bool find_places(struct job *j, struct err *e)
{
    struct key *keys = NULL;
    size_t n = 0;
    bool ok = list_keys(j, &keys, &n, e);

    j->places = ok ? mem_calloc(j->nrows + 1, sizeof *j->places, e) : NULL;
    ok = j->places != NULL;
    for (size_t i = 0; ok && i < j->nrows; i++) {
        struct key want = {j->rows[i].study, j->rows[i].patient, {0, 0}};
        const struct key *hit = n ? bsearch(&want, keys, n, sizeof *keys, compare_keys) : NULL;
        if (hit) j->places[i] = hit->place;
    }
    mem_free(keys);
    return ok;
}

struct listed {
    struct str study;
    size_t row;
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    int c = str_cmp(x->study, y->study);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

/* A study listed twice (under two patients): the script keeps the last it read for both rows. */
static bool share_places(struct job *j, struct err *e)
{
    struct listed *order = mem_calloc(j->nrows + 1, sizeof *order, e);

    if (!order) return false;
    for (size_t i = 0; i < j->nrows; i++)
        order[i] = (struct listed){j->rows[i].study, i};
    qsort(order, j->nrows, sizeof *order, compare_listed);
    for (size_t i = j->nrows; i-- > 1;) {
        if (str_eq(order[i].study, order[i - 1].study))
            j->places[order[i - 1].row] = j->places[order[i].row];
    }
    mem_free(order);
    return true;
}

/* ---- writing */
static bool put_member(struct job *j, const char *key, struct str value, struct err *e)
{
    return sbuf_printf(&j->line, e, "\"%s\": ", key) && json_put_str(&j->line, value, true, e);
}

typedef bool (*clean_fn)(struct str s, struct sbuf *out, struct err *e);

static bool put_section(struct job *j, const char *key, const struct record *r,
                        enum record_section s, clean_fn clean, struct err *e)
{
    struct str text = {r->text.p + r->section[s].offset, r->section[s].length};

    sbuf_clear(&j->clean);
    if (!sbuf_printf(&j->line, e, ", ")) return false;
    return clean(text, &j->clean, e) && put_member(j, key, sbuf_str(&j->clean), e);
}

static bool put_row(struct job *j, size_t i, struct fs_writer *w, struct err *e)
{
    const uint32_t unfit = RECORD_NO_FINDINGS | RECORD_NO_IMPRESSION;
    struct place p = j->places[i];
    struct record r;

    if (p.row == 0) {
        j->missing++;
        return true;
    }
    record_reader_get(j->open[p.block], p.row - 1, &r);
    if (r.flags & unfit) {
        j->incomplete++;
        return true;
    }
    sbuf_clear(&j->line);
    if (!sbuf_printf(&j->line, e, "%s{", j->written ? ", " : "")) return false;
    if (!put_member(j, "study_id", j->rows[i].study, e)) return false;
    if (!sbuf_printf(&j->line, e, ", ")) return false;
    if (!put_member(j, "subject_id", j->rows[i].patient, e)) return false;
    if (!put_section(j, "findings", &r, SEC_FINDINGS, clean_mediqa_findings, e) ||
        !put_section(j, "impression", &r, SEC_IMPRESSION, clean_mediqa_impression, e) ||
        !put_section(j, "background", &r, SEC_BACKGROUND, clean_mediqa_background, e))
        return err_wrap(e, "entry %llu", (unsigned long long)r.entry);
    if (!sbuf_putc(&j->line, '}', e)) return false;
    j->written++;
    return fs_writer_put(w, j->line.p, j->line.n, e);
}

static bool check_split(const struct job *j, enum record_split split, struct err *e)
{
    uint64_t counts[SPLIT_COUNT] = {0};

    for (size_t i = 0; i < j->nrows; i++)
        counts[j->rows[i].split]++;
    if (counts[split] > 0) return true;
    return err_set(e, ERR_CONFIG, "the list has no %s rows; it has train %llu, dev %llu, test %llu",
                   record_split_names[split], (unsigned long long)counts[SPLIT_TRAIN],
                   (unsigned long long)counts[SPLIT_DEV], (unsigned long long)counts[SPLIT_TEST]);
}

static bool write_rows(struct job *j, enum record_split split, const char *path, struct err *e)
{
    struct fs_writer *w = NULL;
    bool ok = false;

    if (!fs_writer_open(path, &w, e)) goto out;
    if (!fs_writer_put(w, "[", 1, e)) goto out;
    for (size_t i = 0; i < j->nrows; i++) {
        if (j->rows[i].split == split && !put_row(j, i, w, e)) goto out;
    }
    if (!fs_writer_put(w, "]", 1, e)) goto out;
    ok = fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    return ok;
}

static bool run(struct job *j, const struct export_opts *o, struct arena *a, struct err *e)
{
    const struct ingest_source_opts *source = o->source;
    struct split_rules rules = {
        .kind = SPLIT_BY_LIST,
        .list_path = source->split_list,
        .mimic_ids = source->format == FORMAT_MIMIC_CXR,
        .salt = "",
    };

    if (o->split < 0 || o->split == SPLIT_NONE)
        return err_set(e, ERR_CONFIG, "the split must be train, dev or test");
    if (!source->split_list)
        return err_set(e, ERR_CONFIG, "source %s has no split_list, whose order this export has",
                       source->name);
    if (!record_corpus_open(o->corpus_dir, a, &j->corpus, e)) return false;
    if (!split_open(&rules, &j->list, e)) return false;
    j->rows = split_rows(j->list, &j->nrows);
    if (!check_split(j, (enum record_split)o->split, e)) return false;
    if (!open_blocks(j, source->name, e)) return false;
    if (!find_places(j, e) || !share_places(j, e)) return false;
    return write_rows(j, (enum record_split)o->split, o->path, e);
}

bool export_mediqa(const struct export_opts *o, struct export_counts *out, struct err *e)
{
    struct job j = {0};
    struct arena a;
    bool ok;

    arena_init(&a, MAX_PATHS);
    sbuf_init(&j.clean, MAX_TEXT);
    sbuf_init(&j.line, (size_t)8 * MAX_TEXT);
    ok = run(&j, o, &a, e);
    *out = (struct export_counts){j.written, j.missing, j.incomplete};
    for (size_t b = 0; j.open && b < j.corpus.nblocks; b++)
        record_reader_close(j.open[b]);
    mem_free(j.open);
    mem_free(j.places);
    split_close(j.list);
    sbuf_free(&j.clean);
    sbuf_free(&j.line);
    arena_free(&a);
    return ok;
}
