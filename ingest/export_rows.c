#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "ingest/export_impl.h"
#include "ingest/heads.h"
#include "ingest/mitlcp.h"
#include "ingest/sections.h"
#include "text/clean.h"
#include "text/utf8.h"

enum { MAX_TEXT = 64 << 20, ARENA_BYTES = 1 << 30, SCRATCH_BYTES = 1 << 30 };

struct job {
    const struct export_opts *o;
    struct record_corpus corpus;
    struct heads *heads;
    struct mitlcp_rules *rules;
    struct fs_writer *to;   /* the table, or mimic_cxr_sections.csv */
    struct fs_writer *also; /* mimic_cxr_sectioned.csv */
    struct section_list list;
    struct sbuf line, lines; /* lines: text with its line ends translated */
    struct arena arena;      /* the run's */
    struct arena scratch;    /* the record's */
    struct arena_mark empty;
    uint64_t split[SPLIT_COUNT], modality[MOD_COUNT]; /* what the source has */
    size_t row;                                       /* in its block, of the record at hand */
    uint64_t written;
};

static struct str section_text(const struct record *r, enum record_section s)
{
    return str_sub(r->text, r->section[s].offset, r->section[s].offset + r->section[s].length);
}

/* ---- CSV as Python's csv module writes it: quotes only where needed */
static bool put_cell(struct sbuf *b, struct str s, struct err *e)
{
    bool quote = false;

    for (size_t i = 0; i < s.n && !quote; i++)
        quote = strchr(",\"\r\n", s.p[i]) && s.p[i];
    if (!quote) return sbuf_put(b, s, e);
    if (!sbuf_putc(b, '"', e)) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' && !sbuf_putc(b, '"', e)) return false;
        if (!sbuf_putc(b, s.p[i], e)) return false;
    }
    return sbuf_putc(b, '"', e);
}

static bool flush(struct job *j, struct fs_writer *w, struct err *e)
{
    bool ok = fs_writer_put(w, j->line.p, j->line.n, e);
    sbuf_clear(&j->line);
    return ok;
}

/* ---- jsonl and csv */
static struct str status_letter(uint8_t status)
{
    static const struct str letters[STATUS_COUNT] = {
        [STATUS_UNKNOWN] = STR_INIT(""),    [STATUS_PRELIMINARY] = STR_INIT("P"),
        [STATUS_FINAL] = STR_INIT("F"),     [STATUS_ADDENDUM] = STR_INIT("A"),
        [STATUS_CORRECTED] = STR_INIT("C"),
    };
    return letters[status];
}

enum field {
    F_ACCESSION,
    F_STUDY,
    F_PATIENT,
    F_SOURCE,
    F_SPLIT,
    F_STATUS,
    F_MODALITY,
    F_MODALITY_FROM,
    F_CLINICAL,
    F_EXAMINATION,
    F_TECHNIQUE,
    F_COMPARISON,
    F_FINDINGS,
    F_IMPRESSION,
    F_SUPERSEDED,
    F_DUPLICATE_OF,
    F_COUNT
};
static const char *const field_names[F_COUNT] = {
    "accession", "study",         "patient",    "source",       "split",     "status",
    "modality",  "modality_from", "clinical",   "examination",  "technique", "comparison",
    "findings",  "impression",    "superseded", "duplicate_of",
};

static void fill_fields(const struct job *j, const struct record_block *b, const struct record *r,
                        struct str out[F_COUNT])
{
    static const enum record_section sections[] = {SEC_CLINICAL,   SEC_EXAMINATION, SEC_TECHNIQUE,
                                                   SEC_COMPARISON, SEC_FINDINGS,    SEC_IMPRESSION};

    out[F_ACCESSION] = out[F_STUDY] = r->study;
    out[F_PATIENT] = r->patient;
    out[F_SOURCE] = str_of(b->source);
    out[F_SPLIT] = str_of(record_split_names[r->split]);
    out[F_STATUS] = status_letter(r->status);
    out[F_MODALITY] = str_of(record_modality_names[r->modality]);
    out[F_MODALITY_FROM] = str_of(record_origin_names[r->origin]);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        out[F_CLINICAL + i] = clean_strip(section_text(r, sections[i]));
    out[F_SUPERSEDED] = str_of(r->flags & RECORD_SUPERSEDED ? "true" : "false");
    out[F_DUPLICATE_OF] = (struct str){NULL, 0};
    if (r->flags & RECORD_DUPLICATE) out[F_DUPLICATE_OF] = heads_study(j->heads, b, j->row, r);
}

static bool put_json_row(struct job *j, const struct record_block *b, const struct record *r,
                         struct err *e)
{
    struct str v[F_COUNT];

    fill_fields(j, b, r, v);
    for (size_t i = 0; i < F_COUNT; i++) {
        if (!sbuf_printf(&j->line, e, "%s\"%s\": ", i ? ", " : "{", field_names[i])) return false;
        if (i == F_SUPERSEDED || !v[i].p) {
            if (!sbuf_put(&j->line, v[i].p ? v[i] : STR("null"), e)) return false;
        } else if (!json_put_str(&j->line, v[i], false, e)) {
            return false;
        }
    }
    return sbuf_put(&j->line, STR("}\n"), e) && flush(j, j->to, e);
}

