#include "cli/inspect_sample.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/audit.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/config.h"
#include "ingest/modality.h"

enum { MAX_MARKS = 32, MAX_SAMPLE = 10000, DESCRIPTION = 60, MAX_LABELS_BYTES = 1 << 30, SEED = 1 };

struct choice {
    uint64_t draw;
    size_t block, row;
};
/* Reports of one label, origin and description. */
struct label {
    uint8_t modality, origin;
    char description[DESCRIPTION + 1];
    uint64_t reports;
};
struct job {
    struct cmd_call *call;
    struct record_corpus corpus;
    bool modality[MOD_COUNT];
    int from; /* enum record_origin, -1: any */
    struct choice *sample;
    size_t n, wanted;
    uint64_t matching, seen;
    struct label *labels;
    size_t nlabels, cap;
};

static struct str section_text(const struct record *r, enum record_section s)
{
    return str_sub(r->text, r->section[s].offset, r->section[s].offset + r->section[s].length);
}

/* ---- which */
static bool any_modality(const struct job *j)
{
    for (int i = 0; i < MOD_COUNT; i++)
        if (j->modality[i]) return true;
    return false;
}

/* The reports with the smallest draws are the sample: the same for the same corpus. */
static void offer(struct job *j, struct choice c)
{
    size_t at = j->n;

    if (j->n == j->wanted && (j->n == 0 || c.draw >= j->sample[j->n - 1].draw)) return;
    if (j->n < j->wanted)
        j->n++;
    else
        at--;
    for (; at > 0 && j->sample[at - 1].draw > c.draw; at--)
        j->sample[at] = j->sample[at - 1];
    j->sample[at] = c;
}

static char folded(char c)
{
    if (c >= 'a' && c <= 'z') return (char)(c - ('a' - 'A'));
    return c >= '0' && c <= '9' ? '0' : c;
}

/* Upper case, digits as 0, one blank: what differs only by a number is one description. */
static void fold(struct str s, char out[DESCRIPTION + 1])
{
    size_t n = 0;

    s = str_trim(s);
    for (size_t i = 0; i < s.n && n < DESCRIPTION; i++) {
        bool blank = isspace((unsigned char)s.p[i]);
        if (blank && n > 0 && out[n - 1] == ' ') continue;
        out[n++] = blank ? ' ' : folded(s.p[i]);
    }
    while (n > 0 && ((unsigned char)out[n - 1] & 0x80)) /* no half character at the cut */
        n--;
    out[n] = 0;
}

static bool put_label(struct job *j, const struct record *r)
{
    struct label l = {.modality = r->modality, .origin = r->origin, .reports = 1};

    fold(section_text(r, SEC_EXAMINATION), l.description);
    if (!mem_grow((void **)&j->labels, &j->cap, j->nlabels + 1, sizeof l, &j->call->err))
        return false;
    j->labels[j->nlabels++] = l;
    return true;
}

static bool scan_block(struct job *j, size_t block, bool labels)
{
    struct rng_key key = rng_key(SEED, RNG_SAMPLE, 0);
    struct record_reader *reader;
    struct record r;
    bool ok = true;

    if (!record_block_open(&j->corpus.blocks[block], &reader, &j->call->err)) return false;
    for (size_t i = 0; ok && i < record_reader_count(reader); i++) {
        uint64_t ordinal = j->seen++;
        record_reader_get(reader, i, &r);
        if (any_modality(j) && !j->modality[r.modality]) continue;
        if (j->from >= 0 && r.origin != j->from) continue;
        j->matching++;
        offer(j, (struct choice){rng_u64(key, ordinal), block, i});
        if (labels) ok = put_label(j, &r);
    }
    record_reader_close(reader);
    return ok;
}

/* ---- the reports */
static int compare_places(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->block != y->block) return x->block < y->block ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* text[begin, end) with the deciding words between >> and <<, which a colour-blind reader, a pager
 * and a file all show. */
static void print_marked(const struct cmd_call *call, struct str text, size_t begin, size_t end,
                         const struct record_span *marks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t from = marks[i].offset, to = from + marks[i].length;
        if (from < begin || to > end) continue;
        cmd_print(call, "%.*s>>%.*s<<", STR_ARG(str_sub(text, begin, from)),
                  STR_ARG(str_sub(text, from, to)));
        begin = to;
    }
    cmd_print(call, "%.*s\n", STR_ARG(str_sub(text, begin, end)));
}

/* Is one of the marks in front of all sections? */
static bool marks_head(const struct record *r, size_t head, const struct record_span *marks,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool inside = marks[i].offset + marks[i].length > head;
        for (int s = 0; s < SEC_COUNT; s++) {
            const struct record_span *at = &r->section[s];
            if (s != SEC_BACKGROUND && marks[i].offset >= at->offset &&
                marks[i].offset < at->offset + at->length)
                inside = true;
        }
        if (!inside) return true;
    }
    return false;
}

static void show_text(const struct cmd_call *call, const struct record *r)
{
    struct record_span marks[MAX_MARKS];
    size_t n = modality_marks(r, marks, MAX_MARKS), head = modality_head(r->text, r->section);

    if (marks_head(r, head, marks, n)) {
        cmd_print(call, "[first lines]\n");
        print_marked(call, r->text, 0, head, marks, n);
    }
    for (int s = 0; s < SEC_COUNT; s++) {
        const struct record_span *at = &r->section[s];
        struct str t = str_trim(section_text(r, (enum record_section)s));
        size_t begin = t.n ? (size_t)(t.p - r->text.p) : at->offset;
        if (t.n == 0 || s == SEC_BACKGROUND) continue;
        cmd_print(call, "[%s]\n", record_section_names[s]);
        print_marked(call, r->text, begin, begin + t.n, marks, n);
    }
}