static bool put_csv_header(struct job *j, struct err *e)
{
    for (size_t i = 0; i < F_COUNT; i++) {
        if (!sbuf_printf(&j->line, e, "%s%s", i ? "," : "", field_names[i])) return false;
    }
    return sbuf_putc(&j->line, '\n', e) && flush(j, j->to, e);
}

static bool put_csv_row(struct job *j, const struct record_block *b, const struct record *r,
                        struct err *e)
{
    struct str v[F_COUNT];

    fill_fields(j, b, r, v);
    for (size_t i = 0; i < F_COUNT; i++) {
        if (i && !sbuf_putc(&j->line, ',', e)) return false;
        if (!put_cell(&j->line, v[i], e)) return false;
    }
    return sbuf_putc(&j->line, '\n', e) && flush(j, j->to, e);
}

/* ---- sections */
static size_t count_points(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((uint8_t)s.p[i] & 0xc0) != 0x80;
    return n;
}

static int compare_sections(const void *a, const void *b)
{
    const struct section *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Those the record carries, in the order of the text. */
static bool carried_sections(const struct record *r, struct section_list *l, struct err *e)
{
    l->n = 0;
    for (int i = 0; i < SEC_COUNT; i++) {
        size_t at = r->section[i].offset;
        struct section s = {str_of(record_section_names[i]), at, at + r->section[i].length, at, 0};
        if (r->section[i].length > 0 && !section_list_put(l, s, e)) return false;
    }
    if (l->n) qsort(l->v, l->n, sizeof *l->v, compare_sections);
    return true;
}

static bool put_sections(struct job *j, const struct record *r, struct err *e)
{
    bool ok = r->mode == MODE_OWN ? carried_sections(r, &j->list, e)
                                  : sections_published(r->text, &j->scratch, &j->list, e);

    ok = ok && sbuf_put(&j->line, STR("{\"study\": "), e) &&
         json_put_str(&j->line, r->study, false, e) &&
         sbuf_put(&j->line, STR(", \"sections\": ["), e);
    for (size_t i = 0; ok && i < j->list.n; i++) {
        const struct section *s = &j->list.v[i];
        size_t start = count_points(str_sub(r->text, 0, s->start));
        ok = sbuf_put(&j->line, i ? STR(", {\"name\": ") : STR("{\"name\": "), e) &&
             json_put_str(&j->line, s->name, false, e) &&
             sbuf_printf(&j->line, e, ", \"start\": %zu, \"text\": ", start) &&
             json_put_str(&j->line, str_sub(r->text, s->begin, s->end), false, e) &&
             sbuf_putc(&j->line, '}', e);
    }
    return ok && sbuf_put(&j->line, STR("]}\n"), e) && flush(j, j->to, e);
}

/* ---- mitlcp */
static struct str last_text(const struct job *j, struct str text, const char *name)
{
    const struct section *s = section_last(&j->list, name);
    return s ? clean_strip(str_sub(text, s->begin, s->end)) : (struct str){NULL, 0};
}

static bool put_table_row(struct job *j, struct fs_writer *w, struct str study,
                          const struct str *cells, size_t n, struct err *e)
{
    if (!sbuf_putc(&j->line, 's', e) || !put_cell(&j->line, study, e)) return false;
    for (size_t i = 0; i < n; i++) {
        if (!sbuf_putc(&j->line, ',', e)) return false;
        if (!put_cell(&j->line, cells[i], e)) return false;
    }
    return sbuf_put(&j->line, STR("\r\n"), e) && flush(j, w, e);
}

/* The last section of each name; the conclusion is the first of these four that there is. */
static bool put_tables(struct job *j, const struct record *r, struct err *e)
{
    static const char *const names[] = {"impression", "findings", "last_paragraph", "comparison"};
    struct str text = r->text, v[4], conclusion = {"", 0};

    if (memchr(text.p, '\r', text.n)) {
        sbuf_clear(&j->lines);
        if (!mitlcp_newlines(text, &j->lines, e)) return false;
        text = sbuf_str(&j->lines);
    }
    if (!sections_published(text, &j->scratch, &j->list, e)) return false;
    if (mitlcp_conclusion(j->rules, r->study, text, &j->list, &conclusion))
        return put_table_row(j, j->to, r->study, &conclusion, 1, e);
    for (size_t i = 4; i-- > 0;) {
        v[i] = last_text(j, text, names[i]);
        if (v[i].p) conclusion = v[i];
    }
    return put_table_row(j, j->to, r->study, &conclusion, 1, e) &&
           put_table_row(j, j->also, r->study, v, 4, e);
}

/* ---- which records */
static bool is_source(const struct job *j, const struct record_block *b)
{
    return !j->o->source || strcmp(b->source, j->o->source->name) == 0;
}

static bool any_modality(const struct export_opts *o)
{
    for (int i = 0; i < MOD_COUNT; i++) {
        if (o->modality[i]) return true;
    }
    return false;
}

static bool is_wanted(const struct job *j, const struct record *r)
{
    if (j->o->split >= 0 && r->split != j->o->split) return false;
    return !any_modality(j->o) || j->o->modality[r->modality];
}

static bool put_record(struct job *j, const struct record_block *b, const struct record *r,
                       struct err *e)
{
    arena_reset(&j->scratch, j->empty);
    j->written++;
    switch (j->o->format) {
    case EXPORT_MITLCP:
        return put_tables(j, r, e);
    case EXPORT_SECTIONS:
        return put_sections(j, r, e);
    case EXPORT_CSV:
        return put_csv_row(j, b, r, e);
    default:
        return put_json_row(j, b, r, e);
    }
}

static bool put_block(struct job *j, const struct record_block *b, struct err *e)
{
    struct record_reader *reader;
    struct record r;
    bool ok = true;

    if (!record_block_open(b, &reader, e)) return false;
    for (size_t i = 0; ok && i < record_reader_count(reader); i++) {
        record_reader_get(reader, i, &r);
        j->row = i;
        j->split[r.split]++;
        j->modality[r.modality]++;
        if (!is_wanted(j, &r)) continue;
        ok = put_record(j, b, &r, e) ||
             err_wrap(e, "source %s, entry %llu", b->source, (unsigned long long)r.entry);
    }
    record_reader_close(reader);
    return ok;
}

/* ---- nothing to write */
static bool name_counts(struct sbuf *b, const char *const *names, const uint64_t *n, struct err *e)
{
    for (size_t i = 0; names[i]; i++) {
        if (n[i] &&
            !sbuf_printf(b, e, "%s%s %llu", b->n ? ", " : "", names[i], (unsigned long long)n[i]))
            return false;
    }
    return true;
}

static bool is_empty(const struct job *j, struct err *e)
{
    struct sbuf there;

    sbuf_init(&there, 1024);
    if (name_counts(&there, record_split_names, j->split, e) &&
        name_counts(&there, record_modality_names, j->modality, e))
        err_set(e, ERR_CONFIG, "no report of %s is of this split and modality; there are: %s",
                j->o->source ? j->o->source->name : "the corpus", there.n ? there.p : "none");
    sbuf_free(&there);
    return false;
}

/* ---- all of it */
static bool open_outputs(struct job *j, struct err *e)
{
    const char *path;

    if (j->o->format != EXPORT_MITLCP) {
        if (!fs_writer_open(j->o->path, &j->to, e)) return false;
        return j->o->format != EXPORT_CSV || put_csv_header(j, e);
    }
    if (!mitlcp_rules_open(j->o->source->custom_rules, &j->rules, e)) return false;
    if (!fs_mkdirs(j->o->path, e)) return false;
    if (!fs_join(&j->arena, j->o->path, "mimic_cxr_sections.csv", &path, e)) return false;
    if (!fs_writer_open(path, &j->to, e)) return false;
    if (!fs_join(&j->arena, j->o->path, "mimic_cxr_sectioned.csv", &path, e)) return false;
    if (!fs_writer_open(path, &j->also, e)) return false;
    return sbuf_put(&j->line, STR("study,impression,findings,last_paragraph,comparison\r\n"), e) &&
           flush(j, j->also, e);
}

static bool run(struct job *j, struct err *e)
{
    bool rows = j->o->format == EXPORT_JSONL || j->o->format == EXPORT_CSV, any = false;

    if (!record_corpus_open(j->o->corpus_dir, &j->arena, &j->corpus, e)) return false;
    for (size_t i = 0; i < j->corpus.nblocks; i++)
        any = any || is_source(j, &j->corpus.blocks[i]);
    if (!any)
        return err_set(e, ERR_CONFIG, "the corpus has no source %s",
                       j->o->source ? j->o->source->name : "at all");
    if (rows && !heads_open(&j->corpus, &j->heads, e)) return false;
    if (!open_outputs(j, e)) return false;
    for (size_t i = 0; i < j->corpus.nblocks; i++) {
        if (is_source(j, &j->corpus.blocks[i]) && !put_block(j, &j->corpus.blocks[i], e))
            return false;
    }
    if (j->written == 0) return is_empty(j, e);
    if (j->also && !fs_writer_commit(j->also, e)) return false;
    return fs_writer_commit(j->to, e);
}

bool export_rows(const struct export_opts *o, struct export_counts *out, struct err *e)
{
    struct job j = {.o = o};
    bool ok;

    arena_init(&j.arena, ARENA_BYTES);
    arena_init(&j.scratch, SCRATCH_BYTES);
    j.empty = arena_mark(&j.scratch);
    sbuf_init(&j.line, (size_t)8 * MAX_TEXT);
    sbuf_init(&j.lines, MAX_TEXT);
    ok = run(&j, e);
    out->written = j.written;
    fs_writer_close(j.to);
    fs_writer_close(j.also);
    section_list_free(&j.list);
    sbuf_free(&j.line);
    sbuf_free(&j.lines);
    mitlcp_rules_close(j.rules);
    heads_close(j.heads);
    arena_free(&j.scratch);
    arena_free(&j.arena);
    return ok;
}