static void show(const struct job *j, const struct choice *c, const struct record *r)
{
    const struct cmd_call *call = j->call;

    cmd_print(call, "\n== %s:%u:%zu  %s, told by: %s  split %s%s%s%s\n",
              j->corpus.blocks[c->block].source, j->corpus.blocks[c->block].block_index, c->row,
              record_modality_names[r->modality], record_origin_names[r->origin],
              record_split_names[r->split], r->flags & RECORD_SUPERSEDED ? "  superseded" : "",
              r->flags & RECORD_DUPLICATE ? "  duplicate" : "",
              r->flags & RECORD_GUESSED ? "  sections guessed" : "");
    show_text(call, r);
}

static bool show_sample(struct job *j)
{
    struct record_reader *reader = NULL;
    bool ok = true;

    if (j->n) qsort(j->sample, j->n, sizeof *j->sample, compare_places);
    for (size_t i = 0; ok && i < j->n; i++) {
        const struct choice *c = &j->sample[i];
        struct record r;
        if (i == 0 || c->block != c[-1].block) {
            record_reader_close(reader);
            ok = record_block_open(&j->corpus.blocks[c->block], &reader, &j->call->err);
            if (!ok) break;
        }
        record_reader_get(reader, c->row, &r);
        show(j, c, &r);
    }
    if (ok) record_reader_close(reader);
    return ok;
}

/* ---- the table */
static int compare_labels(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    if (x->modality != y->modality) return x->modality < y->modality ? -1 : 1;
    if (x->origin != y->origin) return x->origin < y->origin ? -1 : 1;
    return strcmp(x->description, y->description);
}

/* Abstentions first, then by label; in each the commonest first. */
static int compare_counts(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    if (x->modality != y->modality) return x->modality < y->modality ? -1 : 1;
    if (x->reports != y->reports) return x->reports > y->reports ? -1 : 1;
    return compare_labels(a, b);
}

static void unite(struct job *j)
{
    size_t kept = 0;

    if (j->nlabels == 0) return;
    qsort(j->labels, j->nlabels, sizeof *j->labels, compare_labels);
    for (size_t i = 0; i < j->nlabels; i++) {
        if (kept && compare_labels(&j->labels[i], &j->labels[kept - 1]) == 0)
            j->labels[kept - 1].reports++;
        else
            j->labels[kept++] = j->labels[i];
    }
    j->nlabels = kept;
    qsort(j->labels, kept, sizeof *j->labels, compare_counts);
}

static bool put_row(struct sbuf *b, const struct label *l, struct err *e)
{
    if (!sbuf_printf(b, e, "%s,%s,%llu,\"", record_modality_names[l->modality],
                     record_origin_names[l->origin], (unsigned long long)l->reports))
        return false;
    for (const char *p = l->description; *p; p++) {
        if (*p == '"' && !sbuf_putc(b, '"', e)) return false;
        if (!sbuf_putc(b, *p, e)) return false;
    }
    return sbuf_put(b, STR("\"\n"), e);
}

static bool write_labels(struct job *j, const char *path)
{
    struct err *e = &j->call->err;
    struct sbuf b;
    bool ok;

    unite(j);
    sbuf_init(&b, MAX_LABELS_BYTES);
    ok = sbuf_put(&b, STR("modality,told_by,reports,description\n"), e);
    for (size_t i = 0; ok && i < j->nlabels; i++)
        ok = put_row(&b, &j->labels[i], e);
    ok = ok && fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    if (ok) cmd_print(j->call, "%s: %zu rows\n", path, j->nlabels);
    return ok;
}

/* ---- all of it */
static bool read_words(struct job *j)
{
    struct cmd_call *call = j->call;
    const char *from = cmd_value(call, "--from");
    uint64_t n = 0;

    if (!cmd_modalities(call, j->modality) || !cmd_number(call, "--sample", MAX_SAMPLE, &n))
        return false;
    j->wanted = (size_t)n;
    j->from = -1;
    for (int i = 0; from && i < ORIGIN_COUNT; i++)
        if (str_eqz(str_of(from), record_origin_names[i])) j->from = i;
    return !from || j->from >= 0 ||
           err_set(&call->err, ERR_CONFIG,
                   "--from %s is not none, column, code, description, text, site or source", from);
}

static bool run(struct job *j, const char *dir, const char *labels)
{
    struct cmd_call *call = j->call;

    if (!record_corpus_open(dir, &call->arena, &j->corpus, &call->err)) return false;
    j->sample = mem_calloc(j->wanted + 1, sizeof *j->sample, &call->err);
    if (!j->sample) return false;
    if (j->wanted && !audit_note(dir, "show", "a sample of reports", &call->err)) return false;
    if (labels && !audit_note(dir, "export", "labels and descriptions", &call->err)) return false;
    for (size_t b = 0; b < j->corpus.nblocks; b++)
        if (!scan_block(j, b, labels != NULL)) return false;
    cmd_print(call, "%llu of %llu reports match, %zu of them shown\n",
              (unsigned long long)j->matching, (unsigned long long)j->seen, j->n);
    return show_sample(j) && (!labels || write_labels(j, labels));
}

bool inspect_sample(struct cmd_call *call)
{
    struct job j = {.call = call};
    struct config c;
    bool ok;

    if (!read_words(&j) || !config_load(call, &c)) return false;
    ok = cmd_apart(call, cmd_value(call, "--labels"), call->pos[0]) &&
         run(&j, c.corpus.dir, cmd_value(call, "--labels"));
    mem_free(j.sample);
    mem_free(j.labels);
    return ok;
}
